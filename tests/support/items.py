"""The dataset ``t.items`` that the engine's tests land, refine and look at.

Only short ways to do the usual steps belong here; what a test is about it spells out itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dataframely as dy
import polars as pl

from headworks.bronze.landing import Head, Landing, land, read_head
from headworks.ports import Clock, system_clock
from headworks.reports import LandingReport, RefineReport
from headworks.settings import RejectLimits
from headworks.silver.dataset import Dataset
from headworks.silver.quarantine import rejected_rows
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.support.sources import ITEMS, Numbered, Record

NAME = "t.items"
BEGINNING = datetime(2026, 1, 5, 8, tzinfo=UTC)


class ItemSchema(dy.Schema):
    """An item in silver: its value must not be negative."""

    id = dy.Int64(nullable=False)
    v = dy.Int64(nullable=False, min=0)
    at = dy.Int64(nullable=True)


ITEM = Dataset(
    name=NAME,
    key=("id",),
    schema=ItemSchema,
    columns={
        "id": pl.col("id").cast(pl.Int64, strict=False),
        "v": pl.col("v").cast(pl.Int64, strict=False),
        "at": pl.col("at"),
    },
    cursor="at",
    limits=RejectLimits(share=1.0),
)


class Ticking:
    """A clock that moves on by a second each time it is asked, from a fixed beginning."""

    def __init__(self, start: datetime = BEGINNING) -> None:
        self._moments: Iterator[datetime] = (start + timedelta(seconds=n) for n in range(10**9))

    def __call__(self) -> datetime:
        """Return the next moment."""
        return next(self._moments)


def land_items(
    lake: Lake, records: list[Record], stream: str = NAME, *, size: int = 2, clock: Clock = system_clock
) -> LandingReport:
    """Land ``records`` in a stream of ``t.items``: all that it has is given, what was landed is left out."""
    return land(Landing(lake, NAME, stream, "run", clock=clock), Numbered(records, size))


def refine_items(lake: Lake, run_id: str = "run") -> RefineReport:
    """Refine ``t.items``, and insist that the gate was open or had nothing to say."""
    outcome = refine(Refinement(lake, run_id), ITEM)
    assert outcome.gate is None or outcome.gate.open, outcome.gate
    return outcome.report


def bronze(lake: Lake, dataset: str = NAME) -> pl.DataFrame:
    """Return all rows of a bronze table."""
    return lake.must_open("bronze", dataset).scan().collect()


def head(lake: Lake, stream: str = NAME) -> Head:
    """Return where a stream of ``t.items`` is."""
    return read_head(lake, lake.ensure("bronze", NAME, ITEMS), NAME, stream)


def silver(lake: Lake) -> dict[int, tuple[int, int | None]]:
    """Return the live rows of silver as id: (value, cursor); a doubled id is an error."""
    rows = lake.must_open("silver", NAME).scan().filter(~pl.col("_deleted")).collect()
    found = {row["id"]: (row["v"], row["at"]) for row in rows.iter_rows(named=True)}
    assert len(found) == rows.height, f"duplicate keys in silver: {rows}"
    return found


def rejected(lake: Lake) -> list[str]:
    """Return the keys of the rejected rows that count, sorted, duplicate ones included."""
    rows = rejected_rows(lake, NAME, lake.open("silver", NAME))
    if rows is None:
        return []
    return sorted(str(key) for key in rows.select("key").collect().to_series())


def quarantine_rows(lake: Lake) -> int:
    """Return how many rows the quarantine holds, those that do not count included."""
    table = lake.open("quarantine", NAME)
    return table.row_count() if table else 0
