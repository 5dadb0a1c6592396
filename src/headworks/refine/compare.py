"""Versions of a key: which is the newest, and what it means for what silver has.

The newest version of a key has the largest (source cursor, read time, stream, sequence, row number), so the order in
which versions arrive does not matter. Pure functions from frames to frames.

What belongs here: comparing one version of each key with what is there. What does not: histories (``history.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce

import polars as pl

from headworks.refine.dataset import DELETED, PROVENANCE

_BOUNDED = {pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.Date(), pl.String()}

STATE = "_state"
INSERT, UPDATE, CLOSING, SAME, OLDER = range(5)
"""What a candidate means for silver: new, changed, the same read later, the same, older than what is there."""


@dataclass(frozen=True)
class Comparison:
    """What a range means for silver: rows to insert and to update, and how many change nothing.

    ``closings`` are rows that keep their values: they were read again later, or the end of their time moved.
    ``marked`` has all candidates, with a column ``_state`` for what each of them means.
    """

    inserts: pl.DataFrame
    updates: pl.DataFrame
    superseded: int
    unchanged: int
    closings: pl.DataFrame = field(default_factory=pl.DataFrame)
    marked: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def fresh(self) -> pl.DataFrame:
        """The rows whose values silver does not have."""
        return pl.concat([self.inserts, self.updates])

    @property
    def changes(self) -> pl.DataFrame:
        """The rows that a merge has to carry."""
        return pl.concat([self.inserts, self.updates, *([self.closings] if self.closings.height else [])])


def newest(rows: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    """Return the newest version of each key."""
    order = list(PROVENANCE)
    return rows.sort(order, nulls_last=False).unique(subset=list(key), keep="last", maintain_order=True)


def compare(
    candidates: pl.DataFrame,
    silver: pl.LazyFrame,
    key: tuple[str, ...],
    *,
    keep_first: bool = False,
    as_versions: bool = False,
) -> Comparison:
    """Compare candidates, one for each key, with silver's rows of the same keys.

    Superseded: silver has a newer version. Unchanged: silver has the same values. Both leave silver as it is. With
    ``keep_first`` a key that silver has is never changed again. A candidate that is a tombstone takes over the values
    that silver has. ``as_versions`` compares for a history, whose tombstones have no values. Rows that are the same and
    were read later are unchanged, and returned as ``closings`` too: where something may yet come that lies between both
    readings, silver has to know of the later one, or the older would win.
    """
    if DELETED not in candidates.columns:
        candidates = candidates.with_columns(pl.lit(False).alias(DELETED))
    values = [name for name in candidates.columns if name not in PROVENANCE]
    keys = candidates.lazy().select(key)
    near = silver.filter(_within(candidates, key[0]))
    there = near.join(keys, on=list(key), how="semi").select(*values, *PROVENANCE).collect()
    joined = candidates.join(there, on=list(key), how="left", suffix="_there", maintain_order="left")
    compared = [name for name in values if name not in {*key, DELETED}]
    known = pl.col(f"{DELETED}_there").is_not_null()
    if not as_versions:
        joined = joined.with_columns(
            pl.when(known & pl.col(DELETED)).then(pl.col(f"{name}_there")).otherwise(pl.col(name)).alias(name)
            for name in compared
        )
    equal = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(f"{name}_there")) for name in [*compared, DELETED]
    )
    older = known & ~(equal if keep_first else _not_older())
    same = known & ~older & equal
    provenance = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_there")) for name in PROVENANCE)
    later = same & ~provenance & pl.lit(not keep_first)
    state = (
        pl.when(older).then(OLDER).when(later).then(CLOSING).when(same).then(SAME).when(known).then(UPDATE)
    ).otherwise(INSERT)
    marked = joined.select(*candidates.columns, state.cast(pl.Int8).alias(STATE))
    states = marked.get_column(STATE)

    def those(which: int) -> pl.DataFrame:
        return marked.filter(states == which).select(candidates.columns)

    return Comparison(
        inserts=those(INSERT),
        updates=those(UPDATE),
        superseded=int((states == OLDER).sum()),
        unchanged=int(states.is_in([SAME, CLOSING]).sum()),
        closings=those(CLOSING),
        marked=marked,
    )


def _within(candidates: pl.DataFrame, name: str) -> pl.Expr:
    """Bound the rows of silver by the candidates' keys: files and parts of files without any of them are not read."""
    values = candidates.get_column(name)
    if values.is_empty() or values.dtype not in _BOUNDED:
        return pl.lit(True)
    return pl.col(name).is_between(
        pl.lit(values.min(), dtype=values.dtype), pl.lit(values.max(), dtype=values.dtype)
    )


def _not_older() -> pl.Expr:
    """Compare provenance lexicographically: true where the candidate is newer than, or as new as, silver's row."""

    def step(rest: pl.Expr, name: str) -> pl.Expr:
        here, there = pl.col(name), pl.col(f"{name}_there")
        # Null is the lowest: a version without a place in the order is older than any with one.
        newer = (here > there).fill_null(here.is_not_null() & there.is_null())
        return newer | (here.eq_missing(there) & rest)

    return reduce(step, reversed(list(PROVENANCE)), pl.lit(True))
