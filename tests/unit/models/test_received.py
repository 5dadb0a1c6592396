"""A source that stops is missed by its own rhythm, whatever the others do; one that says little is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest

from headworks.models.features import last_received, observed_until, steady

WEEK, MONDAY = timedelta(weeks=1), datetime(2026, 1, 5, 5, tzinfo=UTC)


def _frame(*weeks: tuple[int, int], hours: int = 0) -> pl.DataFrame:
    """Return rows that were received in some weeks: (week, how many)."""
    moments = [MONDAY + week * WEEK + timedelta(hours=hours) for week, rows in weeks for _ in range(rows)]
    return pl.DataFrame({"_ingested_at": moments}, schema={"_ingested_at": pl.Datetime("us", "UTC")})


def _every(first: int, last: int, rows: int = 5, hours: int = 0) -> pl.DataFrame:
    return _frame(*((week, rows) for week in range(first, last + 1)), hours=hours)


SOURCES: dict[str, tuple[pl.DataFrame, bool]] = {
    "as the others": (_every(0, 20), False),
    "stopped a week ago": (_every(0, 19), True),
    "stopped half a year ago": (_every(-30, -6), True),
    "stopped after a week without any": (_frame(*((week, 5) for week in range(19) if week != 15)), True),
    "young, and stopped": (_every(14, 18), True),
    "of hours later": (_every(0, 20, hours=30), False),
    "loaded once": (_frame((0, 5000)), False),
    "loaded twice, and little since": (_frame((0, 900), (1, 900), (9, 1), (14, 2)), False),
    "a few rows a week, none in some": (_frame(*((week, week % 3) for week in range(18))), False),
    "monthly": (_frame(*((week, 4000) for week in range(0, 20, 4))), False),
    "never received": (_frame(), False),
}


@pytest.mark.parametrize("source", SOURCES)
def test_what_was_known_until_is_until_the_one_that_stopped(source: str) -> None:
    frame, missed = SOURCES[source]
    frames = {"a.others": _every(0, 20), "a.more": _every(0, 20, hours=2), "a.source": frame}
    until = observed_until(frames, WEEK)
    newest = max(last_received(frames).values())
    assert (until < newest) == missed
    if missed:
        last = last_received(frames)["a.source"]
        assert steady(frames, WEEK)["a.source"] == last
        assert last <= until < last + WEEK
        assert observed_until(frames, WEEK, quiet=("a.source",)) == newest
        assert "a.source" not in steady(frames, WEEK, quiet=("a.source",))


def test_without_anything_nothing_is_known() -> None:
    assert observed_until({"a.source": _frame()}, WEEK) < MONDAY - 52 * WEEK
    assert steady({"a.source": _frame()}, WEEK) == {}


@pytest.mark.parametrize("last", range(20))
def test_what_is_known_never_goes_back_when_more_comes(last: int) -> None:
    """Week by week, while one source is missing from the tenth on."""
    frames = [{"a.one": _every(0, week), "a.two": _every(0, min(week, 10))} for week in range(last, 21)]
    moments = [observed_until(each, WEEK) for each in frames]
    assert all(one <= other for one, other in pairwise(moments))
