"""Versions of a key: which is the newest, and what it means for what silver has.

The newest version of a key has the largest (source cursor, read time, stream, sequence, row number), so the order in
which versions arrive does not matter. Pure functions from frames to frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import polars as pl

from headworks.refine.dataset import PROVENANCE

_LOWEST = -(2**63)


@dataclass(frozen=True)
class Comparison:
    """What a range means for silver: rows to insert and to update, and how many change nothing."""

    inserts: pl.DataFrame
    updates: pl.DataFrame
    superseded: int
    unchanged: int

    @property
    def changes(self) -> pl.DataFrame:
        """The rows that a merge has to carry."""
        return pl.concat([self.inserts, self.updates])


def newest(rows: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    """Return the newest version of each key."""
    order = list(PROVENANCE)
    return rows.sort(order, nulls_last=False).unique(subset=list(key), keep="last", maintain_order=True)


def compare(candidates: pl.DataFrame, silver: pl.LazyFrame, key: tuple[str, ...]) -> Comparison:
    """Compare candidates, one for each key, with silver's rows of the same keys.

    Superseded: silver has a newer version. Unchanged: silver has the same values. Both leave silver as it is.
    """
    values = [name for name in candidates.columns if name not in PROVENANCE]
    keys = candidates.lazy().select(key)
    there = silver.join(keys, on=list(key), how="semi").select(*values, *PROVENANCE, "_deleted").collect()
    joined = candidates.join(there, on=list(key), how="left", suffix="_there", maintain_order="left")
    known = pl.col("_deleted").is_not_null()
    older = known & ~_not_older()
    compared = [name for name in values if name not in key]
    # A row that is nothing but its key is always the same.
    equal = [pl.col(name).eq_missing(pl.col(f"{name}_there")) for name in compared] or [pl.lit(True)]
    same = known & ~older & ~pl.col("_deleted") & pl.all_horizontal(equal)
    marked = joined.select(*candidates.columns, known=known, older=older, same=same)
    fresh = marked.filter(~pl.col("older") & ~pl.col("same"))
    return Comparison(
        inserts=fresh.filter(~pl.col("known")).select(candidates.columns),
        updates=fresh.filter(pl.col("known")).select(candidates.columns),
        superseded=int(marked.get_column("older").sum()),
        unchanged=int(marked.get_column("same").sum()),
    )


def _not_older() -> pl.Expr:
    """Compare provenance lexicographically: true where the candidate is newer than, or as new as, silver's row."""

    def step(rest: pl.Expr, name: str) -> pl.Expr:
        here, there = pl.col(name), pl.col(f"{name}_there")
        if PROVENANCE[name] == pl.Int64():
            here, there = here.fill_null(_LOWEST), there.fill_null(_LOWEST)
        return (here > there) | ((here == there) & rest)

    return reduce(step, reversed(list(PROVENANCE)), pl.lit(True))
