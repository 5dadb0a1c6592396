"""Replaying the quarantine: what passes under corrected rules becomes silver as a first run would have made it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headworks.bronze.resolutions import resolutions
from headworks.errors import CandidateStale, SettingsError
from headworks.settings import LakeSettings
from headworks.silver.refinement import Refinement, refine
from headworks.silver.rejects import Selection, open_rejects
from headworks.silver.replay import discard, replay
from headworks.storage.store import Lake
from tests.support.faults import Crash
from tests.support.items import (
    BEGINNING,
    ITEM,
    NAME,
    land_items,
    quarantine_rows,
    refine_items,
    rejected,
    silver,
)
from tests.support.sampled import examples
from tests.support.sources import Record, bad_items, items


class CorrectedSchema(dy.Schema):
    """The items' rules after the fix: a negative value was never wrong."""

    id = dy.Int64(nullable=False)
    v = dy.Int64(nullable=False)
    at = dy.Int64(nullable=True)


FIXED = replace(ITEM, schema=CorrectedSchema)


def work(lake: Lake, run_id: str = "replay") -> Refinement:
    return Refinement(lake, run_id, clock=lambda: BEGINNING)


def resolved(lake: Lake) -> list[tuple[str, str]]:
    rows = resolutions(lake, NAME).select("key", "resolution").sort("key").collect()
    return [(key, resolution) for key, resolution in rows.iter_rows()]


def test_rows_that_pass_under_the_corrected_rules_become_silver(lake: Lake) -> None:
    land_items(lake, [*items(1, 2), *bad_items(3, 4), ("x", "1", 1)])
    refine_items(lake)
    outcome = replay(work(lake), FIXED, by="ada", note="the rule was wrong")
    assert silver(lake) == {1: (10, 1), 2: (20, 1), 3: (-3, 1), 4: (-4, 1)}
    report = outcome.report
    assert (report.judged, report.released, report.still_rejected, report.committed) == (3, 2, 1, True)
    assert report.reasons == {"id|unreadable": 1}


def test_every_rejected_row_stays_with_what_became_of_it(lake: Lake) -> None:
    land_items(lake, bad_items(1, 2))
    refine_items(lake)
    replay(work(lake), FIXED, by="ada", note="the rule was wrong")
    assert (rejected(lake), quarantine_rows(lake)) == (["1", "2"], 2)
    row = resolutions(lake, NAME).sort("key").collect().row(0, named=True)
    assert (row["resolution"], row["by"], row["note"], row["run_id"], row["reasons"]) == (
        "released", "ada", "the rule was wrong", "replay", ["v|min"],
    )  # fmt: skip


def test_a_second_replay_changes_nothing(lake: Lake) -> None:
    land_items(lake, [*items(1, 1), *bad_items(2, 3)])
    refine_items(lake)
    replay(work(lake), FIXED)
    version, noted = lake.must_open("silver", NAME).version, resolved(lake)
    again = replay(work(lake, "again"), FIXED)
    assert (again.report.judged, again.report.committed, again.gate) == (0, False, None)
    assert (lake.must_open("silver", NAME).version, resolved(lake)) == (version, noted)


