"""Parquet files, row group by row group, in their own columns and types.

A small file can hold values that take gigabytes once they are decoded, so that each row group's own description says
how many of its rows are read at once, and refuses the file where a single row would be too much.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from headworks.sources.files.content import Content, FileDamaged
from headworks.sources.files.delta_types import Nanoseconds, NotHeld, as_held, held
from headworks.sources.files.header import check_names
from headworks.sources.files.progress import Place
from headworks.sources.files.text import LINE, LONGEST_RECORD, Piece

BATCH_ROWS = 128 * 1024
BATCH_BYTES = 128 * 1024 * 1024
DAMAGED, TYPE, TOO_LARGE = "file|parquet", "file|type", "file|too_large"
_FLAT_WIDTH = 8
_PAGE_HEADER = 64


@dataclass(frozen=True)
class Parquet:
    """Reads Parquet files."""

    batch_rows: int = BATCH_ROWS
    nanoseconds: Nanoseconds = "refuse"

    def pieces(self, content: Content, place: Place) -> Iterator[Piece]:
        """Yield the rows of a file after ``place``, whose offset counts rows."""
        file = self._opened(content, "us")
        names = file.schema_arrow.names
        check_names(names)
        for field in file.schema_arrow:
            self._check_type(field)
        fine = self._opened(content, "ns") if (old := _int96(file)) else None
        groups, start = _groups_from(file.metadata, place.offset)
        skip = place.offset - start
        for group in groups:
            rows = self._rows_at_once(content, file, group)
            second = None if fine is None else _batches(fine, group, rows, old)
            for batch in _batches(file, group, rows):
                finer = None if second is None else next(second)
                if batch.num_rows <= skip:
                    skip -= batch.num_rows
                    continue
                if finer is not None:
                    self._check_int96(batch, finer)
                frame = self._frame(batch.slice(skip))
                skip = 0
                numbers = pl.int_range(place.line, place.line + frame.height, eager=True, dtype=pl.Int64)
                place = replace(place, offset=place.offset + frame.height, line=place.line + frame.height)
                yield Piece(
                    frame.with_columns(numbers.alias(LINE)), 0, place, int(frame.estimated_size()) // 4
                )

    def _opened(
        self, content: Content, int96: str, dictionaries: list[str] | None = None
    ) -> parquet.ParquetFile:
        try:
            return parquet.ParquetFile(
                pa.PythonFile(_Seekable(content), mode="r"),
                pre_buffer=False,
                read_dictionary=dictionaries,
                # Moments of this old type reach over more years than 64 bits of nanoseconds, in which they would wrap.
                coerce_int96_timestamp_unit=int96,
            )
        except (pa.ArrowException, OSError) as problem:
            content.check_kind()
            raise FileDamaged(DAMAGED, _first_line(problem)) from problem

    def _check_type(self, field: pa.Field) -> None:
        try:
            held(field.type, self.nanoseconds)
            _check_fields(field.type)
        except NotHeld as problem:
            raise FileDamaged(
                TYPE,
                f"column {field.name} has {problem}, which a Delta table does not hold: write it with another type",
            ) from problem

    def _frame(self, batch: pa.RecordBatch) -> pl.DataFrame:
        table = pa.Table.from_batches([batch])
        columns = {}
        for name, values in zip(table.column_names, table.columns, strict=True):
            if pa.types.is_null(values.type):
                # It has no value and no type: the column comes with the first file that has one.
                continue
            try:
                columns[name] = as_held(values, self.nanoseconds)
            except NotHeld as problem:
                raise FileDamaged(
                    TYPE, _type_message(name, values.type, self.nanoseconds, problem)
                ) from problem
        if not columns:
            return pl.DataFrame({LINE: pl.repeat(None, batch.num_rows, dtype=pl.Int64, eager=True)})
        return cast(pl.DataFrame, pl.from_arrow(pa.table(columns)))

    def _check_int96(self, batch: pa.RecordBatch, finer: pa.RecordBatch) -> None:
        """Refuse moments of the old type that have a part below a microsecond, unless it may be cut."""
        if self.nanoseconds == "cut":
            return
        for name in finer.schema.names:
            ours, theirs = _moments(batch.column(name)), _moments(finer.column(name))
            # Both wrap alike, so that the difference is the part that microseconds do not hold.
            if pc.any(pc.not_equal(pc.subtract(theirs, pc.multiply(ours, 1000)), 0)).as_py():
                problem = NotHeld("moments with a part below a microsecond")
                raise FileDamaged(
                    TYPE, _type_message(name, finer.column(name).type, self.nanoseconds, problem)
                )

    def _rows_at_once(self, content: Content, file: parquet.ParquetFile, group: int) -> int:
        """Return how many rows of a group are read at once, so that they take a bounded memory."""
        described = file.metadata.row_group(group)
        if not described.num_rows:
            return 1
        width = 0.0
        for number in range(described.num_columns):
            column = described.column(number)
            leaves = column.num_values / described.num_rows
            # As it is stored, or as it is decoded: many equal values are stored as one.
            size = max(column.total_uncompressed_size / described.num_rows, leaves * _FLAT_WIDTH)
            largest = _largest_page(content, column)
            if size > LONGEST_RECORD or largest > 4 * LONGEST_RECORD:
                raise FileDamaged(
                    TOO_LARGE,
                    f"a value of column {column.path_in_schema} would take more than {LONGEST_RECORD:,} bytes",
                )
            if column.physical_type == "BYTE_ARRAY" and column.has_dictionary_page:
                worst = leaves * min(largest, column.total_uncompressed_size)
                if worst * min(self.batch_rows, described.num_rows) > BATCH_BYTES:
                    worst = leaves * self._longest_word(content, group, column.path_in_schema)
                size = max(size, worst)
            width += size
        return max(1, min(self.batch_rows, int(BATCH_BYTES / max(width, 1))))

    def _longest_word(self, content: Content, group: int, path: str) -> int:
        """Return the length of the longest value in a column's dictionary, without the values that refer to it."""
        again = self._opened(content, "us", [path])
        first = next(again.iter_batches(batch_size=1, row_groups=[group], columns=[path]), None)
        words = None if first is None else _dictionary(first.column(0))
        return 0 if words is None else int(pc.max(pc.binary_length(words)).as_py() or 0)


