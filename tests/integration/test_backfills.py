"""Backfills: windows tile the range without gap or overlap, and what is done stays done under the backfill's name."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headworks.bronze.generations import window_reading
from headworks.bronze.landing import Landing, land
from headworks.errors import SettingsError
from headworks.names import Window
from headworks.ops.backfills import Every, PlannedWindow, plan, remember, split
from headworks.storage.store import Lake
from tests.support.faults import Crash, crash_before, writes
from tests.support.items import NAME, bronze, head
from tests.support.sources import Numbered, ids, items

DAYS = split(datetime(2026, 1, 1), datetime(2026, 1, 4), "day")
NOW = datetime(2026, 2, 1, tzinfo=UTC)


@given(
    start=st.datetimes(datetime(2020, 1, 1), datetime(2026, 1, 1)),
    length=st.timedeltas(timedelta(seconds=1), timedelta(days=90)),
    every=st.sampled_from(get_args(Every)),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe"]),
)
def test_windows_tile_the_range_without_gap_or_overlap(
    start: datetime, length: timedelta, every: Every, zone: str
) -> None:
    windows = split(start.replace(tzinfo=UTC), (start + length).replace(tzinfo=UTC), every, zone)
    assert windows[0].start == start.replace(tzinfo=UTC)
    assert windows[-1].end == (start + length).replace(tzinfo=UTC)
    assert all(left.end == right.start for left, right in itertools.pairwise(windows))


def test_a_day_begins_at_the_zones_midnight_and_is_as_long_as_it_is() -> None:
    """In Berlin the last Sunday of March has 23 hours."""
    windows = split(datetime(2026, 3, 28), datetime(2026, 3, 31), "day", "Europe/Berlin")
    assert [each.end - each.start for each in windows] == [timedelta(hours=hours) for hours in (24, 23, 24)]
    assert windows[0].start == datetime(2026, 3, 27, 23, tzinfo=UTC)


def test_weeks_begin_on_mondays_and_months_on_their_first() -> None:
    weeks = split(datetime(2026, 1, 1), datetime(2026, 1, 20), "week")
    assert [each.start.day for each in weeks] == [1, 5, 12, 19]
    months = split(datetime(2026, 1, 31), datetime(2026, 4, 1), "month")
    assert [each.start.date().isoformat() for each in months] == ["2026-01-31", "2026-02-01", "2026-03-01"]


@pytest.mark.parametrize(
    ("start", "end", "every", "zone", "said"),
    [
        (datetime(2026, 1, 2), datetime(2026, 1, 2), "day", "UTC", "not after the start"),
        (datetime(2020, 1, 1), datetime(2026, 1, 1), "hour", "UTC", "more than 10000 windows"),
        (datetime(2026, 1, 1), datetime(2026, 1, 2), "day", "Mars/Olympus", "no time zone"),
    ],
)
def test_what_cannot_be_split_is_refused(
    start: datetime, end: datetime, every: Every, zone: str, said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        split(start, end, every, zone)


def test_the_newest_word_about_a_window_counts(lake: Lake) -> None:
    first, second, third = DAYS
    failed = PlannedWindow(window=first, state="failed", message="the source was away")
    remember(lake, "january", "sales", failed, NOW)
    remember(lake, "january", "sales", PlannedWindow(window=second, state="failed"), NOW)
    remember(lake, "january", "sales", PlannedWindow(window=second, state="done"), NOW + timedelta(hours=1))
    assert plan(lake, "january", "sales", DAYS) == (
        failed,
        PlannedWindow(window=second, state="done"),
        PlannedWindow(window=third),
    )


def test_another_name_is_another_backfill(lake: Lake) -> None:
    remember(lake, "january", "sales", PlannedWindow(window=DAYS[0], state="done"), NOW)
    assert {each.state for each in plan(lake, "again", "sales", DAYS)} == {"planned"}


def test_a_name_that_another_flow_used_is_refused(lake: Lake) -> None:
    remember(lake, "january", "sales", PlannedWindow(window=DAYS[0], state="done"), NOW)
    with pytest.raises(SettingsError, match="the flow sales"):
        plan(lake, "january", "ingest_api", DAYS)


def test_a_window_that_is_read_once_goes_on_where_it_was_cut_short_and_is_not_read_again(lake: Lake) -> None:
    once = Window(**DAYS[0].model_dump() | {"once": "january"})

    def read() -> int:
        stream = window_reading(lake, NAME, once)
        return land(Landing(lake, NAME, stream, "run"), Numbered(items(1, 5), end_mark=True)).landed

    with writes(crash_before(2)), pytest.raises(Crash):
        read()
    assert read() == 3
    assert read() == 0
    assert ids(bronze(lake)) == ["1", "2", "3", "4", "5"]
    assert head(lake).sequence == 0, "the live stream did not move"


def test_the_same_window_under_another_name_is_read_again(lake: Lake) -> None:
    streams = {
        window_reading(lake, NAME, Window(**DAYS[0].model_dump() | {"once": name})) for name in ("a", "b")
    }
    assert len(streams) == 2
