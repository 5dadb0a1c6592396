"""Whatever becomes of a commit, of whatever kind, the next try ends in the same lake and in the same account.

A round of everything that commits is played on a small lake once without a fault. Then each of its commits in turn
happens and is reported as failed, fails without having happened, is the last thing before the process ends, or is not
made any more. The steps are tried again under the same run, as tasks do.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import dataframely as dy
import pytest

from headworks.bronze.generations import begin_generation, complete_generation
from headworks.bronze.landing import Landing, land
from headworks.bronze.resolutions import resolutions
from headworks.bronze.streams import reset_stream
from headworks.errors import RetryError
from headworks.gold.products import publish_product, read_product, release, roll_back
from headworks.gold.table import pin
from headworks.settings import LakeSettings
from headworks.silver.refinement import Refinement, refine
from headworks.silver.replay import replay
from headworks.storage.store import Lake
from tests.support import golden
from tests.support.faults import Crash, commits, crash_after, crash_before, happened_but_failed
from tests.support.items import ITEM, NAME, bronze, head, rejected, silver
from tests.support.sources import ITEMS, Numbered, bad_items, ids, items

FIRST = [*items(1, 4), *bad_items(5, 6)]
SECOND = [*FIRST, *items(1, 2, cursor=2), *items(7, 8), *bad_items(9, 9)]

Outcome = TypeVar("Outcome")
Fault = Callable[[int, Callable[[], Any]], Any]


class Loose(dy.Schema):
    """The items under a rule that was fixed: any value will do."""

    id = dy.Int64(nullable=False)
    v = dy.Int64(nullable=False)
    at = dy.Int64(nullable=True)


@dataclass(frozen=True)
class Played:
    """What a round came to: what its steps report, and what is in the lake."""

    reported: tuple[object, ...]
    there: tuple[object, ...]


def tried(step: Callable[[], Outcome]) -> Outcome:
    """Do a step as a task does: tried again for what heals."""
    for _ in range(3):
        try:
            return step()
        except RetryError:
            continue
    return step()


def everything(lake: Lake, contracts: Path) -> tuple[object, ...]:
    """Do every kind of commit once, as one run; return what the steps report."""
    landing = Landing(lake, NAME, NAME, "round", counts_on=True)
    landed = tried(lambda: land(landing, Numbered(SECOND)))
    refined = tried(lambda: refine(Refinement(lake, "round", counts_on=True), ITEM)).report
    pins = pin(lake, [NAME])
    tables = [tried(partial(golden.committed, lake, each, pins)).table for each in golden.tables(contracts)]
    tried(lambda: publish_product(lake, golden.PRODUCT, tables, "round"))
    return (
        (landed.read, landed.landed, landed.batches),
        (
            refined.landed,
            refined.inserted,
            refined.updated,
            refined.rejected,
            refined.unchanged,
            refined.committed,
        ),
    )


def in_lake(lake: Lake) -> tuple[object, ...]:
    product = read_product(lake, golden.PRODUCT)
    assert product is not None
    return (
        ids(bronze(lake)),
        silver(lake),
        rejected(lake),
        golden.rows(lake),
        product.sequence,
        product.run_id,
    )


def full_read(lake: Lake) -> object:
    landing = Landing(lake, NAME, NAME, "round")
    generation = begin_generation(landing, ITEMS)
    land(replace(landing, stream=generation.stream), Numbered([*items(1, 3), *bad_items(5, 6)]))
    complete_generation(landing, generation)
    return tried(lambda: refine(Refinement(lake, "round"), ITEM)).report.deleted, set(silver(lake))


def reset(lake: Lake) -> object:
    return reset_stream(Landing(lake, NAME, NAME, "round"), {"n": 2}).sequence, head(lake).position


def replayed(lake: Lake) -> object:
    fixed = replace(ITEM, schema=Loose)
    report = tried(lambda: replay(Refinement(lake, "round"), fixed, by="me", note="fixed")).report
    return report.inserted, resolutions(lake, NAME).collect().height, set(silver(lake))


def rolled_back(lake: Lake) -> object:
    held = tried(lambda: roll_back(lake, golden.PRODUCT, "first", "why"))
    freed = tried(lambda: release(lake, golden.PRODUCT))
    return held.sequence, held.held, freed.sequence, freed.held


RARE: dict[str, tuple[Callable[[Lake], object], object]] = {
    "full read": (full_read, (1, {1, 2, 3})),
    "reset": (reset, (4, {"n": 2})),
    "replay": (replayed, (2, 2, {1, 2, 3, 4, 5, 6})),
    "rollback": (rolled_back, (2, "why", 3, None)),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a lake to begin with, and how the round ends there without a fault."""
    folder = tmp_path_factory.mktemp("made")
    golden.named(Lake(LakeSettings(root=str(folder / "lake"))), folder / "contracts", FIRST, "first")
    return folder


def played(made: Path, here: Path, fault: Fault | None) -> tuple[Played, int]:
    """Play the round in a copy; a crash is followed by the same run begun again. Returns the number of commits too."""
    shutil.copytree(made, here)
    lake, seen = Lake(LakeSettings(root=str(here / "lake"))), 0

    def around(number: int, call: Callable[[], Any]) -> Any:
        nonlocal seen
        seen = number
        return call() if fault is None else fault(number, call)

    try:
        with commits(around):
            reported = everything(lake, here / "contracts")
    except Crash:
        reported = everything(lake, here / "contracts")
    return Played(reported, in_lake(lake)), seen


def fails_once(at: int) -> Fault:
    """Let a commit fail for a reason that heals, without having happened."""

    def around(number: int, call: Callable[[], Any]) -> Any:
        if number == at:
            raise ConnectionResetError(104, "connection reset by peer")
        return call()

    return around


FAULTS: dict[str, Callable[[int], Fault]] = {
    "happened and is reported as failed": happened_but_failed,
    "fails": fails_once,
    "is the last before the end": crash_after,
    "is not made before the end": crash_before,
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", list(FAULTS))
def test_whatever_becomes_of_a_commit_the_lake_and_the_account_are_the_same(
    made: Path, tmp_path: Path, name: str
) -> None:
    without, count = played(made, tmp_path / "without", None)
    assert count == 10
    for number in range(1, count + 1):
        ended, _ = played(made, tmp_path / f"{number}", FAULTS[name](number))
        assert ended == without, f"commit {number} of {count}"


@pytest.mark.parametrize("step", list(RARE))
def test_a_rarer_commit_that_is_reported_as_failed_counts_as_what_it_is(
    made: Path, tmp_path: Path, step: str
) -> None:
    """A full read's marks, a reset, a replay, a rollback and its release: each of their commits in turn."""
    act, expected = RARE[step]
    number, count = 0, 1
    while number <= count:
        here = tmp_path / f"{number}"
        shutil.copytree(made, here)
        with commits(happened_but_failed(number)) as seen:
            assert act(Lake(LakeSettings(root=str(here / "lake")))) == expected, f"commit {number} of {count}"
        number, count = number + 1, seen.count
