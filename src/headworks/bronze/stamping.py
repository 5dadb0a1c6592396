"""A batch's rows as bronze keeps them: in its types, with the metadata that name each row.

A fast source gives Arrow tables, and these stay what they are: the way through Polars and back costs as much as reading
and writing together.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast

import polars as pl
import pyarrow as pa

from headworks.errors import ValueRefused
from headworks.sources.base import REFUSAL, Rows
from headworks.storage.drift import CHANGE_THE_QUERY, Policy, check_names, storable, typeless
from headworks.storage.exact import in_types

LANDED = "_landed"
"""The version of bronze that a batch was committed to follow: of two batches that did not wait for each other it may be
the same, and else that of the later one is larger, whatever the clocks of their machines say. Null in rows that were
landed before headworks kept it."""

METADATA = pl.Schema(
    {
        "_stream": pl.String(),
        "_sequence": pl.Int64(),
        "_row": pl.Int64(),
        "_ingested_at": pl.Datetime("us", "UTC"),
        LANDED: pl.Int64(),
    }
)
_ARROW = pa.schema(
    {
        "_sequence": pa.int64(),
        "_row": pa.int64(),
        "_ingested_at": pa.timestamp("us", "UTC"),
        LANDED: pa.int64(),
    }
)


@dataclass(frozen=True)
class Metadata:
    """What the rows of one batch have in common; each has its number besides."""

    sequence: int
    ingested_at: datetime
    landed: int


def conforming(rows: Rows, bronze: pl.Schema, drift: Policy, where: str) -> Rows:
    """Return a batch's columns in bronze's types; new ones by the drift policy, in types that a table has.

    Raises `ValueRefused` for a value that its column cannot hold as it is, `SchemaChanged` for another kind of type.
    """
    # An Arrow schema is taken as it is: a table made for it would have pyarrow import pandas.
    schema = pl.Schema(rows.schema)
    new = {name: dtype for name, dtype in schema.items() if name not in bronze}
    if drift == "ignore":
        # What makes a row a refused one is no column of the source.
        new = {name: dtype for name, dtype in new.items() if name in REFUSAL}
    if new:
        check_names(new, bronze, where)
    types = {**bronze, **storable(new, where)} if new else bronze
    _check_typeless(
        rows, [name for name, dtype in new.items() if dtype != pl.Null() and typeless(dtype)], where
    )
    kept = [name for name in schema if name in types]
    if len(kept) == len(schema) and all(types[name] == dtype for name, dtype in schema.items()):
        return rows
    frame = rows if isinstance(rows, pl.DataFrame) else cast(pl.DataFrame, pl.from_arrow(rows))
    return in_types(frame.select(kept), types, where, CHANGE_THE_QUERY)


def _check_typeless(rows: Rows, names: list[str], where: str) -> None:
    """Raise `ValueRefused` for a column of lists or structs that say nothing of their values, unless all are null."""
    for name in names:
        column = rows.get_column(name) if isinstance(rows, pl.DataFrame) else rows.column(name)
        nulls, dtype = (
            (column.null_count(), column.dtype)
            if isinstance(column, pl.Series)
            else (column.null_count, column.type)
        )
        if nulls < len(column):
            raise ValueRefused(
                f"Column {name} is {dtype}, which does not say what its values are, and bronze has no such column yet.",
                where=where,
                do="give it with a type.",
            )


def stamped(rows: Rows, meta: Metadata) -> pa.Table:
    """Return rows with their metadata, but for the stream, which is the partition of all of them."""
    table = rows.to_arrow() if isinstance(rows, pl.DataFrame) else rows
    # By way of Polars, since pyarrow imports pandas before it makes a single scalar.
    own = pl.select(_metadata(meta, pl.lit(table.num_rows))).to_arrow().cast(_ARROW)
    for name, values in zip(own.column_names, own.columns, strict=True):
        table = table.append_column(name, values)
    return table


def _metadata(meta: Metadata, count: pl.Expr) -> list[pl.Expr]:
    return [
        pl.repeat(meta.sequence, count, dtype=pl.Int64).alias("_sequence"),
        pl.int_range(count, dtype=pl.Int64).alias("_row"),
        pl.repeat(meta.ingested_at, count, dtype=pl.Datetime("us", "UTC")).alias("_ingested_at"),
        pl.repeat(meta.landed, count, dtype=pl.Int64).alias(LANDED),
    ]
