"""Versions of a key, as a dataset keeps them: the newest, the first, or all with their times.

What belongs here: choosing between the ways. What does not: each way (``compare.py``, ``history.py``).
"""

from __future__ import annotations

import polars as pl

from headworks.lake.delta import Table
from headworks.lake.exact import in_types
from headworks.refine.compare import Comparison, compare, newest
from headworks.refine.dataset import Dataset
from headworks.refine.history import compare_history, versions


def in_silver_types(rows: pl.DataFrame, silver: Table) -> pl.DataFrame:
    """Return typed rows in the types that silver has, which hold at least what the declaration's hold."""
    return in_types(rows, silver.schema, silver.name, "report this: silver was to follow its declaration.")


def compare_with(silver: Table, candidates: pl.DataFrame, dataset: Dataset) -> Comparison:
    """Compare candidates with silver, as the dataset keeps versions."""
    if dataset.keeps == "history":
        return compare_history(candidates, silver.scan(), dataset)
    return compare(candidates, silver.scan(), dataset.key, keep_first=dataset.keeps == "first")


def latest_versions(good: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return the rows that are compared with silver: one a key, or in a history one a key and moment."""
    return versions(good, dataset) if dataset.keeps == "history" else newest(good, dataset.key)
