"""A window has what changed last in its time: a row whose parent lies in another window waits, and closes no gate."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from headworks.lake.store import Lake
from headworks.names import Window, window_stream
from headworks.refine.refinement import Refinement, RefineOutcome, refine
from headworks.settings import RejectLimits
from tests.support.item_sales import SALE, SALES, Sale, land_sales, reasons, sell, sold
from tests.support.items import NAME, land_items, refine_items

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
    told = (
        "0 of 5 rows rejected (0.0%), allowed 25.0% and 1000000 rows; 3 more wait for rows of other windows"
    )
    assert limits_check(outcome) == ("passed", told)
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
    """Even beside a window: where parents are missing from the live reading, something is wrong."""
    land_sales(shop, GOOD, window_stream(SALES, FIRST, 1))
    land_sales(shop, ORPHANS, SALES)
    outcome = refined(shop)
    assert limits_check(outcome)[0] == "failed"
    assert outcome.report.elsewhere == 0
    assert not outcome.report.committed


@pytest.mark.parametrize("bad", [(-1, 9, 50), (6, 1, 51)], ids=["a rule", "an agreement"])
def test_a_row_of_a_window_that_is_wrong_in_itself_counts(shop: Lake, bad: Sale) -> None:
    land_sales(shop, [*GOOD, bad, *ORPHANS], window_stream(SALES, FIRST, 1))
    strict = replace(STRICT, limits=RejectLimits(rows=0))
    outcome = refine(Refinement(shop, "run"), strict)
    outcome_of_limits, told = limits_check(outcome)
    assert outcome_of_limits == "failed"
    assert told.startswith("1 of 6 rows rejected")
