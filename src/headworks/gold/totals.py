"""Declared totals: what a gold table must add up to, computed from silver by a way of its own.

Totals are compared as numbers. Whole numbers and decimals are equal to the last digit, whatever their scales. Floats
are equal within what rounding can do: a sum of floats depends on the order in which they were added, and two sums that
are both right differ in the last digits. How far is bounded by the size of what was added and by the number of rows; a
difference beyond that is real.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
from pydantic import Field

from headworks.errors import SettingsError
from headworks.reports import CheckReport, Report

_HALF = 10**19
_SAFETY = 32
"""Rounding errors of a sum grow with the root of the number of rows, if they do not all go the same way; of equal
values they do for a while. Measured with Polars on 2 million equal values: up to a tenth of this."""


class Totals(Report):
    """Declared totals as silver gives them."""

    values: dict[str, str] = Field(default_factory=dict)
    rounded: dict[str, float] = Field(
        default_factory=dict,
        description="Of totals of floats: how far rounding alone may take them, by what silver adds up.",
    )


def declared_totals(made: pl.DataFrame, inputs: Mapping[str, pl.LazyFrame], where: str) -> Totals:
    """Return the totals that a declaration gave; raises `SettingsError` where it did not give one row of numbers."""
    if made.height != 1:
        raise SettingsError(
            f"The totals are {made.height} rows, and one row of sums is expected.",
            where=where,
            do="let totals return one row with a column for each total.",
        )
    values = {name: _text(value) for name, value in made.row(0, named=True).items()}
    floats = [name for name, dtype in made.schema.items() if dtype.is_float()]
    return Totals(values=values, rounded={name: _rounding(name, made, inputs) for name in floats})


def check_totals(
    scope: str, candidate: pl.DataFrame, totals: Totals, tolerances: Mapping[str, float]
) -> list[CheckReport]:
    """Check that each declared total is the sum of the column of its name in gold."""
    return [_check(scope, candidate, name, totals, tolerances) for name in totals.values]


def _check(
    scope: str, candidate: pl.DataFrame, name: str, totals: Totals, tolerances: Mapping[str, float]
) -> CheckReport:
    def checked(outcome: Any, detail: str) -> CheckReport:
        return CheckReport(
            scope=scope, name=f"total of {name} survives", kind="total", outcome=outcome, detail=detail
        )

    if name not in candidate.columns:
        return checked("error", f"gold has no column {name}; it has {', '.join(candidate.columns)}")
    column = candidate.get_column(name)
    if not column.dtype.is_numeric():
        return checked("error", f"{name} is {column.dtype} in gold, which adds up to nothing")
    silver, gold = _number(totals.values[name]), _sum(column)
    texts = f"silver {totals.values[name]}, gold {_shown(gold, column)}"
    if silver is None or gold is None:
        return checked("not evaluated", f"{texts}: one of them is no number")
    apart = abs(silver - gold)
    allowed = Fraction(tolerances.get(name, 0))
    if name not in tolerances and (column.dtype.is_float() or name in totals.rounded):
        allowed = Fraction(totals.rounded.get(name, 0.0) + _bound(column))
    if apart <= allowed:
        return checked("passed", texts)
    return checked("failed", texts + (f", allowed are {float(allowed):.3g} of difference" if allowed else ""))


def _sum(column: pl.Series) -> Fraction | None:
    """Add a column up without an overflow: exactly, unless it is of floats; None where that is no number."""
    if column.dtype.is_float():
        total = float(column.cast(pl.Float64).sum())
        return Fraction(total) if math.isfinite(total) else None
    scale = column.dtype.scale if isinstance(column.dtype, pl.Decimal) else 0
    whole, half = pl.col(column.name), pl.lit(_HALF, dtype=pl.Int128)
    # In two halves: a sum of numbers of 38 digits has more than 128 bits.
    halves = column.to_physical().cast(pl.Int128).to_frame()
    high, low = halves.select((whole // half).sum().alias("high"), (whole % half).sum().alias("low")).row(0)
    return Fraction(high * _HALF + low, 10**scale)


def _rounding(name: str, made: pl.DataFrame, inputs: Mapping[str, pl.LazyFrame]) -> float:
    """Bound what rounding does to a total of silver, by the columns of its name that it may be made of."""
    bound = _bound(made.get_column(name))
    rows = 1
    for frame in inputs.values():
        schema = frame.collect_schema()
        rows = max(rows, frame.select(pl.len()).collect().item())
        if name in schema and schema[name].is_float():
            bound = max(bound, _bound(frame.select(name).collect().to_series()))
    return max(bound, _bound(made.get_column(name), rows))


def _bound(column: pl.Series, rows: int | None = None) -> float:
    """Return how far two sums of a column in different orders may be apart."""
    epsilon = 2.0**-24 if column.dtype == pl.Float32() else 2.0**-53
    size = float(column.cast(pl.Float64).abs().fill_nan(0).sum())
    return size * epsilon * _SAFETY * (1 + math.sqrt(rows or column.len())) if math.isfinite(size) else 0.0


def _number(text: str) -> Fraction | None:
    try:
        return Fraction(text)
    except ValueError:
        return None


def _text(value: Any) -> str:
    # A decimal without an exponent, as people write it; a float with every digit that it has.
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _shown(total: Fraction | None, column: pl.Series) -> str:
    if total is None:
        return "nan"
    if column.dtype.is_float():
        return str(float(total))
    scale = column.dtype.scale if isinstance(column.dtype, pl.Decimal) else 0
    digits = str(abs(total.numerator * 10**scale // total.denominator)).rjust(scale + 1, "0")
    cut = len(digits) - scale
    sign = "-" if total < 0 else ""
    return sign + digits[:cut] + (f".{digits[cut:]}" if scale else "")