@pytest.mark.parametrize(
    "step",
    [
        "silver.replay.put_rejected",
        "silver.replay.commit_merge",
        "silver.replay.note_passed",
        "bronze.resolutions.resolve",
    ],
)
def test_a_replay_that_was_killed_is_finished_by_the_next_one(
    lake: Lake, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed just before any of its steps, and replayed twice: each row is in silver once, and resolved once."""

    def crash(*_: Any) -> None:
        raise Crash

    land_items(lake, [*items(1, 2), *bad_items(3, 4)])
    refine_items(lake)
    with monkeypatch.context() as patch:
        patch.setattr(f"headworks.{step}", crash)
        with pytest.raises(Crash):
            replay(work(lake, "killed"), FIXED)
    for run_id in ("second", "third"):
        replay(work(lake, run_id), FIXED)
    assert silver(lake) == {1: (10, 1), 2: (20, 1), 3: (-3, 1), 4: (-4, 1)}
    assert resolved(lake) == [("3", "released"), ("4", "released")]


def test_a_replay_beside_a_refinement_is_refused_and_can_be_repeated(lake: Lake) -> None:
    land_items(lake, bad_items(1, 2))
    refine_items(lake)

    def meanwhile() -> int:
        land_items(lake, [*bad_items(1, 2), *items(3, 3)])
        refine_items(lake)
        return 4711

    with pytest.raises(CandidateStale):
        replay(replace(work(lake), token=meanwhile), FIXED)
    assert silver(lake) == {3: (30, 1)}
    replay(work(lake), FIXED)
    assert silver(lake) == {1: (-1, 1), 2: (-2, 1), 3: (30, 1)}


def test_an_older_version_does_not_overwrite_what_is_newer(lake: Lake) -> None:
    land_items(lake, [("1", "-5", 1), ("1", "50", 2)])
    assert refine_items(lake).superseded == 1
    outcome = replay(work(lake), FIXED)
    assert (outcome.report.judged, outcome.report.committed) == (0, False)
    assert silver(lake) == {1: (50, 2)}


def test_a_dry_run_says_what_would_come_of_it_and_writes_nothing(lake: Lake) -> None:
    land_items(lake, bad_items(1, 2))
    refine_items(lake)
    outcome = replay(work(lake), FIXED, dry_run=True)
    assert (outcome.report.released, outcome.report.committed) == (2, False)
    assert (silver(lake), resolved(lake)) == ({}, [])


def test_only_the_selected_rows_are_judged_again(lake: Lake) -> None:
    land_items(lake, [*bad_items(1, 3), ("4", "zz", 1)])
    refine_items(lake, "monday")
    assert replay(work(lake), FIXED, Selection(row_keys=("2",))).report.judged == 1
    assert set(silver(lake)) == {2}
    assert replay(work(lake), FIXED, Selection(reasons=("v|unreadable",))).report.judged == 1
    assert replay(work(lake), FIXED, Selection(runs=("tuesday",))).report.judged == 0
    assert replay(work(lake), FIXED, Selection(before=BEGINNING - timedelta(days=9999))).report.judged == 0
    assert replay(work(lake), FIXED, Selection(runs=("monday",))).report.released == 2


def test_discarded_rows_are_not_judged_again_and_keep_their_story(lake: Lake) -> None:
    land_items(lake, bad_items(1, 2))
    refine_items(lake)
    assert discard(work(lake), NAME, Selection(row_keys=("1",)), by="ada", note="a test order") == 1
    replay(work(lake), FIXED)
    assert silver(lake) == {2: (-2, 1)}
    assert resolved(lake) == [("1", "discarded"), ("2", "released")]
    assert open_rejects(lake, NAME, lake.open("silver", NAME)).collect().is_empty()


def test_nobody_discards_without_a_name_and_a_reason(lake: Lake) -> None:
    land_items(lake, bad_items(1, 1))
    refine_items(lake)
    with pytest.raises(SettingsError):
        discard(work(lake), NAME, Selection(), by="", note="because")
    assert resolved(lake) == []


RECORDS = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "3", "x"]),
        st.sampled_from(["5", "-5", "7", "-7", "zz"]),
        st.integers(0, 3),
    ),
    max_size=12,
)


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=3))
def test_after_a_replay_silver_is_what_a_clean_first_run_makes(
    tmp_path_factory: pytest.TempPathFactory, loads: list[list[Record]]
) -> None:
    """Whatever was rejected by a wrong rule, in whatever order it came, replayed twice."""
    folder = tmp_path_factory.mktemp("lakes")
    wrong, right = (Lake(LakeSettings(root=str(Path(folder) / name))) for name in ("wrong", "right"))
    landed: list[Record] = []
    for number, load in enumerate(loads):
        landed += load
        for lake in (wrong, right):
            land_items(lake, landed, size=100)
        refine(Refinement(wrong, f"wrong-{number}"), ITEM)
        refine(Refinement(right, f"right-{number}"), FIXED)
    for run_id in ("first", "second"):
        replay(work(wrong, run_id), FIXED)
    assert silver(wrong) == silver(right)
    kept = [
        open_rejects(lake, NAME, lake.open("silver", NAME)).select(pl.len()).collect().item()
        for lake in (wrong, right)
    ]
    assert kept[0] == kept[1]


def test_a_row_that_lies_between_two_equal_readings_does_not_win(lake: Lake) -> None:
    """Good, wrongly rejected, good again, all with one cursor: the last reading is the newest, also after a replay."""
    land_items(lake, [("1", "5", 0)])
    refine_items(lake)
    land_items(lake, [("1", "5", 0), ("1", "-5", 0), ("1", "5", 0)])
    report = refine_items(lake)
    assert (report.unchanged, report.rejected) == (1, 0)
    assert replay(work(lake), FIXED).report.judged == 0
    assert silver(lake) == {1: (5, 0)}


TABLE_CONTRACT = """
dataset: lake/silver/t_items
columns:
  - name: v
checks:
  - row_count:
      threshold:
        must_be_less_than: 3
"""


def test_a_replay_is_held_against_the_contract_for_the_table_too(lake: Lake, tmp_path: Path) -> None:
    """Two rows are there, and the contract allows no third: the replay's gate closes, and silver stays as it is."""
    land_items(lake, [*items(1, 2), *bad_items(3, 3)])
    refine_items(lake)
    contract = tmp_path / "table.yml"
    contract.write_text(TABLE_CONTRACT)
    outcome = replay(
        Refinement(lake, "again"), replace(ITEM, schema=CorrectedSchema, table_contract=contract)
    )
    assert outcome.gate is not None
    assert not outcome.gate.open
    assert set(silver(lake)) == {1, 2}
    assert replay(Refinement(lake, "again"), replace(ITEM, schema=CorrectedSchema)).report.inserted == 1
