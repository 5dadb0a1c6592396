"""What the made-up companies share: a calendar with holidays, columns out of numbers, and gold by day.

A life is decided by its seed alone: the same seed gives the same rows on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from math import exp
from pathlib import Path

import dataframely as dy
import numpy as np
import polars as pl
from numpy.typing import NDArray

from headworks.gold.curation import GoldTable, Inputs

CONTRACTS = Path(__file__).parents[1] / "contracts"
MOMENT = pl.Datetime("us", "UTC")
MONEY = pl.Decimal(14, 2)
HOLIDAYS = {(1, 1), (1, 6), (4, 6), (5, 1), (8, 15), (10, 3), (12, 24), (12, 25), (12, 26), (12, 31)}
"""Month and day of each holiday, the same in each year."""

Whole = NDArray[np.int64]


def as_they_are(schema: type[dy.Schema]) -> dict[str, pl.Expr]:
    """Return a schema's columns, each of which is read as it is."""
    return {name: pl.col(name) for name in schema.column_names()}


def gold(
    name: str,
    inputs: tuple[str, ...],
    transform: Callable[[Inputs], pl.LazyFrame],
    key: tuple[str, ...],
    totals: Callable[[Inputs], pl.LazyFrame] | None = None,
) -> GoldTable:
    """Return a company's gold table, whose contract is named after it."""
    contract = CONTRACTS / f"gold_{name.replace('.', '_')}.yml"
    return GoldTable(name=name, inputs=inputs, transform=transform, key=key, contract=contract, totals=totals)


def is_holiday(day: date) -> bool:
    """Return whether a day is a holiday."""
    return (day.month, day.day) in HOLIDAYS


def in_promotion(number: int, every: int, long: int) -> bool:
    """Return whether a day lies in a promotion, of which there is one in ``every`` days, ``long`` days each."""
    return number % every >= every - long


def grown_by(number: int, rate: float, largest: float = 2.0) -> float:
    """Return by which factor volume has grown after so many steps; growth ends at ``largest``."""
    return min(largest, exp(rate * number))


def money(cents: Whole) -> pl.Series:
    """Return cents as an exact amount."""
    return pl.Series(cents / 100).round(2).cast(MONEY)


def moments(start: datetime, seconds: Whole) -> pl.Series:
    """Return moments so many seconds after ``start``."""
    micros = int(start.timestamp()) * 1_000_000 + seconds.astype(np.int64) * 1_000_000
    return pl.Series(micros).cast(MOMENT)


def picked(rng: np.random.Generator, names: Sequence[str], weights: Sequence[float], size: int) -> Whole:
    """Return places in ``names``, as often as their weights say."""
    shares = np.asarray(weights, dtype=float)
    return rng.choice(len(names), size=size, p=shares / shares.sum()).astype(np.int64)


def named(names: Sequence[str], places: Whole) -> pl.Series:
    """Return names by their places."""
    return pl.Series(np.asarray(names, dtype=object)[places].tolist(), dtype=pl.String)


def with_nulls(values: pl.Series, empty: NDArray[np.bool_]) -> pl.Series:
    """Return values, null where ``empty`` says so."""
    frame = pl.DataFrame({"v": values, "e": empty})
    return frame.select(pl.when(~pl.col("e")).then("v")).to_series()


def at(day: date, hour: int = 0, minute: int = 0) -> datetime:
    """Return a moment of a day."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


class Outage:
    """Holds back the frames of a source that is out of order, and gives them all at once when it is back."""

    def __init__(self) -> None:
        """Begin with nothing held back."""
        self._kept: list[dict[str, pl.DataFrame]] = []

    def through(self, frames: dict[str, pl.DataFrame], *, out: bool) -> dict[str, pl.DataFrame]:
        """Return what arrives of a delivery's frames: nothing while the source is out, then all that was kept."""
        if out:
            self._kept.append(frames)
            return {name: frame.clear() for name, frame in frames.items()}
        kept, self._kept = [*self._kept, frames], []
        return {name: pl.concat([one[name] for one in kept]) for name in frames}
