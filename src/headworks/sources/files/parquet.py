"""Parquet files, row group by row group, in their own columns and types.

What belongs here: reading, and types that a Delta table has not. What does not: text.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

import polars as pl
import pyarrow as pa
from pyarrow import parquet

from headworks.sources.files.content import Content, FileDamaged
from headworks.sources.files.delimited import RESERVED
from headworks.sources.files.progress import Place
from headworks.sources.files.text import LINE, Piece

BATCH_ROWS = 128 * 1024
_WIDER: dict[pl.DataType, pl.DataType] = {
    pl.UInt8(): pl.Int16(),
    pl.UInt16(): pl.Int32(),
    pl.UInt32(): pl.Int64(),
    pl.UInt64(): pl.Decimal(20, 0),
}


@dataclass(frozen=True)
class Parquet:
    """Reads Parquet files."""

    batch_rows: int = BATCH_ROWS

    def pieces(self, content: Content, place: Place) -> Iterator[Piece]:
        """Yield the rows of a file after ``place``, whose offset counts rows."""
        try:
            file = parquet.ParquetFile(pa.PythonFile(_Seekable(content), mode="r"), pre_buffer=False)
        except (pa.ArrowException, OSError) as problem:
            raise FileDamaged("file|parquet", str(problem)) from problem
        reserved = sorted(RESERVED & set(file.schema_arrow.names))
        if reserved:
            raise FileDamaged("file|header", f"columns are reserved: {', '.join(reserved)}")
        groups, start = _groups_from(file.metadata, place.offset)
        skip = place.offset - start
        batches = file.iter_batches(batch_size=self.batch_rows, row_groups=groups)
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError) as problem:
                raise FileDamaged("file|parquet", str(problem)) from problem
            if batch is None:
                return
            if batch.num_rows <= skip:
                skip -= batch.num_rows
                continue
            frame = for_delta(pl.DataFrame(pa.Table.from_batches([batch.slice(skip)])))
            skip = 0
            numbers = pl.int_range(place.line, place.line + frame.height, eager=True, dtype=pl.Int64)
            place = replace(place, offset=place.offset + frame.height, line=place.line + frame.height)
            yield Piece(frame.with_columns(numbers.alias(LINE)), 0, place)


def for_delta(frame: pl.DataFrame) -> pl.DataFrame:
    """Return columns of types that Delta has: unsigned numbers widened, times and categories as text.

    Moments of nanoseconds are cut to microseconds, lengths of time become microseconds.
    """
    return frame.with_columns(_for_delta(name, dtype) for name, dtype in frame.schema.items())


def _for_delta(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype in _WIDER:
        return column.cast(_WIDER[dtype])
    if isinstance(dtype, pl.Datetime):
        return column.cast(pl.Datetime("us", "UTC" if dtype.time_zone else None))
    if isinstance(dtype, pl.Duration):
        return column.dt.total_microseconds()
    if isinstance(dtype, (pl.Time, pl.Categorical, pl.Enum, pl.Null)):
        return column.cast(pl.String())
    return column


def _groups_from(metadata: parquet.FileMetaData, row: int) -> tuple[list[int], int]:
    """Return the row groups that hold a row and those after it, and the number of the first row in them."""
    start = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if row < start + rows:
            return list(range(group, metadata.num_row_groups)), start
        start += rows
    return [], start


class _Seekable(io.RawIOBase):
    """One version of a file as Arrow wants it: with a size, and readable anywhere."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._at = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that any place can be gone to."""
        return True

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._content.file.size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes from the place on."""
        end = self._content.file.size if size is None or size < 0 else self._at + size
        whole = self._content.whole
        if whole is not None:
            data = whole[self._at : end]
        else:
            data = self._content.location.read(self._content.file, self._at, end)
        self._at += len(data)
        return data
