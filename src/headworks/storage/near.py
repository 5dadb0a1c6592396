"""Rows with one of some keys, looked for without reading what cannot have any of them.

A join alone reads every column of every row before it knows which are wanted. Bounds leave out files and groups of rows
by their statistics; a list of values is compared while the key's own column is read, and the other columns are then
read for the rows that have one of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

_BOUNDED = {pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.Date(), pl.String()}
_MOST_LISTED = 20_000
"""Of more keys a list costs more than it saves."""


def within(name: str, values: pl.Series) -> pl.Expr:
    """Return a filter that leaves out rows whose value of a column is none of some values; not all that it could."""
    if values.is_empty() or values.dtype not in _BOUNDED:
        return pl.lit(value=True)
    least, most = (pl.lit(value, dtype=values.dtype) for value in (values.min(), values.max()))
    bounds = pl.col(name).is_between(least, most)
    listed = values.drop_nulls().unique()
    return bounds & pl.col(name).is_in(listed.implode()) if len(listed) <= _MOST_LISTED else bounds


def among(rows: pl.LazyFrame, keys: pl.DataFrame, names: Sequence[str]) -> pl.LazyFrame:
    """Return the rows with one of some keys, whose columns are of the same types and names; null is no key."""
    near = rows
    for name in names:
        near = near.filter(within(name, keys.get_column(name)))
    return near.join(keys.lazy().select(names).unique(), on=list(names), how="semi")
