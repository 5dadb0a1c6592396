"""Pieces of files packed into batches: many small files into one, a big one into several."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from headworks.sources.base import RAW, REFUSED, Batch
from headworks.sources.files.content import FileDamaged
from headworks.sources.files.left_out import LeftOut
from headworks.sources.files.progress import START, FileVersion, Progress
from headworks.sources.files.text import LINE, Piece, refused_frame

FILE_COLUMNS = pl.Schema(
    {
        "_file": pl.String(),
        "_file_version": pl.String(),
        LINE: pl.Int64(),
        REFUSED: pl.String(),
        RAW: pl.Binary(),
    }
)


@dataclass(frozen=True)
class Mark:
    """How much a batch held at some moment."""

    batches: int
    frames: int
    refused: int
    rows: int
    size_bytes: int


@dataclass
class Packer:
    """Collects pieces until there are enough for a batch."""

    most_bytes: int
    most_rows: int
    most_files: int
    left: LeftOut = field(default_factory=LeftOut)
    warnings: list[str] = field(default_factory=list)
    _frames: list[pl.DataFrame] = field(default_factory=list)
    _types: dict[str, pl.DataType] = field(default_factory=dict)
    _refused: int = 0
    _rows: int = 0
    _size_bytes: int = 0
    _files: int = 0
    _batches: int = 0

    def add(self, file: FileVersion, piece: Piece, size_bytes: int) -> None:
        """Add some records of a file."""
        if piece.frame.height:
            self._frames.append(_with_origin(file, piece.frame))
            self._types.update(piece.frame.schema)
        self._refused += piece.refused
        self._rows += piece.frame.height
        self._size_bytes += size_bytes

    def takes(self, frame: pl.DataFrame) -> bool:
        """Return whether some records have the types of those that are packed already."""
        return all(self._types.get(name, dtype) == dtype for name, dtype in frame.schema.items())

    def refuse(self, file: FileVersion, line: int, damage: FileDamaged) -> None:
        """Add a refused record that represents what could not be read of a file: its bytes, or else what is wrong."""
        frame = refused_frame([(line, damage.reason, damage.rest or damage.detail.encode())])
        self.add(file, Piece(frame, 1, START), len(damage.rest))

    def finish_file(self) -> None:
        """Count a file that was read to its end."""
        self._files += 1

    @property
    def is_full(self) -> bool:
        """Return whether there is enough for a batch."""
        return (
            self._size_bytes >= self.most_bytes
            or self._rows >= self.most_rows
            or self._files >= self.most_files
        )

    @property
    def has_files(self) -> bool:
        """Return whether there are records, or files that were read to their end."""
        return bool(self._frames or self._files)

    def mark(self) -> Mark:
        """Return a mark that `back_to` goes back to."""
        return Mark(self._batches, len(self._frames), self._refused, self._rows, self._size_bytes)

    def back_to(self, mark: Mark) -> None:
        """Forget the records that were added since a mark and are in no batch yet."""
        same = mark.batches == self._batches
        del self._frames[mark.frames if same else 0 :]
        self._refused = mark.refused if same else 0
        self._rows = mark.rows if same else 0
        self._size_bytes = mark.size_bytes if same else 0

    def batch(self, progress: Progress) -> Batch:
        """Return a batch of all that was collected, and start again with none."""
        frame = pl.concat(self._frames, how="diagonal") if self._frames else pl.DataFrame(schema=FILE_COLUMNS)
        batch = Batch(
            frame,
            progress.position(),
            read=self._rows,
            refused=self._refused,
            warnings=tuple(self.warnings),
            left_out=dict(self.left.counts),
        )
        self.warnings, self._frames, self._types = [], [], {}
        self._refused = self._rows = self._size_bytes = self._files = 0
        self._batches += 1
        return batch


def _with_origin(file: FileVersion, frame: pl.DataFrame) -> pl.DataFrame:
    """Add a file's columns to its records."""
    missing = [
        pl.lit(None, dtype=FILE_COLUMNS[name]).alias(name)
        for name in (REFUSED, RAW)
        if name not in frame.columns
    ]
    return frame.with_columns(
        pl.lit(file.path).alias("_file"), pl.lit(file.version).alias("_file_version"), *missing
    )
