"""A sample of the weeks of play and of the slow changes, and that both can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.corruption.companies.ledger import ENTRIES, LEDGER
from tests.corruption.drifts import LEAKS, drifts, drifts_table
from tests.corruption.faults import STRENGTHS, Fault, faults_of
from tests.corruption.playing import copied, play
from tests.corruption.weeks import (
    BAD,
    Stage,
    _corrupted,
    _lenient,
    _week,
    can_decide,
    stage,
    weeks,
    weeks_table,
)

SEED, WARM_UP, AFTER = 1, 4, 3


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Four months, and four that follow."""
    return stage(LEDGER, tmp_path_factory.mktemp("weeks"), SEED, WARM_UP, after=AFTER)


def fault_of(start: Stage, name: str) -> Fault:
    found = faults_of(start.company, list(start.past))
    return next(one for one in found if one.form.name == name and one.dataset == ENTRIES)


@pytest.mark.xfail(
    condition=not can_decide(), strict=True, reason="pending deliveries are judged together, so shares halve"
)
def test_a_delivery_whose_rows_are_mostly_rejected_reaches_nobody_while_nobody_acts(start: Stage) -> None:
    fault = fault_of(start, "key or reference is null")
    played = list(weeks(start, [(fault, "strong")], SEED, ways=("nobody acts",)))
    assert [one.first for one in played] == ["stopped"]
    assert all(one.fine for one in played), weeks_table(played)


def test_a_gate_that_lets_everything_through_is_seen_to_publish_what_is_bad(
    start: Stage, tmp_path: Path
) -> None:
    """The play itself can fail: with a gate that is always open consumers see the corrupted delivery."""
    fault = fault_of(start, "another unit")
    frames, _ = _corrupted(start, fault, "strong", SEED)
    blind = replace(start, company=_lenient(LEDGER), folder=tmp_path, twins={}, lakes={})
    lake = copied(start.lake, tmp_path / "blind")
    played = play(blind.company, lake, frames, start.days[0].ends, BAD)
    week = _week(blind, lake, fault, "strong", "nobody acts", "stopped", frames, played)
    assert week.wrong
    assert not week.fine
    assert "1" in weeks_table([week])[1]


def test_slow_changes_are_played_step_by_step_and_told_in_a_table() -> None:
    found = drifts(LEDGER, SEED, warm_up=6, steps=2)
    assert [one.name for one in found[: len(LEAKS)]] == [one.name for one in LEAKS]
    assert next(one for one in found if one.name == "49 of 49 rows rejected").fine
    assert len(drifts_table(found)) == 1 + len(found)


def test_a_leak_is_missed_where_it_is_noticed_only_after_more_than_its_aim() -> None:
    for leak in LEAKS:
        assert leak.moved(1) < leak.most
        assert leak.moved(15) > leak.most, leak.name
    assert set(STRENGTHS) == {"weak", "middle", "strong"}


def test_twins_are_played_in_folders_of_their_own(start: Stage) -> None:
    """A twin's lake is a copy: the lake before the corrupted delivery stays as it is."""
    before = (start.lake.must_open("silver", ENTRIES)).version
    start.twin("clean", start.days[0].frames)
    assert start.lake.must_open("silver", ENTRIES).version == before
    assert start.lakes["clean"].settings.root != start.lake.settings.root
