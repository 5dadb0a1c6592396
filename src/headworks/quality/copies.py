"""Copies: the same content under other keys, inside one delivery and of earlier ones.

The content of a row is all of it but its key and its cursor. Copies of earlier deliveries are found by a sketch of
each: the smallest hashes of its contents (a bottom-k sketch, Cohen 1997). Equal content has equal hashes, so two
deliveries that share rows share small hashes.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

SKETCHED = 96
"""So many hashes of a delivery are kept."""


def copies_in(rows: pl.DataFrame, left_out: Sequence[str]) -> tuple[dict[str, int], tuple[int, ...]]:
    """Return how many rows have content that another row has, too, and the sketch of all.

    Counted with and without moments: who copies rows may give them the time of the copy. The sketch is with them, since
    what is paid each month is the same each month but for its time.
    """
    names = [name for name in rows.columns if name not in left_out and not name.startswith("_")]
    names = [
        name
        for name in names
        if not isinstance(rows.schema[name], pl.List | pl.Struct | pl.Array | pl.Object)
    ]
    timeless = [name for name in names if not rows.schema[name].is_temporal()]
    counted, sketch = {}, ()
    for text, chosen in (
        ("copies", names),
        ("copies at other times", timeless if len(timeless) < len(names) else []),
    ):
        if not chosen or rows.is_empty():
            continue
        hashes = rows.select(chosen).hash_rows(seed=7)
        counted[text] = rows.height - hashes.n_unique()
        sketch = sketch or tuple(sorted(hashes.unique().bottom_k(SKETCHED).to_list()))
    return counted, sketch


def shared(sketch: Sequence[int], earlier: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Return how many hashes of a sketch are in one of the earlier ones, and of how many that could be said."""
    within = [one for one in earlier if one]
    if not sketch or not within:
        return 0, 0
    known = {one for each in within for one in each}
    # Beyond the largest hash that all sketches reach to, an earlier delivery may have had one and not kept it.
    reach = min(max(each) if len(each) >= SKETCHED else 2**64 for each in within)
    asked = [one for one in sketch if one <= reach]
    return sum(one in known for one in asked), len(asked)
