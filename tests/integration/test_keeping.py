"""What silver keeps of the versions of a key: the newest, the first, or a history; and what tombstones do to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headworks.bronze.landing import Landing, land
from headworks.errors import SettingsError
from headworks.reports import RefineReport
from headworks.settings import LakeSettings, RejectLimits
from headworks.silver.dataset import CURRENT, DELETED, VALID_FROM, VALID_TO, Dataset
from headworks.silver.history import compare_history, versions
from headworks.silver.quarantine import rejected_rows
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.support.items import ITEM
from tests.support.sources import Frames

NAME = "t.people"
DAY0 = datetime(2026, 1, 1, tzinfo=UTC)
Version = tuple[int | None, str | None, int, bool]
"""A version as the source shows it: key, city, the day since which, and whether the key is gone."""


class PeopleSchema(dy.Schema):
    """Where people live."""

    id = dy.Int64(nullable=False)
    city = dy.String(nullable=False)
    since = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")

    @dy.rule()
    def short_name(cls) -> pl.Expr:
        """Cities have at least four letters."""
        return pl.col("city").str.len_chars() >= 4


PEOPLE = Dataset(
    name=NAME,
    key=("id",),
    schema=PeopleSchema,
    columns={name: pl.col(name) for name in PeopleSchema.column_names()},
    cursor="since",
    deleted_when=pl.col("gone"),
    limits=RejectLimits(share=1.0),
    warnings=("short_name",),
)
HISTORY = replace(PEOPLE, keeps="history")


def frame(output: Sequence[Version]) -> pl.DataFrame:
    rows = [(key, city, DAY0 + timedelta(days=day), gone) for key, city, day, gone in output]
    types = {"id": pl.Int64(), "city": pl.String(), "since": pl.Datetime("us", "UTC"), "gone": pl.Boolean()}
    return pl.DataFrame(rows, schema=types, orient="row")


def ingest(lake: Lake, loads: Sequence[Sequence[Version]], dataset: Dataset) -> list[RefineReport]:
    """Land and refine load after load."""
    reports = []
    for number in range(1, len(loads) + 1):
        source = Frames([frame(load) for load in loads[:number]])
        land(Landing(lake, NAME, NAME, f"run-{number}", clock=lambda: DAY0), source)
        outcome = refine(Refinement(lake, f"run-{number}", clock=lambda: DAY0 + timedelta(days=99)), dataset)
        assert outcome.gate is None or outcome.gate.open, outcome.gate
        reports.append(outcome.report)
    return reports


def silver(lake: Lake) -> pl.DataFrame:
    return lake.must_open("silver", NAME).scan().collect()


def lives(rows: pl.DataFrame) -> list[tuple[Any, ...]]:
    """Return a history as (id, city, from day, to day, current, deleted), in order."""

    def day(moment: datetime | None) -> int | None:
        return None if moment is None else (moment - DAY0).days

    ordered = rows.sort("id", VALID_FROM).select("id", "city", VALID_FROM, VALID_TO, CURRENT, DELETED)
    return [(key, city, day(begin), day(end), *rest) for key, city, begin, end, *rest in ordered.iter_rows()]


def test_a_history_keeps_each_version_with_its_time(lake: Lake) -> None:
    first, second = ingest(
        lake, [[(1, "Köln", 0, False), (2, "Delft", 0, False)], [(1, "Leeds", 5, False)]], HISTORY
    )
    assert (first.inserted, second.inserted, second.updated) == (2, 1, 0)
    assert lives(silver(lake)) == [
        (1, "Köln", 0, 5, False, False), (1, "Leeds", 5, None, True, False), (2, "Delft", 0, None, True, False),
    ]  # fmt: skip


def test_a_late_version_takes_its_place_between_the_others(lake: Lake) -> None:
    ingest(lake, [[(1, "Köln", 0, False), (1, "Leeds", 9, False)], [(1, "Delft", 4, False)]], HISTORY)
    assert [row[1:5] for row in lives(silver(lake))] == [
        ("Köln", 0, 4, False), ("Delft", 4, 9, False), ("Leeds", 9, None, True),
    ]  # fmt: skip


def test_a_tombstone_ends_a_history_and_a_newer_version_begins_it_again(lake: Lake) -> None:
    ingest(lake, [[(1, "Köln", 0, False)], [(1, None, 3, True)]], HISTORY)
    assert [row[2:] for row in lives(silver(lake))] == [(0, 3, False, False), (3, None, False, True)]
    ingest(lake, [[(1, "Köln", 0, False)], [(1, None, 3, True)], [(1, "Leeds", 7, False)]], HISTORY)
    assert [row[2:] for row in lives(silver(lake))][-2:] == [(3, 7, False, True), (7, None, True, False)]


def test_reading_a_history_again_changes_nothing(lake: Lake) -> None:
    load: list[Version] = [(1, "Köln", 0, False), (1, "Leeds", 5, False)]
    *_, again = ingest(lake, [load, load], HISTORY)
    assert (again.unchanged, again.accepted) == (2, 0)
    assert silver(lake).height == 2


def test_a_history_without_a_cursor_is_refused() -> None:
    with pytest.raises(SettingsError, match="from when on"):
        replace(ITEM, cursor=None, keeps="history")


VERSION = st.tuples(
    st.integers(1, 2), st.sampled_from(["Köln", "Delft", "Leeds"]), st.integers(0, 5), st.booleans()
)


def numbered(output: Sequence[Version]) -> pl.DataFrame:
    """Return versions as they leave the rules, each with a provenance of its own: later ones were read later."""
    return (
        frame(output)
        .rename({"gone": DELETED})
        .with_columns(
            pl.col("since").to_physical().alias("_cursor"),
            pl.int_range(pl.len(), dtype=pl.Int64).alias("_arrival"),
            pl.lit(DAY0, dtype=pl.Datetime("us", "UTC")).alias("_ingested_at"),
            pl.lit("s").alias("_stream"),
            pl.lit(1, dtype=pl.Int64).alias("_sequence"),
            pl.int_range(pl.len(), dtype=pl.Int64).alias("_row"),
        )
    )


def merged(there: pl.DataFrame, load: pl.DataFrame) -> pl.DataFrame:
    """Merge a load into a history as the lake does it."""
    changes = compare_history(versions(load, HISTORY), there.lazy(), HISTORY).changes
    kept = there.join(changes, on=["id", VALID_FROM], how="anti")
    return pl.concat([kept, changes.select(there.columns)])


@settings(max_examples=60, deadline=None)
@given(st.lists(VERSION, min_size=1, max_size=10), st.data())
def test_any_order_of_arrival_gives_the_same_history(output: list[Version], data: st.DataObject) -> None:
    """In one load or in several, in any order, and some of it twice."""
    empty = pl.DataFrame(schema=HISTORY.silver_schema())
    rows = numbered(output)
    at_once = merged(empty, rows)
    order = data.draw(st.permutations(range(rows.height)))
    step, again = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 3))
    piecewise = empty
    for start in range(0, len(order), step):
        piecewise = merged(piecewise, rows[order[start : start + step]])
    piecewise = merged(piecewise, rows[order[:again]]) if again else piecewise
    assert lives(piecewise) == lives(at_once)


@settings(max_examples=60, deadline=None)
@given(st.lists(VERSION, min_size=1, max_size=12))
def test_a_history_has_no_gap_no_overlap_and_at_most_one_current_row(output: list[Version]) -> None:
    rows = lives(merged(pl.DataFrame(schema=HISTORY.silver_schema()), numbered(output)))
    for _, group in groupby(rows, key=lambda row: row[0]):
        chain = list(group)
        assert all(one[3] == after[2] for one, after in pairwise(chain)), (
            "each ends where the next one begins"
        )
        assert chain[-1][3] is None
        assert sum(row[4] for row in chain) == (0 if chain[-1][5] else 1)
        newest = max(row_of[2] for row_of in output if row_of[0] == chain[0][0])
        assert chain[-1][2] == newest


def test_a_tombstone_deletes_its_key_and_keeps_the_last_values(lake: Lake) -> None:
    ingest(lake, [[(1, "Köln", 0, False), (2, "Delft", 0, False)], [(1, None, 3, True)]], PEOPLE)
    rows = silver(lake).sort("id").select("id", "city", DELETED).rows()
    assert rows == [(1, "Köln", True), (2, "Delft", False)]


def test_a_tombstone_that_comes_first_keeps_older_versions_dead(lake: Lake) -> None:
    ingest(lake, [[(1, None, 3, True)], [(1, "Köln", 0, False)]], PEOPLE)
    assert silver(lake).select("id", DELETED).rows() == [(1, True)]


def test_a_tombstone_without_a_key_is_rejected(lake: Lake) -> None:
    (report,) = ingest(lake, [[(None, None, 3, True)]], PEOPLE)
    assert report.rejected == 1
    kept = rejected_rows(lake, NAME, lake.open("silver", NAME))
    assert kept is not None
    assert "id|nullability" in kept.collect().get_column("reasons").item()


def test_what_was_appended_first_is_never_changed(lake: Lake) -> None:
    appending = replace(PEOPLE, keeps="first")
    _, second, third = ingest(
        lake, [[(1, "Köln", 0, False)], [(1, "Leeds", 5, False), (2, "Delft", 5, False)], [(1, "Köln", 0, False)]],
        appending,
    )  # fmt: skip
    assert (second.inserted, second.updated, second.superseded) == (1, 0, 1)
    assert third.unchanged == 1
    assert silver(lake).sort("id").get_column("city").to_list() == ["Köln", "Delft"]


def test_the_first_version_is_that_which_arrived_first_though_its_run_ended_last(lake: Lake) -> None:
    """Two runs land in turns; what each of them landed would be a delivery of its own."""
    appending = replace(PEOPLE, keeps="first")

    def part(*rows: Version) -> pl.DataFrame:
        return pl.DataFrame(rows, schema=["id", "city", "since", "gone"], orient="row").with_columns(
            since=DAY0 + pl.duration(days="since")
        )

    frames = {
        NAME: [part((1, "Köln", 1, False)), part((3, "Turin", 1, False))],
        f"{NAME}@w1": [part((1, "Leeds", 2, False), (2, "Delft", 2, False))],
    }
    long = land(Landing(lake, NAME, NAME, "long"), Frames(frames[NAME][:1]))
    assert long.landed == 1
    land(Landing(lake, NAME, f"{NAME}@w1", "short"), Frames(frames[f"{NAME}@w1"]))
    land(Landing(lake, NAME, NAME, "long"), Frames(frames[NAME]))
    refine(Refinement(lake, "run"), appending)
    assert silver(lake).sort("id").get_column("city").to_list() == ["Köln", "Delft", "Turin"]


def test_a_rule_that_only_warns_is_counted_and_rejects_nothing(lake: Lake) -> None:
    (report,) = ingest(lake, [[(1, "Ulm", 0, False), (2, "Köln", 0, False), (3, None, 0, False)]], PEOPLE)
    assert (report.inserted, report.rejected, report.warned) == (2, 1, {"short_name": 1})
    assert report.reasons == {"city|nullability": 1}


@settings(max_examples=6, deadline=None)
@given(st.lists(st.lists(VERSION, max_size=4), min_size=1, max_size=3))
def test_a_history_in_the_lake_is_that_of_all_versions_at_once(
    tmp_path_factory: pytest.TempPathFactory, loads: list[list[Version]]
) -> None:
    lake = Lake(LakeSettings(root=str(Path(tmp_path_factory.mktemp("history")) / "lake")))
    ingest(lake, loads, HISTORY)
    at_once = merged(
        pl.DataFrame(schema=HISTORY.silver_schema()), numbered([one for load in loads for one in load])
    )
    assert lives(silver(lake)) == lives(at_once)
