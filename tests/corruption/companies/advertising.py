"""An advertiser whose table of events is read every hour: day and night, weekends, append-only.

A row is an impression, a click, a sale or a refund; its total is its price with its fee, a click and what follows it
have a time on the page, and each country has its currency. Campaigns are a small parent table.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dataframely as dy
import numpy as np
import polars as pl

from headworks.gold.curation import Inputs
from headworks.silver.dataset import Dataset, Reference
from tests.corruption.companies.lives import (
    MONEY,
    Outage,
    as_they_are,
    gold,
    grown_by,
    moments,
    money,
    named,
    picked,
    with_nulls,
)
from tests.corruption.company import Company, Day

CAMPAIGNS, EVENTS = "ads.campaigns", "ads.events"
_BEGINS = datetime(2026, 2, 2, tzinfo=UTC)
_COUNTRIES, _SHARES = ("DE", "FR", "PL", "SE", "CH", "GB"), (0.34, 0.24, 0.17, 0.15, 0.10, 0.0)
_CURRENCY = {"DE": "EUR", "FR": "EUR", "PL": "PLN", "SE": "SEK", "CH": "CHF", "GB": "GBP"}
_KINDS, _OFTEN = ("impression", "click", "sale", "refund"), (0.62, 0.26, 0.10, 0.02)
_DEVICES, _DEVICE_SHARES = ("phone", "desktop", "tablet"), (0.61, 0.31, 0.08)
_BY_HOUR = (14, 9, 6, 5, 6, 12, 28, 48, 66, 78, 84, 88, 92, 90, 86, 84, 86, 92, 98, 100, 94, 72, 46, 26)
_HOLIDAY, _PROMOTION, _NEW_COUNTRY = 23, range(27, 29), 31
_OUTAGES = (range(20 * 24 + 9, 20 * 24 + 12), range(33 * 24 + 2, 33 * 24 + 7))
_LARGEST = 5.0


class Campaigns(dy.Schema):
    """Campaigns as they are now."""

    campaign_id = dy.Int64(nullable=False)
    name = dy.String(nullable=False, max_length=60)
    goal = dy.String(nullable=False)
    budget = dy.Decimal(14, 2, nullable=False)
    updated_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")


class Events(dy.Schema):
    """What happened to advertisements."""

    event_id = dy.Int64(nullable=False)
    campaign_id = dy.Int64(nullable=False)
    kind = dy.String(nullable=False)
    country = dy.String(nullable=False)
    currency = dy.String(nullable=False)
    device = dy.String(nullable=True)
    price = dy.Decimal(14, 2, nullable=False)
    fee = dy.Decimal(14, 2, nullable=False)
    total = dy.Decimal(14, 2, nullable=False)
    seconds = dy.Float64(nullable=True)
    asked_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")
    shown_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")


DATASETS = (
    (
        Dataset(
            name=CAMPAIGNS,
            key=("campaign_id",),
            schema=Campaigns,
            columns=as_they_are(Campaigns),
            cursor="updated_at",
        ),
    ),
    (
        Dataset(
            name=EVENTS,
            key=("event_id",),
            schema=Events,
            columns=as_they_are(Events),
            cursor="shown_at",
            keeps="first",
            references=(Reference(("campaign_id",), CAMPAIGNS, ("campaign_id",), "unknown_campaign"),),
        ),
    ),
)


def _by_day(inputs: Inputs) -> pl.LazyFrame:
    return (
        inputs[EVENTS]
        .group_by(day=pl.col("shown_at").dt.date(), country="country", kind="kind")
        .agg(events=pl.len().cast(pl.Int64), total=pl.col("total").sum().cast(MONEY))
    )


def _totals(inputs: Inputs) -> pl.LazyFrame:
    return inputs[EVENTS].select(events=pl.len().cast(pl.Int64), total=pl.col("total").sum().cast(MONEY))


GOLD = (gold("ads.by_day", (EVENTS,), _by_day, ("day", "country", "kind"), _totals),)


def _hours(seed: int, count: int) -> Iterator[Day]:
    """Yield the first ``count`` hours."""
    rng, outage = np.random.default_rng([seed, 11]), Outage()
    campaigns, next_event = 0, 1
    for number in range(count):
        hour = _BEGINS + timedelta(hours=number)
        fresh = 40 if number == 0 else int(rng.random() < 0.05)
        new = _campaigns(rng, campaigns, fresh, hour)
        campaigns += fresh
        size = int(rng.poisson(_expected(number, hour)))
        frames = {CAMPAIGNS: new, EVENTS: _events(rng, number, size, next_event, campaigns, hour)}
        next_event += size
        out = any(number in one for one in _OUTAGES)
        yield Day(number, hour + timedelta(minutes=65), outage.through(frames, out=out))


def _expected(number: int, hour: datetime) -> float:
    day = number // 24
    weekend = hour.weekday() >= 5 or day == _HOLIDAY
    usual = _LARGEST * _BY_HOUR[hour.hour] * grown_by(number, 0.0001) * (0.68 if weekend else 1.0)
    return usual * (1.3 if day in _PROMOTION else 1.0) * (1.06 if day >= _NEW_COUNTRY else 1.0)


def _campaigns(rng: np.random.Generator, there: int, size: int, hour: datetime) -> pl.DataFrame:
    ids = np.arange(there + 1, there + 1 + size)
    return pl.DataFrame(
        {
            "campaign_id": pl.Series(ids, dtype=pl.Int64),
            "name": pl.Series([f"Campaign {one} for {_word(rng)}" for one in ids], dtype=pl.String),
            "goal": named(("sales", "awareness", "visits"), picked(rng, "abc", (5, 3, 2), size)),
            "budget": money(rng.integers(50_000, 900_000, size)),
            "updated_at": moments(hour, rng.integers(0, 60, size)),
        }
    )


def _word(rng: np.random.Generator) -> str:
    return ("boots", "lamps", "honey", "sails", "tents", "clocks", "paints")[int(rng.integers(7))]


def _events(
    rng: np.random.Generator, number: int, size: int, first: int, campaigns: int, hour: datetime
) -> pl.DataFrame:
    kinds = picked(rng, _KINDS, _OFTEN, size)
    shares = (*_SHARES[:-1], 0.06 if number // 24 >= _NEW_COUNTRY else 0.0)
    country = named(_COUNTRIES, picked(rng, _COUNTRIES, shares, size))
    weights = 1 / np.arange(3, campaigns + 3)
    price = np.round(np.exp(rng.normal(3.0, 0.8, size)) * np.asarray([2, 10, 160, 160])[kinds]).astype(
        np.int64
    )
    price = np.where(kinds == 3, -price, price)
    fee = np.round(price * 0.03).astype(np.int64)
    shown = np.sort(rng.integers(0, 3600, size))
    seconds = pl.Series(np.round(np.exp(rng.normal(3, 1, size)), 1))
    return pl.DataFrame(
        {
            "event_id": pl.Series(np.arange(first, first + size), dtype=pl.Int64),
            "campaign_id": pl.Series(
                rng.choice(campaigns, size=size, p=weights / weights.sum()) + 1, dtype=pl.Int64
            ),
            "kind": named(_KINDS, kinds),
            "country": country,
            "currency": country.replace_strict(_CURRENCY, return_dtype=pl.String),
            "device": with_nulls(
                named(_DEVICES, picked(rng, _DEVICES, _DEVICE_SHARES, size)), rng.random(size) < 0.03
            ),
            "price": money(price),
            "fee": money(fee),
            "total": money(price + fee),
            "seconds": with_nulls(seconds, kinds == 0),
            "asked_at": moments(hour, shown - rng.integers(1, 5, size)),
            "shown_at": moments(hour, shown),
        }
    )


ADVERTISING = Company("hourly advertising", DATASETS, GOLD, (CAMPAIGNS, EVENTS), "ads", _hours, warm_up=336)
