"""Holding, releasing, discarding, taking back and undoing are killed around each write, and repeated: each is exact."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headworks.quality.deliveries import deliveries
from headworks.settings import LakeSettings, RejectLimits
from headworks.silver.decisions import discard, release, undo
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.integration.test_held_deliveries import BAD, GOOD, Play
from tests.support.faults import Crash, commits
from tests.support.items import ITEM, NAME, rejected, silver
from tests.support.sources import items

KILLS = int(os.environ.get("DECISION_KILLS", "24"))
"""How many of the places are tried, drawn by a fixed seed; all of them with a large number."""

STRICT = replace(ITEM, limits=RejectLimits(share=0.25, from_rows=1))
LATER = [("1", "77", 9), ("5", "55", 0), *items(20, 24)]
SIGNED: Any = {"by": "Ada", "note": "a test of it"}
MOST = 14
"""More writes than any of the actions has."""


def work_on(lake: Lake) -> Refinement:
    """Return what an action and its repetition work with: the same run, as a task that is tried again."""
    return Refinement(lake, "decision")


def delivery(lake: Lake, at: int) -> str:
    """Return the id of a delivery by its place in the order of landing."""
    return deliveries(lake, NAME)[at].id


ACTIONS: dict[str, tuple[tuple[str, int], ...]] = {
    "release": (("release", 1),),
    "discard a held one": (("discard", 1),),
    "take back": (("discard", 2),),
    "take a released one back": (("release", 1), ("discard", 1)),
    "undo a discard": (("discard", 1), ("undo", 1)),
    "bring back": (("discard", 2), ("undo", 2)),
    "undo a release": (("release", 1), ("undo", 1)),
}
"""What is done, by what and about which delivery: the last of it is killed."""


def act(lake: Lake, step: tuple[str, int]) -> None:
    """Do one step."""
    name, at = step
    {"release": release, "discard": discard, "undo": undo}[name](
        work_on(lake), STRICT, delivery(lake, at), **SIGNED
    )


@contextmanager
def killed_at(write: int, *, after: bool) -> Iterator[list[int]]:
    """Kill around the n-th write of any kind: a commit, or an object that is put or removed."""
    seen = [0]

    def around(call: Callable[[], Any]) -> Any:
        seen[0] += 1
        if seen[0] == write and not after:
            raise Crash
        result = call()
        if seen[0] == write:
            raise Crash
        return result

    def patched(real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given, **named: around(lambda: real(*given, **named))

    with pytest.MonkeyPatch.context() as patch, commits(lambda _, call: around(call)):
        patch.setattr(Lake, "put_object", patched(Lake.put_object))
        patch.setattr(Lake, "remove_object", patched(Lake.remove_object))
        yield seen


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with an accepted delivery, a held one, and an accepted one after it."""
    folder = tmp_path_factory.mktemp("made") / "lake"
    play = Play(Lake(LakeSettings(root=str(folder))), STRICT)
    for day in (GOOD, BAD, LATER):
        play.play(day)
    return folder


def state(lake: Lake) -> object:
    """Return all that people can see of it."""
    return (
        silver(lake),
        rejected(lake),
        [(one.id, one.state, one.rows) for one in deliveries(lake, NAME)],
    )


def played(made: Path, here: Path, name: str, write: int, *, after: bool) -> tuple[object, int]:
    """Do an action in a copy, killed around a write and repeated, and a refinement after it."""
    shutil.copytree(made, here)
    lake = Lake(LakeSettings(root=str(here)))
    *before, last = ACTIONS[name]
    for number, step in enumerate(before):
        {"release": release, "discard": discard, "undo": undo}[step[0]](
            Refinement(lake, f"before-{number}"), STRICT, delivery(lake, step[1]), **SIGNED
        )
    chosen = delivery(lake, last[1])
    acts: dict[str, Callable[..., Any]] = {"release": release, "discard": discard, "undo": undo}
    with killed_at(write, after=after) as seen, suppress(Crash):
        acts[last[0]](work_on(lake), STRICT, chosen, **SIGNED)
    acts[last[0]](work_on(lake), STRICT, chosen, **SIGNED)
    refine(Refinement(lake, "next"), STRICT)
    return state(lake), seen[0]


PLACES = [(name, write, after) for name in ACTIONS for write in range(1, MOST + 1) for after in (False, True)]
CHOSEN = random.Random(20).sample(PLACES, min(KILLS, len(PLACES)))


@pytest.fixture(scope="module")
def clean(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """How each action ends where nothing is killed."""
    folder = tmp_path_factory.mktemp("clean")
    return {name: played(made, folder / str(at), name, 0, after=False)[0] for at, name in enumerate(ACTIONS)}


@pytest.mark.sampled(8)
@pytest.mark.parametrize(("name", "write", "after"), CHOSEN)
def test_a_decision_that_is_killed_and_repeated_is_the_same_as_one_that_was_not(
    made: Path, tmp_path: Path, clean: dict[str, object], name: str, write: int, after: bool
) -> None:
    ended, _ = played(made, tmp_path / "lake", name, write, after=after)
    assert ended == clean[name]


def test_no_action_has_more_writes_than_are_tried(made: Path, tmp_path: Path) -> None:
    for at, name in enumerate(ACTIONS):
        assert 0 < played(made, tmp_path / str(at), name, 0, after=False)[1] <= MOST


def test_what_each_action_comes_to(clean: dict[str, object]) -> None:
    """So that the comparison above is not one of nothing with nothing."""
    held: Any = clean["undo a discard"]
    assert clean["undo a release"] == held
    assert clean["bring back"] == held
    released: Any = clean["release"]
    assert (released[0][6], released[1]) == ((60, 1), ["10", "7", "8", "9"])
    assert [one[1] for one in released[2]] == ["accepted", "released", "accepted"]
    assert clean["take a released one back"] == clean["discard a held one"]
    taken: Any = clean["take back"]
    assert taken[0] == {1: (10, 1), 2: (20, 1), 3: (30, 1), 4: (40, 1)}
