"""Files as a source: each version of each file once, in order of their times, in batches of bounded size.

A file that is changed while it is read is left for the next run, which takes the new version whole; one that is gone is
told in the remarks. What was read of a file is a place in the position, so the next run goes on from there.

What belongs here: which files, in which order, and what happens to one that moves. What does not: formats, bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

import polars as pl

from headworks.names import Window
from headworks.ports import Clock, system_clock
from headworks.sources.base import Batch, Position
from headworks.sources.files.array import JsonArray
from headworks.sources.files.content import Content, FileDamaged
from headworks.sources.files.delimited import Csv
from headworks.sources.files.location import FileMoved, Location
from headworks.sources.files.ndjson import RECORD, Ndjson
from headworks.sources.files.packing import FILE_COLUMNS, Packer
from headworks.sources.files.parquet import Parquet
from headworks.sources.files.patterns import fixed_folder, is_hidden, path_pattern
from headworks.sources.files.progress import FileVersion, Place, Progress, Shelf
from headworks.sources.files.selection import Files
from headworks.sources.files.text import Piece, TextFormat, pieces
from headworks.sources.prefetch import prefetched

_LOCAL_SETTLE_S = 5.0
_AHEAD_FILES = 8
_AHEAD_BYTES = 4 * 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SKEW = timedelta(minutes=1)


@dataclass(frozen=True)
class FileSource:
    """The files of a location that are selected.

    ``window`` takes only files that were
    modified in it; ``whole`` tells that the reading ends with a mark, as one of a window does. ``batch_bytes`` of text,
    ``batch_rows`` and ``batch_files`` bound a batch, and with it the memory.
    """

    location: Location
    files: Files
    shelf: Shelf
    window: Window | None = None
    whole: bool = False
    batch_bytes: int = 16 * 1024 * 1024
    batch_rows: int = 1_000_000
    batch_files: int = 1000
    clock: Clock = system_clock

    @property
    def schema(self) -> pl.Schema:
        """The columns known beforehand; those of the files come with them."""
        if self.files.format in {"ndjson", "json"}:
            return pl.Schema({**RECORD, **FILE_COLUMNS})
        declared = self.files.csv.types() if self.files.format == "csv" else {}
        return pl.Schema({**declared, **FILE_COLUMNS})

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield what was not taken of the files that are there now and were modified before ``until``.

        The next batch is read while one is committed.
        """
        return prefetched(self._read(position, until))

    def _read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        if position is not None and position.get("done"):
            return
        progress = Progress.at(position, self.shelf)
        packer = Packer(self.batch_bytes, self.batch_rows, self.batch_files)
        todo = progress.missing(self._listed(until, packer.remarks))
        for file, whole in self._ahead(todo):
            yield from self._take(file, whole, progress, packer)
            if packer.is_full:
                yield packer.batch(progress)
        if not packer.is_empty:
            yield packer.batch(progress)
        if self.whole or self.window is not None:
            end = {**progress.position(), "done": True}
            yield Batch(pl.DataFrame(schema=FILE_COLUMNS), end, read=0)

    def _take(
        self, file: FileVersion, whole: Future[bytes] | None, progress: Progress, packer: Packer
    ) -> Iterator[Batch]:
        """Pack a file, and yield a batch whenever there is enough for one."""
        before = progress.half_read(file)
        if before:
            packer.remarks.append(
                f"{file.path} was changed after {before} lines of it had been landed: the new version is taken whole"
            )
        mark, place = packer.mark(), progress.place(file)
        try:
            for piece in self._pieces(file, whole, place):
                packer.add(file, piece, max(0, piece.place.offset - place.offset))
                place = piece.place
                if packer.is_full:
                    progress.reached(file, place)
                    yield packer.batch(progress)
        except FileDamaged as damage:
            packer.refuse(file, place.line, damage)
            packer.remarks.append(f"{file.path} cannot be read from line {place.line} on: {damage.detail}")
        except FileMoved as moved:
            packer.back_to(mark)
            packer.remarks.append(_moved(file, moved))
            return
        progress.finished(file)
        packer.finish_file()

    def _pieces(self, file: FileVersion, whole: Future[bytes] | None, place: Place) -> Iterator[Piece]:
        data = whole.result() if whole is not None else None
        encoding = self.files.csv.encoding if self.files.format == "csv" else "utf-8"
        content = Content(self.location, file, self.files.compression, encoding, data)
        if self.files.format == "parquet":
            return Parquet().pieces(content, place)
        return pieces(content.text(place.offset), place, self._text_format())

    def _text_format(self) -> TextFormat:
        if self.files.format == "csv":
            return Csv(self.files.csv)
        return Ndjson() if self.files.format == "ndjson" else JsonArray()

    def _ahead(self, files: list[FileVersion]) -> Iterator[tuple[FileVersion, Future[bytes] | None]]:
        """Hand out files in their order; small ones are read ahead, since each costs the same wait."""
        waiting: deque[tuple[FileVersion, Future[bytes] | None]] = deque()
        rest = iter(files)
        with ThreadPoolExecutor(_AHEAD_FILES) as pool:
            while True:
                for file in islice(rest, _AHEAD_FILES - len(waiting)):
                    small = file.size <= _AHEAD_BYTES
                    waiting.append(
                        (file, pool.submit(self.location.read, file, 0, file.size) if small else None)
                    )
                if not waiting:
                    return
                yield waiting.popleft()

    def _listed(self, until: datetime | None, remarks: list[str]) -> list[FileVersion]:
        """Return the files that are wanted and may be read now."""
        wanted = path_pattern(self.files.pattern)
        lower, upper = self._bounds(until)
        settled_by = self._settled_by()
        found: list[FileVersion] = []
        unsettled: list[FileVersion] = []
        for file in self.location.listed(fixed_folder(self.files.pattern)):
            if not wanted.fullmatch(file.path) or is_hidden(file.path, self.files.hidden):
                continue
            if not lower <= file.modified_us < upper:
                continue
            (unsettled if settled_by[0] < file.modified_us < settled_by[1] else found).append(file)
        if unsettled:
            names = ", ".join(sorted(file.path for file in unsettled)[:3])
            remarks.append(
                f"{len(unsettled)} files may still be written and are left for the next run, such as {names}"
            )
        return found

    def _bounds(self, until: datetime | None) -> tuple[int, int]:
        lower = _microseconds(self.window.start) if self.window else -(2**63)
        ends = [moment for moment in (until, self.window.end if self.window else None) if moment]
        return lower, min((_microseconds(end) for end in ends), default=2**63)

    def _settled_by(self) -> tuple[int, int]:
        """Return between which times a file may still be written; one from the far future is not."""
        settle_s = self.files.settle_s
        if settle_s is None:
            settle_s = _LOCAL_SETTLE_S if self.location.is_local else 0.0
        now = self.clock()
        if not settle_s:
            return 0, 0
        return _microseconds(now - timedelta(seconds=settle_s)), _microseconds(now + _SKEW)


def _moved(file: FileVersion, moved: FileMoved) -> str:
    if moved.how == "vanished":
        return f"{file.path} vanished after it had been listed, before it was read"
    return f"{file.path} was changed while it was read, and is left for the next run"


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
