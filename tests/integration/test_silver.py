"""Silver commits: the consumed range travels with its rows, and only from the snapshot that was audited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from deltalake.exceptions import CommitFailedError

from headworks.bronze.landing import Landing, land
from headworks.errors import CandidateStale
from headworks.silver import merging
from headworks.silver.refinement import Refinement, refine
from headworks.silver.table import pending
from headworks.storage.store import Lake
from tests.support.faults import Crash, crash_after, happened_but_failed, writes
from tests.support.items import ITEM, NAME, bronze, land_items, refine_items, rejected, silver
from tests.support.sources import ITEMS, Numbered, bad_items, frame_of, items

FOUR = items(1, 4)


def interrupted(lake: Lake, action: Callable[[], Any]) -> Refinement:
    """Make a refinement in whose middle, after reading and before writing, something else happens."""

    def token() -> int:
        action()
        return 4711

    return Refinement(lake, "slow", token=token)


def test_a_range_becomes_silver_with_every_row_accounted_for(lake: Lake) -> None:
    land_items(lake, [*FOUR, ("x", "1", 1), *bad_items(5, 5), ("1", "99", 2), ("2", "20", 1)])
    report = refine_items(lake)
    assert silver(lake) == {1: (99, 2), 2: (20, 1), 3: (30, 1), 4: (40, 1)}
    assert rejected(lake) == ["5", "None"], "a key that cannot be read is none"
    assert report.reasons == {"id|unreadable": 1, "v|min": 1}
    assert (report.landed, report.inserted, report.rejected, report.superseded) == (8, 4, 2, 2)


def test_a_consumed_range_is_not_read_again(lake: Lake) -> None:
    land_items(lake, FOUR)
    refine_items(lake)
    again = refine_items(lake)
    assert (again.landed, again.committed) == (0, False)


def test_updates_superseded_and_unchanged_rows_are_told_apart(lake: Lake) -> None:
    land_items(lake, items(1, 3, cursor=5))
    refine_items(lake)
    land_items(lake, [*items(1, 3, cursor=5), ("1", "11", 6), ("2", "0", 4), *items(3, 3, cursor=5)])
    report = refine_items(lake)
    assert (report.updated, report.superseded, report.unchanged) == (1, 1, 1)
    assert silver(lake) == {1: (11, 6), 2: (20, 5), 3: (30, 5)}


def test_a_range_that_changes_nothing_is_consumed_all_the_same(lake: Lake) -> None:
    land_items(lake, FOUR)
    refine_items(lake)
    land_items(lake, FOUR, f"{NAME}@again")
    report = refine_items(lake)
    assert (report.landed, report.unchanged, report.changed, report.committed) == (4, 4, False, True)
    assert refine_items(lake).landed == 0


def test_without_the_empty_commit_such_a_range_is_read_for_ever(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule taken out: no changes, no commit, as a MERGE that changes nothing does it."""
    land_items(lake, FOUR)
    refine_items(lake)
    land_items(lake, FOUR, f"{NAME}@again")
    monkeypatch.setattr(merging, "commit_silver", lambda *_: None)
    monkeypatch.setattr(merging, "check_committed", lambda *_: None)
    assert [refine_items(lake).landed for _ in range(3)] == [4, 4, 4]


def test_a_merge_that_changes_nothing_makes_no_commit(lake: Lake) -> None:
    """Why the empty commit is needed: delta-rs drops the transactions together with the merge."""
    table = lake.ensure("silver", "t.bare", ITEMS)
    table.append(frame_of(FOUR), {"s": 1})
    version = table.version
    lake.must_open("silver", "t.bare").merge(frame_of([]), ("id",), {"s": 2})
    assert lake.must_open("silver", "t.bare").version == version
    assert lake.must_open("silver", "t.bare").transaction("s") == 1


def test_empty_batches_move_the_upper_bound(lake: Lake) -> None:
    """The bound comes from bronze's transactions, since an empty batch has no row to report of it."""
    land(Landing(lake, NAME, NAME, "run"), Numbered(FOUR, end_mark=True))
    refine_items(lake)
    assert bronze(lake).get_column("_sequence").max() == 2
    assert lake.must_open("silver", NAME).transaction(NAME) == 3
    todo = pending(NAME, lake.must_open("bronze", NAME), lake.must_open("silver", NAME))
    assert todo.is_empty()


