"""What stays in the lake and what goes: rows that wait, tries behind a closed gate, what is noted twice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headworks.bronze.landing import Landing, land
from headworks.errors import CandidateStale
from headworks.names import Window
from headworks.ops.backfills import PlannedWindow, State, plan, remember
from headworks.ops.ledger import record_run
from headworks.ops.maintenance import MaintenanceSettings, TableCare, maintain
from headworks.ops.recorder import Recorder
from headworks.reports import CheckReport, GateReport
from headworks.settings import RejectLimits
from headworks.silver import merging
from headworks.silver.dataset import Reference
from headworks.silver.quarantine import pending_rows
from headworks.silver.refinement import Refinement, refine
from headworks.silver.rejects import Selection
from headworks.silver.replay import discard
from headworks.silver.table import commit_silver
from headworks.storage.store import Lake
from tests.support.faults import Crash, commits, crash_after, crash_before, happened_but_failed
from tests.support.items import ITEM, NAME, land_items, quarantine_rows, refine_items, rejected, silver
from tests.support.sources import Numbered, Record, bad_items, items

LATER = datetime.now(UTC) + timedelta(days=100)
PARENT = replace(ITEM, name="t.parents")
CHILD = replace(ITEM, references=(Reference(("v",), "t.parents", ("id",), "no_parent"),))
STRICT = replace(ITEM, limits=RejectLimits(share=0.0, from_rows=1))


def aged(lake: Lake) -> dict[str, TableCare]:
    """Let old rows of bronze and quarantine go, a hundred days later."""
    settings = MaintenanceSettings(keep_days={"quarantine": 90, "bronze": 90})
    return {care.table: care for care in maintain(lake, settings, clock=lambda: LATER)}


def parents(lake: Lake, *numbers: int) -> None:
    rows: list[Record] = [(str(number), "1", 1) for number in numbers]
    land(Landing(lake, "t.parents", "t.parents", "run"), Numbered(rows))
    refine(Refinement(lake, "run"), PARENT)


def test_a_row_that_waits_for_its_parent_outlives_the_retention_of_the_quarantine(lake: Lake) -> None:
    """Over four runs: it waits, what is bad in itself ages next to it, the parent comes, and then it may go too."""
    parents(lake, 1)
    land_items(lake, [("5", "2", 1), *bad_items(6, 6)])
    refine(Refinement(lake, "run"), CHILD)
    care = aged(lake)[f"quarantine.{NAME}"]
    assert (care.rows_expired, care.left) == (0, ("old rows: 1 still wait for a row that they refer to",))
    parents(lake, 1, 2)
    assert refine(Refinement(lake, "run"), CHILD).report.released == 1
    assert silver(lake) == {5: (2, 1)}
    assert aged(lake)[f"quarantine.{NAME}"].rows_expired == 2
    assert quarantine_rows(lake) == 0
    assert refine(Refinement(lake, "run"), CHILD).report.released == 0


def test_a_row_that_waits_in_a_batch_of_its_own_keeps_no_other(lake: Lake) -> None:
    parents(lake, 1)
    land_items(lake, [("5", "2", 1), *bad_items(6, 6)], size=1)
    refine(Refinement(lake, "run"), CHILD)
    assert aged(lake)[f"quarantine.{NAME}"].rows_expired == 1
    assert rejected(lake) == ["5"]


def test_a_waiting_row_that_somebody_discarded_may_go(lake: Lake) -> None:
    parents(lake, 1)
    land_items(lake, [("5", "2", 1)])
    refine(Refinement(lake, "run"), CHILD)
    assert discard(Refinement(lake, "by hand"), NAME, Selection(), by="me", note="never comes") == 1
    assert aged(lake)[f"quarantine.{NAME}"].rows_expired == 1


def test_rows_from_before_it_was_noted_whether_they_wait_stay_until_something_is_decided(lake: Lake) -> None:
    parents(lake, 1)
    land_items(lake, [("5", "2", 1)])
    refine(Refinement(lake, "run"), CHILD)
    table = lake.must_open("quarantine", NAME)
    table.rewrite({name: pl.col(name) for name in table.columns if name != "_waits"}, {})
    assert aged(lake)[f"quarantine.{NAME}"].rows_expired == 0
    land_items(lake, [("5", "2", 1), ("7", "3", 1)])
    refine(Refinement(lake, "run"), CHILD)
    assert rejected(lake) == ["5", "7"]


@pytest.mark.parametrize("grows", [False, True])
def test_a_gate_that_stays_closed_keeps_each_rejected_row_once(lake: Lake, grows: bool) -> None:
    """Ten runs: the quarantine holds each row as the run left it that held it, and all count once the gate opens."""
    wanted: list[str] = []
    for run in range(1, 11):
        last = 100 + (run if grows else 1)
        wanted = sorted(str(number) for number in range(101, last + 1))
        land_items(lake, bad_items(101, last))
        outcome = refine(Refinement(lake, f"run-{run}"), STRICT)
        assert outcome.gate is not None
        assert not outcome.gate.open
        assert quarantine_rows(lake) == len(wanted)
    seen = pending_rows(lake, NAME, lake.open("silver", NAME))
    assert seen is not None
    held_by = sorted(seen.select("run_id").unique().collect().to_series())
    assert held_by == (sorted(f"run-{run}" for run in range(1, 11)) if grows else ["run-1"])
    assert rejected(lake) == []
    refine_items(lake)
    assert (rejected(lake), quarantine_rows(lake)) == (wanted, len(wanted))


@pytest.mark.sampled(6)
@pytest.mark.parametrize("at", range(1, 7))
@pytest.mark.parametrize("fault", [crash_before, crash_after, happened_but_failed])
def test_a_closed_gate_that_is_cut_short_loses_no_rejected_row(
    lake: Lake, at: int, fault: Callable[[int], Any]
) -> None:
    """A run behind a closed gate is killed at each of its commits; the next ones reject each row once."""
    land_items(lake, bad_items(101, 103))
    refine(Refinement(lake, "first"), STRICT)
    land_items(lake, bad_items(101, 104))
    with commits(fault(at)), suppress(Crash):
        refine(Refinement(lake, "second"), STRICT)
    refine(Refinement(lake, "third"), STRICT)
    refine_items(lake, "fourth")
    assert rejected(lake) == ["101", "102", "103", "104"]
    land_items(lake, [*bad_items(101, 104), *items(1, 1)])
    refine_items(lake, "fifth")
    assert (rejected(lake), quarantine_rows(lake)) == (["101", "102", "103", "104"], 4)


def test_a_try_that_is_not_closed_keeps_its_rejected_rows_whoever_comes_after_it(lake: Lake) -> None:
    """Another run holds the delivery between a try's rejected rows and its commit; no row is lost."""
    land_items(lake, bad_items(101, 103))
    real = commit_silver

    def late(*arguments: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(merging, "commit_silver", real)
            for _ in range(2):
                outcome = refine(Refinement(lake, "closed"), STRICT)
                assert outcome.gate is not None
                assert not outcome.gate.open
        real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "commit_silver", late)
        with pytest.raises(CandidateStale):
            refine_items(lake, "open")
    assert rejected(lake) == []
    refine_items(lake, "again")
    assert rejected(lake) == ["101", "102", "103"]


