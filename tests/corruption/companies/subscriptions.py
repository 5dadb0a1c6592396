"""A service with subscriptions, read every day: accounts, their subscriptions as a history, and payments.

Accounts come, some upgrade, some leave; each pays once a month on the day on which it began, and some get their money
back. Payments are few on Sundays and holidays, and come the day after.
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
    in_promotion,
    is_holiday,
    moments,
    money,
    named,
    picked,
    with_nulls,
)
from tests.corruption.company import Company, Day

ACCOUNTS, SUBSCRIPTIONS, PAYMENTS = "subs.accounts", "subs.subscriptions", "subs.payments"
_BEGINS = date(2025, 1, 6)
_PLANS, _PRICES, _CHOSEN = (
    ("basic", "plus", "family", "student"),
    (9_90, 14_90, 24_90, 5_90),
    (45, 30, 15, 10),
)
_COUNTRIES, _SHARES = ("AT", "DE", "IT", "ES", "PT"), (0.2, 0.38, 0.22, 0.2, 0.0)
_METHODS = ("card", "debit", "wallet")
_NEW_COUNTRY, _OUTAGES, _NEW_PLAN = 240, ((150, 151), (420,)), 330


class Accounts(dy.Schema):
    """Who has an account."""

    account_id = dy.Int64(nullable=False)
    email = dy.String(nullable=False, regex=r"^[^@ ]+@[^@ ]+$")
    country = dy.String(nullable=False)
    referrer = dy.String(nullable=True)
    updated_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")


class Subscriptions(dy.Schema):
    """What an account has subscribed to, version by version."""

    subscription_id = dy.Int64(nullable=False)
    account_id = dy.Int64(nullable=False)
    plan = dy.String(nullable=False)
    status = dy.String(nullable=False)
    seats = dy.Int64(nullable=False, min=1)
    price = dy.Decimal(14, 2, nullable=False)
    cancelled_at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")
    updated_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")


class Payments(dy.Schema):
    """What was paid, and given back."""

    payment_id = dy.Int64(nullable=False)
    account_id = dy.Int64(nullable=False)
    kind = dy.String(nullable=False)
    method = dy.String(nullable=False)
    net = dy.Decimal(14, 2, nullable=False)
    vat = dy.Decimal(14, 2, nullable=False)
    amount = dy.Decimal(14, 2, nullable=False)
    coupon = dy.String(nullable=True)
    ordered_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")
    paid_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")


_OF_ACCOUNT = Reference(("account_id",), ACCOUNTS, ("account_id",), "unknown_account")
DATASETS = (
    (
        Dataset(
            name=ACCOUNTS,
            key=("account_id",),
            schema=Accounts,
            columns=as_they_are(Accounts),
            cursor="updated_at",
        ),
    ),
    (
        Dataset(
            name=SUBSCRIPTIONS,
            key=("subscription_id",),
            schema=Subscriptions,
            columns=as_they_are(Subscriptions),
            cursor="updated_at",
            keeps="history",
            references=(_OF_ACCOUNT,),
        ),
        Dataset(
            name=PAYMENTS,
            key=("payment_id",),
            schema=Payments,
            columns=as_they_are(Payments),
            cursor="paid_at",
            references=(_OF_ACCOUNT,),
        ),
    ),
)


def _revenue(inputs: Inputs) -> pl.LazyFrame:
    countries = inputs[ACCOUNTS].select("account_id", "country")
    return (
        inputs[PAYMENTS]
        .join(countries, on="account_id")
        .group_by(day=pl.col("paid_at").dt.date(), country="country", kind="kind")
        .agg(payments=pl.len().cast(pl.Int64), amount=pl.col("amount").sum().cast(MONEY))
    )


def _totals(inputs: Inputs) -> pl.LazyFrame:
    return inputs[PAYMENTS].select(
        payments=pl.len().cast(pl.Int64), amount=pl.col("amount").sum().cast(MONEY)
    )


def _plans(inputs: Inputs) -> pl.LazyFrame:
    now = inputs[SUBSCRIPTIONS].filter(pl.col("current") & (pl.col("status") == "active"))
    return now.group_by("plan").agg(
        subscriptions=pl.len().cast(pl.Int64), monthly=pl.col("price").sum().cast(MONEY)
    )


GOLD = (
    gold("subs.revenue", (ACCOUNTS, PAYMENTS), _revenue, ("day", "country", "kind"), _totals),
    gold("subs.plans", (SUBSCRIPTIONS,), _plans, ("plan",)),
)


class _State:
    """Who subscribes to what, as columns of numbers: the place in them is the account's id less one."""

    def __init__(self) -> None:
        self.plan: Whole = np.zeros(0, dtype=np.int64)
        self.seats: Whole = np.zeros(0, dtype=np.int64)
        self.active = np.zeros(0, dtype=np.bool_)
        self.began: Whole = np.zeros(0, dtype=np.int64)
        self.payments = 0

    def join(self, rng: np.random.Generator, size: int, began: Whole, *, new_plan: bool) -> Whole:
        """Let accounts join, and return their places."""
        there = self.plan.size
        chosen = _CHOSEN if new_plan else (*_CHOSEN[:3], 0)
        self.plan = np.append(self.plan, picked(rng, _PLANS, chosen, size))
        self.seats = np.append(self.seats, rng.choice([1, 1, 1, 2, 3, 5], size))
        self.active = np.append(self.active, np.ones(size, dtype=np.bool_))
        self.began = np.append(self.began, began)
        return np.arange(there, there + size)


