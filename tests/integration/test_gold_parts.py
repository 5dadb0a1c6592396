"""Gold by parts: what a change touches is made again, and the table is what it is when it is made whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from headworks.errors import SettingsError, TransformFailed
from headworks.gold import plans
from headworks.gold.curation import GoldTable, Inputs, audit, curate, stage
from headworks.gold.following import Following
from headworks.gold.parts import Made, made_again
from headworks.gold.plans import NotFollowed
from headworks.gold.sql import Sql
from headworks.gold.table import Pins, pinned_inputs, version_id
from headworks.reports import CurateReport, Parts
from headworks.storage.store import Lake
from tests.support.faults import Crash, crash_after, crash_before, writes
from tests.support.golden import fill, tables
from tests.support.items import NAME
from tests.support.sources import Record, items

MORNING = datetime(2026, 3, 1, 6, tzinfo=UTC)


def thirds(inputs: Inputs) -> pl.LazyFrame:
    """Return the items with the third that they are of, and what share of it they have."""
    rows = inputs[NAME].with_columns(third=pl.col("id") % 3)
    return rows.select("id", "v", "third", of_third=pl.col("v").sum().over("third"))


@pytest.fixture
def table(tmp_path: Path) -> GoldTable:
    """The items by thirds."""
    each = tables(tmp_path / "contracts")[0]
    return replace(each, transform=thirds, by=("third",))


def made(
    lake: Lake, table: GoldTable, pins: Pins, moment: datetime = MORNING, *, whole: bool = False
) -> CurateReport:
    """Stage, audit and commit."""
    staged = stage(lake, table, pins, whole=whole, clock=lambda: moment)
    return curate(lake, staged, audit(lake, table, staged))


def parts_of(report: CurateReport) -> Parts:
    """Return how much was made again."""
    assert report.parts is not None
    return report.parts


def assert_whole(lake: Lake, table: GoldTable, pins: Pins) -> None:
    """Check that the table holds what the transform gives of all of silver."""
    rows = lake.must_open("gold", table.name).scan().collect().sort(table.key)
    assert rows.equals(thirds(pinned_inputs(lake, pins, table.inputs)).collect().sort(table.key))


def test_only_the_parts_that_a_change_touches_are_made_again(lake: Lake, table: GoldTable) -> None:
    """The first time it is whole; then one item of the third 1 changes, and all items of this third are made again."""
    assert parts_of(made(lake, table, fill(lake, items(1, 9)))).whole == "there is no table yet"
    pins = fill(lake, [*items(1, 9), ("4", "99", 2)])
    report = made(lake, table, pins)
    assert (report.changed, report.parts) == (True, Parts(touched=1, of=3, rows=3))
    assert_whole(lake, table, pins)


def test_a_change_that_the_transform_does_not_see_touches_nothing(lake: Lake, table: GoldTable) -> None:
    made(lake, table, fill(lake, items(1, 9)))
    pins = fill(lake, [*items(1, 9), ("4", "40", 7)])
    report = made(lake, table, pins)
    assert (report.changed, parts_of(report).touched) == (False, 0)
    assert_whole(lake, table, pins)


@pytest.mark.parametrize("seed", range(3))
def test_after_changes_of_chance_the_table_is_the_whole_one(lake: Lake, table: GoldTable, seed: int) -> None:
    """Items come, change, go bad and come late; some runs make no gold, some are killed before or after the commit."""
    random, records, cursor = Random(seed), items(1, 12), 1
    made(lake, table, fill(lake, records))
    by_parts = 0
    for _ in range(6):
        cursor += 1
        changed: list[Record] = [
            (str(random.randrange(1, 20)), str(random.randrange(-1, 50)), cursor)
            for _ in range(random.choice([1, 3]))
        ]
        records = [*records, *changed]
        pins = fill(lake, records)
        if random.random() < 0.2:
            continue
        blow = random.choice([None, None, crash_before(1), crash_after(1)])
        if blow is not None:
            with writes(blow), pytest.raises(Crash):
                made(lake, table, pins)
        report = made(lake, table, pins)
        by_parts += report.parts is not None and not report.parts.whole
        assert_whole(lake, table, pins)
    assert by_parts


def test_once_in_a_while_and_when_asked_it_is_made_both_ways_and_compared(
    lake: Lake, table: GoldTable
) -> None:
    made(lake, table, fill(lake, items(1, 9)))
    later = fill(lake, items(1, 10))
    assert not parts_of(made(lake, table, later, MORNING + timedelta(hours=23))).compared
    assert parts_of(made(lake, table, fill(lake, items(1, 11)), MORNING + timedelta(hours=25))).compared
    assert not parts_of(made(lake, table, fill(lake, items(1, 12)), MORNING + timedelta(hours=26))).compared
    pins = fill(lake, items(1, 13))
    assert parts_of(made(lake, table, pins, MORNING + timedelta(hours=27), whole=True)).compared
    # Nothing new, and asked for all the same.
    assert parts_of(made(lake, table, pins, MORNING + timedelta(hours=28), whole=True)).compared


def test_a_difference_of_one_row_ends_the_run_names_it_and_commits_nothing(
    lake: Lake, table: GoldTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would be if a part that was touched had been passed over some runs ago, and no total had shown it."""
    table = replace(table, totals=None)
    made(lake, table, fill(lake, items(1, 9)))
    pins = fill(lake, [*items(1, 9), ("4", "99", 2)])
    with monkeypatch.context() as broken:
        broken.setattr(Following, "touched", lambda self, by: pl.DataFrame(schema={"third": pl.Int64}))
        made(lake, table, pins)
    version = lake.must_open("gold", table.name).version
    later = fill(lake, [*items(1, 9), ("4", "99", 2), ("5", "1", 3)])
    with pytest.raises(
        TransformFailed, match=r"3 rows are in the table by parts alone, such as id=.*take by out"
    ):
        made(lake, table, later, MORNING + timedelta(days=2))
    assert lake.must_open("gold", table.name).version == version
    freed = replace(table, by=())
    made(lake, freed, later)
    assert_whole(lake, freed, later)


