"""Judging rows: each is good or rejected with all of its reasons, and none is lost or moved."""

from __future__ import annotations

import dataframely as dy
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from headworks.quality.rules import REASONS, judge


class Line(dy.Schema):
    """A line."""

    id = dy.Int64(nullable=False)
    v = dy.Int64(nullable=False, min=0)

    @dy.rule()
    def even(cls) -> pl.Expr:
        """Values are even."""
        return pl.col("v") % 2 == 0


Row = tuple[int | None, int | None, list[str]]


def rows(*content: Row) -> pl.DataFrame:
    schema = pl.Schema({"id": pl.Int64(), "v": pl.Int64(), "why": pl.List(pl.String), "_row": pl.Int64()})
    return pl.DataFrame([(*row, n) for n, row in enumerate(content)], schema=schema, orient="row")


def reasons(*content: Row) -> list[list[str]]:
    return judge(rows(*content), Line, "why").rejected.get_column(REASONS).to_list()


def test_a_row_is_rejected_for_every_rule_that_it_breaks() -> None:
    assert reasons((None, -1, [])) == [["even", "id|nullability", "v|min"]]


def test_what_could_not_be_read_is_named_and_not_also_called_null() -> None:
    assert reasons((None, 2, ["id|unreadable"])) == [["id|unreadable"]]
    assert reasons((None, None, ["v|unreadable"])) == [["v|unreadable", "id|nullability"]]


def test_a_record_that_is_unreadable_as_a_whole_has_that_reason_alone() -> None:
    assert reasons((None, None, ["record|unreadable"])) == [["record|unreadable"]]


def test_no_rows_give_no_rows() -> None:
    verdict = judge(rows(), Line, "why")
    assert (verdict.good.height, verdict.rejected.height) == (0, 0)
    assert REASONS in verdict.rejected.columns


content = st.tuples(
    st.one_of(st.none(), st.integers(0, 3)),
    st.one_of(st.none(), st.integers(-2, 3)),
    st.lists(st.sampled_from(["id|unreadable", "v|unreadable"]), unique=True, max_size=2),
)


@given(st.lists(content, max_size=12))
def test_rows_are_divided_without_loss_in_their_order(given_rows: list[Row]) -> None:
    frame = rows(*given_rows)
    verdict = judge(frame, Line, "why")
    good, rejected = verdict.good.get_column("_row").to_list(), verdict.rejected.get_column("_row").to_list()
    assert sorted([*good, *rejected]) == list(range(frame.height))
    assert good == sorted(good)
    expected = [
        n
        for n, (key, value, why) in enumerate(given_rows)
        if key is not None and value is not None and value >= 0 and value % 2 == 0 and not why
    ]
    assert good == expected
    assert verdict.good.columns == frame.columns
    assert verdict.rejected.get_column(REASONS).list.len().min() != 0
