"""Totals are equal as numbers: never unequal for the order of a sum or a scale, always for one unit that is missing."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headworks.gold.totals import Totals, check_totals, declared_totals
from headworks.reports import CheckReport

CENT = Decimal("0.01")
TYPES: dict[str, pl.DataType] = {
    "float": pl.Float64(),
    "decimal of the same scale": pl.Decimal(18, 2),
    "decimal of another scale": pl.Decimal(24, 6),
}


def checked(silver: pl.DataFrame, gold: pl.DataFrame, total: pl.Expr | None = None) -> CheckReport:
    frames = {"t.s": silver.lazy()}
    made = silver.select((pl.col("x").sum() if total is None else total).alias("x"))
    (report,) = check_totals("gold.t.g", gold, declared_totals(made, frames, "gold.t.g"), {})
    return report


def frames(cents: list[int], groups: int, seed: int, before: pl.DataType, after: pl.DataType, lost: int = 0):  # type: ignore[no-untyped-def]
    """Return silver in one order, and gold summed up by groups in another, with so many cents lost in one of them."""
    chance = random.Random(seed)
    rows = [(chance.randrange(groups), cent) for cent in cents]
    amounts = pl.Series([Decimal(cent) * CENT for _, cent in rows], dtype=pl.Decimal(38, 2))
    silver = pl.DataFrame({"g": [group for group, _ in rows], "x": amounts.cast(before)})
    shuffled = silver.sample(fraction=1.0, shuffle=True, seed=seed)
    gold = shuffled.group_by("g").agg(pl.col("x").sum()).with_columns(pl.col("x").cast(after))
    if lost:
        first = pl.int_range(pl.len()) == 0
        # In decimals of another scale a cent is still a cent.
        gold = gold.with_columns(
            pl.when(first).then(pl.col("x") - pl.lit(lost * CENT).cast(after)).otherwise("x").cast(after)
        )
    return silver, gold


amounts = st.lists(st.integers(-10_000_000, 10_000_000), min_size=1, max_size=400)


@settings(max_examples=60)
@pytest.mark.parametrize("before", TYPES)
@pytest.mark.parametrize("after", TYPES)
@given(cents=amounts, groups=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_no_order_no_grouping_and_no_scale_closes_the_gate_and_one_cent_always_does(
    before: str, after: str, cents: list[int], groups: int, seed: int
) -> None:
    silver, gold = frames(cents, groups, seed, TYPES[before], TYPES[after])
    assert checked(silver, gold).outcome == "passed"
    silver, gold = frames(cents, groups, seed, TYPES[before], TYPES[after], lost=1)
    report = checked(silver, gold)
    assert report.outcome == "failed", report.detail


@pytest.mark.parametrize("seed", range(8))
def test_a_day_of_sales_in_floats_balances_and_misses_no_cent(seed: int) -> None:
    chance = random.Random(seed)
    cents = [round(chance.lognormvariate(8, 2)) for _ in range(100_000)]
    assert checked(*frames(cents, 12, seed, pl.Float64(), pl.Float64())).outcome == "passed"
    assert checked(*frames(cents, 12, seed, pl.Float64(), pl.Float64(), lost=1)).outcome == "failed"


@pytest.mark.parametrize("order", ["ascending", "descending", "large ones that cancel out"])
def test_orders_that_are_hard_for_floats_balance(order: str) -> None:
    values = [0.1 * n for n in range(1, 20_001)]
    if order == "large ones that cancel out":
        values = [value for n in values for value in (n * 1e6, -n * 1e6, 0.01)]
    silver = pl.DataFrame({"x": values})
    ordered = silver.sort("x", descending=order == "descending").with_columns(g=1)
    gold = ordered.group_by("g").agg(pl.col("x").sum())
    assert checked(silver, gold).outcome == "passed"
    # What cancels out is so large that a cent of it is within what rounding does.
    lost = 1000.0 if order == "large ones that cancel out" else 0.01
    assert checked(silver, gold.with_columns(pl.col("x") + lost)).outcome == "failed"


@pytest.mark.parametrize("dtype", [pl.Int8(), pl.Int32(), pl.Int64(), pl.UInt64()], ids=str)
def test_whole_numbers_are_added_up_without_an_overflow(dtype: Any) -> None:
    largest = int(pl.select(dtype.max()).item())
    gold = pl.DataFrame({"x": [largest] * 5}, schema={"x": dtype})
    for total, outcome in ((largest * 5, "passed"), (largest * 5 - 1, "failed")):
        (report,) = check_totals("s", gold, Totals(values={"x": str(total)}), {})
        assert (report.outcome, str(largest * 5) in report.detail) == (outcome, True)


def test_decimals_of_38_digits_are_added_up_to_the_last() -> None:
    largest = Decimal("9" * 36 + ".99")
    gold = pl.DataFrame({"x": [largest] * 7}, schema={"x": pl.Decimal(38, 2)})
    total = str(int("9" * 38) * 7)
    exact = f"{total[:-2]}.{total[-2:]}"
    for silver, outcome in ((exact, "passed"), (exact[:-1] + "2", "failed")):
        (report,) = check_totals("s", gold, Totals(values={"x": silver}), {})
        assert (report.outcome, exact in report.detail) == (outcome, True)


def test_a_declared_tolerance_is_the_one_that_holds() -> None:
    gold = pl.DataFrame({"x": [10.0]})
    totals = Totals(values={"x": "10.4"})
    for allowed, outcome in ((0.5, "passed"), (0.3, "failed")):
        (report,) = check_totals("s", gold, totals, {"x": allowed})
        assert report.outcome == outcome


@pytest.mark.parametrize(
    ("silver", "gold", "said"),
    [
        ("5", pl.DataFrame({"y": [5]}), "gold has no column x; it has y"),
        ("5", pl.DataFrame({"x": ["5"]}), "adds up to nothing"),
        ("None", pl.DataFrame({"x": [0]}), "no number"),
        ("nan", pl.DataFrame({"x": [float("nan")]}), "no number"),
        ("1.5", pl.DataFrame({"x": [float("nan")]}), "no number"),
        ("inf", pl.DataFrame({"x": [float("inf")]}), "no number"),
    ],
)
def test_a_total_that_cannot_be_compared_is_not_equal(silver: str, gold: pl.DataFrame, said: str) -> None:
    (report,) = check_totals("s", gold, Totals(values={"x": silver}), {})
    assert report.outcome in {"error", "not evaluated"}
    assert said in report.detail