def _restore(lake: Lake, table: GoldTable) -> None:
    DeltaTable(lake.uri("gold", table.name)).restore(1)


WHOLE: dict[str, tuple[Callable[[GoldTable], GoldTable], Callable[[Lake, GoldTable], Any], str]] = {
    "another transform": (
        lambda table: replace(table, transform=lambda inputs: thirds(inputs).filter(pl.col("v") >= 0)),
        lambda lake, table: None,
        "another code",
    ),
    "it was restored": (lambda table: table, _restore, "restored"),
    "the first rows": (
        lambda table: replace(table, transform=lambda inputs: thirds(inputs).sort("id").head(100)),
        lambda lake, table: None,
        "first or the last rows",
    ),
    "SQL": (
        lambda table: replace(table, transform=Sql(f"SELECT id, v, id % 3 AS third FROM {NAME}")),
        lambda lake, table: None,
        "SQL",
    ),
}


@pytest.mark.parametrize("why", WHOLE)
def test_where_parts_cannot_be_shown_to_be_right_it_is_made_whole_and_says_why(
    lake: Lake, table: GoldTable, why: str
) -> None:
    other, happen, said = WHOLE[why]
    if said != "another code":
        table = other(table)
    made(lake, table, fill(lake, items(1, 9)))
    made(lake, table, fill(lake, items(1, 10)))
    happen(lake, table)
    report = made(lake, other(table), fill(lake, items(1, 11)))
    assert said in parts_of(report).whole
    assert report.rows == 11


