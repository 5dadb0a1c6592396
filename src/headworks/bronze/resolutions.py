"""What became of rejected rows: released, superseded or discarded, in ``ops.resolutions``.

Nothing is deleted there, unless silver is made again. The quarantine keeps every row for ever; a resolution says that a
row needs no more attention, when, by whom and why.
Each row is resolved at most once: a commit carries the dataset's number of resolutions, and is refused if that moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from headworks.storage.store import Lake
from headworks.storage.translating import collected, refused_when_stale

ORIGIN = ("_stream", "_sequence", "_row")
RESOLUTIONS = pl.Schema(
    {
        "dataset": pl.String(),
        "_stream": pl.String(),
        "_sequence": pl.Int64(),
        "_row": pl.Int64(),
        "key": pl.String(),
        "resolution": pl.String(),
        "reasons": pl.List(pl.String()),
        "run_id": pl.String(),
        "by": pl.String(),
        "note": pl.String(),
        "resolved_at": pl.Datetime("us", "UTC"),
    }
)

Resolution = Literal["released", "superseded", "discarded"]


@dataclass(frozen=True)
class Resolver:
    """Who resolves, in which run, when, and why."""

    run_id: str
    by: str
    note: str
    moment: datetime


def resolutions(lake: Lake, dataset: str) -> pl.LazyFrame:
    """Return the resolutions of a dataset's rejected rows; empty where there is none yet."""
    table = lake.open("ops", "resolutions")
    if table is None:
        return pl.LazyFrame(schema=RESOLUTIONS)
    return table.scan().filter(pl.col("dataset") == dataset)


def resolution_number(lake: Lake, dataset: str) -> int:
    """Return how often resolutions of a dataset were noted."""
    table = lake.open("ops", "resolutions")
    return 0 if table is None else table.transaction(f"{dataset}#resolutions")


def unresolved(lake: Lake, dataset: str, rejected: pl.LazyFrame) -> pl.LazyFrame:
    """Return those of the rejected rows that nothing was decided about."""
    return rejected.join(resolutions(lake, dataset).select(ORIGIN), on=list(ORIGIN), how="anti")


def resolve(
    lake: Lake, dataset: str, rejected: pl.DataFrame, resolution: Resolution, resolver: Resolver
) -> int:
    """Note what became of rejected rows, but for those that have a resolution already; return how many were noted.

    Raises `CandidateStale` where another run resolved rows of the same dataset at the same moment.
    """
    if rejected.is_empty():
        return 0
    table = lake.ensure("ops", "resolutions", RESOLUTIONS)
    there = table.scan().filter(pl.col("dataset") == dataset).select(ORIGIN)
    open_ones = (
        rejected.lazy()
        .unique(list(ORIGIN), maintain_order=True)
        .join(there, on=list(ORIGIN), how="anti", maintain_order="left")
        .with_columns(
            pl.lit(dataset).alias("dataset"),
            pl.lit(resolution).alias("resolution"),
            pl.lit(resolver.run_id).alias("run_id"),
            pl.lit(resolver.by).alias("by"),
            pl.lit(resolver.note).alias("note"),
            pl.lit(resolver.moment, dtype=pl.Datetime("us", "UTC")).alias("resolved_at"),
        )
        .select(list(RESOLUTIONS))
    )
    fresh = collected(open_ones, table.name)
    if not fresh.is_empty():
        number = f"{dataset}#resolutions"
        with refused_when_stale(table.name):
            table.append(fresh, {number: table.transaction(number) + 1}, retries=0)
    return fresh.height


def forget_passed(lake: Lake, dataset: str) -> None:
    """Forget which rows were released or superseded, as silver is made again: each is in it then, or rejected again.

    What a person has discarded stays so. What is forgotten here is still in older versions of the table.
    """
    table = lake.open("ops", "resolutions")
    if table is None:
        return
    mine = (pl.col("dataset") == dataset) & (pl.col("resolution") != "discarded")
    if not table.scan().filter(mine).head(1).collect().is_empty():
        number = f"{dataset}#resolutions"
        with refused_when_stale(table.name):
            table.delete(
                f"dataset = '{dataset}' AND resolution <> 'discarded'",
                {number: table.transaction(number) + 1},
            )


def note_passed(lake: Lake, dataset: str, passed: pl.DataFrame, resolver: Resolver) -> None:
    """Note each row that passed as released, or as superseded where silver has a newer version or the same values.

    What was released is known from its origin in silver, so who was killed before this can be caught up.
    """
    silver = lake.must_open("silver", dataset).scan().select(ORIGIN)
    released = collected(passed.lazy().join(silver, on=list(ORIGIN), how="semi"), f"silver.{dataset}")
    resolve(lake, dataset, released, "released", resolver)
    rest = passed.join(released.select(ORIGIN), on=list(ORIGIN), how="anti")
    resolve(lake, dataset, rest, "superseded", resolver)
