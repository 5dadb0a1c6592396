"""Silver made again from bronze is what a fresh lake makes of the same bronze, in every way of keeping versions.

New columns get their values, rejected rows count once, decisions of people stay, a kill changes nothing or all, and
further runs continue from there.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import dataframely as dy
import polars as pl
import pytest

from headworks.bronze.generations import begin_generation, complete_generation
from headworks.bronze.landing import Landing, land
from headworks.errors import CandidateStale, LakeUnusable, SettingsError
from headworks.ops.maintenance import MaintenanceSettings, maintain
from headworks.quality.limits import AnomalyLimits
from headworks.settings import LakeSettings, RejectLimits
from headworks.silver.dataset import DELETED, Dataset
from headworks.silver.expressions import whole_number
from headworks.silver.quarantine import rejected_rows
from headworks.silver.rebuild import RebuildOutcome, rebuild
from headworks.silver.refinement import Refinement, refine
from headworks.silver.rejects import Selection, open_rejects
from headworks.silver.replay import discard, replay
from headworks.silver.table import CHANGE
from headworks.storage.store import Lake
from tests.support.faults import Crash, commits
from tests.support.items import Ticking
from tests.support.sources import Frames

NAME = "t.things"
Keeps = Literal["newest", "first", "history"]


class Narrow(dy.Schema):
    """A thing as it was declared first."""

    id = dy.Int64(nullable=False)
    at = dy.Int64(nullable=False)
    v = dy.Int64(nullable=False, min=0)


class Wide(Narrow):
    """A thing with a column more."""

    note = dy.String(nullable=True)


BEFORE = Dataset(
    name=NAME,
    key=("id",),
    schema=Narrow,
    fields=("id", "at", "v"),
    columns={name: whole_number(name) for name in ("id", "at", "v")},
    cursor="at",
    deleted_when=None,
    limits=RejectLimits(share=1.0),
    anomalies=AnomalyLimits(enabled=False),
)


def wide(keeps: Keeps = "newest") -> Dataset:
    """Return the declaration with the new column."""
    columns = {**BEFORE.columns, "note": pl.col("note")}
    return replace(BEFORE, schema=Wide, fields=tuple(columns), columns=columns, keeps=keeps)


def record(number: int, at: int, v: Any = 1) -> dict[str, Any]:
    return {"id": number, "at": at, "v": v, "note": f"{number} at {at}"}


LOADS: tuple[list[dict[str, Any]], ...] = (
    [record(n, 1) for n in range(1, 7)] + [record(7, 1, -1), record(8, 1, "x")],
    [record(1, 2, 5), record(2, 0, 9), record(3, 1), record(7, 2, 3), {"id": 9}],
    [record(1, 3, 6), record(10, 1), record(8, 2, -5), record(4, 5)],
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake, which can be copied."""
    return Lake(LakeSettings(root=str(tmp_path / "lake")))


def put(lake: Lake, records: list[dict[str, Any]], clock: Ticking, stream: str = NAME) -> None:
    """Land records, after those that the stream has."""
    bronze = lake.open("bronze", NAME)
    frames = [pl.DataFrame({"record": [json.dumps(each).encode() for each in records]})]
    before = 0 if bronze is None else bronze.transaction(stream)
    land(Landing(lake, NAME, stream, "run", clock=clock), Frames([*frames * before, *frames]))


def refined(lake: Lake, dataset: Dataset, clock: Ticking) -> None:
    """Refine, and insist on an open gate."""
    outcome = refine(Refinement(lake, "run", clock=clock), dataset)
    assert outcome.gate is None or outcome.gate.open, outcome.gate


def rebuilt(lake: Lake, dataset: Dataset, clock: Ticking, **options: Any) -> RebuildOutcome:
    """Rebuild, and insist on an open gate."""
    outcome = rebuild(Refinement(lake, "rebuild", clock=clock, **options), dataset)
    assert outcome.gate is None or outcome.gate.open, outcome.gate
    return outcome


def silver(lake: Lake) -> list[dict[str, Any]]:
    """Return all of silver, with what orders the versions."""
    table = lake.must_open("silver", NAME)
    order = [name for name in ("id", "valid_from", "at") if name in table.columns]
    return table.scan().collect().sort(order, nulls_last=True).to_dicts()


def rejected(lake: Lake) -> list[tuple[Any, ...]]:
    """Return the rejected rows that count, with their reasons."""
    rows = rejected_rows(lake, NAME, lake.must_open("silver", NAME))
    assert rows is not None
    names = ("_stream", "_sequence", "_row", "key", "reasons", "record")
    return rows.select(names).collect().sort("_stream", "_sequence", "_row").rows()


