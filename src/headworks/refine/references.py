"""References between datasets: rows whose parent is in silver, and rows that have to wait for it.

What belongs here: that division. What does not: keeping the waiting rows, which quarantine does.
"""

from __future__ import annotations

import polars as pl

from headworks.lake.store import Lake
from headworks.quality.rules import REASONS, Verdict
from headworks.refine.dataset import Dataset


def split_orphans(lake: Lake, dataset: Dataset, rows: pl.DataFrame) -> Verdict:
    """Divide ``rows`` into those whose parents are all in silver, and those with the reasons of the missing ones."""
    if not dataset.references or rows.is_empty():
        return Verdict(
            rows,
            rows.head(0).with_columns(pl.lit([], dtype=pl.List(pl.String)).alias(REASONS)),
        )
    marked = rows
    for number, reference in enumerate(dataset.references):
        parents = _live_keys(lake, reference.parent, reference.parent_columns, reference.columns)
        marked = marked.join(
            parents.with_columns(pl.lit(True).alias(f"_parent{number}")),
            on=list(reference.columns),
            how="left",
            maintain_order="left",
        )
    missing = [
        pl.when(pl.col(f"_parent{number}").is_null()).then(pl.lit(reference.reason))
        for number, reference in enumerate(dataset.references)
    ]
    told = marked.with_columns(pl.concat_list(missing).list.drop_nulls().alias(REASONS)).select(
        *rows.columns, REASONS
    )
    linked = pl.col(REASONS).list.len() == 0
    return Verdict(told.filter(linked).drop(REASONS), told.filter(~linked))


def _live_keys(lake: Lake, parent: str, columns: tuple[str, ...], names: tuple[str, ...]) -> pl.DataFrame:
    table = lake.must_open("silver", parent)
    renamed = [pl.col(column).alias(name) for column, name in zip(columns, names, strict=True)]
    return table.scan().filter(~pl.col("_deleted")).select(renamed).unique().collect()