@pytest.mark.parametrize("other", ["changes", "changes nothing"])
def test_a_candidate_is_refused_when_another_refinement_committed_in_between(lake: Lake, other: str) -> None:
    land_items(lake, FOUR)
    refine_items(lake)
    land_items(lake, FOUR if other == "changes nothing" else items(3, 6), f"{NAME}@b")
    with pytest.raises(CandidateStale):
        refine(interrupted(lake, lambda: refine_items(lake, "fast")), ITEM)
    assert set(silver(lake)) == ({1, 2, 3, 4} if other == "changes nothing" else {1, 2, 3, 4, 5, 6})
    assert refine_items(lake).landed == 0


def test_the_first_candidate_of_an_empty_silver_is_refused_just_the_same(lake: Lake) -> None:
    land_items(lake, FOUR)
    with pytest.raises(CandidateStale):
        refine(interrupted(lake, lambda: refine_items(lake, "fast")), ITEM)
    assert set(silver(lake)) == {1, 2, 3, 4}


def test_a_refused_candidate_is_taken_in_by_the_repetition(lake: Lake) -> None:
    """The slow run saw less than is there by now; repeated from the newest version nothing is missing."""
    land_items(lake, FOUR)

    def more() -> None:
        refine_items(lake, "fast")
        land_items(lake, [*FOUR, *items(5, 8)])

    with pytest.raises(CandidateStale):
        refine(interrupted(lake, more), ITEM)
    report = refine_items(lake)
    assert (report.landed, report.inserted) == (4, 4)
    assert set(silver(lake)) == set(range(1, 9))


def test_without_a_transaction_in_common_two_stale_writers_add_up(lake: Lake) -> None:
    """Why there is a writer number: overwrites under different names both count, until something makes them clash."""
    first = lake.ensure("gold", "t.bare", ITEMS)
    second = lake.must_open("gold", "t.bare")
    first.append(frame_of(FOUR), {"input:a": 1})
    second.append(frame_of(FOUR), {"input:b": 1})
    assert lake.must_open("gold", "t.bare").row_count() == 8, "two writers, both think they were alone"

    third, fourth = lake.must_open("gold", "t.bare"), lake.must_open("gold", "t.bare")
    third.append(frame_of(FOUR), {"input:a": 2, "#writer": 1})
    with pytest.raises(CommitFailedError):
        fourth.append(frame_of(FOUR), {"input:b": 2, "#writer": 1})


def test_bronze_that_grows_during_a_refinement_is_left_to_the_next(lake: Lake) -> None:
    """A refinement works on one pinned version of bronze."""
    land_items(lake, FOUR)
    report = refine(interrupted(lake, lambda: land_items(lake, [*FOUR, *items(5, 6)])), ITEM).report
    assert report.landed == 4
    assert refine_items(lake).landed == 2
    assert set(silver(lake)) == set(range(1, 7))


def test_a_crash_after_silvers_commit_consumes_the_range_once(lake: Lake) -> None:
    land_items(lake, [*FOUR, *bad_items(5, 6)])
    # The first commit is the quarantine's, the second silver's.
    with writes(crash_after(2)), pytest.raises(Crash):
        refine_items(lake)
    assert refine_items(lake).landed == 0
    assert (set(silver(lake)), rejected(lake)) == ({1, 2, 3, 4}, ["5", "6"])


def test_a_silver_commit_that_happened_and_is_reported_as_failed_is_not_repeated(lake: Lake) -> None:
    """It counts as what it is: the report says what was committed, and the next refinement finds nothing left to do."""
    land_items(lake, [*FOUR, *bad_items(5, 6)])
    with writes(happened_but_failed(2)):
        report = refine_items(lake)
    assert (report.inserted, report.rejected, report.committed) == (4, 2, True)
    assert refine_items(lake).landed == 0
    assert (set(silver(lake)), rejected(lake)) == ({1, 2, 3, 4}, ["5", "6"])


def test_a_dry_run_writes_nothing(lake: Lake) -> None:
    land_items(lake, [*FOUR, *bad_items(5, 6)])
    outcome = refine(Refinement(lake, "dry"), ITEM, dry_run=True)
    assert (outcome.report.inserted, outcome.report.rejected) == (4, 2)
    assert not outcome.report.committed
    assert lake.open("silver", NAME) is None
    assert lake.open("quarantine", NAME) is None
