"""The last batch of a reading of a table: no rows, and what there is to say about those that were read or left out."""

from __future__ import annotations

import polars as pl

from headworks.sources.base import Batch, Position
from headworks.sources.sql.bound import Bound
from headworks.sources.sql.left import Left, cut_warnings


def last_batch(
    schema: pl.Schema,
    position: Position,
    *,
    left: Left | None = None,
    warnings: tuple[str, ...] = (),
    not_known: bool = False,
) -> Batch:
    """Return the batch that ends a reading; ``not_known`` where nobody can say whether all rows were read."""
    counted = left or Left()
    return Batch(
        pl.DataFrame(schema=schema),
        position,
        read=0,
        null_cursor=counted.null_cursor,
        later=counted.later,
        ahead=counted.ahead,
        warnings=warnings,
        shown=False if not_known else None,
    )


def last_of_passage(
    schema: pl.Schema,
    position: Position,
    left: Left,
    *,
    bound: Bound | None,
    warnings: tuple[str, ...],
    unfinished: tuple[str, ...],
    windowed: bool,
    not_known: bool = False,
) -> Batch:
    """Return the batch that ends an incremental reading, or that of a window, which may not be over."""
    done = {"done": True} if windowed and not unfinished else {}
    notice = (bound.notice,) if bound is not None and bound.notice else ()
    return last_batch(
        schema,
        {**position, **done},
        left=left,
        warnings=(*warnings, *left.warnings(), *unfinished, *cut_warnings(position), *notice),
        not_known=not_known or bool(unfinished),
    )
