"""Histories (SCD type 2): every version of a key with its time, in whatever order they came.

A key's versions are told apart by the moment from which they are valid. The history is a function of the set of
versions alone: each ends where the next one begins, so there is neither gap nor overlap, and a version that comes late
takes its place between the others. Neighbours with equal values are not joined: a late one may come between them.

What belongs here: from versions to intervals. What does not: which of two versions of one moment counts
(``compare.py``).
"""

from __future__ import annotations

import polars as pl

from headworks.refine.compare import Comparison, compare, newest
from headworks.refine.dataset import CURRENT, DELETED, VALID_FROM, VALID_TO, Dataset


def versions(rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return the newest of the rows for each key and moment, with the moment as the beginning of its time."""
    # A tombstone has no values: those that it ends are in the version before it, whichever that will be.
    valued = [name for name in dataset.columns if name not in {*dataset.key, dataset.cursor}]
    emptied = [pl.when(~pl.col(DELETED)).then(pl.col(name)).alias(name) for name in valued]
    return newest(rows.with_columns(*emptied, pl.col(str(dataset.cursor)).alias(VALID_FROM)), dataset.row_key)


def intervals(rows: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    """Return versions, one a key and beginning, with their ends; a key has one current one, or none if deleted."""
    ordered = rows.drop(VALID_TO, CURRENT, strict=False).sort([*key, VALID_FROM])
    return ordered.with_columns(pl.col(VALID_FROM).shift(-1).over(list(key)).alias(VALID_TO)).with_columns(
        (pl.col(VALID_TO).is_null() & ~pl.col(DELETED)).alias(CURRENT)
    )


def compare_history(candidates: pl.DataFrame, silver: pl.LazyFrame, dataset: Dataset) -> Comparison:
    """Compare versions with silver's of the same keys, and close or move the ends of those beside them."""
    schema = dataset.silver_schema()
    keys = candidates.lazy().select(dataset.key).unique()
    there = silver.join(keys, on=list(dataset.key), how="semi").select(list(schema)).collect()
    found = compare(candidates, there.lazy(), dataset.row_key, as_versions=True)
    fresh = pl.concat([found.inserts, found.updates, found.closings])
    kept = there.join(fresh, on=list(dataset.row_key), how="anti")
    told = intervals(
        pl.concat([kept.drop(VALID_TO, CURRENT), fresh.select(kept.drop(VALID_TO, CURRENT).columns)]),
        dataset.key,
    ).select(list(schema))
    moved = told.join(there, on=[*dataset.row_key, VALID_TO, CURRENT], how="anti", nulls_equal=True)
    beside = moved.join(fresh, on=list(dataset.row_key), how="anti")

    def of(rows: pl.DataFrame) -> pl.DataFrame:
        return told.join(rows.select(dataset.row_key), on=list(dataset.row_key), how="semi")

    return Comparison(
        inserts=of(found.inserts),
        updates=of(found.updates),
        superseded=found.superseded,
        unchanged=found.unchanged,
        closings=pl.concat([beside, of(found.closings)]),
    )
