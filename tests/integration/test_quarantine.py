"""Rejected rows count once, and only with the silver commit that they belong to, however tries interleave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from headworks.errors import CandidateStale
from headworks.settings import RejectLimits
from headworks.silver import concluding, merging, quarantine
from headworks.silver.quarantine import pending_rows
from headworks.silver.refinement import Refinement, refine
from headworks.silver.table import commit_silver
from headworks.storage.store import Lake
from tests.support.faults import Crash, crash_before, writes
from tests.support.items import (
    ITEM,
    NAME,
    land_items,
    quarantine_rows,
    refine_items,
    rejected,
    silver,
)
from tests.support.sources import bad_items, items
from tests.support.turns import Alongside, Turn

SEVEN_BAD = ["1", "2", "3", "4", "5", "6", "7"]


def with_token(lake: Lake, action: Callable[[], Any], number: int = 4711) -> Refinement:
    """Make a refinement that does something else after it read its range and before it wrote anything."""

    def token() -> int:
        action()
        return number

    return Refinement(lake, "slow", token=token)


def test_a_rejected_row_is_kept_with_its_record_its_reasons_and_its_origin(lake: Lake) -> None:
    land_items(lake, [("1", "-5", 3), ("x", "zz", None)])
    refine_items(lake, "run-7")
    table = lake.must_open("quarantine", NAME)
    first, second = table.scan().sort("_row").collect().iter_rows(named=True)
    assert (first["key"], first["reasons"], first["run_id"]) == ("1", ["v|min"], "run-7")
    assert (first["_stream"], first["_sequence"], first["_row"]) == (NAME, 1, 0)
    assert first["record"] == '{"id": "1", "v": "-5", "at": 3}'
    assert second["reasons"] == ["id|unreadable", "v|unreadable"]


def test_rejects_of_a_crashed_try_do_not_count_and_are_taken_away(lake: Lake) -> None:
    """The next try's rows count in their place, and the first try after its commit takes the dead ones away."""
    land_items(lake, [*bad_items(1, 2), *items(3, 4)])
    with writes(crash_before(2)), pytest.raises(Crash):
        refine_items(lake)
    assert (rejected(lake), quarantine_rows(lake)) == ([], 2)
    refine_items(lake)
    assert rejected(lake) == ["1", "2"]
    land_items(lake, [*bad_items(1, 2), *items(3, 6)])
    refine_items(lake)
    assert (rejected(lake), quarantine_rows(lake)) == (["1", "2"], 2)


def test_without_the_token_rejects_of_a_crashed_try_are_counted_twice(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule taken out: all tries carry one token, so that silver cannot report which one it named."""
    monkeypatch.setattr(
        concluding, "next_try", lambda silver, token: quarantine.Try(silver.transaction("#writer") + 1, 1, 1)
    )
    land_items(lake, [*bad_items(1, 2), *items(3, 4)])
    with writes(crash_before(2)), pytest.raises(Crash):
        refine_items(lake)
    refine_items(lake)
    assert rejected(lake) == ["1", "1", "2", "2"]


def test_a_shorter_try_that_writes_later_does_not_take_a_longer_ones_rejects(lake: Lake) -> None:
    """B rejects rows 1 to 7, then A rejects 1 to 5 which is all it saw, then B commits: 6 and 7 must be there."""
    land_items(lake, bad_items(1, 5))
    read, may_write, at_commit = Turn(), Turn(), Turn()

    def pause() -> None:
        read.reached()
        may_write.wait()

    def a_at_commit(*arguments: Any) -> None:
        at_commit.reached()
        b_ended.wait()
        real_commit(*arguments)

    real_commit, b_ended = commit_silver, Turn()
    a = Alongside(lambda: refine(with_token(lake, pause), ITEM)).start()
    read.wait()
    land_items(lake, bad_items(1, 7))

    def b_at_commit(*arguments: Any) -> None:
        patch.setattr(merging, "commit_silver", a_at_commit)
        may_write.reached()
        # A either wrote its rejects and is before its commit, or was refused already.
        while not (at_commit.is_reached() or a.ended.is_reached()):
            a.ended.wait_a_little()
        real_commit(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "commit_silver", b_at_commit)
        refine_items(lake, "b")
        b_ended.reached()
        a.join()
    assert isinstance(a.error, CandidateStale)
    assert rejected(lake) == SEVEN_BAD
    land_items(lake, bad_items(1, 8))
    refine_items(lake)
    assert rejected(lake) == [*SEVEN_BAD, "8"]


def test_a_zombie_that_wrote_its_rejects_first_is_refused_at_silver(lake: Lake) -> None:
    land_items(lake, bad_items(1, 2))
    real = commit_silver

    def late(*arguments: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(merging, "commit_silver", real)
            refine_items(lake, "second")
            land_items(lake, bad_items(1, 4))
            refine_items(lake, "third")
        real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "commit_silver", late)
        with pytest.raises(CandidateStale):
            refine(Refinement(lake, "zombie"), ITEM)
    assert rejected(lake) == ["1", "2", "3", "4"]
    assert silver(lake) == {}


def test_every_try_commits_to_the_quarantine_even_without_rejects(lake: Lake) -> None:
    land_items(lake, items(1, 2))
    refine_items(lake)
    assert lake.must_open("quarantine", NAME).transaction("#writer") == 1


def test_what_a_closed_gate_was_closed_for_can_be_looked_at(lake: Lake) -> None:
    """Rows of tries that silver never named: each once, however often it was tried."""
    strict = replace(ITEM, limits=RejectLimits(share=0.1, from_rows=1))
    land_items(lake, [*bad_items(1, 2), *items(3, 4)])
    for _ in range(3):
        outcome = refine(Refinement(lake, "run"), strict)
        assert outcome.gate is not None
        assert not outcome.gate.open
    rows = pending_rows(lake, NAME, lake.open("silver", NAME))
    assert rows is not None
    assert sorted(rows.collect().get_column("key").to_list()) == ["1", "2"]
    assert rejected(lake) == []


def test_a_run_that_slept_through_two_others_leaves_no_rejected_row_twice(lake: Lake) -> None:
    """It judged its range, and woke when others had refined it and more: its rows would count with theirs."""
    land_items(lake, bad_items(1, 2))
    woken: list[int] = []

    def token() -> int:
        if not woken:
            woken.append(1)
            refine_items(lake)
            land_items(lake, [*bad_items(1, 2), *bad_items(3, 3)])
            refine_items(lake)
        return 99

    with pytest.raises(CandidateStale):
        refine(Refinement(lake, "sleeper", token=token), ITEM)
    assert rejected(lake) == ["1", "2", "3"]
    refine_items(lake)
    assert rejected(lake) == ["1", "2", "3"]


def test_a_try_that_slept_through_two_commits_leaves_no_rejected_rows(lake: Lake) -> None:
    """Its number is behind silver's by then: rows under it would count next to those of the try that was named."""
    land_items(lake, bad_items(1, 2))

    def others() -> None:
        refine_items(lake, "fast")
        land_items(lake, bad_items(1, 4))
        refine_items(lake, "faster")

    with pytest.raises(CandidateStale):
        refine(with_token(lake, others), ITEM)
    assert (rejected(lake), quarantine_rows(lake)) == (["1", "2", "3", "4"], 4)
    land_items(lake, bad_items(1, 7))
    refine_items(lake)
    assert rejected(lake) == SEVEN_BAD
