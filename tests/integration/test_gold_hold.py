"""Gold's gate holds what closed it: later rows do not thin it, and a person, or the source, lets it go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headworks.bronze.landing import Landing, land
from headworks.errors import GateClosed
from headworks.gold.curation import GoldTable, audit, curate, stage
from headworks.gold.holding import find_any, gold_hold, release_gold, undo_gold
from headworks.gold.table import pin
from headworks.ports import system_clock
from headworks.project import Database, Product, Project
from headworks.quality.deliveries import deliveries, history
from headworks.reports import GateReport
from headworks.silver.decisions import discard
from headworks.silver.refinement import Refinement, refine
from headworks.sources.sql.table import Table
from headworks.status import status
from headworks.storage.store import Lake
from tests.support.golden import each, rows
from tests.support.items import ITEM, NAME
from tests.support.sources import Numbered, Record, items

CONTRACT = """\
dataset: lake/gold/each
columns:
- name: v
  checks:
  - invalid:
      valid_max: 9000
      threshold:
        metric: percent
        must_be_less_than: 20
"""
GOOD: list[Record] = items(1, 8)
BAD: list[Record] = [(str(n), "99999", 1) for n in range(9, 13)]


class Play:
    """A lake whose gold is made after each day."""

    def __init__(self, lake: Lake, folder: Path) -> None:
        contract = folder / "each.yml"
        contract.write_text(CONTRACT)
        self.lake, self.gold = lake, GoldTable("t.each", (NAME,), each, ("id",), contract)
        self.landed: list[Record] = []
        self.day = 0

    def play(self, records: list[Record]) -> GateReport | None:
        """Land, refine and curate a day, each by a run of its own; return what gold's gate said."""
        self.day += 1
        self.landed += records
        run = f"day-{self.day}"
        land(Landing(self.lake, NAME, NAME, run), Numbered(self.landed, 100))
        refine(Refinement(self.lake, run), ITEM)
        return self.curate()

    def curate(self) -> GateReport | None:
        """Make gold of silver as it is."""
        candidate = stage(self.lake, self.gold, pin(self.lake, [NAME]))
        gate = audit(self.lake, self.gold, candidate, f"day-{self.day}")
        if gate is None or gate.open:
            curate(self.lake, candidate, gate)
        else:
            with pytest.raises(GateClosed):
                curate(self.lake, candidate, gate)
        return gate


@pytest.fixture
def day(lake: Lake, tmp_path: Path) -> Play:
    """Two good days and a bad one, for which gold closed."""
    play = Play(lake, tmp_path)
    assert is_open(play.play(GOOD[:4]))
    assert is_open(play.play(GOOD[4:]))
    assert not is_open(play.play(BAD))
    return play


def is_open(gate: GateReport | None) -> bool:
    """Tell whether a candidate was let through, or there was none."""
    return gate is None or gate.open


def test_later_rows_do_not_thin_what_gold_was_closed_for(day: Play) -> None:
    one = gold_hold(day.lake, "t.each")
    assert one is not None
    assert one.suspects == (f"{NAME}/{deliveries(day.lake, NAME)[-1].id}",)
    for number in range(3):
        gate = day.play(items(100 + 100 * number, 199 + 100 * number))
        assert not is_open(gate)
        assert gate is not None
        assert f"headworks delivery release {one.id}" in gate.reasons[-1]
    assert rows(day.lake) == list(range(1, 9))
    assert gold_hold(day.lake, "t.each") == one


def test_status_holds_the_product_until_it_is_decided(day: Play) -> None:
    source = Database("t-database", Table(name="items"), into=NAME)
    project = Project(
        "t", sources=(source,), datasets=(ITEM,), products=(Product("each", (day.gold,), owner="me"),)
    )
    (line,) = [one for one in status(project, day.lake).lines if one.kind == "product"]
    one = gold_hold(day.lake, "t.each") or pytest.fail("not held")
    assert (line.state, line.held, line.held_rows) == ("held", 1, one.rows)
    assert f"headworks delivery show {one.id}" in line.why
    signed = {"by": "Ada", "note": "it is right", "run_id": "by hand", "moment": system_clock()}
    release_gold(day.lake, one, **signed)  # type: ignore[arg-type]
    (line,) = [one for one in status(project, day.lake).lines if one.kind == "product"]
    assert (line.state, line.held) == ("never ran", 0)


def test_a_person_releases_it_and_can_undo_that_until_it_is_committed(day: Play) -> None:
    one = find_any(day.lake, (gold_hold(day.lake, "t.each") or pytest.fail("not held")).id)
    signed = {"by": "Ada", "note": "it is right", "run_id": "by hand", "moment": system_clock()}
    release_gold(day.lake, one, **signed)  # type: ignore[arg-type]
    undo_gold(day.lake, one, **signed)  # type: ignore[arg-type]
    assert not is_open(day.curate())
    release_gold(day.lake, one, **signed)  # type: ignore[arg-type]
    assert is_open(day.curate())
    assert rows(day.lake) == list(range(1, 13))
    assert gold_hold(day.lake, "t.each") is None
    assert [each.state for each in history(day.lake, one.id)] == ["held", "released", "held", "released"]


def test_what_is_suspected_is_taken_back_and_gold_follows(day: Play) -> None:
    day.play(items(20, 29))
    suspect = (gold_hold(day.lake, "t.each") or pytest.fail("not held")).suspects[0].rpartition("/")[2]
    discard(Refinement(day.lake, "by hand"), ITEM, suspect, by="Ada", note="a test system's")
    assert is_open(day.curate())
    assert rows(day.lake) == [*range(1, 9), *range(20, 30)]
    assert gold_hold(day.lake, "t.each") is None


def test_the_source_that_replaces_every_row_opens_it(day: Play) -> None:
    assert not is_open(day.play([("9", "1", 5), *items(20, 99)])), "three bad rows are left"
    assert is_open(day.play([(str(n), "1", 5) for n in range(10, 13)]))
    assert rows(day.lake) == [*range(1, 13), *range(20, 100)]


def test_another_contract_is_asked_anew(day: Play) -> None:
    day.gold.contract.write_text(CONTRACT.replace("must_be_less_than: 20", "must_be_less_than: 90"))
    day.gold = replace(day.gold)
    assert is_open(day.curate())
    assert gold_hold(day.lake, "t.each") is None


def test_an_empty_table_is_refused_and_holds_no_later_one(lake: Lake, tmp_path: Path) -> None:
    """Its rows may come with the next window of a load; of none that were there any can be thinned."""
    play = Play(lake, tmp_path)
    play.gold.contract.write_text(
        CONTRACT + "checks:\n- row_count:\n    threshold:\n      must_be_greater_than: 0\n"
    )
    gate = play.play([])
    assert gate is not None
    assert "failed" in {one.outcome for one in gate.checks}
    assert gold_hold(lake, "t.each") is None
    assert is_open(play.play(GOOD))


def test_a_dry_run_holds_nothing(lake: Lake, tmp_path: Path) -> None:
    play = Play(lake, tmp_path)
    play.play(GOOD)
    land(Landing(lake, NAME, NAME, "bad"), Numbered([*GOOD, *BAD], 100))
    refine(Refinement(lake, "bad"), ITEM)
    gate = audit(lake, play.gold, stage(lake, play.gold, pin(lake, [NAME])))
    assert not is_open(gate)
    assert gold_hold(lake, "t.each") is None
