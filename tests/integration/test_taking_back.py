"""A delivery that silver has is taken back: silver is as if it had never come; undone, it was never taken."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headworks.bronze.generations import begin_generation, complete_generation
from headworks.bronze.landing import Landing, land
from headworks.errors import SettingsError
from headworks.quality.deliveries import deliveries
from headworks.quality.limits import AnomalyLimits
from headworks.settings import LakeSettings
from headworks.silver.dataset import CURRENT, DELETED, VALID_FROM, VALID_TO, Dataset, Keeping
from headworks.silver.decisions import Decided, discard, release, undo
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.integration.test_keeping import NAME, PEOPLE, Version, frame
from tests.support.items import BEGINNING
from tests.support.sources import Frames

SEEDS = int(os.environ.get("TAKING_BACK_SEEDS", "4"))
QUIET = AnomalyLimits(enabled=False, future_hours=1_000_000)
SIGNED: Any = {"by": "Ada", "note": "a test of it"}


@dataclass(frozen=True)
class Day:
    """What a run lands: new versions, or all that the source has."""

    number: int
    output: tuple[Version, ...]
    full: bool = False


def days(seed: int, *, full_reads: bool) -> list[Day]:
    """Make some days of random versions of few keys: late, repeated, deleted, and rejected ones among them."""
    chance = random.Random(seed)
    made = []
    for number in range(chance.randint(4, 6)):
        output = tuple(
            (
                chance.randint(1, 6),
                chance.choice(["Rome", "Paris", "Berlin", None]),
                chance.randint(1, 9),
                chance.random() < 0.2,
            )
            for _ in range(chance.randint(1, 6))
        )
        full = full_reads and chance.random() < 0.4
        made.append(Day(number, tuple((*one[:3], False) for one in output) if full else output, full))
    return made


def _same(moment: datetime) -> datetime:
    return moment


def played(folder: Path, dataset: Dataset, some: Sequence[Day]) -> Lake:
    """Land and refine each day by a run of its own."""
    lake = Lake(LakeSettings(root=str(folder)))
    frames: list[pl.DataFrame] = []
    for number, day in enumerate(some):
        run, moment = f"day-{number}", BEGINNING + timedelta(days=day.number)
        live = Landing(lake, NAME, NAME, run, clock=partial(_same, moment))
        if day.full:
            generation = begin_generation(live, frame(day.output).schema)
            land(replace(live, stream=generation.stream), Frames([frame(day.output)]))
            complete_generation(live, generation)
        else:
            frames.append(frame(day.output))
            land(live, Frames(frames))
        refine(Refinement(lake, run), dataset)
    return lake


def content(lake: Lake, dataset: Dataset) -> list[tuple[Any, ...]]:
    """Return all of silver but where it came from."""
    table = lake.open("silver", NAME)
    if table is None:
        return []
    own = [VALID_FROM, VALID_TO, CURRENT] if dataset.keeps == "history" else []
    rows = table.scan().select(*dataset.columns, *own, DELETED).collect()
    alive = rows if dataset.keeps == "history" else rows.filter(~pl.col(DELETED))
    return sorted(alive.rows(), key=str)


def in_order(lake: Lake) -> list[str]:
    """Return the deliveries' ids in the order in which they were landed."""
    return [one.id for one in deliveries(lake, NAME)]


@pytest.mark.sampled(5)
@pytest.mark.parametrize("full_reads", [False, True], ids=["live", "with full reads"])
@pytest.mark.parametrize("keeps", ["newest", "first", "history"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_is_taken_back_was_never_there_and_undone_it_was(
    tmp_path: Path, seed: int, keeps: Keeping, full_reads: bool
) -> None:
    dataset = replace(PEOPLE, keeps=keeps, anomalies=QUIET)
    some = days(1_000 * seed + 17, full_reads=full_reads)
    lake = played(tmp_path / "all", dataset, some)
    before, work = content(lake, dataset), Refinement(lake, "decision")
    chosen = random.Random(seed).randrange(len(some))
    number = in_order(lake)[chosen]
    would = discard(work, dataset, number, **SIGNED, dry_run=True)
    assert content(lake, dataset) == before, "a dry run changes nothing"
    did = discard(work, dataset, number, **SIGNED)
    assert counts(would) == counts(did)
    without = played(tmp_path / "without", dataset, [day for at, day in enumerate(some) if at != chosen])
    assert content(lake, dataset) == content(without, dataset)
    assert discard(work, dataset, number, **SIGNED).already
    refine(work, dataset)
    assert content(lake, dataset) == content(without, dataset), "no later run brings it back"
    undo(work, dataset, number, **SIGNED)
    assert content(lake, dataset) == before
    assert {one.state for one in deliveries(lake, NAME)} == {"accepted"}


def counts(decided: Decided) -> tuple[int, int, int]:
    """Return how many rows of silver change."""
    return decided.inserted, decided.updated, decided.removed


def test_a_decision_needs_a_name_a_reason_and_a_delivery_in_the_right_state(tmp_path: Path) -> None:
    dataset = replace(PEOPLE, anomalies=QUIET)
    lake = played(tmp_path, dataset, days(1, full_reads=False))
    work, number = Refinement(lake, "decision"), in_order(lake)[0]
    with pytest.raises(SettingsError, match="by somebody and for a reason"):
        discard(work, dataset, number, by="", note="x")
    with pytest.raises(SettingsError, match="is accepted and cannot be released"):
        release(work, dataset, number, **SIGNED)
    with pytest.raises(SettingsError, match="There is no delivery"):
        discard(work, dataset, "zzzz", **SIGNED)
    with pytest.raises(SettingsError, match="cannot be undone"):
        undo(work, dataset, number, **SIGNED)
