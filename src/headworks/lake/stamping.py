"""A batch's rows as bronze keeps them: in its types, with the metadata that name each row.

A fast source gives Arrow tables, and these stay what they are: the way through Polars and back costs as much as reading
and writing together. What belongs here: that. What does not: the commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import polars as pl
import pyarrow as pa

from headworks.lake.drift import Policy
from headworks.sources.base import Rows

METADATA = pl.Schema(
    {
        "_stream": pl.String(),
        "_sequence": pl.Int64(),
        "_row": pl.Int64(),
        "_ingested_at": pl.Datetime("us", "UTC"),
    }
)
_ARROW = pa.schema(
    {
        "_stream": pa.string(),
        "_sequence": pa.int64(),
        "_row": pa.int64(),
        "_ingested_at": pa.timestamp("us", "UTC"),
    }
)


@dataclass(frozen=True)
class Metadata:
    """What the rows of one batch have in common; each has its number besides."""

    stream: str
    sequence: int
    ingested_at: datetime


def conforming(rows: Rows, bronze: pl.Schema, drift: Policy) -> Rows:
    """Return a batch's columns in bronze's types, which hold all their values; new ones by the drift policy."""
    schema = rows.schema if isinstance(rows, pl.DataFrame) else _schema(rows)
    kept = [name for name in schema if drift != "ignore" or name in bronze]
    casts = [name for name in kept if bronze.get(name, schema[name]) != schema[name]]
    if not casts and len(kept) == len(schema):
        return rows
    frame = rows if isinstance(rows, pl.DataFrame) else cast(pl.DataFrame, pl.from_arrow(rows))
    return frame.select(pl.col(name).cast(bronze[name]) if name in casts else name for name in kept)


def stamped(rows: Rows, meta: Metadata) -> pl.DataFrame | pa.RecordBatchReader:
    """Return rows with their metadata."""
    if isinstance(rows, pl.DataFrame):
        return rows.with_columns(
            pl.lit(meta.stream).alias("_stream"),
            pl.lit(meta.sequence, dtype=pl.Int64).alias("_sequence"),
            pl.int_range(pl.len(), dtype=pl.Int64).alias("_row"),
            pl.lit(meta.ingested_at, dtype=pl.Datetime("us", "UTC")).alias("_ingested_at"),
        )
    schema = pa.schema([*rows.schema, *_ARROW])
    return pa.RecordBatchReader.from_batches(schema, _stamped_batches(rows, schema, meta))


def _stamped_batches(rows: pa.Table, schema: pa.Schema, meta: Metadata) -> Iterator[pa.RecordBatch]:
    first = 0
    common = [
        pa.scalar(value, kind)
        for value, kind in (
            (meta.stream, pa.string()),
            (meta.sequence, pa.int64()),
            (meta.ingested_at, pa.timestamp("us", "UTC")),
        )
    ]
    for batch in rows.to_batches():
        count = batch.num_rows
        stream, sequence, moment = (pa.repeat(value, count) for value in common)
        numbers = pl.int_range(first, first + count, eager=True).to_arrow()
        yield pa.RecordBatch.from_arrays([*batch.columns, stream, sequence, numbers, moment], schema=schema)
        first += count


def _schema(rows: pa.Table) -> pl.Schema:
    return cast(pl.DataFrame, pl.from_arrow(rows.schema.empty_table())).schema
