"""Versions of a key, as a dataset keeps them: the newest, the first, or all with their times."""

from __future__ import annotations

import polars as pl

from headworks.silver.arrays import before_arrays
from headworks.silver.compare import Comparison, compare, first, newest
from headworks.silver.dataset import ARRIVAL, Dataset
from headworks.silver.history import compare_history, versions
from headworks.silver.parse import stamped_arrival
from headworks.storage.delta import Table
from headworks.storage.exact import in_types


def in_silver_types(rows: pl.DataFrame, silver: Table) -> pl.DataFrame:
    """Return typed rows in the types that silver has, which hold at least what the declaration's hold."""
    return in_types(rows, silver.schema, silver.name, "report this: silver was to follow its declaration.")


def compare_with(silver: Table, candidates: pl.DataFrame, dataset: Dataset) -> Comparison:
    """Compare candidates with silver, as the dataset keeps versions."""
    there = rows_of(silver, dataset)
    if dataset.keeps == "history":
        return compare_history(candidates, there, dataset)
    there = before_arrays(there, dataset)
    return compare(candidates, there, dataset.key, keep_first=dataset.keeps == "first")


def latest_versions(good: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return the rows that are compared with silver: one a key, or in a history one a key and moment."""
    if dataset.keeps == "history":
        return versions(good, dataset)
    return first(good, dataset.key) if dataset.keeps == "first" else newest(good, dataset.key)


def rows_of(silver: Table, dataset: Dataset) -> pl.LazyFrame:
    """Return silver's rows with all columns of the dataset; those that the table has not yet are null."""
    rows = silver.scan()
    present = rows.collect_schema()
    missing = [
        pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in dataset.silver_schema().items()
        if name not in present
    ]
    padded = rows.with_columns(missing) if missing else rows
    # Rows that were merged before the order of arrival was kept have been stamped by clocks.
    return padded.with_columns(pl.coalesce(ARRIVAL, stamped_arrival()).alias(ARRIVAL))
