"""What silver has of deleted keys is the same however a source's events are landed, refined and taken in parts."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from headworks.bronze.landing import Landing, land
from headworks.quality.limits import AnomalyLimits
from headworks.settings import LakeSettings, RejectLimits
from headworks.silver.dataset import Dataset, Keeping
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.support.sources import Frames

NAME = "t.things"
CAME = pl.Schema({"id": pl.Int64(), "v": pl.Int64(), "at": pl.Int64(), "gone": pl.Boolean()})


class Thing(dy.Schema):
    """A thing with a value, and a number that grows with each change."""

    id = dy.Int64(nullable=False)
    v = dy.Int64(nullable=True, min=0)
    at = dy.Int64(nullable=True)


THING = Dataset(
    name=NAME,
    key=("id",),
    schema=Thing,
    columns={name: pl.col(name) for name in ("id", "v", "at")},
    cursor="at",
    deleted_when=pl.col("gone"),
    limits=RejectLimits(share=1.0),
    anomalies=AnomalyLimits(enabled=False),
)
Event = tuple[int, int | None, int | None, bool]


def drawn(rng: random.Random) -> list[Event]:
    """Draw versions, good and rejected ones, and deletions with and without a cursor, of three keys."""
    events: list[Event] = []
    for place in range(rng.randint(4, 12)):
        gone = rng.random() < 0.4
        value = None if gone else (-1 if rng.random() < 0.1 else place)
        at = None if gone and rng.random() < 0.5 else rng.randint(1, 6)
        events.append((rng.randint(1, 3), value, at, gone))
    return events


def silver_of(
    place: Path, dataset: Dataset, events: list[Event], sizes: list[int], part_rows: int
) -> list[tuple[Any, ...]]:
    """Land the events one a batch, refine after each of the ``sizes``, and return what silver has then."""
    lake = Lake(LakeSettings(root=str(place)))
    frames = [pl.DataFrame([event], schema=CAME, orient="row") for event in events]
    done = 0
    for size in sizes:
        done += size
        land(Landing(lake, NAME, NAME, f"run-{done}"), Frames(frames[:done]))
        outcome = refine(Refinement(lake, f"run-{done}", part_rows=part_rows), dataset)
        assert outcome.gate is None or outcome.gate.open, outcome.gate
    rows = lake.must_open("silver", NAME).scan().collect()
    return rows.select("id", "v", "at", "_deleted").sort("id", "at", nulls_last=True).rows()


def divided(rng: random.Random, count: int) -> list[int]:
    sizes: list[int] = []
    while sum(sizes) < count:
        sizes.append(rng.randint(1, count - sum(sizes)))
    return sizes


@pytest.mark.sampled(2)
@pytest.mark.parametrize("keeps", ["newest", "first"])
@pytest.mark.parametrize("seed", range(2))
def test_events_in_any_portions_and_parts_leave_the_same_rows_and_deleted_rows(
    tmp_path: Path, seed: int, keeps: Keeping
) -> None:
    rng = random.Random(seed)
    events, dataset = drawn(rng), replace(THING, keeps=keeps)
    ways = {
        "one by one": ([1] * len(events), 1_000),
        "at once": ([len(events)], 1_000),
        "at once in parts": ([len(events)], 2),
        "in portions": (divided(rng, len(events)), rng.choice([2, 1_000])),
    }
    found = {
        name: silver_of(tmp_path / str(number), dataset, events, *way)
        for number, (name, way) in enumerate(ways.items())
    }
    for name, rows in found.items():
        assert rows == found["one by one"], f"{name} differs: {events}, {ways}"


def test_a_key_that_is_deleted_in_two_parts_keeps_the_values_of_the_first_of_them(tmp_path: Path) -> None:
    came: list[Event] = [
        (1, 2, 1, False), (1, 5, 2, False), (1, None, 3, True), (1, None, 4, True), (2, 1, 1, False),
    ]  # fmt: skip
    found = silver_of(tmp_path, THING, came, [1, 4], 2)
    assert found == [(1, 5, 2, True), (2, 1, 1, False)]
