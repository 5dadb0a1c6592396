"""The text of one file, block by block: read, decompressed, and of an encoding in which a line break is one byte."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from headworks.sources.files.encodings import KEPT, is_ebcdic, is_plain
from headworks.sources.files.formats import Compression, Format
from headworks.sources.files.kinds import unexpected
from headworks.sources.files.location import Location
from headworks.sources.files.progress import FileVersion

BLOCK_BYTES = 8 * 1024 * 1024
_PART_BYTES = 64 * 1024
_AT_ONCE = 128 * 1024
"""Twice as much as Arrow gives to a decompressor at once."""
_CODECS = {"gz": "gzip", "gzip": "gzip", "zst": "zstd", "zstd": "zstd"}
_HEAD_BYTES = 512


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
    format: Format = "csv"

    def check_kind(self, head: bytes | None = None) -> None:
        """Raise `FileDamaged` where the first bytes are those of another kind of file than was declared."""
        head = self.stored(0, _HEAD_BYTES) if head is None else head[:_HEAD_BYTES]
        wrong = unexpected(head, self.format, self._codec(), self.encoding)
        if wrong is not None:
            raise FileDamaged("file|kind", wrong)

    def text(self, start: int = 0) -> Iterator[bytes]:
        """Yield the text from byte ``start`` of the text on, in blocks; never an empty one.

        Raises `FileMoved` where the file has changed or is gone, and `FileDamaged` where it cannot be decompressed.
        Bytes that are no text in the encoding are handed on so that their record, and no other, is refused.
        """
        codec = self._codec()
        if codec is None and is_plain(self.encoding):
            yield from self._stored(start)
            return
        blocks = self._stored(0) if codec is None else self._unpacked(codec)
        narrow = blocks if is_plain(self.encoding) else _narrowed(blocks, self.encoding)
        yield from _from(start, narrow)

    def stored(self, start: int, end: int) -> bytes:
        """Return bytes of the file as it is stored."""
        if self.whole is not None:
            return self.whole[start:end]
        return self.location.read(self.file, start, end)

    def _codec(self) -> str | None:
        if self.compression == "auto":
            return _CODECS.get(self.file.path.rpartition(".")[2].lower())
        return _CODECS.get(self.compression)

    def _stored(self, start: int) -> Iterator[bytes]:
        if self.whole is not None:
            blocks = iter([self.whole[start:]] if self.whole[start:] else [])
        else:
            places = range(start, self.file.size, BLOCK_BYTES)
            blocks = (self.location.read(self.file, at, at + BLOCK_BYTES) for at in places)
        for number, block in enumerate(blocks):
            if start == number == 0:
                self.check_kind(block)
            yield block
        if self.location.is_local:
            # Writing into a file that is being read shows in its time only afterwards.
            self.location.still_there(self.file)

    def _unpacked(self, codec: str) -> Iterator[bytes]:
        """Yield what is compressed, in blocks; all that comes before a damage is there before it is raised."""
        parts: list[bytes] = []
        size = 0
        for part in self._parts(codec):
            if isinstance(part, FileDamaged):
                yield from [b"".join(parts)] if parts else []
                raise part
            parts.append(part)
            size += len(part)
            if size >= BLOCK_BYTES:
                yield b"".join(parts)
                parts, size = [], 0
        if parts:
            yield b"".join(parts)

    def _parts(self, codec: str) -> Iterator[bytes | FileDamaged]:
        reader = _Reader(self._stored(0))
        done = 0
        try:
            for part in _decompressed(reader, codec, 0, _PART_BYTES):
                done += len(part)
                yield part
            return
        except OSError as problem:
            damage = FileDamaged("file|compression", _first_line(problem))
            damage.__cause__ = problem
        # A decompressor forgets what it made of the bytes that it was given together with the damaged ones: around the
        # damage it is given them one by one, up to the one that fails.
        for size in (_PART_BYTES, 1):
            slow = _Reader(self._stored(0), slow_from=max(0, reader.given - _AT_ONCE))
            try:
                for part in _decompressed(slow, codec, done, size):
                    done += len(part)
                    yield part
            except OSError:
                continue
        yield damage


class _Reader(io.RawIOBase):
    """Blocks as a file that Arrow can read from; from byte ``slow_from`` on it gives one byte at a time."""

    def __init__(self, blocks: Iterator[bytes], slow_from: int | None = None) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")
        self._slow_from = slow_from
        self.given = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes, none at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._blocks, b""))
        if size < 0:
            size = len(self._rest)
        if self._slow_from is not None:
            size = min(size, max(1, self._slow_from - self.given))
        part, self._rest = self._rest[:size], self._rest[size:]
        self.given += len(part)
        return bytes(part)


def _decompressed(reader: _Reader, codec: str, skip: int, size: int) -> Iterator[bytes]:
    """Yield decompressed bytes after the first ``skip``, ``size`` at a time."""
    stream = pa.CompressedInputStream(pa.PythonFile(reader, mode="r"), codec)
    while skip:
        skip -= len(stream.read(min(skip, _PART_BYTES)))
    while part := stream.read(size):
        yield part


def _from(start: int, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Leave out the first ``start`` bytes."""
    for block in blocks:
        if start < len(block):
            yield block[start:] if start else block
        start = max(0, start - len(block))


def _narrowed(blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield text as UTF-8; a byte that is no text becomes what is no UTF-8, so that its record is refused."""
    decoder = codecs.getincrementaldecoder(encoding)(errors=KEPT)
    ebcdic = is_ebcdic(encoding)

    def narrow(block: bytes, *, final: bool) -> bytes:
        text = decoder.decode(block, final)
        # Mainframes end lines with a character of their own.
        return (text.replace("\x85", "\n") if ebcdic else text).encode("utf-8", "surrogatepass")

    for block in blocks:
        if text := narrow(block, final=False):
            yield text
    if text := narrow(b"", final=True):
        yield text


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:300]
