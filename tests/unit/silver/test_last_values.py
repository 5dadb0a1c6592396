"""A deleted key keeps the values that it had when it was deleted, however its events are divided into ranges."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import polars as pl
import pytest

from headworks.silver.compare import compare, first, newest
from headworks.silver.dataset import PROVENANCE

KEY = ("id",)
TYPED = {"id": pl.Int64(), "v": pl.Int64(), "at": pl.Int64()}
CAME = pl.Schema({**TYPED, **PROVENANCE, "_deleted": pl.Boolean()})
SILVER = pl.Schema({**CAME, "_void_until": pl.Int64()})
MORNING = datetime(2026, 1, 5, tzinfo=UTC)


def events(rng: random.Random, *, with_cursor: bool) -> pl.DataFrame:
    """Draw versions and deletions of two keys in the order in which they arrive; some deletions have a cursor, some
    have values of their own, some have nothing but their key, and cursors tie and go back."""
    rows: list[dict[str, Any]] = []
    for place in range(rng.randint(1, 9)):
        gone = rng.random() < 0.4
        bare = gone and rng.random() < 0.6
        at = rng.randint(1, 5) if with_cursor and not (gone and rng.random() < 0.5) else None
        rows.append(
            {
                "id": rng.randint(1, 2),
                "v": None if bare else 100 + place,
                "at": at,
                "_cursor": at,
                "_arrival": place,
                "_ingested_at": MORNING,
                "_stream": "t.x",
                "_sequence": place + 1,
                "_row": 0,
                "_deleted": gone,
            }
        )
    return pl.DataFrame(rows, schema=CAME, orient="row")


def merged(silver: pl.DataFrame, came: pl.DataFrame, *, keep_first: bool) -> pl.DataFrame:
    """Merge a range as a refinement does, which leaves out rows that were only read again."""
    candidates = first(came, KEY) if keep_first else newest(came, KEY)
    found = compare(candidates, silver.lazy(), KEY, keep_first=keep_first)
    changes = found.fresh.select(list(SILVER))
    return pl.concat([silver.join(changes, on=list(KEY), how="anti"), changes])


def shown(silver: pl.DataFrame) -> list[tuple[Any, ...]]:
    return silver.select(*TYPED, "_deleted").sort("id").rows()


def divided(came: pl.DataFrame, cuts: list[int]) -> list[pl.DataFrame]:
    return [came[begin:end] for begin, end in pairwise([0, *cuts, came.height])]


@pytest.mark.parametrize("keep_first", [False, True], ids=["newest", "first"])
@pytest.mark.parametrize("with_cursor", [True, False], ids=["cursor", "arrival"])
@pytest.mark.parametrize("seed", range(8))
def test_any_division_of_a_sequence_gives_the_same_silver(
    seed: int, with_cursor: bool, keep_first: bool
) -> None:
    rng = random.Random(seed)
    came = events(rng, with_cursor=with_cursor)
    ways = [list(range(1, came.height)), [], *(_cuts(rng, came.height) for _ in range(4))]
    found = []
    for cuts in ways:
        silver = pl.DataFrame(schema=SILVER)
        for part in divided(came, cuts):
            silver = merged(silver, part, keep_first=keep_first)
        found.append(shown(silver))
    for cuts, one in zip(ways, found, strict=True):
        assert one == found[0], f"divided at {cuts} differs from one by one: {came}"


def _cuts(rng: random.Random, rows: int) -> list[int]:
    return sorted(rng.sample(range(1, rows), rng.randint(0, rows - 1))) if rows > 1 else []


@pytest.mark.parametrize("cursor", [1, 5, None])
def test_what_arrived_before_a_deletion_is_raised_by_nothing(cursor: int | None) -> None:
    row = {"id": 1, "v": 1, "_ingested_at": MORNING, "_stream": "t.x", "_sequence": 1, "_row": 0}
    gone = {**row, "_arrival": 7, "_deleted": True, "_void_until": 7}
    silver = pl.DataFrame([gone], schema=SILVER)
    early = {**row, "v": 2, "at": cursor, "_cursor": cursor, "_arrival": 6, "_deleted": False}
    late = {**early, "_arrival": 8}
    for came, raised in ((early, False), (late, True)):
        after = merged(silver, pl.DataFrame([came], schema=CAME), keep_first=False)
        assert after.get_column("_deleted").to_list() == [not raised]
