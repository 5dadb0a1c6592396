"""Rows are judged piece by piece where that gives the same verdicts, and in one piece where a rule needs all rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import dataframely as dy
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headworks.quality import rules
from headworks.quality.rules import REASONS, judge

ALONE: list[Callable[[], pl.Expr]] = [
    lambda: pl.col("v") > 0,
    lambda: pl.col("s").str.contains("x") & pl.col("v").is_in([1, 2, 3]),
    lambda: pl.col("v").cast(pl.Decimal(12, 2)) < pl.lit("3").cast(pl.Decimal(12, 2)),
    lambda: pl.lit(date(2026, 1, 1)) + pl.duration(days=pl.col("v")) < date(2026, 1, 3),
    lambda: pl.when(pl.col("v") > 2).then(pl.col("s") == "x").otherwise(pl.col("s").is_not_null()),
]
TOGETHER: list[Callable[[], pl.Expr]] = [
    lambda: pl.len().over("s") < 3,
    lambda: pl.col("v").is_unique(),
    lambda: pl.col("v") < pl.col("v").max(),
    lambda: pl.col("v").shift(1).fill_null(0) <= pl.col("v"),
    lambda: pl.col("v").sum() < 9,
    lambda: pl.struct("v", "s").is_unique(),
]
ROWS = st.lists(st.tuples(st.integers(-1, 4), st.sampled_from(["x", "y", None])), max_size=12)


def schema_of(rule: Callable[[], pl.Expr]) -> type[dy.Schema]:
    return type(
        "Ruled",
        (dy.Schema,),
        {"v": dy.Int64(nullable=False), "s": dy.String(nullable=True), "rule": dy.rule()(lambda cls: rule())},
    )


def verdict(rows: list[tuple[int, str | None]], schema: type[dy.Schema]) -> tuple[object, object]:
    frame = pl.DataFrame(rows, schema={"v": pl.Int64(), "s": pl.String()}, orient="row")
    judged = judge(frame.with_columns(pl.lit([], dtype=pl.List(pl.String)).alias("_bad")), schema, "_bad")
    return judged.good.rows(), judged.rejected.select("v", "s", REASONS).rows()


@pytest.mark.parametrize("rule", [*ALONE, *TOGETHER])
@settings(deadline=None, max_examples=20)
@given(rows=ROWS)
def test_pieces_give_the_verdict_of_the_whole(
    rule: Callable[[], pl.Expr], rows: list[tuple[int, str | None]]
) -> None:
    schema = schema_of(rule)
    whole = verdict(rows, schema)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "_PIECE", 2)
        assert verdict(rows, schema) == whole


@pytest.mark.parametrize("rule", [*ALONE, *TOGETHER])
@settings(deadline=None, max_examples=20)
@given(rows=ROWS)
def test_good_is_what_dataframely_itself_calls_good(
    rule: Callable[[], pl.Expr], rows: list[tuple[int, str | None]]
) -> None:
    schema = schema_of(rule)
    frame = pl.DataFrame(rows, schema={"v": pl.Int64(), "s": pl.String()}, orient="row")
    good, failure = schema.filter(frame)
    found, rejected = verdict(rows, schema)
    assert (found, len(rejected)) == ([(v, s, []) for v, s in good.rows()], len(failure))  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", ALONE)
def test_rules_about_one_row_are_judged_in_pieces(rule: Callable[[], pl.Expr]) -> None:
    assert rules.judged_row_by_row(schema_of(rule))


@pytest.mark.parametrize("rule", TOGETHER)
def test_rules_about_several_rows_are_judged_in_one_piece(rule: Callable[[], pl.Expr]) -> None:
    assert not rules.judged_row_by_row(schema_of(rule))