def test_where_the_earlier_silver_is_gone_it_is_made_whole(lake: Lake, table: GoldTable) -> None:
    """As care for the lake's files takes it in the end."""
    made(lake, table, fill(lake, items(1, 9)))
    earlier = lake.must_open("silver", NAME).files()
    pins = fill(lake, [*items(1, 9), ("1", "5", 2)])
    there = {*lake.must_open("silver", NAME).files()}
    for file in earlier:
        if file not in there:
            Path(file).unlink()
    report = made(lake, table, pins)
    assert parts_of(report).whole == "the earlier silver cannot be read any more"
    assert_whole(lake, table, pins)


def test_versions_that_are_not_what_the_table_was_made_from_are_not_compared_with(
    lake: Lake, table: GoldTable
) -> None:
    """A silver that was made again, or restored, has other rows under the same number."""
    made(lake, table, fill(lake, items(1, 9)))
    pins = fill(lake, items(1, 11))
    gold = lake.must_open("gold", table.name)
    how = Made(thirds, table.inputs, table.by)
    assert made_again(lake, how, gold.transaction, pins).values.height
    moved = {version_id(NAME): pins.version_of(NAME).version + 1}
    with pytest.raises(NotFollowed, match=r"silver.t.items was made again, or restored, since"):
        made_again(lake, how, lambda name: moved.get(name, gold.transaction(name)), pins)
    with pytest.raises(NotFollowed, match="not known"):
        made_again(lake, how, lambda name: 0, pins)


def test_a_transform_is_asked_for_its_plan_once_each_time_its_table_is_made(
    lake: Lake, table: GoldTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    real = plans._said

    def said(*given: Any) -> Any:
        asked.append(given)
        return real(*given)

    monkeypatch.setattr(plans, "_said", said)
    made(lake, table, fill(lake, items(1, 9)))
    assert len(asked) == 1
    report = made(lake, table, fill(lake, items(1, 11)))
    assert (len(asked), parts_of(report).whole) == (2, "")


@pytest.mark.parametrize("by", ["third", ("third", "third"), ["third"]])
def test_a_slip_in_the_declaration_is_an_error_at_once(table: GoldTable, by: Any) -> None:
    with pytest.raises(SettingsError, match=r"by=\(\"day\",\)"):
        replace(table, by=by)


@pytest.mark.parametrize(
    ("by", "said"), [("nope", "gives no column nope"), ("share", "cannot have parts by share")]
)
def test_parts_by_a_column_that_is_not_there_or_has_no_exact_values_are_refused(
    lake: Lake, table: GoldTable, by: str, said: str
) -> None:
    odd = replace(
        table, by=(by,), transform=lambda inputs: thirds(inputs).with_columns(share=pl.col("v") / 2)
    )
    with pytest.raises(TransformFailed, match=said):
        made(lake, odd, fill(lake, items(1, 9)))


def test_a_table_without_by_says_nothing_of_parts(lake: Lake, table: GoldTable) -> None:
    report = made(lake, replace(table, by=()), fill(lake, items(1, 9)))
    assert report.parts is None


def test_a_transform_with_todays_date_is_made_whole_each_day(
    lake: Lake, table: GoldTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of parts that nothing touches it says something else tomorrow, too."""

    def aged(inputs: Inputs) -> pl.LazyFrame:
        today = int(os.environ["TODAY"])
        return inputs[NAME].select("id", v=pl.col("v") + today, third=pl.col("id") % 3)

    table = replace(table, transform=aged, totals=None)
    monkeypatch.setenv("TODAY", "1")
    assert parts_of(made(lake, table, fill(lake, items(1, 9)))).whole
    assert not parts_of(made(lake, table, fill(lake, items(1, 10)))).whole
    monkeypatch.setenv("TODAY", "2")
    pins = fill(lake, items(1, 11))
    assert "today's date" in parts_of(made(lake, table, pins)).whole
    found = lake.must_open("gold", table.name).scan().collect().sort(table.key)
    assert found.equals(aged(pinned_inputs(lake, pins, table.inputs)).collect().sort(table.key))
    assert not parts_of(made(lake, table, fill(lake, items(1, 12)))).whole
