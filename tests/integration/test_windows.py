"""Windows: streams of their own alongside the live one, taken up where they were cut short."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from headworks.bronze.generations import window_reading
from headworks.bronze.landing import Landing, land
from headworks.names import Window
from headworks.storage.store import Lake
from tests.support.faults import Crash, crash_before, writes
from tests.support.items import NAME, bronze, head, land_items, refine_items, silver
from tests.support.sources import Numbered, ids, items

DAY = Window(start=datetime(2026, 1, 5, tzinfo=UTC), end=datetime(2026, 1, 6, tzinfo=UTC))


def read_window(lake: Lake, records: int, window: Window = DAY) -> str:
    stream = window_reading(lake, NAME, window)
    land(Landing(lake, NAME, stream, "backfill"), Numbered(items(1, records), end_mark=True))
    return stream


def cut_short(lake: Lake, window: Window = DAY) -> str:
    stream = window_reading(lake, NAME, window)
    with writes(crash_before(2)), pytest.raises(Crash):
        land(Landing(lake, NAME, stream, "backfill"), Numbered(items(1, 4), end_mark=True))
    return stream


def test_a_window_never_moves_the_live_position(lake: Lake) -> None:
    land_items(lake, items(1, 3))
    before = head(lake)
    read_window(lake, 9)
    assert head(lake) == before


def test_a_window_read_twice_gets_a_new_stream(lake: Lake) -> None:
    first, second = read_window(lake, 2), read_window(lake, 2)
    assert first != second
    assert ids(bronze(lake)) == ["1", "1", "2", "2"]
    refine_items(lake)
    assert silver(lake) == {1: (10, 1), 2: (20, 1)}


def test_a_window_that_was_cut_short_goes_on_in_its_stream(lake: Lake) -> None:
    assert cut_short(lake) == read_window(lake, 4)
    assert ids(bronze(lake)) == ["1", "2", "3", "4"]


def test_windows_that_differ_by_less_than_a_second_do_not_share_a_stream(lake: Lake) -> None:
    """Else the second would continue at the first's position, and leave out what lies before it."""
    later = Window(start=DAY.start + timedelta(milliseconds=500), end=DAY.end)
    assert cut_short(lake, later) != window_reading(lake, NAME, DAY)


def test_a_window_that_shows_nothing_new_changes_nothing_in_silver(lake: Lake) -> None:
    land_items(lake, items(1, 3))
    refine_items(lake)
    read_window(lake, 3)
    report = refine_items(lake)
    assert (report.unchanged, report.changed) == (3, False)
