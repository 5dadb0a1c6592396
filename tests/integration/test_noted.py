"""Which rejected rows a newer version replaces is noted by what changed, and is what looking at all of them finds."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from headworks.bronze.resolutions import resolutions
from headworks.settings import LakeSettings
from headworks.silver import concluding, replaced
from headworks.silver.rejects import open_rejects
from headworks.storage.store import Lake
from tests.support.faults import Crash
from tests.support.items import NAME, land_items, refine_items
from tests.support.sources import Record


def notes(lake: Lake) -> list[tuple[Any, ...]]:
    """Return what is open, and what is noted of the rest."""
    silver = lake.must_open("silver", NAME)
    waiting = open_rejects(lake, NAME, silver).select("_sequence", "_row", "key").collect()
    noted = resolutions(lake, NAME).select("_sequence", "_row", "key", "resolution").collect()
    return [*sorted(waiting.rows(), key=repr), ("noted",), *sorted(noted.rows(), key=repr)]


def looking_at_all(lake: Lake) -> None:
    """Refine as the oracle does: no mark says that anything is noted."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("is_noted", "is_noted_before"):
            patch.setattr(replaced, name, lambda *_: False)
        refine_items(lake)


STEPS = (
    (concluding, "note_replaced"),
    (replaced, "_note"),
    (concluding, "note_discarded_again"),
    (concluding, "put_noted"),
)


def test_what_is_noted_by_changes_is_what_looking_at_all_rows_notes(lake: Lake, tmp_path: Path) -> None:
    """Random versions, good and bad, new and old; one run in three is killed at some step after its commit."""
    random = Random("noted")
    oracle = Lake(LakeSettings(root=str(tmp_path / "oracle")))
    records: list[Record] = []
    killed = 0
    for step in range(18):
        for _ in range(random.choice((1, 1, 4))):
            number, good = random.randrange(8), random.random() < 0.5
            cursor = random.choice((None, step, random.randrange(18)))
            records.append((str(number), str(step) if good else random.choice(("-1", "x")), cursor))
        for each in (lake, oracle):
            land_items(each, records)
        looking_at_all(oracle)
        if step % 3 == 1:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(*random.choice(STEPS), _crash)
                try:
                    refine_items(lake)
                except Crash:
                    # The next commit comes without a refinement in between that finds nothing new.
                    killed += 1
                    continue
        refine_items(lake)
        assert notes(lake) == notes(oracle), f"step {step}"
    assert killed > 2
    assert any(row[-1] == "superseded" for row in notes(lake))


def _crash(*_: object) -> None:
    raise Crash


def test_an_idle_refinement_looks_at_none_and_one_after_a_change_at_its_keys(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = replaced._note

    def noted(*arguments: Any) -> None:
        seen.append(arguments[-1].height)
        real(*arguments)

    monkeypatch.setattr(replaced, "_note", noted)
    records: list[Record] = [(str(n), "-1", n) for n in range(1, 6)]
    land_items(lake, records)
    refine_items(lake)
    refine_items(lake)
    assert seen == [5], "nothing has changed since"
    land_items(lake, [*records, ("3", "7", 9), ("9", "7", 9)])
    refine_items(lake)
    assert seen == [5, 1]
    assert open_rejects(lake, NAME, lake.must_open("silver", NAME)).collect().height == 4


LOST = ("the mark", "notes", "another declaration")


@pytest.mark.parametrize("what", LOST)
def test_whatever_was_lost_the_next_refinement_looks_at_all_rows(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    records: list[Record] = [("1", "-1", 1), ("2", "-1", 2)]
    land_items(lake, records)
    refine_items(lake)
    land_items(lake, [*records, ("1", "5", 3)])
    refine_items(lake)
    seen: list[int] = []
    real = replaced._note

    def noted(*arguments: Any) -> None:
        seen.append(arguments[-1].height)
        real(*arguments)

    monkeypatch.setattr(replaced, "_note", noted)
    root = Path(lake.settings.root)
    if what == "the mark":
        (next((root / "_headworks/noted").rglob("*.json"))).unlink()
    elif what == "notes":
        for file in sorted((root / "ops/resolutions").rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
    else:
        monkeypatch.setattr(pl, "__version__", "another")
    refine_items(lake)
    assert seen == [2 if what == "notes" else 1]
    assert [row[-1] for row in notes(lake) if row[-1] == "superseded"] == ["superseded"]


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_notes_of_a_killed_run_are_made_by_the_next_commit_whatever_it_changes(lake: Lake, step: int) -> None:
    records: list[Record] = [("1", "-1", 1)]
    land_items(lake, records)
    refine_items(lake)
    land_items(lake, [*records, ("1", "5", 3)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*STEPS[step], _crash)
        with pytest.raises(Crash):
            refine_items(lake)
    land_items(lake, [*records, ("1", "5", 3), ("2", "5", 3)])
    refine_items(lake)
    assert notes(lake)[0] == ("noted",), "nothing is open"
