"""A batch as one Parquet file of a Delta table, written by Arrow, with the entry for the table's log that adds it.

delta-rs' own writer takes twice the processor time and more memory for the same rows: it goes through a query plan, and
sorts rows by partition that all are of one. Bounds are kept of headworks' own numbers and moments, and are exact; those
of a source's columns would leave out no file, and show in the clear what is in them (``statistics.py``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.transaction import AddAction
from pyarrow import parquet

from headworks.storage.encoding import Layout
from headworks.storage.objects import Objects
from headworks.storage.statistics import bounded

_ADDING_FEATURES = {"timestampNtz", "appendOnly", "invariants"}
"""What a table may ask of its writers alongside the oldest protocol, as long as no column has an invariant."""
_CONSTRAINTS = "delta.constraints."
_INVARIANTS = "delta.invariants"
_EPOCH = datetime(1970, 1, 1)


def takes(table: DeltaTable, rows: pa.Schema, partition: Sequence[str]) -> bool:
    """Return whether a file of such rows can be added as it is: no rows to check, no columns to add or to change."""
    protocol, metadata = table.protocol(), table.metadata()
    asked = set(protocol.writer_features or ()) - _ADDING_FEATURES
    if protocol.min_writer_version not in {2, 7} or asked or metadata.partition_columns != list(partition):
        return False
    if any(name.startswith(_CONSTRAINTS) for name in metadata.configuration):
        return False
    if any(_INVARIANTS in (field.metadata or {}) for field in table.schema().fields):
        return False
    columns = pl.Schema(table.schema().to_arrow())
    return dict(pl.Schema(rows)) == {name: columns[name] for name in columns if name not in partition}


def write_part(
    objects: Objects, schema: pa.Schema, rows: pa.Table, partition: Mapping[str, str], layout: Layout
) -> AddAction:
    """Write rows of one partition as a file, and return the entry that adds it.

    ``rows`` have the table's columns but for the partition's, in any order; ``schema`` is the table's. What fails
    leaves at most a file that no log names.
    """
    typed = pa.schema([_written(field, rows) for field in schema if field.name in rows.schema.names])
    folder = "".join(f"{name}={quote(value, safe='')}/" for name, value in partition.items())
    path = f"{folder}part-{uuid4()}.snappy.parquet"
    written: list[parquet.FileMetaData] = []
    with (
        objects.writer(path) as target,
        parquet.ParquetWriter(
            target,
            typed,
            compression="snappy",
            write_statistics=_bounded(typed),
            use_dictionary=[name for name in typed.names if name not in layout.varied | layout.numbers],
            column_encoding={name: "DELTA_BINARY_PACKED" for name in typed.names if name in layout.numbers},
            store_schema=False,
            store_decimal_as_integer=True,
            metadata_collector=written,
        ) as writer,
    ):
        made = rows.select(typed.names).cast(typed)
        writer.write_table(made)
    return AddAction(
        path,
        target.size,
        dict(partition),
        int(time.time() * 1000),
        True,
        json.dumps(_statistics(written[0], made)),
    )


def widest(rows: pa.Table) -> pa.Table:
    """Return rows with all decimals as numbers of 128 bits, for writers that know no others."""
    for place, field in enumerate(rows.schema):
        if pa.types.is_decimal64(field.type):
            wide = pa.decimal128(field.type.precision, field.type.scale)
            rows = rows.set_column(place, field.name, rows.column(place).cast(wide))
    return rows


def _written(field: pa.Field, rows: pa.Table) -> pa.Field:
    """Return a column of the table as it is written: decimals of 64 bits stay, as Parquet has them."""
    given = rows.schema.field(field.name).type
    return field.with_type(given) if pa.types.is_decimal64(given) else field


def _statistics(written: parquet.FileMetaData, rows: pa.Table) -> dict[str, Any]:
    """Return the log's statistics of a file: its rows, the nulls of flat columns, bounds of numbers and times."""
    least: dict[str, int | str] = {}
    most: dict[str, int | str] = {}
    places = {written.schema.column(place).path: place for place in range(written.num_columns)}
    for name in _bounded(rows.schema):
        groups = [
            written.row_group(group).column(places[name]).statistics
            for group in range(written.num_row_groups)
        ]
        # A group of nothing but nulls has no bounds, and needs none.
        valued = [group for group in groups if group.has_min_max]
        bound = _bound_of(rows.schema.field(name).type)
        first = bound(min(group.min_raw for group in valued)) if valued else None
        last = bound(max(group.max_raw for group in valued)) if valued else None
        if first is not None and last is not None:
            least[name], most[name] = first, last
    nulls = {
        name: values.null_count
        for name, values in zip(rows.schema.names, rows.columns, strict=True)
        if not pa.types.is_nested(values.type)
    }
    return {"numRecords": written.num_rows, "minValues": least, "maxValues": most, "nullCount": nulls}


def _bounded(schema: pa.Schema) -> list[str]:
    """Return the columns of which bounds are kept."""
    kinds = {name: schema.field(name).type for name in bounded(pl.Schema(schema))}
    return [name for name, kind in kinds.items() if _is_number(kind) or _is_moment(kind)]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind))


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date32(kind) or (pa.types.is_timestamp(kind) and kind.unit == "us"))


def _bound_of(kind: pa.DataType) -> Callable[[int], int | str | None]:
    """Return how the log writes a bound of a type."""
    if _is_number(kind):
        return int
    if pa.types.is_date32(kind):
        return lambda days: _moment(timedelta(days=days), "%s", 10)
    return lambda us: _moment(timedelta(microseconds=us), "%sZ" if kind.tz else "%s", 26)


def _moment(since: timedelta, form: str, length: int) -> str | None:
    """Return the first characters of a moment; None for one that Python's calendar does not reach."""
    try:
        return form % (_EPOCH + since).isoformat(timespec="microseconds")[:length]
    except OverflowError:
        return None
