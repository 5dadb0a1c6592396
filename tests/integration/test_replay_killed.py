"""A replay's process is killed around each of its commits, and replayed twice: silver is what a first run makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headworks.bronze.resolutions import resolutions
from headworks.settings import LakeSettings
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.support.items import ITEM, NAME, Ticking, land_items
from tests.support.replay_worker import FIXED, replay_fixed, replay_killed
from tests.support.sources import Record, bad_items, items

LOADS: tuple[list[Record], ...] = (
    [*items(1, 3), *bad_items(4, 6), ("x", "1", 1)],
    # A newer good version of 4, an older bad one of 1, one of 5 that is good as its first was not, a newer bad 6.
    [("4", "44", 2), ("1", "-1", 0), ("5", "55", 1), ("6", "-66", 2), *bad_items(7, 8)],
)
COMMITS = 4
"""Those of a replay: of the quarantine, of silver, and of what became of the rows, released and superseded."""


def opened(folder: Path) -> Lake:
    return Lake(LakeSettings(root=str(folder)))


def ingested(folder: Path, dataset: Any) -> Lake:
    """Land the same rows at the same moments, and refine each load under a dataset's rules."""
    lake, clock, landed = opened(folder), Ticking(), list[Record]()
    for load in LOADS:
        landed += load
        land_items(lake, landed, size=100, clock=clock)
        refine(Refinement(lake, "first"), dataset)
    return lake


def rows(lake: Lake) -> list[tuple[Any, ...]]:
    """Return all of silver, with what orders the versions."""
    return lake.must_open("silver", NAME).scan().sort("id").collect().rows()


@pytest.mark.sampled(3)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("commit", range(1, COMMITS + 1))
def test_killed_around_any_commit_and_replayed_twice_silver_is_that_of_a_clean_first_run(
    tmp_path: Path, commit: int, after: bool
) -> None:
    wrong, right = ingested(tmp_path / "wrong", ITEM), ingested(tmp_path / "right", FIXED)
    assert rows(wrong) != rows(right)
    assert replay_killed(tmp_path / "wrong", commit, after=after), "there is no such commit"
    for run_id in ("second", "third"):
        replay_fixed(tmp_path / "wrong", run_id)
    assert rows(opened(tmp_path / "wrong")) == rows(right)
    noted = resolutions(wrong, NAME).select("key", "resolution").collect().rows()
    assert len(noted) == len(set(noted))
    released = {key for key, resolution in noted if resolution == "released"}
    assert released >= {"6", "7", "8"}
    assert {key for key, _ in noted} == {"4", "5", "6", "7", "8"}


def test_a_replay_has_so_many_commits_and_no_more(tmp_path: Path) -> None:
    ingested(tmp_path / "wrong", ITEM)
    assert not replay_killed(tmp_path / "wrong", COMMITS + 1, after=False)
