"""A company whose books are closed once a month: entries, a list of accounts that is read whole, and rates.

An entry's gross is its net with its tax, refunds are negative, and a month's rates are six rows. December is long and
August is short.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from headworks.gold.curation import Inputs
from headworks.silver.dataset import Dataset, Reference
from tests.corruption.companies.lives import (
    MONEY,
    Outage,
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

ACCOUNTS, RATES, ENTRIES = "ledger.accounts", "ledger.rates", "ledger.entries"
_MONTHS = (0.95, 0.92, 1.02, 0.98, 1.0, 1.0, 0.94, 0.85, 1.02, 1.05, 1.1, 1.25)
_KINDS, _OFTEN = ("sale", "purchase", "salary", "refund", "fee"), (0.52, 0.27, 0.1, 0.05, 0.06)
_CENTRES = ("north", "south", "east", "west", "head office", "online")
_CENTRE_SHARES = (0.26, 0.22, 0.18, 0.16, 0.18, 0.0)
_CURRENCIES = {"EUR": 1.0, "USD": 0.91, "GBP": 1.16, "SEK": 0.088, "PLN": 0.23, "CHF": 1.04}
_TYPES = ("asset", "revenue", "cost", "tax")
_OUTAGE, _NEW_CENTRE, _CLOSURE = 96, 130, 75


class Accounts(dy.Schema):
    """The chart of accounts."""

    account = dy.String(nullable=False, regex=r"^[0-9]{4}$")
    title = dy.String(nullable=False)
    type = dy.String(nullable=False)


class Rates(dy.Schema):
    """What a unit of a currency was worth in a month."""

    month = dy.Date(nullable=False)
    currency = dy.String(nullable=False)
    eur_per_unit = dy.Decimal(18, 8, nullable=False, min_exclusive=0)


class Entries(dy.Schema):
    """What was booked."""

    entry_id = dy.Int64(nullable=False)
    account = dy.String(nullable=False)
    kind = dy.String(nullable=False)
    centre = dy.String(nullable=False)
    currency = dy.String(nullable=False)
    net = dy.Decimal(14, 2, nullable=False)
    tax = dy.Decimal(14, 2, nullable=False)
    gross = dy.Decimal(14, 2, nullable=False)
    text = dy.String(nullable=True)
    due_on = dy.Date(nullable=True)
    booked_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")
    updated_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")


DATASETS = (
    (
        Dataset(name=ACCOUNTS, key=("account",), schema=Accounts, columns=as_they_are(Accounts)),
        Dataset(name=RATES, key=("month", "currency"), schema=Rates, columns=as_they_are(Rates)),
    ),
    (
        Dataset(
            name=ENTRIES,
            key=("entry_id",),
            schema=Entries,
            columns=as_they_are(Entries),
            cursor="updated_at",
            references=(Reference(("account",), ACCOUNTS, ("account",), "unknown_account"),),
        ),
    ),
)


def _in_euros(inputs: Inputs) -> pl.LazyFrame:
    rates = inputs[RATES].select("month", "currency", "eur_per_unit")
    entries = inputs[ENTRIES].with_columns(month=pl.col("booked_at").dt.date().dt.month_start())
    euros = (pl.col("gross").cast(pl.Float64) * pl.col("eur_per_unit").cast(pl.Float64)).round(2)
    return entries.join(rates, on=["month", "currency"]).with_columns(euros=euros.cast(MONEY))


def _by_month(inputs: Inputs) -> pl.LazyFrame:
    return (
        _in_euros(inputs)
        .group_by("month", "centre", "kind")
        .agg(entries=pl.len().cast(pl.Int64), euros=pl.col("euros").sum().cast(MONEY))
    )


def _totals(inputs: Inputs) -> pl.LazyFrame:
    return _in_euros(inputs).select(entries=pl.len().cast(pl.Int64), euros=pl.col("euros").sum().cast(MONEY))


GOLD = (gold("ledger.by_month", (RATES, ENTRIES), _by_month, ("month", "centre", "kind"), _totals),)


def _months(seed: int, count: int) -> Iterator[Day]:
    """Yield the first ``count`` months."""
    rng, outage = np.random.default_rng([seed, 12]), Outage()
    rates = dict(_CURRENCIES)
    accounts, first = _accounts(rng, 60), 1
    for number in range(count):
        start = date(1980 + number // 12, number % 12 + 1, 1)
        end = (start + timedelta(days=32)).replace(day=1)
        if rng.random() < 0.1:
            accounts = pl.concat([accounts, _accounts(rng, 1, accounts.height)])
        rates = {name: value * float(np.exp(rng.normal(0, 0.012))) for name, value in rates.items()} | {
            "EUR": 1.0
        }
        closed = 0.8 if number == _CLOSURE else 1.0
        size = int(rng.poisson(900 * _MONTHS[start.month - 1] * grown_by(number, 0.003) * closed))
        frames = {
            ACCOUNTS: accounts,
            RATES: _rates(start, rates),
            ENTRIES: _entries(rng, number, size, first, accounts, start, end),
        }
        first += size
        yield Day(number, at(end, 4), outage.through(frames, out=number == _OUTAGE))


def _accounts(rng: np.random.Generator, size: int, there: int = 0) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "account": pl.Series([f"{1000 + 7 * (there + one)}" for one in range(size)], dtype=pl.String),
            "title": pl.Series([f"Account for {there + one}" for one in range(size)], dtype=pl.String),
            "type": named(_TYPES, picked(rng, _TYPES, (3, 3, 3, 1), size)),
        }
    )


def _rates(start: date, rates: dict[str, float]) -> pl.DataFrame:
    exact = pl.Series(list(rates.values())).round(8).cast(pl.Decimal(18, 8))
    return pl.DataFrame({"month": [start] * len(rates), "currency": list(rates), "eur_per_unit": exact})


def _entries(
    rng: np.random.Generator,
    number: int,
    size: int,
    first: int,
    accounts: pl.DataFrame,
    start: date,
    end: date,
) -> pl.DataFrame:
    kinds = picked(rng, _KINDS, _OFTEN, size)
    shares = (*_CENTRE_SHARES[:-1], min(0.12, 0.01 * max(0, number - _NEW_CENTRE)))
    net = np.round(np.exp(rng.normal(9.0, 1.0, size))).astype(np.int64)
    net = np.where(kinds == 3, -net, net)
    rate = np.asarray([0.2, 0.2, 0.0, 0.2, 0.0])[kinds]
    tax = np.round(net * rate).astype(np.int64)
    booked = np.sort(rng.integers(0, (end - start).days * 86_400, size))
    days = (booked // 86_400 + rng.choice([14, 30, 60], size)).astype(np.int64)
    due = pl.Series(days + (start - date(1970, 1, 1)).days).cast(pl.Int32).cast(pl.Date)
    account = rng.choice(accounts.height, size, p=_falling(accounts.height))
    return pl.DataFrame(
        {
            "entry_id": pl.Series(np.arange(first, first + size), dtype=pl.Int64),
            "account": accounts.get_column("account").gather(account),
            "kind": named(_KINDS, kinds),
            "centre": named(_CENTRES, picked(rng, _CENTRES, shares, size)),
            "currency": named(list(_CURRENCIES), picked(rng, list(_CURRENCIES), (60, 12, 10, 7, 6, 5), size)),
            "net": money(net),
            "tax": money(tax),
            "gross": money(net + tax),
            "text": with_nulls(
                pl.Series(
                    [f"Invoice {one * 7919 % 100_003}" for one in range(first, first + size)], dtype=pl.String
                ),
                rng.random(size) < 0.08,
            ),
            "due_on": with_nulls(due, (kinds == 2) | (kinds == 4)),
            "booked_at": moments(at(start), booked),
            "updated_at": moments(at(start), booked + rng.integers(0, 600, size)),
        }
    )


def _falling(size: int) -> NDArray[np.float64]:
    weights = 1 / np.arange(4, size + 4)
    falling: NDArray[np.float64] = weights / weights.sum()
    return falling


LEDGER = Company(
    "a monthly ledger", DATASETS, GOLD, (ACCOUNTS, RATES, ENTRIES), "ledger", _months, warm_up=24
)
