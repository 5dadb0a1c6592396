"""Files as a source: each version of each file once, in order of their times, in batches of bounded size.

A file that is changed while it is read is left for the next run, which takes the new version whole; one that cannot be
read is refused by name, and the others are taken. What was read of a file is a place in the position, so the next run
continues from there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice

import polars as pl

from headworks.errors import CredentialsRefused, HeadworksError, SourceMissing
from headworks.names import Window
from headworks.panics import panics_as_errors
from headworks.ports import Clock, system_clock
from headworks.sources.base import Batch, Position, Wider
from headworks.sources.files.array import JsonArray
from headworks.sources.files.content import Content, FileDamaged
from headworks.sources.files.delimited import Csv
from headworks.sources.files.fitting import Columns
from headworks.sources.files.left_out import (
    CLOSED,
    HIDDEN_NAME,
    MOVED,
    NOT_WANTED,
    ODD_KEY,
    UNREADABLE,
    UNSETTLED,
    UNSURE,
    LeftOut,
    shown,
)
from headworks.sources.files.location import FileMoved, FileUnreadable, Location
from headworks.sources.files.ndjson import RECORD, Ndjson
from headworks.sources.files.packing import FILE_COLUMNS, Packer
from headworks.sources.files.parquet import Parquet
from headworks.sources.files.patterns import fixed_folder, is_hidden, path_pattern
from headworks.sources.files.progress import START, FileVersion, Place, Progress, Shelf
from headworks.sources.files.selection import Files
from headworks.sources.files.text import Piece, TextFormat, pieces
from headworks.sources.prefetch import prefetched

_LOCAL_SETTLE_S = 5.0
_AHEAD_FILES = 8
_AHEAD_BYTES = 4 * 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SKEW = timedelta(minutes=1)
_MOST_CLOSED = 8
"""So many files that may not be read, and none that may, show that it is the credentials."""


@dataclass(frozen=True)
class FileSource:
    """The files of a location that are selected.

    ``window`` takes only files that were
    modified in it; ``whole`` says that the reading ends with a mark, as one of a window does. ``batch_bytes`` of text,
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
    columns: Columns = field(default_factory=Columns)

    @property
    def schema(self) -> pl.Schema:
        """The columns known beforehand; those of the files come with them."""
        if self.files.format in {"ndjson", "json"}:
            return pl.Schema({**RECORD, **FILE_COLUMNS})
        return FILE_COLUMNS

    def knowing(self, columns: pl.Schema, wider: Wider) -> FileSource:
        """Return the source as it reads into a table with these columns."""
        return replace(self, columns=Columns(dict(columns), wider))

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield what was not taken of the files that are there now and were modified before ``until``.

        The next batch is read while one is committed.
        """
        return prefetched(_Reading(self, position).batches(until))


class _Reading:
    """One reading: what was taken before, what is packed, and what could not be read."""

    def __init__(self, source: FileSource, position: Position | None) -> None:
        self._source, self._files, self._location = source, source.files, source.location
        self._position = position
        self._columns = Columns(dict(source.columns.known), source.columns.wider)
        self._packer = Packer(source.batch_bytes, source.batch_rows, source.batch_files)
        self._closed: CredentialsRefused | None = None
        self._read_any = False
        self._is_whole = True

    def batches(self, until: datetime | None) -> Iterator[Batch]:
        """Yield the batches."""
        if self._position is not None and self._position.get("done"):
            return
        source, packer = self._source, self._packer
        self._progress = progress = Progress.at(
            self._position, source.shelf, self._files.declared(), again=self._files.retake_refused
        )
        todo = progress.missing(self._listed(until))
        for file, whole in self._ahead(todo):
            yield from self._take(file, whole)
            if packer.is_full:
                yield self._packed()
        if self._closed is not None and not self._read_any:
            raise self._closed
        packer.warnings += packer.left.warnings()
        if packer.has_files:
            yield self._packed()
        elif packer.warnings or packer.left.counts:
            # There is something to say, and nothing to commit.
            yield replace(packer.batch(progress), position=self._position or {})
        if source.whole or source.window is not None:
            end = {**progress.position(), "done": True}
            complete = self._is_whole and packer.left.is_complete
            shown_whole = None if complete else False
            yield Batch(pl.DataFrame(schema=FILE_COLUMNS), end, read=0, shown=shown_whole)

    def _packed(self) -> Batch:
        """Return a batch of what is packed; the position is after it."""
        batch = self._packer.batch(self._progress)
        self._position = batch.position
        return batch

    def _take(self, file: FileVersion, whole: Future[bytes] | None) -> Iterator[Batch]:
        """Pack a file, and yield a batch whenever there is enough for one."""
        packer, progress = self._packer, self._progress
        before = progress.half_read(file)
        if before:
            packer.warnings.append(
                f"{shown(file.path)} was changed after {before} lines of it had been landed: the new version is taken "
                "whole"
            )
        mark, place = packer.mark(), progress.place(file)
        digest, begun = "", place
        try:
            data = whole.result() if whole is not None else None
            digest = _digest(data) if file.stamp and data is not None else ""
            if progress.state(file) == "written again" and not self._is_new(file, digest):
                return
            for piece in self._pieces(file, data, place):
                if not packer.takes(piece.frame):
                    progress.reached(file, place)
                    yield self._packed()
                weight = piece.weight if piece.weight is not None else piece.place.offset - place.offset
                packer.add(file, piece, max(0, weight))
                place = piece.place
                if packer.is_full:
                    progress.reached(file, place)
                    yield self._packed()
        except FileDamaged as damage:
            self._is_whole = False
            packer.refuse(file, place.line, damage)
            packer.warnings.append(
                f"{shown(file.path)} cannot be read from line {place.line} on: {shown(damage.detail)} "
                f"({damage.reason})"
            )
            self._read_any = True
            progress.finished(file, digest, refused=place == begun == START)
            packer.finish_file()
            return
        except (FileMoved, FileUnreadable, CredentialsRefused) as problem:
            packer.back_to(mark)
            self._leave(file, problem)
            return
        self._read_any = True
        progress.finished(file, digest)
        packer.finish_file()

    def _leave(self, file: FileVersion, problem: FileMoved | FileUnreadable | CredentialsRefused) -> None:
        """Note why a file is left for a later run."""
        packer = self._packer
        if isinstance(problem, CredentialsRefused):
            packer.left.add(CLOSED, file.path)
            self._closed = self._closed or problem
            if not self._read_any and packer.left.counts[CLOSED] >= _MOST_CLOSED:
                raise problem
        elif isinstance(problem, FileUnreadable):
            packer.left.add(UNREADABLE, file.path)
        elif problem.how == "vanished" and not self._location.is_local and self._location.is_listed(file):
            packer.left.add(ODD_KEY, file.path)
        else:
            packer.left.add(MOVED, file.path)
            packer.warnings.append(_moved(file, problem))

    def _is_new(self, file: FileVersion, digest: str) -> bool:
        """Return whether a file that was written again has another content than the one that was taken."""
        same = self._progress.is_same(file, digest)
        if same is None:
            self._packer.left.add(UNSURE, file.path)
        elif same:
            self._progress.finished(file, digest)
            self._packer.finish_file()
        return same is False

    def _pieces(self, file: FileVersion, data: bytes | None, place: Place) -> Iterator[Piece]:
        """Yield a file's records in columns that bronze can have; whatever goes wrong in it is damage of this file."""
        try:
            with panics_as_errors():
                yield from self._fitted(file, data, place)
        except (HeadworksError, FileDamaged, FileMoved, FileUnreadable):
            raise
        except Exception as problem:
            text = (str(problem).strip().splitlines() or [""])[0][:300]
            raise FileDamaged("file|unreadable", f"{type(problem).__name__}: {text}") from problem

    def _fitted(self, file: FileVersion, data: bytes | None, place: Place) -> Iterator[Piece]:
        files = self._files
        encoding = files.csv.encoding if files.format == "csv" else "utf-8"
        content = Content(self._location, file, files.compression, encoding, data, files.format)
        declared = files.csv.columns if files.format == "csv" else None
        found = (
            Parquet(nanoseconds=files.parquet.nanoseconds).pieces(content, place)
            if files.format == "parquet"
            else pieces(content.text(place.offset), place, self._text_format())
        )
        for piece in found:
            yield replace(piece, frame=self._columns.fitted(piece.frame, declared))
        if files.format == "parquet" and self._location.is_local:
            self._location.still_there(file)

    def _text_format(self) -> TextFormat:
        if self._files.format == "csv":
            return Csv(self._files.csv)
        return Ndjson() if self._files.format == "ndjson" else JsonArray()

    def _ahead(self, files: list[FileVersion]) -> Iterator[tuple[FileVersion, Future[bytes] | None]]:
        """Hand out files in their order; small ones are read ahead, since each costs the same wait."""
        waiting: deque[tuple[FileVersion, Future[bytes] | None]] = deque()
        rest = iter(files)
        with ThreadPoolExecutor(_AHEAD_FILES) as pool:
            while True:
                for file in islice(rest, _AHEAD_FILES - len(waiting)):
                    small = file.size <= _AHEAD_BYTES
                    waiting.append(
                        (file, pool.submit(self._location.read, file, 0, file.size) if small else None)
                    )
                if not waiting:
                    return
                yield waiting.popleft()

    def _listed(self, until: datetime | None) -> list[FileVersion]:
        """Return the files that are wanted and may be read now; the others are counted by reason."""
        pattern, left = self._files.pattern, self._packer.left
        wanted = path_pattern(pattern)
        lower, upper = self._bounds(until)
        settled_by = self._settled_by()
        found: dict[str, FileVersion] = {}
        matched, others = 0, LeftOut()
        for file in self._location.listed(fixed_folder(pattern), left):
            if not wanted.fullmatch(file.path):
                others.add(NOT_WANTED, file.path)
                continue
            matched += 1
            if is_hidden(file.path, self._files.hidden):
                left.add(HIDDEN_NAME, file.path)
            elif not lower <= file.modified_us < upper:
                continue
            elif settled_by[0] < file.modified_us < settled_by[1]:
                left.add(UNSETTLED, file.path)
            else:
                # Of two objects that the library gives one name, the first has a key that begins with a slash.
                if file.path in found and found[file.path].version != file.version:
                    left.add(ODD_KEY, f"/{file.path}")
                found[file.path] = file
        if others.counts:
            left.counts[NOT_WANTED] += others.counts[NOT_WANTED]
        if not matched:
            self._none_matched(others)
        return list(found.values())

    def _none_matched(self, others: LeftOut) -> None:
        """Say that no file matches; where none ever did, though files are there, or where all were asked for: stop."""
        names = ", ".join(others.names[NOT_WANTED])
        there = f"; {others.counts[NOT_WANTED]} others are there, such as {names}" if names else ""
        text = f"No file matches the pattern {self._files.pattern}{there}."
        if (names and not self._progress.taken) or (self._source.whole and self._source.window is None):
            raise SourceMissing(
                text,
                where=self._location.settings.root,
                do="correct the pattern, which is relative to the location's root. Nothing was read or deleted.",
            )
        self._packer.warnings.append(text)

    def _bounds(self, until: datetime | None) -> tuple[int, int]:
        window = self._source.window
        lower = _microseconds(window.start) if window else -(2**63)
        ends = [moment for moment in (until, window.end if window else None) if moment]
        return lower, min((_microseconds(end) for end in ends), default=2**63)

    def _settled_by(self) -> tuple[int, int]:
        """Return between which times a file may still be written; one from the far future is not."""
        settle_s = self._files.settle_s
        if settle_s is None:
            settle_s = _LOCAL_SETTLE_S if self._location.is_local else 0.0
        now = self._source.clock()
        if not settle_s:
            return 0, 0
        return _microseconds(now - timedelta(seconds=settle_s)), _microseconds(now + _SKEW)


def _moved(file: FileVersion, moved: FileMoved) -> str:
    if moved.how == "vanished":
        return f"{shown(file.path)} vanished after it had been listed, before it was read"
    return f"{shown(file.path)} was changed while it was read, and is left for the next run"


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
