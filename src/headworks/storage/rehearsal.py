"""What a dry run knows alongside the lake: what silver would hold afterwards, and rows that it reads and does not land.

All of it lies in a folder of the run's own, see `Lake`, so that the next dataset is judged as the real run would judge
it, and nothing is written to the lake. Of a lake that is not rehearsed with, nothing is known here.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import polars as pl

from headworks.storage.store import Lake


def keep_changes(
    lake: Lake, dataset: str, key: Collection[str], changes: pl.DataFrame | pl.LazyFrame
) -> None:
    """Keep what a merge would change in a dataset's silver, tombstones with it; ``key`` names one row of it.

    Nothing is kept for a lake that is not rehearsed with.
    """
    if lake.rehearsal is None:
        return
    folder = _folder(lake, dataset)
    folder.mkdir(parents=True, exist_ok=True)
    changes.lazy().collect().write_parquet(folder / "changes.parquet")
    (folder / "key.json").write_text(json.dumps(list(key)))


def with_changes(lake: Lake, dataset: str, silver: pl.LazyFrame) -> pl.LazyFrame:
    """Return a dataset's silver as it is, or after what this dry run has judged of it."""
    if not has_changes(lake, dataset):
        return silver
    folder = _folder(lake, dataset)
    key, changes = json.loads((folder / "key.json").read_text()), pl.scan_parquet(folder / "changes.parquet")
    kept = silver.join(changes.select(key), on=key, how="anti")
    return pl.concat([kept, changes], how="diagonal_relaxed")


def has_changes(lake: Lake, dataset: str) -> bool:
    """Return whether this dry run would change a dataset's silver."""
    return lake.rehearsal is not None and (_folder(lake, dataset) / "key.json").exists()


def note_unknown(lake: Lake, dataset: str) -> None:
    """Note that a dry run cannot judge some rows of a dataset that a run would: others may refer to them.

    It read them and landed none, or their own parents are not known.
    """
    if lake.rehearsal is not None:
        folder = _folder(lake, dataset)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "unknown").touch()


def has_unknown(lake: Lake, dataset: str) -> bool:
    """Return whether a dataset has rows that this dry run cannot judge."""
    return lake.rehearsal is not None and (_folder(lake, dataset) / "unknown").exists()


def _folder(lake: Lake, dataset: str) -> Path:
    if lake.rehearsal is None:
        raise ValueError("this lake is written to, and not rehearsed with")
    return lake.rehearsal / "rehearsed" / dataset