def fresh(lake: Lake, folder: Path, dataset: Dataset, clock: Ticking) -> Lake:
    """Return a lake that has the same bronze and nothing else, refined by a dataset at once."""
    root = Path(lake.settings.root)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(root / "bronze", folder / "bronze")
    shutil.copytree(root / "_headworks", folder / "_headworks")
    other = Lake(LakeSettings(root=str(folder)))
    refined(other, dataset, clock)
    return other


def full_read(lake: Lake, records: list[dict[str, Any]], clock: Ticking) -> None:
    """Read everything in a generation, and end it."""
    landing = Landing(lake, NAME, NAME, "run", clock=clock)
    frame = pl.DataFrame({"record": [json.dumps(each).encode() for each in records]})
    generation = begin_generation(landing, frame.schema)
    land(replace(landing, stream=generation.stream), Frames([frame]))
    complete_generation(landing, generation)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("part_rows", [250_000, 4], ids=["at once", "in parts"])
@pytest.mark.parametrize("keeps", ["newest", "first", "history"])
def test_a_rebuild_is_what_a_fresh_lake_makes_of_the_same_bronze_and_further_runs_go_on(
    tmp_path: Path, lake: Lake, keeps: Keeps, part_rows: int
) -> None:
    clock, before, after = Ticking(), replace(BEFORE, keeps=keeps), wide(keeps)
    for load in LOADS:
        put(lake, load, clock)
        refined(lake, before, clock)
    refined(lake, after, clock)
    assert {row["note"] for row in silver(lake)} == {None}, "what silver has stays as it was judged"
    change = lake.must_open("silver", NAME).transaction(CHANGE)
    for number in range(4):
        outcome = rebuilt(lake, after, clock, part_rows=part_rows)
        other = fresh(lake, tmp_path / "other", after, clock)
        assert silver(lake) == silver(other)
        assert rejected(lake) == rejected(other)
        # A deletion of a key that only the quarantine knows has no values.
        noted = [row for row in silver(lake) if row["at"] is not None]
        assert all(row["note"] == f"{row['id']} at {row['at']}" for row in noted)
        assert (outcome.report.committed, outcome.before, outcome.lost) == (True, outcome.after, 0)
        assert lake.must_open("silver", NAME).transaction(CHANGE) > change, "gold is made again"
        # Runs and full reads in between: nothing is read twice, and nothing is passed by.
        more = [record(1, 10 + number, number), record(20 + number, 1), record(30 + number, 1, -1)]
        put(lake, more, clock)
        refined(lake, after, clock)
        refined(lake, after, clock)
        assert silver(lake) == silver(fresh(lake, tmp_path / "other", after, clock))
        if number == 1:
            full_read(lake, [record(n, 11) for n in range(1, 5)], clock)
            refined(lake, after, clock)
    gone = {row["id"] for row in silver(lake) if row[DELETED]}
    assert gone >= {5, 6, 10}, "what a full read has deleted stays deleted"


@pytest.mark.sampled(3)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("commit", [1, 2, 3])
def test_killed_around_any_commit_a_rebuild_has_changed_nothing_or_all_and_can_be_repeated(
    tmp_path: Path, lake: Lake, commit: int, after: bool
) -> None:
    clock = Ticking()
    put(lake, LOADS[0], clock)
    refined(lake, BEFORE, clock)
    # Something is released before, so that what was decided has to be forgotten, which is a commit.
    replay(Refinement(lake, "run", clock=clock), replace(BEFORE, schema=_Loose), by="me", note="it is fine")
    put(lake, LOADS[1], clock)
    refined(lake, wide(), clock)
    had, before = silver(lake), rejected(lake)

    def killed(number: int, call: Any) -> Any:
        if number != commit:
            return call()
        if after:
            call()
        raise Crash

    with commits(killed) as seen, pytest.raises(Crash):
        rebuild(Refinement(lake, "killed", clock=clock), wide())
    assert seen.count == commit
    done = commit == 3 and after
    assert (silver(lake) == had) is not done
    if not done:
        assert rejected(lake) == before
    other = fresh(lake, tmp_path / "other", wide(), clock)
    for _ in range(2):
        rebuilt(lake, wide(), clock)
        assert silver(lake) == silver(other)
        assert rejected(lake) == rejected(other)
    put(lake, LOADS[2], clock)
    refined(lake, wide(), clock)
    assert silver(lake) == silver(fresh(lake, tmp_path / "other", wide(), clock))


