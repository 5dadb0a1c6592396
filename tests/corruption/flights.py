"""Flights from New York in 2013, day by day as an airport would report them, with rules, a contract and a gold table.

Real data: its storms and holidays are in it, so that not every alarm on a day as it was is a false one. What belongs
here: days and declarations. What does not: corruption (``kinds.py``), runs (``playing.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import dataframely as dy
import polars as pl

from headworks.gold.curation import GoldTable, Inputs
from headworks.silver.dataset import Dataset
from tests.corruption.company import Company, Day
from tests.support.flights import opened

NAME = "nyc.flights"
AIRPORTS = ("EWR", "JFK", "LGA")
_CONTRACTS = Path(__file__).parent / "contracts"
_MOMENT = pl.Datetime("us", "UTC")


class Flights(dy.Schema):
    """Flights as they are now."""

    id = dy.Int64(nullable=False)
    carrier = dy.String(nullable=False, regex=r"^[A-Z0-9]{2}$")
    flight = dy.Int64(nullable=False, min=1)
    tailnum = dy.String(nullable=True)
    origin = dy.String(nullable=False)
    dest = dy.String(nullable=False, regex=r"^[A-Z]{3}$")
    scheduled_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")
    dep_delay = dy.Float64(nullable=True, min=-120, max=2_000)
    arr_delay = dy.Float64(nullable=True, min=-180, max=2_000)
    air_time = dy.Float64(nullable=True, min=10, max=900)
    distance = dy.Float64(nullable=False, min=10, max=6_000)
    updated_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")

    @dy.rule()
    def unknown_origin(cls) -> pl.Expr:
        """All flights are from New York."""
        return pl.col("origin").is_in(AIRPORTS)

    @dy.rule()
    def impossible_schedule(cls) -> pl.Expr:
        """A flight was scheduled within two days of the day that it is reported of."""
        apart = pl.col("scheduled_at") - pl.col("updated_at")
        return (apart < pl.duration(days=2)) & (apart > pl.duration(days=-2))


FLIGHTS = Dataset(
    name=NAME,
    key=("id",),
    schema=Flights,
    columns={name: pl.col(name) for name in Flights.column_names()},
    cursor="updated_at",
    contract=_CONTRACTS / "silver_nyc_flights.yml",
)


def _by_day(inputs: Inputs) -> pl.LazyFrame:
    return (
        inputs[NAME]
        .group_by(day=pl.col("scheduled_at").dt.date(), origin="origin", carrier="carrier")
        .agg(flights=pl.len().cast(pl.Int64), miles=pl.col("distance").sum().cast(pl.Int64))
    )


def _totals(inputs: Inputs) -> pl.LazyFrame:
    return inputs[NAME].select(flights=pl.len().cast(pl.Int64), miles=pl.col("distance").sum().cast(pl.Int64))


BY_DAY = GoldTable(
    name="nyc.by_day",
    inputs=(NAME,),
    transform=_by_day,
    key=("day", "origin", "carrier"),
    contract=_CONTRACTS / "gold_nyc_by_day.yml",
    totals=_totals,
)


def _days(seed: int, count: int) -> Iterator[Day]:
    """Yield the first ``count`` days of 2013; the seed says nothing here, since what was, was."""
    with opened("flights") as file:
        rows = pl.read_csv(file.read(), null_values="NA", infer_schema_length=None)
    shaped = rows.with_row_index("id", offset=1).select(
        pl.col("id").cast(pl.Int64),
        "carrier",
        pl.col("flight").cast(pl.Int64),
        "tailnum",
        "origin",
        "dest",
        scheduled_at=pl.datetime("year", "month", "day", "hour", "minute", time_zone="UTC").cast(_MOMENT),
        dep_delay=pl.col("dep_delay").cast(pl.Float64),
        arr_delay=pl.col("arr_delay").cast(pl.Float64),
        air_time=pl.col("air_time").cast(pl.Float64),
        distance=pl.col("distance").cast(pl.Float64),
        updated_at=pl.datetime("year", "month", "day", 23, 0, time_zone="UTC").cast(_MOMENT)
        + pl.duration(seconds=pl.col("id") % 1_800),
    )
    for number in range(count):
        day = date(2013, 1, 1) + timedelta(days=number)
        of_day = shaped.filter(pl.col("updated_at").dt.date() == day)
        yield Day(number, datetime.combine(day, time(23, 45), tzinfo=UTC), {NAME: of_day})


NEW_YORK = Company("New York's flights", ((FLIGHTS,),), (BY_DAY,), (NAME,), "flights", _days, real=True)
