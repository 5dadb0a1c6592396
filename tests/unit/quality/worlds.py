"""Small worlds whose deliveries are profiled: a shop by day, a feed by hour, a ledger by month, plans by week, rates.

Each gives clean deliveries for ever, from a seed. Corruptions touch a share of a delivery's rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from headworks.quality.profiles import Profile, profile_columns, profile_rows, with_extremes

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
WEEK = (1.0, 0.95, 1.0, 1.1, 1.25, 0.7, 0.5)
DAY = (1, 1, 1, 1, 1, 2, 6, 15, 30, 40, 45, 50, 50, 50, 48, 45, 40, 35, 30, 20, 12, 6, 3, 2)
COUNTRIES = {"DE": "EUR", "FR": "EUR", "GB": "GBP", "SE": "SEK", "CH": "CHF"}


@dataclass(frozen=True)
class World:
    """How a world's rows come: at which moments, how many, and what they are."""

    name: str
    step: timedelta
    rows: Callable[[int, datetime, np.random.Generator], pl.DataFrame]
    days: float
    key: tuple[str, ...] = ("id",)
    references: tuple[str, ...] = ()
    kind: str = "live"

    def frame(self, number: int, seed: int = 0) -> pl.DataFrame:
        """Return the rows of a clean delivery."""
        at = MONDAY + number * self.step
        return self.rows(number, at, np.random.default_rng([seed, number, len(self.name)]))

    def profile(self, number: int, rows: pl.DataFrame, **changes: object) -> Profile:
        """Return what a delivery looks like."""
        moment = MONDAY + (number + 1) * self.step
        identifiers = [*self.key, *self.references]
        columns = profile_columns(rows, identifiers, moment, timedelta(days=1), "at")
        columns = with_extremes(columns, rows, self.key)
        made = Profile.model_validate(
            {
                "scope": "silver.t.world", "kind": self.kind, "run_id": str(number), "moment": moment,
                "newest": moment - timedelta(minutes=2), "rows": rows.height, "days": self.days,
                "counts": {"landed": rows.height, "rejected": 0, "inserted": rows.height, "updated": 0},
                "columns": columns, **profile_rows(rows, columns, self.key, identifiers, "at"),
            }
        )  # fmt: skip
        return made.model_copy(update=changes)


def _orders(
    count: int, number: int, at: datetime, span: timedelta, chance: np.random.Generator
) -> pl.DataFrame:
    countries = chance.choice(list(COUNTRIES), count, p=[0.4, 0.25, 0.2, 0.1, 0.05])
    net = np.round(chance.lognormal(3.5, 0.7, count), 2) * np.where(chance.random(count) < 0.04, -1, 1)
    tax = np.round(net * 0.19, 2)
    status = chance.choice(["open", "shipped", "returned"], count, p=[0.3, 0.64, 0.06])
    ordered = [at + span * float(one) for one in np.sort(chance.random(count))]
    wait = chance.gamma(2, 4, count)
    return pl.DataFrame(
        {
            "id": np.arange(count) + number * 100_000 + 1,
            "customer": chance.integers(1, 3_000, count),
            "country": countries,
            "currency": [COUNTRIES[one] for one in countries],
            "status": status,
            "net": net, "tax": tax, "gross": np.round(net + tax, 2),
            "pieces": chance.poisson(2.0, count) + 1,
            "note": [None if chance.random() < 0.3 else f"note {chance.integers(10**6)}" for _ in range(count)],
            "ordered_at": ordered,
            "shipped_at": [
                one + timedelta(hours=float(hours)) if state != "open" else None
                for one, hours, state in zip(ordered, wait, status, strict=True)
            ],
            "at": ordered,
        },
        schema_overrides={
            name: pl.Datetime("us", "UTC") for name in ("ordered_at", "shipped_at", "at")
        },
    )  # fmt: skip


def _shop(number: int, at: datetime, chance: np.random.Generator) -> pl.DataFrame:
    usual = 500 * WEEK[at.weekday()] * 1.002**number * chance.lognormal(0, 0.05)
    return _orders(int(usual), number, at, timedelta(hours=23.9), chance)


def _feed(number: int, at: datetime, chance: np.random.Generator) -> pl.DataFrame:
    usual = 12 * DAY[at.hour] * (0.5 if at.weekday() >= 5 else 1.0) * chance.lognormal(0, 0.08)
    return _orders(max(int(usual), 1), number, at, timedelta(minutes=57), chance)


def _ledger(number: int, at: datetime, chance: np.random.Generator) -> pl.DataFrame:
    return _orders(
        int(900 * 1.01**number * chance.lognormal(0, 0.06)), number, at, timedelta(days=29), chance
    )