class _Loose(dy.Schema):
    id = dy.Int64(nullable=False)
    at = dy.Int64(nullable=False)
    v = dy.Int64(nullable=False)


def test_what_was_released_and_would_be_rejected_now_waits_again_and_what_was_discarded_stays_so(
    lake: Lake,
) -> None:
    clock = Ticking()
    put(lake, [*LOADS[0], record(11, 1, -9)], clock)
    refined(lake, BEFORE, clock)
    loose = replace(BEFORE, schema=_Loose)
    work = Refinement(lake, "run", clock=clock)
    replay(work, loose, Selection(row_keys=("7",)), by="me", note="it is fine")
    assert {row["id"] for row in silver(lake)} == {*range(1, 8)}
    discard(work, NAME, Selection(row_keys=("11",)), by="me", note="a test of theirs")
    outcome = rebuilt(lake, BEFORE, clock)
    assert outcome.lost == 1
    assert {row["id"] for row in silver(lake)} == {*range(1, 7)}
    waiting = open_rejects(lake, NAME, lake.must_open("silver", NAME)).collect()
    assert sorted(waiting.get_column("key").to_list()) == ["7", "8"]
    # By rules that would let it pass, too: somebody has decided that it shall not.
    rebuilt(lake, loose, clock)
    assert {row["id"] for row in silver(lake)} == {*range(1, 8)}
    assert "11" in {row[3] for row in rejected(lake)}


def test_a_closed_gate_leaves_silver_as_it_is_and_a_dry_run_changes_nothing(lake: Lake) -> None:
    clock = Ticking()
    put(lake, [record(n, 1, -1) for n in range(100)] + [record(100, 1)], clock)
    refined(lake, BEFORE, clock)
    had, version = silver(lake), lake.must_open("silver", NAME).version
    rebuild(Refinement(lake, "dry", clock=clock), wide(), dry_run=True)
    outcome = rebuild(
        Refinement(lake, "closed", clock=clock), replace(wide(), limits=RejectLimits(share=0.1))
    )
    assert outcome.gate is not None
    assert not outcome.gate.open
    assert (silver(lake), lake.must_open("silver", NAME).version) == (had, version)
    assert rebuilt(lake, wide(), clock).after == 1


def test_a_bronze_that_has_not_all_rows_any_more_is_refused_by_name(lake: Lake) -> None:
    old, now = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)
    # Rows that are rejected are kept as long as they wait, so there are none of these.
    for moment, load in ((old, [record(n, 1) for n in range(7)]), (now, [record(n, 2) for n in range(3)])):
        put(lake, load, Ticking(moment))
        refined(lake, BEFORE, Ticking(moment))
    had = silver(lake)
    settings = MaintenanceSettings(keep_days={"bronze": 10})
    maintain(lake, settings, clock=lambda: now + timedelta(days=1))
    assert lake.must_open("bronze", NAME).row_count() == 3
    with pytest.raises(SettingsError, match=r"rows any more.*retention took them.*Read the source in full"):
        rebuild(Refinement(lake, "run", clock=Ticking(now)), wide())
    assert silver(lake) == had


def test_another_run_in_between_is_seen_and_a_full_read_that_silver_has_not_taken_is_refused(
    lake: Lake,
) -> None:
    clock = Ticking()
    put(lake, LOADS[0], clock)
    refined(lake, BEFORE, clock)

    def meanwhile(number: int, call: Any) -> Any:
        if number == 2:
            put(lake, LOADS[1], clock)
            refined(lake, BEFORE, clock)
        return call()

    with commits(meanwhile), pytest.raises(CandidateStale):
        rebuild(Refinement(lake, "run", clock=clock), BEFORE)
    assert 7 in {row["id"] for row in silver(lake)}
    full_read(lake, [record(1, 11)], clock)
    with pytest.raises(SettingsError, match="full read ended that silver has not taken"):
        rebuild(Refinement(lake, "run", clock=clock), BEFORE)
    other = Lake(LakeSettings(root=str(Path(lake.settings.root) / "other")))
    put(other, LOADS[0], clock)
    shutil.rmtree(Path(lake.settings.root) / "bronze")
    shutil.copytree(Path(other.settings.root) / "bronze", Path(lake.settings.root) / "bronze")
    with pytest.raises(LakeUnusable, match="another table"):
        rebuild(Refinement(lake, "run", clock=clock), BEFORE)
