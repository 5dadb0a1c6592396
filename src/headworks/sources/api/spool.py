"""A file of an export on its way through the disk: downloaded whole, unpacked, and read in parts that end with a line.

An export may be larger than the memory, and its records must not be: what is in memory is one part. A file is named
by nobody and gone with the run; a run that resumes downloads it again and reads on from where it was.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping

from headworks.errors import PageUnreadable, ResponseTooLarge, ScanExpired, StopError
from headworks.sources.api.encodings import unpacked

PART_BYTES = 4 * 1024 * 1024
_HEAD = 64
_WIDE = (b"\xff\xfe", b"\xfe\xff")


class Spool:
    """One file after another on the disk.

    ``most`` is the size of the largest file, ``longest`` that of the longest line. ``quoted``: a line may hold quotes
    with ends of lines in them; ``headed``: the first one has the names of the columns.
    """

    def __init__(self, most: int, longest: int, *, quoted: bool, headed: bool) -> None:
        self._most, self._longest, self._quoted, self._headed = most, longest, quoted, headed
        self._file = tempfile.TemporaryFile(prefix="headworks-export-")  # noqa: SIM115 - closed by close()
        self.of: str | None = None
        self._size, self._header = 0, b""
        self.alive: Callable[[], None] = lambda: None

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()

    async def take(self, chunks: AsyncIterator[bytes], headers: Mapping[str, str]) -> bytes:
        """Take a file, in the place of the one before; return how it begins.

        Raises `ResponseTooLarge` where it is larger than is allowed, and `StopError` where the disk is full.
        """
        self.of, self._size = None, 0
        self._file.seek(0)
        self._file.truncate()
        head = b""
        async for chunk in unpacked(chunks, headers, self._most):
            self.alive()
            if len(head) < _HEAD:
                head = (head + chunk)[:_HEAD]
                if head[:2] in _WIDE:
                    raise PageUnreadable("A file of an export is UTF-16, which is read as UTF-8 alone.")
            try:
                self._file.write(chunk)
            except OSError as problem:
                raise StopError(
                    f"A file of an export cannot be kept on disk: {problem.strerror}.",
                    where=tempfile.gettempdir(),
                    do="make room there, or set TMPDIR to where there is some.",
                ) from problem
            self._size += len(chunk)
        return head

    def part(self, at: int) -> tuple[bytes, int | None]:
        """Return the part that begins at a byte, with the header of CSV before it, and where the next one begins.

        Raises `ScanExpired` where the file is shorter than that, since it is another one than before.
        """
        if at > self._size:
            raise ScanExpired("A file of the export is shorter than when it was read before.")
        if self._headed and at and not self._header:
            self._header, _ = self._lines(0, one=True)
        text, following = self._lines(at)
        return self._header + text if at else text, following if following < self._size else None

    def begin(self, of: str) -> None:
        """Remember what the file is that was taken."""
        self.of, self._header = of, b""

    def _lines(self, at: int, *, one: bool = False) -> tuple[bytes, int]:
        """Return whole lines from a byte on, and where they end: as many as a part holds, or the first one."""
        size = PART_BYTES
        while True:
            self._file.seek(at)
            text = self._file.read(size)
            last = at + len(text) >= self._size
            end = self._ended(text, first=one)
            if end and (one or not last):
                return text[:end], at + end
            if last:
                return text, at + len(text)
            if size >= self._longest:
                raise ResponseTooLarge(
                    f"A line of a file of an export is larger than {size:,} bytes.",
                    do="raise the limit response_bytes in the API's block.",
                )
            size = min(size * 2, self._longest)

    def _ended(self, text: bytes, *, first: bool) -> int:
        """Return where the last line ends, or the first one; 0 where none does. A quoted value may hold ends."""
        if not self._quoted or b'"' not in text:
            return (text.find(b"\n") if first else text.rfind(b"\n")) + 1
        at, found = 0, 0
        for number, piece in enumerate(text.split(b'"')):
            if number % 2 == 0:
                end = piece.find(b"\n") if first else piece.rfind(b"\n")
                if end >= 0:
                    found = at + end + 1
                    if first:
                        return found
            at += len(piece) + 1
        return found
