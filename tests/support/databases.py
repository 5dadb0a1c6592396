"""Tables of a real Postgres, taken into bronze, and how the two are compared value for value."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import polars as pl
import psycopg

from headworks.bronze.ingest import IngestRequest, Mode, ingest
from headworks.bronze.readers import TableIngest
from headworks.bronze.stamping import METADATA
from headworks.reports import LandingReport
from headworks.settings import DatabaseSettings
from headworks.sources.sql.postgres import PostgresTable
from headworks.sources.sql.table import Table
from headworks.storage.store import Lake

NAME = "t.rows"

# As the reader has them printed.
_PRINTED_OUR_WAY = "-c datestyle=ISO -c intervalstyle=iso_8601 -c timezone=UTC -c extra_float_digits=1"

_RUNS = count(1)
"""Each taking-in is a run of its own: within one run the account continues."""


def source(database: DatabaseSettings, **table: Any) -> PostgresTable:
    """Return a source for a table, by default ``rows``."""
    return PostgresTable(database, Table(**{"name": None if "query" in table else "rows", **table}))


def take(
    lake: Lake, reading: PostgresTable, mode: Mode = "incremental", dataset: str = NAME, **request: Any
) -> tuple[LandingReport, ...]:
    """Take a table in."""
    return ingest(
        IngestRequest(lake, dataset, f"run {next(_RUNS)}", mode=mode, drift=reading.table.drift, **request),
        TableIngest(reading),
    )


def landed(lake: Lake, dataset: str = NAME) -> pl.DataFrame:
    """Return what bronze holds of the source, in the order in which it was landed."""
    rows = lake.must_open("bronze", dataset).scan().sort("_stream", "_sequence", "_row").collect()
    return rows.drop(list(METADATA))


def ids(lake: Lake, column: str = "id") -> list[Any]:
    """Return one column of bronze, sorted, doubled values included."""
    return sorted(landed(lake).get_column(column).to_list())


def shown(
    database: DatabaseSettings, frame: pl.DataFrame, relation: str = "rows"
) -> Counter[tuple[Any, ...]]:
    """Return the rows that Postgres shows: natively where ``frame`` has a type of its own, else as text."""
    columns = [_shown_as(name, dtype) for name, dtype in frame.schema.items()]
    with psycopg.connect(database.libpq_url(), options=_PRINTED_OUR_WAY) as connection:
        rows = connection.execute(f"SELECT {', '.join(columns)} FROM {relation}").fetchall()
    return comparable(rows)


def _shown_as(name: str, dtype: pl.DataType) -> str:
    """Return how a column is asked for: a cast to text would trim padding, a float of four bytes is not its text."""
    if dtype == pl.String:
        return f'CASE WHEN num_nulls("{name}") = 0 THEN concat("{name}") END'
    return f'"{name}"::float8' if dtype == pl.Float32 else f'"{name}"'


def comparable(rows: Iterable[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    """Count rows by their values, each with its type and, for decimals, its scale; NaN equals NaN, -0.0 is not 0.0."""
    return Counter(tuple(_comparable(value) for value in row) for row in rows)


def _comparable(value: Any) -> Any:
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else repr(value))
    if isinstance(value, Decimal):
        return ("decimal", str(value))
    if isinstance(value, datetime):
        return ("moment", value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat())
    return (type(value).__name__, value)
