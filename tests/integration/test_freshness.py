"""Freshness: every table is reported, and one that is older than promised is late, whichever of its ages it is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from headworks.errors import SettingsError
from headworks.ops.freshness import FreshnessPromise, TableFreshness, measure_freshness
from headworks.storage.store import Lake
from tests.support.items import NAME, land_items, refine_items
from tests.support.sources import items

DAYS = pl.DataFrame({"day": [date(2026, 1, 4), date(2026, 1, 5)], "value": [1, 2]})
NOW = datetime(2026, 1, 6, 12, tzinfo=UTC)


def measured(lake: Lake, now: datetime, *promises: dict[str, Any]) -> dict[str, TableFreshness]:
    made = [FreshnessPromise.model_validate(promise) for promise in promises]
    return {each.table: each for each in measure_freshness(lake, made, lambda: now).tables}


def daily(lake: Lake) -> str:
    lake.ensure("gold", "sales.daily", DAYS.schema).append(DAYS, {})
    return "gold.sales.daily"


def test_every_table_is_told_also_one_that_nothing_is_promised_of(lake: Lake) -> None:
    land_items(lake, items(1, 3))
    refine_items(lake)
    output = measured(lake, datetime.now(UTC))
    assert {name: each.state for name, each in output.items()} == {
        f"bronze.{NAME}": "no promise",
        f"silver.{NAME}": "no promise",
    }
    assert all(each.committed_age_h is not None and each.committed_age_h < 1 for each in output.values())


def test_a_table_that_was_not_written_in_time_is_stale_and_says_by_how_much(lake: Lake) -> None:
    name = daily(lake)
    late = measured(lake, datetime.now(UTC) + timedelta(hours=30), {"table": name, "committed_within_h": 26})
    assert late[name].state == "stale"
    assert late[name].why == "last commit: 30.0 h ago, promised is within 26 h"


def test_care_for_its_files_does_not_make_a_table_fresh(lake: Lake) -> None:
    name = daily(lake)
    daily(lake)
    table = lake.must_open("gold", "sales.daily")
    written = table.written_at()
    table.compact(128)
    assert lake.must_open("gold", "sales.daily").version == table.version
    assert lake.must_open("gold", "sales.daily").written_at() == written
    assert measured(lake, datetime.now(UTC), {"table": name, "committed_within_h": 1})[name].state == "fresh"


@pytest.mark.parametrize(("within_h", "state"), [(12, "fresh"), (11.9, "stale")])
def test_a_day_counts_from_its_end(lake: Lake, within_h: float, state: str) -> None:
    """The newest day is the fifth, and it is noon of the sixth."""
    name = daily(lake)
    output = measured(lake, NOW, {"table": name, "event_column": "day", "event_within_h": within_h})[name]
    assert (output.state, output.event_age_h) == (state, 12)


def test_a_table_without_events_breaks_a_promise_about_its_newest(lake: Lake) -> None:
    lake.ensure("gold", "sales.daily", DAYS.schema)
    promise = {"table": "gold.sales.daily", "event_column": "day", "event_within_h": 24}
    output = measured(lake, NOW, promise)["gold.sales.daily"]
    assert (output.state, output.why) == ("stale", "newest event: there is none, promised is one within 24 h")


def test_a_promised_table_that_is_not_there_is_missing(lake: Lake) -> None:
    promise = FreshnessPromise(table="gold.sales.daily", committed_within_h=24)
    report = measure_freshness(lake, [promise], lambda: NOW)
    assert [(each.table, each.state) for each in report.late] == [("gold.sales.daily", "missing")]


@pytest.mark.parametrize(("column", "said"), [("dya", "choose one of day, value"), ("value", "no time")])
def test_a_column_that_cannot_be_measured_by_is_refused(lake: Lake, column: str, said: str) -> None:
    name = daily(lake)
    with pytest.raises(SettingsError) as caught:
        measured(lake, NOW, {"table": name, "event_column": column, "event_within_h": 1})
    assert said in str(caught.value)


@pytest.mark.parametrize("table", ["sales.daily", "platinum.sales", "gold."])
def test_a_promise_of_no_table_is_refused(table: str) -> None:
    with pytest.raises(ValidationError):
        FreshnessPromise(table=table)