def _plans(number: int, at: datetime, chance: np.random.Generator) -> pl.DataFrame:
    return _orders(int(700 * chance.lognormal(0, 0.05)), number, at, timedelta(days=6.9), chance)


def _rates(number: int, at: datetime, chance: np.random.Generator) -> pl.DataFrame:
    walk = np.random.default_rng(99).normal(0, 0.005, (6, 3_000)).cumsum(axis=1)[:, number]
    names = ["USD", "GBP", "SEK", "CHF", "JPY", "PLN"]
    base = np.array([0.92, 1.17, 0.088, 1.04, 0.0061, 0.23])
    rates = np.round(base * np.exp(walk + chance.normal(0, 0.001, 6)), 6)
    return pl.DataFrame(
        {"day": [at.date()] * 6, "currency": names, "rate": rates, "at": [at + timedelta(hours=20)] * 6},
        schema_overrides={"at": pl.Datetime("us", "UTC")},
    )


SHOP = World("shop", timedelta(days=1), _shop, 1.0, references=("customer",))
FEED = World("feed", timedelta(hours=1), _feed, 1 / 24, references=("customer",))
LEDGER = World("ledger", timedelta(days=30.44), _ledger, 30.0, references=("customer",))
PLANS = World("plans", timedelta(days=7), _plans, 7.0, references=("customer",))
RATES = World("rates", timedelta(days=1), _rates, 1.0, key=("day", "currency"))

Corruption = Callable[[pl.DataFrame, float], pl.DataFrame]


def some(share: float) -> pl.Expr:
    """Return which rows are touched."""
    return (pl.int_range(pl.len()).hash(3) % 10_000) < int(share * 10_000)


def set_to(column: str, value: pl.Expr) -> Corruption:
    """Return a corruption that gives a column another value in some rows."""
    return lambda rows, share: rows.with_columns(
        pl.when(some(share)).then(value.cast(rows.schema[column])).otherwise(pl.col(column)).alias(column)
    )


def again(share_column: str = "id", *, later: bool = False) -> Corruption:
    """Return a corruption that gives some rows again under new keys, with other times if so asked."""

    def change(rows: pl.DataFrame, share: float) -> pl.DataFrame:
        copies = rows.filter(some(share)).with_columns(pl.col(share_column) + 50_000)
        if later:
            copies = copies.with_columns(pl.col("ordered_at", "shipped_at") + pl.duration(minutes=7))
        return pl.concat([rows, copies])

    return change


KINDS: dict[str, Corruption] = {
    "nulls": set_to("note", pl.lit(None, pl.String)),
    "nulls where there are none": set_to("currency", pl.lit(None, pl.String)),
    "a wrong currency": set_to("currency", pl.lit("SEK")),
    "a wrong country": set_to("country", pl.lit("GB")),
    "an unknown currency": set_to("currency", pl.lit("XXX")),
    "net of cents": set_to("net", pl.col("net") * 100),
    "net a little higher": set_to("net", pl.col("net") * 1.05),
    "tax forgotten": set_to("tax", pl.lit(0.0)),
    "gross without tax": set_to("gross", pl.col("net")),
    "gross of another row": set_to("gross", pl.col("gross").shift(1, fill_value=1.0)),
    "signs turned": lambda rows, share: rows.with_columns(
        pl.when(some(share)).then(-pl.col(name)).otherwise(pl.col(name)).alias(name)
        for name in ("net", "tax", "gross")
    ),
    "no returns": lambda rows, share: rows.filter(
        (pl.col("status") != "returned") | ~some(min(1.0, share * 8))
    ),
    "no negatives": lambda rows, share: rows.filter((pl.col("net") > 0) | ~some(min(1.0, share * 8))),
    "pieces of nothing": set_to("pieces", pl.lit(0)),
    "shipped before it was ordered": set_to("shipped_at", pl.col("ordered_at") - pl.duration(hours=3)),
    "shipped though open": set_to("shipped_at", pl.col("ordered_at") + pl.duration(hours=5)),
    "copies": again(),
    "copies at other times": again(later=True),
    "one customer": set_to("customer", pl.lit(7)),
    "all money ten times": lambda rows, share: rows.with_columns(
        pl.when(some(share)).then(10 * pl.col(name)).otherwise(pl.col(name)).alias(name)
        for name in ("net", "tax", "gross")
    ),
    "lost rows": lambda rows, share: rows.filter(~some(share)),
    "blank notes": set_to("note", pl.lit(" ")),
    "another status": set_to("status", pl.lit("open")),
}
