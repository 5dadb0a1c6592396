"""A carrier of parcels that is read once a week: depots, tariffs of eight rows, and shipments.

Weeks before Christmas are twice as large, the week after it is half of one; a depot opens, one is closed for a time,
and one week nothing comes. A shipment that was delivered says when, any other does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import dataframely as dy
import numpy as np
import polars as pl

from headworks.gold.curation import Inputs
from headworks.silver.dataset import Dataset, Reference
from tests.corruption.companies.lives import (
    MONEY,
    Outage,
    Whole,
    as_they_are,
    at,
    gold,
    grown_by,
    moments,
    money,
    named,
    picked,
    with_nulls,
)
from tests.corruption.company import Company, Day

DEPOTS, TARIFFS, SHIPMENTS = "parcels.depots", "parcels.tariffs", "parcels.shipments"
_BEGINS = date(2016, 1, 4)
_CLASSES = ("letter", "small", "medium", "large", "bulky", "pallet", "express", "cold")
_CENTS = (290, 490, 690, 1190, 2490, 7900, 1990, 3290)
_OFTEN = (22, 26, 22, 12, 5, 2, 8, 3)
_STATES, _ENDS = ("delivered", "returned", "lost", "on the way"), (0.90, 0.06, 0.005, 0.035)
_ZONES = ("home", "near", "far", "overseas")
_OUTAGE, _CLOSED, _NEW_DEPOT = 180, range(240, 246), 140


class Depots(dy.Schema):
    """Where parcels are handed in."""

    depot = dy.String(nullable=False, regex=r"^D[0-9]{3}$")
    town = dy.String(nullable=False)
    region = dy.String(nullable=False)


class Tariffs(dy.Schema):
    """What a class costs this week."""

    week = dy.Date(nullable=False)
    parcel_class = dy.String(nullable=False)
    price = dy.Decimal(14, 2, nullable=False, min_exclusive=0)


class Shipments(dy.Schema):
    """What was sent."""

    shipment = dy.String(nullable=False)
    depot = dy.String(nullable=False)
    parcel_class = dy.String(nullable=False)
    zone = dy.String(nullable=False)
    state = dy.String(nullable=False)
    weight_kg = dy.Float64(nullable=False, min=0)
    price = dy.Decimal(14, 2, nullable=False)
    surcharge = dy.Decimal(14, 2, nullable=False)
    total = dy.Decimal(14, 2, nullable=False)
    sent_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")
    delivered_at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")
    updated_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")


DATASETS = (
    (
        Dataset(name=DEPOTS, key=("depot",), schema=Depots, columns=as_they_are(Depots)),
        Dataset(name=TARIFFS, key=("week", "parcel_class"), schema=Tariffs, columns=as_they_are(Tariffs)),
    ),
    (
        Dataset(
            name=SHIPMENTS,
            key=("shipment",),
            schema=Shipments,
            columns=as_they_are(Shipments),
            cursor="updated_at",
            references=(Reference(("depot",), DEPOTS, ("depot",), "unknown_depot"),),
        ),
    ),
)


def _by_week(inputs: Inputs) -> pl.LazyFrame:
    week = pl.col("updated_at").dt.truncate("1w").dt.date()
    return (
        inputs[SHIPMENTS]
        .group_by(week=week, parcel_class="parcel_class", state="state")
        .agg(shipments=pl.len().cast(pl.Int64), total=pl.col("total").sum().cast(MONEY))
    )


def _totals(inputs: Inputs) -> pl.LazyFrame:
    return inputs[SHIPMENTS].select(
        shipments=pl.len().cast(pl.Int64), total=pl.col("total").sum().cast(MONEY)
    )


GOLD = (gold("parcels.by_week", (SHIPMENTS,), _by_week, ("week", "parcel_class", "state"), _totals),)


def _weeks(seed: int, count: int) -> Iterator[Day]:
    """Yield the first ``count`` weeks."""
    rng, outage = np.random.default_rng([seed, 14]), Outage()
    depots, first, cents = 40, 1, np.asarray(_CENTS, dtype=np.int64)
    for number in range(count):
        start = _BEGINS + timedelta(weeks=number)
        depots += int(number > _NEW_DEPOT and rng.random() < 0.02)
        if number % 52 == 51:
            cents = np.round(cents * 1.02).astype(np.int64)
        size = int(rng.poisson(1_100 * _season(start) * grown_by(number, 0.0008)))
        frames = {
            DEPOTS: _depots(depots),
            TARIFFS: _tariffs(start, cents),
            SHIPMENTS: _shipments(rng, number, size, first, depots, start, cents),
        }
        first += size
        yield Day(number, at(start + timedelta(days=7), 5), outage.through(frames, out=number == _OUTAGE))


def _season(start: date) -> float:
    week = start.isocalendar().week
    return {49: 1.5, 50: 1.8, 51: 2.0, 52: 0.8, 53: 0.6, 1: 0.7}.get(week, 0.95 if 28 <= week <= 33 else 1.0)


def _depots(size: int) -> pl.DataFrame:
    places = np.arange(size)
    return pl.DataFrame(
        {
            "depot": pl.Series([f"D{100 + one}" for one in places], dtype=pl.String),
            "town": pl.Series([f"Town {one * 37 % 101}" for one in places], dtype=pl.String),
            "region": named(("north", "south", "east", "west"), (places * 7 % 4).astype(np.int64)),
        }
    )


def _tariffs(start: date, cents: Whole) -> pl.DataFrame:
    return pl.DataFrame(
        {"week": [start] * len(_CLASSES), "parcel_class": list(_CLASSES), "price": money(cents)}
    )


def _shipments(
    rng: np.random.Generator,
    number: int,
    size: int,
    first: int,
    depots: int,
    start: date,
    cents: Whole,
) -> pl.DataFrame:
    classes = picked(rng, _CLASSES, _OFTEN, size)
    zones = picked(rng, _ZONES, (50, 30, 15, 5), size)
    states = picked(rng, _STATES, _ENDS, size)
    depot = picked(rng, [""] * depots, list(1 / np.arange(5, depots + 5)), size)
    if number in _CLOSED:
        depot = np.where(depot == 3, 4, depot)
    price = cents[classes] * np.asarray([10, 11, 14, 25])[zones] // 10
    surcharge = np.where(rng.random(size) < 0.3, np.round(price * 0.15), 0).astype(np.int64)
    price, surcharge = np.where(states == 1, -price, price), np.where(states == 1, 0, surcharge)
    sent = np.sort(rng.integers(0, 7 * 86_400 - 50_000, size))
    took = rng.integers(3_600, 40_000, size)
    delivered = moments(at(start), sent + took)
    return pl.DataFrame(
        {
            "shipment": pl.Series([f"S{one:09d}" for one in range(first, first + size)], dtype=pl.String),
            "depot": pl.Series([f"D{100 + int(one)}" for one in depot], dtype=pl.String),
            "parcel_class": named(_CLASSES, classes),
            "zone": named(_ZONES, zones),
            "state": named(_STATES, states),
            "weight_kg": pl.Series(np.round(np.exp(rng.normal(0.3, 0.5, size)) * (classes + 1), 2)),
            "price": money(price),
            "surcharge": money(surcharge),
            "total": money(price + surcharge),
            "sent_at": moments(at(start), sent),
            "delivered_at": with_nulls(delivered, states != 0),
            "updated_at": moments(at(start), sent + took + 60),
        }
    )


PARCELS = Company("a weekly carrier", DATASETS, GOLD, (SHIPMENTS,), "parcels", _weeks, warm_up=30)
