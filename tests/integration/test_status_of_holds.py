"""What waits for a decision is not good, rejected records are counted once, and what is not known says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headworks.bronze.landing import Landing, land
from headworks.ops.ledger import record_run
from headworks.ops.recorder import Recorder
from headworks.project import Database, Project
from headworks.quality.deliveries import held, holds_folder
from headworks.reports import RunStatus
from headworks.settings import RejectLimits
from headworks.silver.decisions import discard
from headworks.silver.refinement import Refinement, refine
from headworks.sources.sql.table import Table
from headworks.status import Line, status
from headworks.storage.store import Lake
from tests.support.items import ITEM, NAME
from tests.support.sources import Numbered, Record, bad_items, items

STRICT = replace(ITEM, limits=RejectLimits(share=0.25, from_rows=1))
PROJECT = Project("t", sources=(Database("t-database", Table(name="items"), into=NAME),), datasets=(STRICT,))


class Play:
    """A lake in which each day is one run that is in the ledger."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.landed, self.day = lake, list[Record](), 0

    def play(self, records: list[Record], *, again: bool = False) -> None:
        """Land and refine a day, and record the run as a flow does; ``again``: all records so far come once more."""
        self.day += 1
        self.landed = [*self.landed, *(self.landed if again else []), *records]
        recorder = Recorder(f"day-{self.day}", "play", "incremental", self.lake.settings.root)
        recorder.landings.append(
            land(Landing(self.lake, NAME, NAME, recorder.run_id), Numbered(self.landed, 100))
        )
        done = refine(Refinement(self.lake, recorder.run_id), STRICT)
        recorder.refinements.append(done.report)
        recorder.gate(done.gate)
        closed = done.gate is not None and not done.gate.open
        ended: RunStatus = "gate closed" if closed else "landed"
        record_run(self.lake, recorder.report(ended, "it is closed" if closed else ""))

    def line(self, project: Project = PROJECT, kind: str = "dataset") -> Line:
        """Return the line of one kind."""
        (line,) = [one for one in status(project, self.lake).lines if one.kind == kind]
        return line


@pytest.fixture
def play(lake: Lake) -> Play:
    return Play(lake)


def test_rejected_records_are_counted_once_however_often_they_come(play: Play) -> None:
    play.play([*items(1, 20), *bad_items(21, 22)])
    assert (play.line().rejected, play.line().state) == (2, "ok")
    for _ in range(3):
        play.play([], again=True)
        assert (play.line().rejected, play.line().state) == (2, "ok")


def test_a_held_delivery_is_held_until_somebody_decides_through_all_later_runs(play: Play) -> None:
    play.play(items(1, 4))
    assert (play.line().state, play.line().held) == ("ok", 0)
    play.play([*items(5, 6), *bad_items(7, 10)])
    for _ in range(3):
        line = play.line()
        assert (line.state, line.held, line.held_rows) == ("held", 1, 6)
        (one,) = held(play.lake, NAME)
        assert f"headworks delivery show {one.id}" in line.why
        assert not status(PROJECT, play.lake).good
        play.play(items(10 + 10 * play.day, 14 + 10 * play.day))
    (one,) = held(play.lake, NAME)
    discard(Refinement(play.lake, "decided"), STRICT, one.id, by="me", note="wrong")
    play.play(items(900, 901))
    assert (play.line().state, play.line().held, play.line().held_rows) == ("ok", 0, 0)


def test_a_list_of_holds_that_is_lost_is_not_known_and_not_good(play: Play) -> None:
    play.play(items(1, 4))
    play.play([*items(5, 6), *bad_items(7, 10)])
    for file in (Path(play.lake.settings.root) / holds_folder(NAME)).rglob("*.json"):
        file.unlink()
    line = play.line()
    assert line.held is None
    assert line.state != "ok"


def test_a_quarantine_that_cannot_be_read_is_not_known_and_not_good(play: Play) -> None:
    play.play([*items(1, 20), *bad_items(21, 22)])
    for file in (Path(play.lake.settings.root) / "quarantine").rglob("*.parquet"):
        file.unlink()
    line = play.line()
    assert (line.rejected, line.state) == (None, "not known")
    assert "how many records are rejected is not known" in line.why


def test_runs_that_another_version_recorded_make_never_ran_not_known(play: Play) -> None:
    play.play(items(1, 4))
    table = play.lake.must_open("ops", "runs")
    rows = table.scan().collect()
    table.overwrite(
        rows.with_columns(report=rows.get_column("report").str.replace("landed", "in another way")), {}
    )
    report = status(PROJECT, play.lake)
    assert (report.unread_runs, report.good) == (1, False)
    assert {line.state for line in report.lines} == {"not known"}
