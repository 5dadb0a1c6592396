"""Elements of arrays that keep their first version: whether they are there, and since which array.

An element has the values with which it came, or came back after an array without it. What counts is the order in which
arrays arrived: one without the element ends it, unless a newer one that came before has shown it; one that shows it
raises it, unless a newer one that came before lacks it. So silver's row has the place of the newest array that shows
the element (its cursor and its arrival), though the values are the first ones, and the same arrays come to the same in
any portions. What is followed row by row here are the elements that an array of the range lacks and another one shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from headworks.silver.arrays import BY_ARRAY, EMPTY, SET, typed_arrays
from headworks.silver.compare import CLOSING, OLDER, RAISED, SAME, STATE, Comparison
from headworks.silver.dataset import ARRIVAL, CURSOR, DELETED, VOID, Dataset
from headworks.silver.versions import rows_of
from headworks.storage.delta import Table
from headworks.storage.near import among

Row = dict[str, Any]
_Place = tuple[Any, ...]


def with_lives(
    silver: Table, dataset: Dataset, shown: pl.DataFrame, comparison: Comparison, arrays: pl.DataFrame
) -> Comparison:
    """Return the changes of a range's elements with those that went and came back in it, and with their places.

    ``shown`` are all accepted rows of the range, ``arrays`` its arrays and the known ones that may be newer.
    """
    key = list(dataset.key)
    there = among(rows_of(silver, dataset), shown.select(key), dataset.key).collect()
    if dataset.has_parents_order:
        comparison = _with_places(comparison, shown, there, dataset)
    lacking = _lacking(shown, there, arrays, dataset)
    if lacking.is_empty():
        return comparison
    return _followed(comparison, shown, there, lacking, dataset)


def _with_places(
    comparison: Comparison, shown: pl.DataFrame, there: pl.DataFrame, dataset: Dataset
) -> Comparison:
    """Give each element that is there the place of the newest array that shows it, and leave its values as they are."""
    key = list(dataset.key)
    newest = (
        shown.filter(~pl.col(DELETED) & pl.col(CURSOR).is_not_null())
        .sort(*SET)
        .unique(key, keep="last", maintain_order=True)
        .select(*key, *(pl.col(name).alias(f"{name}_new") for name in SET))
    )

    def placed(rows: pl.DataFrame) -> pl.DataFrame:
        found = rows.join(newest, on=key, how="left", maintain_order="left")
        newer = ~pl.col(DELETED) & pl.col(f"{CURSOR}_new").is_not_null()
        return found.with_columns(
            pl.when(newer).then(f"{name}_new").otherwise(name).alias(name) for name in SET
        ).select(rows.columns)

    columns = comparison.inserts.columns
    known = there.select(columns).join(comparison.fresh, on=key, how="anti")
    again = known.filter(~pl.col(DELETED)).join(newest, on=key, how="semi")
    moved = placed(again).join(again, on=[*key, CURSOR], how="anti", nulls_equal=True)
    higher = moved.join(again.select(*key, pl.col(CURSOR).alias("_was")), on=key)
    higher = higher.filter(pl.col("_was").is_null() | (pl.col(CURSOR) > pl.col("_was"))).select(columns)
    return replace(
        comparison,
        inserts=placed(comparison.inserts),
        updates=placed(comparison.updates),
        closings=higher if comparison.closings.is_empty() else pl.concat([comparison.closings, higher]),
    )


def _lacking(
    shown: pl.DataFrame, there: pl.DataFrame, arrays: pl.DataFrame, dataset: Dataset
) -> pl.DataFrame:
    """Return which arrays lack which of the elements that others of the range show.

    Elements that say themselves that they are gone are left as they are.
    """
    key, owner = list(dataset.key), list(dataset.owner)
    own = pl.col(DELETED) & (pl.col("_row") != BY_ARRAY) & (pl.col("_sequence") != 0)
    said = pl.concat([shown.filter(DELETED).select(key), there.filter(own).select(key)])
    keys = shown.select(key).unique(maintain_order=True).join(said, on=key, how="anti")
    if arrays.is_empty() or keys.is_empty():
        return keys.clear()
    sets, has = typed_arrays(arrays, dataset, shown.schema)
    return (
        keys.join(sets.select(*owner, *SET, EMPTY), on=owner)
        .join(has, on=[*key, *SET], how="anti", nulls_equal=True)
        .select(*key, *SET, EMPTY)
    )


@dataclass
class _Life:
    """An element as the arrays until now have it; ``row`` has its values, and is None where it is not there."""

    row: Row | None = None
    place: _Place = ()
    lacking: _Place | None = None
    void: int = -1


def _followed(
    comparison: Comparison, shown: pl.DataFrame, there: pl.DataFrame, lacking: pl.DataFrame, dataset: Dataset
) -> Comparison:
    """Return the changes after following the elements that arrays lack through the arrays, one after another."""
    key, columns = list(dataset.key), comparison.inserts.columns
    near = lacking.select(key).unique()
    of_silver = _by_key(there.join(near, on=key, how="semi"), key)
    events = _by_key(pl.concat([shown.join(near, on=key, how="semi"), lacking], how="diagonal"), key)
    states = {tuple(row[:-1]): row[-1] for row in comparison.marked.select(*key, STATE).iter_rows()}
    unchanged, superseded = comparison.unchanged, comparison.superseded
    inserts: list[Row] = []
    updates: list[Row] = []
    closings: list[Row] = []
    for name, rows in events.items():
        before = of_silver.get(name, [None])[0]
        life = _lived(before, sorted(rows, key=lambda row: row[ARRIVAL]), dataset)
        if life.row is None:
            continue  # It ends with the newest array that lacks it.
        made = {column: life.row.get(column) for column in columns}
        cursor = life.place[1] if life.place[0] else None
        made |= {DELETED: False, ARRIVAL: life.place[-1], VOID: None if life.void < 0 else life.void}
        made |= {CURSOR: cursor} if dataset.has_parents_order else {}
        if before is not None and life.row is before and not before[DELETED]:
            closings.append(made)
            continue
        (inserts if before is None else updates).append(made)
        unchanged -= states[name] in {SAME, CLOSING}
        superseded -= states[name] in {OLDER, RAISED}
    done = pl.DataFrame([*inserts, *updates, *closings], schema=comparison.inserts.schema).select(key)

    def replaced(rows: pl.DataFrame, by: Sequence[Row]) -> pl.DataFrame:
        if rows.is_empty() and not by:
            return rows
        kept = rows.select(columns).join(done, on=key, how="anti", maintain_order="left")
        return pl.concat([kept, pl.DataFrame(by, schema=comparison.inserts.schema)])

    return replace(
        comparison,
        inserts=replaced(comparison.inserts, inserts),
        updates=replaced(comparison.updates, updates),
        closings=replaced(comparison.closings, closings),
        unchanged=unchanged,
        superseded=superseded,
    )


def _lived(before: Row | None, events: Sequence[Row], dataset: Dataset) -> _Life:
    """Follow an element from what silver has of it through the arrays of a range."""
    life = _Life()
    if before is not None:
        life.void = -1 if before[VOID] is None else before[VOID]
        if not before[DELETED] or before["_sequence"] == 0:
            life.row, life.place = before, _place(before, dataset)
        elif before[CURSOR] is not None or not dataset.has_parents_order:
            life.lacking = _place(before, dataset)
    for event in events:
        place = _place(event, dataset)
        if event[EMPTY] is None:
            if life.row is not None:
                life.place = max(life.place, place)
            elif event[ARRIVAL] > life.void and (life.lacking is None or place > life.lacking):
                life.row, life.place = event, place
        elif event[EMPTY] and dataset.has_parents_order and event[CURSOR] is None:
            if life.row is not None and life.place[-1] < event[ARRIVAL]:
                life.row = None
            life.void = max(life.void, event[ARRIVAL])
        else:
            life.lacking = place if life.lacking is None else max(life.lacking, place)
            if life.row is not None and place > life.place:
                life.row = None
    return life


def _place(row: Row, dataset: Dataset) -> _Place:
    """Return where an array is in the order of its parent's arrays."""
    cursor = row[CURSOR] if dataset.has_parents_order else None
    return (False, row[ARRIVAL]) if cursor is None else (True, cursor, row[ARRIVAL])


def _by_key(rows: pl.DataFrame, key: Sequence[str]) -> Mapping[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows.iter_rows(named=True):
        found.setdefault(tuple(row[name] for name in key), []).append(row)
    return found