def _batches(
    file: parquet.ParquetFile, group: int, rows: int, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    batches = file.iter_batches(batch_size=rows, row_groups=[group], columns=columns)
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as problem:
            raise FileDamaged(DAMAGED, _first_line(problem)) from problem
        if batch is None:
            return
        yield batch


def _check_fields(kind: pa.DataType) -> None:
    """Raise `NotHeld` for a structure whose fields a Delta table cannot have together."""
    inner = [kind.field(place) for place in range(kind.num_fields)]
    if pa.types.is_struct(kind):
        lowered = [field.name.lower() for field in inner]
        if len(set(lowered)) < len(lowered) or "" in lowered or any("\0" in name for name in lowered):
            raise NotHeld("a structure with fields of one name, or of none")
    for field in inner:
        _check_fields(field.type)


def _int96(file: parquet.ParquetFile) -> list[str]:
    """Return the columns that hold moments of the old type."""
    leaves = (file.schema.column(place) for place in range(len(file.schema)))
    return sorted({leaf.path.partition(".")[0] for leaf in leaves if leaf.physical_type == "INT96"})


def _moments(values: pa.Array) -> pa.Array:
    """Return the moments in an array, however deep they lie, as whole numbers."""
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.int64())
    if pa.types.is_struct(values.type):
        return pa.concat_arrays([_moments(each) for each in values.flatten()])
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        return _moments(values.flatten())
    return pa.array([], pa.int64())


def _dictionary(values: pa.Array) -> pa.Array | None:
    """Return the dictionary of an array's only column, however deep it lies."""
    if pa.types.is_dictionary(values.type):
        return values.dictionary
    if pa.types.is_struct(values.type):
        return next((found for each in values.flatten() if (found := _dictionary(each)) is not None), None)
    if pa.types.is_map(values.type):
        return _dictionary(values.keys) or _dictionary(values.items)
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        return _dictionary(values.values)
    return None


def _largest_page(content: Content, column: parquet.ColumnChunkMetaData) -> int:
    """Return the size of a column's first pages once they are decompressed, by their own headers."""
    first = [column.data_page_offset]
    if column.has_dictionary_page and column.dictionary_page_offset is not None:
        first.append(column.dictionary_page_offset)
    return max(_page_size(content.stored(start, start + _PAGE_HEADER)) for start in first)


def _page_size(header: bytes) -> int:
    """Return the second number of a page's header, as Thrift's compact protocol writes it; 0 where it is another."""
    if header[:1] != b"\x15":
        return 0
    at = 1
    while at < len(header) and header[at] & 0x80:
        at += 1
    at += 1
    if header[at : at + 1] != b"\x15":
        return 0
    value = shift = 0
    for byte in header[at + 1 :]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    return (value >> 1) ^ -(value & 1)


def _type_message(name: str, kind: pa.DataType, nanoseconds: Nanoseconds, problem: Exception) -> str:
    target = held(kind, nanoseconds)
    text = f"column {name} is {kind} in the file and would be {target} in bronze, which does not hold its {problem}"
    if "[ns]" in str(kind):
        return f"{text}. Write it in microseconds, or set parquet.nanoseconds to text or to cut"
    return f"{text}. Write it with a type that fits"


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:300]


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
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that any place can be gone to."""
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
        data = self._content.stored(self._at, end)
        self._at += len(data)
        return data
