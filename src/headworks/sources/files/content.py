"""The text of one file, block by block: read, decompressed, and of an encoding in which a line break is one byte.

What belongs here: bytes. What does not: records.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from headworks.sources.files.formats import Compression
from headworks.sources.files.location import Location
from headworks.sources.files.progress import FileVersion

BLOCK_BYTES = 8 * 1024 * 1024
_PART_BYTES = 64 * 1024
_CODECS = {"gz": "gzip", "zst": "zstd"}
_WIDE = ("utf-16", "utf-32")


class FileDamaged(Exception):
    """The file cannot be read on from here, and reading it again would not help; ``rest`` was read and not used."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        self.rest = b""
        super().__init__(reason, detail)


@dataclass(frozen=True)
class Content:
    """One version of one file; ``whole`` is all of it where that was read already."""

    location: Location
    file: FileVersion
    compression: Compression = "auto"
    encoding: str = "utf-8"
    whole: bytes | None = None

    def text(self, start: int = 0) -> Iterator[bytes]:
        """Yield the text from byte ``start`` of the text on, in blocks; never an empty one.

        Raises `FileMoved` where the file has changed or is gone, and `FileDamaged` where it cannot be decompressed or
        decoded.
        """
        codec = self._codec()
        if codec is None and not self.is_wide:
            yield from self._stored(start)
            return
        blocks = self._stored(0) if codec is None else self._decompressed(codec)
        yield from _from(start, _narrowed(blocks, self.encoding) if self.is_wide else blocks)

    @property
    def is_wide(self) -> bool:
        """Tell whether the file's encoding has line breaks of several bytes, so that its text is handed on as UTF-8."""
        return self.encoding.startswith(_WIDE)

    def _codec(self) -> str | None:
        if self.compression == "auto":
            return _CODECS.get(self.file.path.rpartition(".")[2].lower())
        return _CODECS.get(self.compression)

    def _stored(self, start: int) -> Iterator[bytes]:
        if self.whole is not None:
            yield from [self.whole[start:]] if self.whole[start:] else []
        else:
            for at in range(start, self.file.size, BLOCK_BYTES):
                yield self.location.read(self.file, at, at + BLOCK_BYTES)
        if self.location.is_local:
            # Writing into a file that is being read shows in its time only afterwards.
            self.location.still_there(self.file)

    def _decompressed(self, codec: str) -> Iterator[bytes]:
        stream = pa.CompressedInputStream(pa.PythonFile(_Reader(self._stored(0)), mode="r"), codec)
        parts: list[bytes] = []
        size = 0
        while True:
            try:
                part = stream.read(_PART_BYTES)
            except OSError as problem:
                # What was decompressed before the damage counts.
                yield from [b"".join(parts)] if parts else []
                raise FileDamaged("file|compression", str(problem)) from problem
            parts.append(part)
            size += len(part)
            if size >= BLOCK_BYTES or (not part and size):
                yield b"".join(parts)
                parts, size = [], 0
            if not part:
                return


class _Reader(io.RawIOBase):
    """Blocks as a file that Arrow can read from."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes, none at the end."""
        if not self._rest:
            self._rest = next(self._blocks, b"")
        part, self._rest = self._rest[:size], self._rest[size:]
        return part


def _from(start: int, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Leave out the first ``start`` bytes."""
    for block in blocks:
        if start < len(block):
            yield block[start:] if start else block
        start = max(0, start - len(block))


def _narrowed(blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in blocks:
            text = decoder.decode(block).encode()
            if text:
                yield text
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as problem:
        raise FileDamaged("file|encoding", str(problem)) from problem
