"""When an outcome counts, given by a moment or by a day, and what is said of outcomes that cannot be read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from headworks.errors import TransformFailed
from headworks.models.features import AsOf, Known, PointInTime
from headworks.models.training import LABEL, labelled

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
CUT = MONDAY + timedelta(hours=10)
"""The first cut; the second one is a week later."""

_OF = (Known("a.members", ("id",), None), Known("a.ends", ("id",), None))


def _members(known: AsOf) -> pl.LazyFrame:
    return known.rows("a.members").select("id")


def _ends(known: AsOf) -> pl.LazyFrame:
    return known.rows("a.ends").select("id", at="ended")


def _made(ends: list[tuple[Any, datetime]], outcomes: Any = _ends) -> pl.DataFrame:
    """Return features of one member at two cuts, with ends that are given by when they happened and were received."""
    members = pl.DataFrame(
        {"id": [1, 2], "_ingested_at": [CUT, CUT + 5 * WEEK], "_deleted": [False, False]},
        schema_overrides={"_ingested_at": pl.Datetime("us", "UTC")},
    )
    frame = pl.DataFrame(
        {
            "id": [1] * len(ends),
            "ended": [at for at, _ in ends],
            "_ingested_at": [got for _, got in ends],
            "_deleted": [False] * len(ends),
        },
        schema_overrides={"_ingested_at": pl.Datetime("us", "UTC")},
    )
    transform = PointInTime(_OF, _members, outcomes, ("id",), WEEK, 10, only=(CUT, CUT + WEEK))
    made = transform({"a.members": members.lazy(), "a.ends": frame.lazy()}).collect()
    assert made.columns == ["id", "cut", "target_at", "observed_until"]
    return labelled(made.filter(pl.col("id") == 1), WEEK).sort("cut")


@pytest.mark.parametrize(
    ("ends", "labels"),
    [
        ([(CUT + HOUR, CUT + DAY)], [True, False]),
        ([(CUT, CUT + DAY)], [False, False]),
        ([(date(2026, 1, 7), CUT + 3 * DAY)], [True, False]),
        ([(date(2026, 1, 5), CUT + DAY)], [True, False]),
        ([(date(2026, 1, 5), CUT - HOUR)], [False, False]),
        ([(date(2026, 1, 4), CUT - HOUR)], [False, False]),
        ([(date(2026, 1, 12), CUT + 8 * DAY)], [False, True]),
        ([(date(2026, 1, 11), CUT + WEEK)], [True, False]),
    ],
    ids=[
        "a moment after the cut",
        "not the moment of the cut",
        "a day between the cuts",
        "the cut's own day, of which nothing was known at the cut",
        "not the cut's own day, where it was known at the cut",
        "not the day before",
        "the day on which the horizon ends is not over by then, and is the next cut's",
        "the day before the horizon's end",
    ],
)
def test_when_an_outcome_counts(ends: list[tuple[Any, datetime]], labels: list[bool]) -> None:
    assert _made(ends).get_column(LABEL).to_list() == labels


def test_each_outcome_of_days_is_the_target_of_one_step_alone() -> None:
    """Whatever day of the horizon it is, the label of no other week changes by it: none is lost and none is twice."""
    for day in range(7):
        ended = date(2026, 1, 5) + day * DAY
        assert _made([(ended, CUT + 9 * DAY)]).get_column(LABEL).to_list() == [True, False], ended


def test_a_later_outcome_counts_after_one_of_the_cuts_day_that_was_known() -> None:
    ends = [(date(2026, 1, 5), CUT - HOUR), (date(2026, 1, 8), CUT + 3 * DAY)]

    def all_of_them(known: AsOf) -> pl.LazyFrame:
        return known.versions("a.ends").select("id", at="ended")

    made = _made(ends, all_of_them)
    assert made.get_column("target_at").to_list() == [datetime(2026, 1, 9, tzinfo=UTC), None]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"at": pl.lit(1_767_571_200)}, "at is no moment: its type is Int"),
        ({"at": pl.lit("2026-01-05")}, "at is no moment: its type is String"),
        ({"when": pl.col("ended")}, "no column at; they give id, when"),
    ],
)
def test_outcomes_that_have_no_moment_are_named(columns: dict[str, pl.Expr], said: str) -> None:
    """A number would be taken for microseconds since 1970, and every outcome would be long ago."""

    def outcomes_of_a_kind(known: AsOf) -> pl.LazyFrame:
        return known.rows("a.ends").select("id", **columns)

    with pytest.raises(TransformFailed, match=said) as caught:
        _made([(CUT + HOUR, CUT + DAY)], outcomes_of_a_kind)
    assert "outcomes_of_a_kind" in caught.value.where


def test_a_dataset_that_is_not_read_is_named_with_those_that_are() -> None:
    known = AsOf(CUT, {one.name: one for one in _OF}, {})
    for ask in (known.rows, known.versions):
        with pytest.raises(TransformFailed, match=r"it reads a\.members, a\.ends\. Did you mean a\.ends\?"):
            ask("a.end")