def _days(seed: int, count: int) -> Iterator[Day]:
    """Yield the first ``count`` days."""
    rng, outage, state = np.random.default_rng([seed, 13]), Outage(), _State()
    for number in range(count):
        day = _BEGINS + timedelta(days=number)
        quiet = day.weekday() == 6 or is_holiday(day)
        joined = 3_600 if number == 0 else int(rng.poisson(_joining(number, quiet=quiet)))
        began = rng.integers(0, 30, joined) if number == 0 else np.full(joined, number % 30)
        new = state.join(rng, joined, began, new_plan=number >= _NEW_PLAN)
        frames = {
            ACCOUNTS: _accounts(rng, number, new, day),
            SUBSCRIPTIONS: _subscriptions(rng, state, new, day, first=number == 0),
            PAYMENTS: _payments(rng, state, number, day),
        }
        out = any(number in one for one in _OUTAGES)
        yield Day(number, at(day, 23, 45), outage.through(frames, out=out))


def _joining(number: int, *, quiet: bool) -> float:
    more = 1.25 if in_promotion(number, 90, 6) else 1.0
    return 60 * grown_by(number, 0.0008) * more * (0.7 if quiet else 1.0)


def _accounts(rng: np.random.Generator, number: int, new: Whole, day: date) -> pl.DataFrame:
    shares = (*_SHARES[:-1], 0.05 if number >= _NEW_COUNTRY else 0.0)
    words = ("ada", "bo", "cleo", "dan", "eva", "finn", "greta", "hugo")
    return pl.DataFrame(
        {
            "account_id": pl.Series(new + 1, dtype=pl.Int64),
            "email": pl.Series(
                [f"{words[int(one) % 8]}{one}@mail{int(one) % 13}.eu" for one in new], dtype=pl.String
            ),
            "country": named(_COUNTRIES, picked(rng, _COUNTRIES, shares, new.size)),
            "referrer": with_nulls(
                named(("search", "friend", "press"), picked(rng, "abc", (5, 4, 1), new.size)),
                rng.random(new.size) < 0.4,
            ),
            "updated_at": moments(at(day), np.sort(rng.integers(600, 85_000, new.size))),
        }
    )


def _subscriptions(
    rng: np.random.Generator, state: _State, new: Whole, day: date, *, first: bool
) -> pl.DataFrame:
    """Return what was written of subscriptions on a day: those that began, upgraded, or were cancelled."""
    old = np.flatnonzero(state.active[: state.plan.size - new.size])
    upgraded = old[rng.random(old.size) < 0.006]
    state.seats[upgraded] += 1
    left = np.setdiff1d(old[rng.random(old.size) < 0.009], upgraded)
    if first:
        upgraded, left = upgraded[:0], left[:0]
    state.active[left] = False
    places = np.concatenate([new, upgraded, left]).astype(np.int64)
    seconds = np.sort(rng.integers(600, 85_000, places.size))
    written = moments(at(day), seconds)
    gone = ~state.active[places]
    return pl.DataFrame(
        {
            "subscription_id": pl.Series(places + 1, dtype=pl.Int64),
            "account_id": pl.Series(places + 1, dtype=pl.Int64),
            "plan": named(_PLANS, state.plan[places]),
            "status": named(("active", "cancelled"), gone.astype(np.int64)),
            "seats": pl.Series(state.seats[places], dtype=pl.Int64),
            "price": money(np.asarray(_PRICES)[state.plan[places]] * state.seats[places]),
            "cancelled_at": with_nulls(written, ~gone),
            "updated_at": written,
        }
    )


def _payments(rng: np.random.Generator, state: _State, number: int, day: date) -> pl.DataFrame:
    due = np.flatnonzero(state.active & (state.began == number % 30))
    due = due[rng.random(due.size) < 0.97]
    refunded = np.flatnonzero(state.active)
    refunded = refunded[rng.random(refunded.size) < 0.002]
    extra = np.flatnonzero(state.active)
    quiet = day.weekday() == 6 or is_holiday(day)
    extra = extra[rng.random(extra.size) < (0.04 if quiet else 0.07)]
    places = np.concatenate([due, extra, refunded]).astype(np.int64)
    kinds = np.repeat([0, 1, 2], [due.size, extra.size, refunded.size])
    price = np.asarray(_PRICES)[state.plan[places]] * state.seats[places]
    bought = np.round(np.exp(rng.normal(6.2, 0.5, places.size))).astype(np.int64)
    amount = np.where(kinds == 1, bought, np.where(kinds == 2, -price, price))
    cheaper = (rng.random(places.size) < (0.25 if in_promotion(number, 90, 6) else 0.05)) & (kinds == 0)
    amount = np.where(cheaper, amount * 8 // 10, amount)
    vat = np.round(amount / 6).astype(np.int64)
    paid = np.sort(rng.integers(600, 85_000, places.size))
    order = rng.permutation(places.size)
    first = state.payments + 1
    state.payments += places.size
    coupon = named(("WELCOME", "SPRING", "FRIEND"), picked(rng, "abc", (3, 2, 1), places.size))
    return pl.DataFrame(
        {
            "payment_id": pl.Series(np.arange(first, first + places.size), dtype=pl.Int64),
            "account_id": pl.Series(places[order] + 1, dtype=pl.Int64),
            "kind": named(("plan", "extra", "refund"), kinds[order]),
            "method": named(_METHODS, picked(rng, _METHODS, (60, 25, 15), places.size)),
            "net": money((amount - vat)[order]),
            "vat": money(vat[order]),
            "amount": money(amount[order]),
            "coupon": with_nulls(coupon, ~cheaper[order]),
            "ordered_at": moments(at(day), paid - rng.integers(5, 500, places.size)),
            "paid_at": moments(at(day), paid),
        }
    )


SUBSCRIBED = Company(
    "daily subscriptions", DATASETS, GOLD, (ACCOUNTS, SUBSCRIPTIONS, PAYMENTS), "subs", _days, warm_up=45
)
