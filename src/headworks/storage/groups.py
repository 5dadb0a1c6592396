"""Rows of a table in the order in which they were written, a few at a time, and the groups that two versions share.

Polars' own reading holds whole groups of rows, many at once: of five million rows half a gigabyte. Here a batch is in
memory, and groups of rows whose bytes are the same in both versions are not even decoded: what changes nothing in them
writes them again byte by byte.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import polars as pl
import pyarrow as pa
from pyarrow import parquet

from headworks.storage.delta import Table
from headworks.storage.translating import translated

BATCH_ROWS = 32_768
_READ_AHEAD = 1 << 18
_PIECE = 1 << 18


def batches(table: Table, but: Collection[int] = (), rows: int = BATCH_ROWS) -> Iterator[pl.DataFrame]:
    """Yield the rows of a table version in the order in which they were written, but for some groups of them."""
    schema = table.schema
    if not but and not _is_plain(table, schema):
        with translated(table.name):
            yield from table.scan().collect_batches(chunk_size=rows, maintain_order=True)
        return
    number = 0
    for file in table.open_files():
        here = range(number, number + parquet.read_metadata(file).num_row_groups)
        number = here.stop
        wanted = [each - here.start for each in here if each not in but]
        for frame in batches_of(file, wanted, rows):
            yield frame.select(list(schema))


def batches_of(
    file: pa.NativeFile, groups: Sequence[int] | None = None, rows: int = BATCH_ROWS
) -> Iterator[pl.DataFrame]:
    """Yield the rows of a Parquet file in order, or those of some of its groups."""
    reader = parquet.ParquetFile(file, pre_buffer=False, buffer_size=_READ_AHEAD)
    wanted = range(reader.num_row_groups) if groups is None else groups
    if wanted:
        for batch in reader.iter_batches(batch_size=rows, row_groups=list(wanted), use_threads=False):
            yield pl.DataFrame(batch)


def schema_of(file: pa.NativeFile) -> pl.Schema:
    """Return the columns of a Parquet file."""
    return pl.Schema(parquet.read_schema(file))


def shared_groups(one: Table, other: Table) -> frozenset[int]:
    """Return the numbers of the groups of rows that are the same, byte by byte, in two versions of a table."""
    schema = one.schema
    if schema != other.schema or not _is_plain(one, schema) or not _is_plain(other, schema):
        return frozenset()
    return frozenset(
        number
        for number, (here, there) in enumerate(zip(_groups(one), _groups(other), strict=False))
        if _same(here, there)
    )


def _is_plain(table: Table, schema: pl.Schema) -> bool:
    """Return whether all files have the table's columns and types; others are for Polars to read."""
    return table.is_flat and all(dict(schema_of(file)) == dict(schema) for file in table.open_files())


_Group = tuple[pa.NativeFile, parquet.RowGroupMetaData]


def _groups(table: Table) -> Iterator[_Group]:
    for file in table.open_files():
        metadata = parquet.read_metadata(file)
        for number in range(metadata.num_row_groups):
            yield file, metadata.row_group(number)


def _same(one: _Group, other: _Group) -> bool:
    (here, mine), (there, theirs) = one, other
    if mine.num_rows != theirs.num_rows or mine.num_columns != theirs.num_columns:
        return False
    pairs = [(mine.column(place), theirs.column(place)) for place in range(mine.num_columns)]
    if any(_form(left) != _form(right) for left, right in pairs):
        return False
    return all(
        _same_bytes(here, _start(left), there, _start(right), left.total_compressed_size)
        for left, right in pairs
    )


def _form(column: parquet.ColumnChunkMetaData) -> tuple[object, ...]:
    """Return what bytes of a column have to have in common to mean the same."""
    return (
        column.path_in_schema,
        column.physical_type,
        column.compression,
        column.encodings,
        column.num_values,
        column.total_compressed_size,
        column.total_uncompressed_size,
    )


def _start(column: parquet.ColumnChunkMetaData) -> int:
    first = column.dictionary_page_offset if column.has_dictionary_page else None
    return int(column.data_page_offset if first is None else min(first, column.data_page_offset))


def _same_bytes(here: pa.NativeFile, at: int, there: pa.NativeFile, from_: int, size: int) -> bool:
    for done in range(0, size, _PIECE):
        length = min(_PIECE, size - done)
        here.seek(at + done)
        there.seek(from_ + done)
        if here.read(length) != there.read(length):
            return False
    return True
