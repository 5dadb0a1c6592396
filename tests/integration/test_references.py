"""Rows wait for those that they refer to, and no longer; where these may lie in another window, that closes no gate."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dataframely as dy
import pytest

from headworks.bronze.generations import begin_generation, complete_generation
from headworks.bronze.landing import Landing, land
from headworks.bronze.resolutions import note_passed, resolutions
from headworks.names import Window, window_stream
from headworks.settings import RejectLimits
from headworks.silver import concluding
from headworks.silver.recheck import recheck
from headworks.silver.refinement import Refinement, RefineOutcome, refine
from headworks.silver.rejects import open_rejects
from headworks.silver.replay import replay
from headworks.storage.store import Lake
from tests.support.faults import Crash
from tests.support.item_sales import SALE, SALES, Sale, land_sales, reasons, sell, sold
from tests.support.items import NAME, land_items, refine_items
from tests.support.sources import ITEMS, Numbered, Record

FIRST = Window(start=datetime(2026, 1, 5, tzinfo=UTC), end=datetime(2026, 1, 6, tzinfo=UTC), once="history")
SECOND = Window(start=FIRST.end, end=FIRST.end + timedelta(days=1), once="history")
STRICT = replace(SALE, limits=RejectLimits(share=0.25, from_rows=1))
GOOD: list[Sale] = [(1, 1, 50), (2, 1, 50)]
ORPHANS: list[Sale] = [(3, 9, 50), (4, 9, 50), (5, 9, 50)]


@pytest.fixture
def shop(lake: Lake) -> Lake:
    """A lake with an item of value 5."""
    land_items(lake, [("1", "5", 1)])
    refine_items(lake)
    return lake


def refined(lake: Lake, part_rows: int = 1_000) -> RefineOutcome:
    return refine(Refinement(lake, "run", part_rows=part_rows), STRICT)


def limits_check(outcome: RefineOutcome) -> tuple[str, str]:
    """Return what the check of the limits came to, and its words."""
    assert outcome.gate is not None
    (found,) = [check for check in outcome.gate.checks if check.name == "rejected rows within limits"]
    return found.outcome, found.detail


@pytest.mark.parametrize("part_rows", [2, 1_000])
@pytest.mark.parametrize("once", ["history", None])
def test_rows_whose_parents_lie_in_another_window_close_no_gate_and_are_told(
    shop: Lake, once: str | None, part_rows: int
) -> None:
    window = FIRST.model_copy(update={"once": once})
    land_sales(shop, GOOD + ORPHANS, window_stream(SALES, window, 1))
    outcome = refined(shop, part_rows)
    output = (
        "0 of 5 rows rejected (0.0%), allowed 25.0% and 1000000 rows; 3 more wait for rows of other windows"
    )
    assert limits_check(outcome) == ("passed", output)
    assert (outcome.report.rejected, outcome.report.elsewhere, outcome.report.committed) == (3, 3, True)
    assert sold(shop) == [1, 2]
    assert reasons(shop) == {str(number): ["unknown_item"] for number in (3, 4, 5)}


def test_they_are_released_by_the_window_that_has_their_parents(shop: Lake) -> None:
    land_sales(shop, GOOD + ORPHANS, window_stream(SALES, FIRST, 1))
    assert refined(shop).report.committed
    land_items(shop, [("9", "5", 2)], window_stream(NAME, SECOND, 1))
    refine_items(shop)
    assert sell(shop).released == 3
    assert sold(shop) == [1, 2, 3, 4, 5]


def test_what_is_new_has_no_other_window_to_wait_for(shop: Lake) -> None:
    """Even alongside a window: where parents are missing from the live reading, something is wrong."""
    land_sales(shop, GOOD, window_stream(SALES, FIRST, 1))
    land_sales(shop, ORPHANS, SALES)
    outcome = refined(shop)
    assert outcome.gate is not None
    found = [check for check in outcome.gate.checks if check.name == "rejected rows within limits"]
    assert [check.outcome for check in found] == ["passed", "failed"], (
        "the window and what is new are judged each alone"
    )
    assert outcome.report.elsewhere == 0
    assert outcome.report.held == len(ORPHANS)


@pytest.mark.parametrize("bad", [(-1, 9, 50), (6, 1, 51)], ids=["a rule", "an agreement"])
def test_a_row_of_a_window_that_is_wrong_in_itself_counts(shop: Lake, bad: Sale) -> None:
    land_sales(shop, [*GOOD, bad, *ORPHANS], window_stream(SALES, FIRST, 1))
    strict = replace(STRICT, limits=RejectLimits(rows=0))
    outcome = refine(Refinement(shop, "run"), strict)
    outcome_of_limits, output = limits_check(outcome)
    assert outcome_of_limits == "failed"
    assert output.startswith("1 of 6 rows rejected")


def settled(lake: Lake) -> dict[str, str]:
    """Return what became of rejected rows, by key; a row that was noted twice is an error."""
    found = resolutions(lake, SALES).select("key", "resolution").collect()
    assert not found.get_column("key").is_duplicated().any()
    return dict(found.iter_rows())


def listed(lake: Lake) -> list[str]:
    """Return the keys of the rows that ``headworks quarantine list`` counts."""
    return sorted(open_rejects(lake, SALES, lake.open("silver", SALES)).collect().get_column("key"))


def bring_item_9(lake: Lake) -> None:
    land_items(lake, [("9", "5", 2)], f"{NAME}@more")
    refine_items(lake)


def test_rows_that_wait_no_longer_leave_the_list_of_what_is_to_be_looked_at(shop: Lake) -> None:
    sell(shop, *GOOD, *ORPHANS, (6, 8, 50))
    assert listed(shop) == ["3", "4", "5", "6"]
    assert settled(shop) == {}
    bring_item_9(shop)
    sell(shop)
    assert listed(shop) == ["6"]
    assert settled(shop) == dict.fromkeys(("3", "4", "5"), "released")
    sell(shop)
    assert listed(shop) == ["6"]


def test_a_waiting_version_that_silver_is_past_is_noted_as_superseded(shop: Lake) -> None:
    sell(shop, (3, 9, 50))
    sell(shop, (7, 1, 50), (3, 1, 40))
    bring_item_9(shop)
    sell(shop)
    assert sold(shop) == [3, 7]
    assert settled(shop) == {"3": "superseded"}


def test_what_a_killed_run_did_not_note_the_next_one_does(shop: Lake) -> None:
    sell(shop, *GOOD, *ORPHANS)
    bring_item_9(shop)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(concluding, "note_passed", crash)
        with pytest.raises(Crash):
            sell(shop)
    assert (sold(shop), settled(shop)) == ([1, 2, 3, 4, 5], {})
    assert sell(shop).released == 0
    assert settled(shop) == dict.fromkeys(("3", "4", "5"), "released")


def test_two_runs_that_note_at_once_note_each_row_once(shop: Lake) -> None:
    sell(shop, *GOOD, *ORPHANS)
    bring_item_9(shop)

    def late(*arguments: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(concluding, "note_passed", note_passed)
            sell(shop)
        note_passed(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(concluding, "note_passed", late)
        sell(shop)
    assert settled(shop) == dict.fromkeys(("3", "4", "5"), "released")


def test_a_dry_run_notes_nothing(shop: Lake) -> None:
    sell(shop, *GOOD, *ORPHANS)
    bring_item_9(shop)
    refine(Refinement(shop, "dry"), SALE, dry_run=True)
    assert settled(shop) == {}


def crash(*_: object) -> None:
    raise Crash


def read_items(lake: Lake, *records: Record) -> None:
    """Read all items anew: those that are not shown are gone."""
    landing = Landing(lake, NAME, NAME, "run")
    generation = begin_generation(landing, ITEMS)
    land(replace(landing, stream=generation.stream), Numbered(list(records)))
    complete_generation(landing, generation)
    refine_items(lake)


def prices(lake: Lake) -> dict[int, int]:
    return dict(lake.must_open("silver", SALES).scan().select("id", "price").collect().iter_rows())


def test_what_was_accepted_stays_when_its_parent_goes_and_newer_versions_wait_for_its_return(
    shop: Lake,
) -> None:
    """State, counts and account in each of eight runs; a recheck names what has no parent."""
    sell(shop, (1, 1, 50), (2, 1, 50))
    read_items(shop, ("9", "5", 2))
    for _ in range(3):
        report = sell(shop)
        assert (report.landed, report.rejected, report.waiting, report.released) == (0, 0, 0, 0)
        assert prices(shop) == {1: 50, 2: 50}
    (broken,) = recheck(shop, SALE).broken
    assert (broken.rule, broken.rows, broken.keys) == ("unknown_item", 2, ("1", "2"))
    land_sales(shop, [(1, 1, 40)], f"{SALES}@later")
    report = sell(shop)
    assert (report.landed, report.rejected, report.waiting) == (1, 1, 1)
    for _ in range(2):
        report = sell(shop)
        assert (report.landed, report.rejected, report.waiting) == (0, 0, 1)
        assert prices(shop) == {1: 50, 2: 50}
    read_items(shop, ("1", "5", 3), ("9", "5", 2))
    report = sell(shop)
    assert (report.released, report.updated, report.waiting) == (1, 1, 0)
    assert prices(shop) == {1: 40, 2: 50}
    assert recheck(shop, SALE).holds


class AnySale(dy.Schema):
    """A sale of which nothing is asked any more."""

    id = dy.Int64(nullable=False)
    item = dy.Int64(nullable=False)
    price = dy.Int64(nullable=True)


class CheapSale(dy.Schema):
    """A sale under a rule that came later."""

    id = dy.Int64(nullable=False, min=0)
    item = dy.Int64(nullable=False)
    price = dy.Int64(nullable=True, max=45)


def test_a_changed_declaration_is_asked_of_what_is_new_and_of_the_rest_when_somebody_says_so(
    shop: Lake,
) -> None:
    """Looser: what was rejected or waits for a reference that is gone is released by a replay. Stricter: a recheck."""
    sell(shop, (1, 1, 50), (-2, 1, 50), (3, 9, 50))
    looser = replace(SALE, schema=AnySale, references=(), agreements=())
    for _ in range(3):
        report = sell(shop, dataset=looser)
        assert (report.landed, report.rejected, report.released) == (0, 0, 0)
        assert prices(shop) == {1: 50}
    again = replay(Refinement(shop, "by-hand"), looser, by="Ada", note="nothing is asked any more").report
    assert (again.judged, again.inserted, again.still_rejected) == (2, 2, 0)
    assert prices(shop) == {1: 50, -2: 50, 3: 50}
    stricter = replace(SALE, schema=CheapSale, references=(), agreements=())
    for _ in range(3):
        assert sell(shop, dataset=stricter).landed == 0
        assert len(prices(shop)) == 3
    assert {one.rule: one.rows for one in recheck(shop, stricter).broken} == {"price|max": 3, "id|min": 1}
    land_sales(shop, [(1, 1, 60), (3, 1, 40)], f"{SALES}@later")
    report = sell(shop, dataset=stricter)
    assert (report.rejected, report.updated) == (1, 1)
    assert prices(shop) == {1: 50, -2: 50, 3: 40}