def test_a_waiting_row_is_read_without_the_other_batches_of_bronze(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of batches that no waiting row was born in may be gone: none of them is opened."""
    parents(lake, 1)
    land_items(lake, [("5", "2", 1)], size=1)
    refine(Refinement(lake, "run"), CHILD)
    land_items(lake, [("5", "2", 1), *[(str(number), "1", 1) for number in range(10, 20)]], size=1)
    refine(Refinement(lake, "run"), CHILD)
    born = lake.must_open("quarantine", NAME).scan().select("_sequence").collect().to_series().to_list()
    assert born == [1]
    read: list[str] = []
    table = lake.must_open("bronze", NAME)
    for file in table.files():
        frame = pl.read_parquet(file)
        if frame.get_column("_sequence").to_list() != [1]:
            path = Path(file)
            path.write_bytes(b"PAR1" + b"\0" * 64 + b"PAR1")
            read.append(file)
    assert len(read) == 10
    parents(lake, 1, 2)
    assert refine(Refinement(lake, "run"), CHILD).report.released == 1
    assert silver(lake)[5] == (2, 1)


def test_what_became_of_a_window_last_counts_whatever_the_clocks_say(lake: Lake) -> None:
    window = Window(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 2, tzinfo=UTC))
    now = datetime(2026, 2, 1, tzinfo=UTC)
    output: tuple[tuple[State, int], ...] = (("failed", 3), ("done", 0), ("failed", -5), ("done", -9))
    for state, hours in output:
        remember(lake, "b", "f", PlannedWindow(window=window, state=state), now + timedelta(hours=hours))
        assert plan(lake, "b", "f", (window,))[0].state == state


def test_windows_that_were_noted_before_they_were_numbered_come_first(lake: Lake) -> None:
    window = Window(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 2, tzinfo=UTC))
    now = datetime(2026, 2, 1, tzinfo=UTC)
    remember(lake, "b", "f", PlannedWindow(window=window, state="failed"), now + timedelta(hours=9))
    table = lake.must_open("ops", "backfills")
    table.rewrite({name: pl.col(name) for name in table.columns if name != "number"}, {})
    assert plan(lake, "b", "f", (window,))[0].state == "failed"
    remember(lake, "b", "f", PlannedWindow(window=window, state="done"), now)
    assert plan(lake, "b", "f", (window,))[0].state == "done"


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("fault", [crash_before, crash_after, happened_but_failed])
def test_a_run_that_is_recorded_again_is_in_the_ledger_once(
    lake: Lake, at: int, fault: Callable[[int], Any]
) -> None:
    """The step that records is killed at either of its commits, and tried again with the same report."""
    recorder = Recorder("run-1", "items", "incremental", "lake")
    check = CheckReport(
        scope="silver.t.items", name="n", kind="account", outcome="passed", severity="critical", detail=""
    )
    recorder.gate(GateReport(scope="silver.t.items", open=True, checks=(check,)))
    report = recorder.report("landed")
    with commits(fault(at)), suppress(Crash):
        record_run(lake, report)
    for _ in range(2):
        record_run(lake, report)
    assert lake.must_open("ops", "runs").row_count() == 1
    assert lake.must_open("ops", "checks").row_count() == 1
    record_run(lake, report.model_copy(update={"finished_at": report.finished_at + timedelta(hours=1)}))
    assert lake.must_open("ops", "runs").row_count() == 2
