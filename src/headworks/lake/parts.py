"""A batch as one Parquet file of a Delta table, written by Arrow, with the entry for the table's log that adds it.

delta-rs' own writer takes twice the processor time and more memory for the same rows: it goes through a query plan, and
sorts rows by partition that all are of one. The entry's bounds are exact or left out: none for numbers with a
floating point, whose NaN no bound holds, nor for decimals, which the log's JSON would round.

What belongs here: that file and that entry. What does not: committing it (``delta.py``), and which rows.
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

from headworks.lake.encoding import Layout
from headworks.lake.objects import Objects

_ADDING_FEATURES = {"timestampNtz", "appendOnly", "invariants"}
"""What a table may ask of its writers beside the oldest protocol, as long as no column has an invariant."""
_CONSTRAINTS = "delta.constraints."
_INVARIANTS = "delta.invariants"
_LONGEST_BOUND = 64
_EPOCH = datetime(1970, 1, 1)


def takes(table: DeltaTable, rows: pa.Schema, partition: Sequence[str]) -> bool:
    """Tell whether a file of such rows can be added as it is: no rows to check, no columns to add or to change."""
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
    typed = pa.schema([field for field in schema if field.name in rows.schema.names])
    folder = "".join(f"{name}={quote(value, safe='')}/" for name, value in partition.items())
    path = f"{folder}part-{uuid4()}.snappy.parquet"
    written: list[parquet.FileMetaData] = []
    with (
        objects.writer(path) as target,
        parquet.ParquetWriter(
            target,
            typed,
            compression="snappy",
            use_dictionary=[name for name in typed.names if name not in layout.varied | layout.numbers],
            column_encoding={name: "DELTA_BINARY_PACKED" for name in typed.names if name in layout.numbers},
            store_schema=False,
            store_decimal_as_integer=True,
            metadata_collector=written,
        ) as writer,
    ):
        writer.write_table(rows.select(typed.names).cast(typed))
    return AddAction(
        path,
        target.size,
        dict(partition),
        int(time.time() * 1000),
        True,
        # Not as escapes: of a character that takes two of them delta-rs would lose all statistics.
        json.dumps(_statistics(written[0], typed), ensure_ascii=False),
    )


def _statistics(written: parquet.FileMetaData, schema: pa.Schema) -> dict[str, Any]:
    """Return the log's statistics of a file: its rows, and of each flat column bounds and the number of nulls."""
    bounds: dict[str, dict[str, Any]] = {"minValues": {}, "maxValues": {}}
    nulls: dict[str, int] = {}
    for place in range(written.num_columns):
        name = written.schema.column(place).path
        if name not in schema.names or pa.types.is_nested(schema.field(name).type):
            continue
        groups = [
            written.row_group(group).column(place).statistics for group in range(written.num_row_groups)
        ]
        if not groups or any(group is None or not group.has_null_count for group in groups):
            continue
        nulls[name] = sum(group.null_count for group in groups)
        told = _told(schema.field(name).type)
        valued = [group for group in groups if group.has_min_max]
        # A group of nothing but nulls has no bounds, and needs none.
        if told is None or not valued or any(group.num_values for group in groups if not group.has_min_max):
            continue
        least = told(min(group.min_raw for group in valued))
        most = told(max(group.max_raw for group in valued))
        if least is not None and most is not None:
            bounds["minValues"][name], bounds["maxValues"][name] = least, most
    return {"numRecords": written.num_rows, **bounds, "nullCount": nulls}


def _told(kind: pa.DataType) -> Callable[[Any], int | str | None] | None:
    """Return how the log tells a bound of a type; None where it cannot do so exactly."""
    if pa.types.is_integer(kind):
        return int
    if pa.types.is_string(kind):
        return _text
    if pa.types.is_date32(kind):
        return lambda days: _moment(timedelta(days=days), "%s", 10)
    if pa.types.is_timestamp(kind) and kind.unit == "us":
        return lambda us: _moment(timedelta(microseconds=us), "%sZ" if kind.tz else "%s", 26)
    return None


def _text(raw: bytes | str) -> str | None:
    """Return a text if it is short: a cut one would be no bound."""
    text = raw.decode() if isinstance(raw, bytes) else raw
    return text if len(text) <= _LONGEST_BOUND else None


def _moment(since: timedelta, form: str, length: int) -> str | None:
    """Return the first characters of a moment; None for one that Python's calendar does not reach."""
    try:
        return form % (_EPOCH + since).isoformat(timespec="microseconds")[:length]
    except OverflowError:
        return None
