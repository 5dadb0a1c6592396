"""Histories (SCD type 2): every version of a key with its time, in whatever order they came.

A key's versions are distinguished by the moment from which they are valid. The history is a function of the set of
versions alone: each ends where the next one begins, so there is neither gap nor overlap, and a version that comes late
takes its place between the others. Neighbours with equal values are not joined: a late one may come between them. A
version that is read again was received when it came first (``_ingested_at``), so a full read does not move what was
known when; its arrival is that of the last reading.

A deletion that comes without a cursor ends the last version that arrived before it, whenever that says it began: at the
moment of the deletion, or just after that version where the source's clock is ahead. If the source shows that very
version again, the key was not deleted, and the deletion is taken back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from headworks.silver.compare import (
    FLIPPED,
    Comparison,
    compare,
    floating,
    newest_rows,
    with_first_receipts,
    with_voids,
)
from headworks.silver.dataset import ARRIVAL, CURRENT, DELETED, VALID_FROM, VALID_TO, Dataset

Row = dict[str, Any]
_LEAST: Mapping[pl.DataType, int] = {
    pl.Int8(): -(2**7), pl.Int16(): -(2**15), pl.Int32(): -(2**31), pl.Int64(): -(2**63),
}  # fmt: skip
_Moment = Any
"""A value of the cursor's type."""


def versions(rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return the newest of the rows for each key and moment, with the moment as the beginning of its time.

    Deletions without a cursor have no moment yet; one whose version was read again after it is left out.
    """
    # A tombstone has no values: those that it ends are in the version before it, whichever that will be.
    valued = [name for name in dataset.columns if name not in {*dataset.key, dataset.cursor}]
    emptied = [pl.when(~pl.col(DELETED)).then(pl.col(name)).alias(name) for name in valued]
    marked = with_voids(rows).with_columns(*emptied, pl.col(str(dataset.cursor)).alias(VALID_FROM))
    without_cursor = marked.filter(floating())
    if without_cursor.is_empty():
        return with_first_receipts(newest_rows(marked, dataset.row_key), marked, dataset.row_key)
    placed = marked.filter(~floating())
    shown = _shown_again(without_cursor, placed, placed, dataset.key)
    kept = without_cursor.filter(~pl.Series(shown, dtype=pl.Boolean)).with_columns(
        pl.lit(None, dtype=marked.schema[VALID_FROM]).alias(VALID_FROM)
    )
    found = with_first_receipts(newest_rows(placed, dataset.row_key), placed, dataset.row_key)
    ends = kept.unique([*dataset.key, ARRIVAL], maintain_order=True)
    return pl.concat([found, ends.with_columns(pl.lit(False).alias(FLIPPED))])


def intervals(rows: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    """Return versions, one a key and beginning, with their ends; a key has one current one, or none if deleted."""
    ordered = rows.drop(VALID_TO, CURRENT, strict=False).sort([*key, VALID_FROM])
    return ordered.with_columns(pl.col(VALID_FROM).shift(-1).over(list(key)).alias(VALID_TO)).with_columns(
        (pl.col(VALID_TO).is_null() & ~pl.col(DELETED)).alias(CURRENT)
    )


def current_rows(rows: pl.LazyFrame, dataset: Dataset) -> pl.LazyFrame:
    """Return what is current of a history, and its deletions; of others all rows."""
    if dataset.keeps != "history":
        return rows
    return rows.filter(pl.col(CURRENT) | (pl.col(DELETED) & pl.col(VALID_TO).is_null()))


def without_ends(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows of a history without deletions that came without a cursor."""
    return rows.filter(~_is_end())


def with_deletions(candidates: pl.DataFrame, deletions: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return versions with deletions that were found in addition; of a moment's the one that arrived last counts."""
    both = pl.concat([candidates, deletions.select(candidates.columns)])
    placed = both.filter(~_is_end())
    return pl.concat([newest_rows(placed, dataset.row_key).select(both.columns), both.filter(_is_end())])


def compare_history(
    candidates: pl.DataFrame,
    silver: pl.LazyFrame,
    dataset: Dataset,
    revived: pl.DataFrame | None = None,
) -> Comparison:
    """Compare versions with silver's of the same keys, and close or move the ends of those alongside them.

    ``revived`` are keys that are gone in silver and that a full read has shown: their last deletion is taken back.
    """
    schema = dataset.silver_schema()
    candidates = with_voids(candidates)
    keys = candidates.lazy().select(dataset.key)
    if revived is not None:
        keys = pl.concat([keys, revived.lazy().select(dataset.key)])
    there = silver.join(keys.unique(), on=list(dataset.key), how="semi").select(list(schema)).collect()
    without_cursor = candidates.filter(_is_end())
    found = compare(
        candidates.filter(~_is_end()), there.filter(~_is_end()).lazy(), dataset.row_key, as_versions=True
    )
    fresh = pl.concat([found.inserts, found.updates, found.closings])
    known = there.filter(_is_end())
    ends = _placed(
        without_cursor, known, candidates.filter(~_is_end()), there.filter(~_is_end()), dataset, revived
    )
    gone = known.join(ends, on=list(dataset.row_key), how="anti")
    kept = there.filter(~_is_end()).join(fresh, on=list(dataset.row_key), how="anti")
    columns = there.drop(VALID_TO, CURRENT).columns
    derived = intervals(
        pl.concat([kept.select(columns), fresh.select(columns), ends.select(columns)]), dataset.key
    ).select(list(schema))
    moved = derived.join(there, on=[*dataset.row_key, VALID_TO, CURRENT], how="anti", nulls_equal=True)
    # Of a deletion its place in the order of arrival may have moved alone.
    moved = pl.concat([moved, _renewed(derived, known, moved, dataset)])
    alongside = moved.join(fresh, on=list(dataset.row_key), how="anti")
    placed = alongside.filter(_is_end())
    new = placed.join(without_cursor, on=[*dataset.key, "_stream", "_sequence", "_row"], how="semi")

    def of(rows: pl.DataFrame) -> pl.DataFrame:
        return derived.join(rows.select(dataset.row_key), on=list(dataset.row_key), how="semi")

    inserts = pl.concat([of(found.inserts), new])
    rest = alongside.join(new, on=list(dataset.row_key), how="anti")
    closings = pl.concat([rest, of(found.closings)])
    changes = pl.concat([inserts, of(found.updates), closings])
    return Comparison(
        inserts=inserts,
        updates=of(found.updates),
        superseded=found.superseded + without_cursor.height - new.height,
        unchanged=found.unchanged,
        closings=closings,
        removed=gone.join(changes, on=list(dataset.row_key), how="anti").select(dataset.row_key),
        added=changes.join(there, on=list(dataset.row_key), how="anti").height,
    )


def _renewed(
    derived: pl.DataFrame, known: pl.DataFrame, moved: pl.DataFrame, dataset: Dataset
) -> pl.DataFrame:
    same = derived.filter(_is_end()).join(known, on=[*dataset.row_key, ARRIVAL], how="anti")
    return same.join(moved, on=list(dataset.row_key), how="anti")


def _placed(
    without_cursor: pl.DataFrame,
    known: pl.DataFrame,
    candidates: pl.DataFrame,
    there: pl.DataFrame,
    dataset: Dataset,
    revived: pl.DataFrame | None,
) -> pl.DataFrame:
    """Return the deletions without a cursor that hold, each with the moment from which its key is gone."""
    schema = there.schema
    ends = pl.concat([known.select(list(schema)), without_cursor.select(_in(without_cursor, schema))])
    if ends.is_empty():
        return ends
    if revived is not None:
        # An end that a later version follows was true: the key was gone until then.
        last = inferred() & pl.col(VALID_TO).is_null()
        back = ends.filter(last).join(revived, on=list(dataset.key), how="semi")
        ends = ends.join(back, on=[*dataset.key, ARRIVAL], how="anti")
    shown = _shown_again(ends, there, candidates, dataset.key)
    ends = ends.filter(~pl.Series(shown, dtype=pl.Boolean))
    near = [_of(ends, rows, dataset.key) for rows in (there, candidates)]
    versions_of = _by_key(pl.concat(near), dataset.key)
    placed: list[Row] = []
    for key, rows in _by_key(ends.sort(ARRIVAL), dataset.key).items():
        placed += _ends_of(rows, versions_of.get(key, []), schema[VALID_FROM])
    return pl.DataFrame(placed, schema=schema)


def _is_end() -> pl.Expr:
    """Return which rows are deletions without a cursor; those of full reads once had that of the version they ended."""
    return floating() | inferred()


def inferred() -> pl.Expr:
    """Return which deletions a full read has found, in difference to those that the source itself reported."""
    return pl.col(DELETED) & (pl.col("_sequence") == 0)


def _ends_of(ends: Iterable[Row], known: Iterable[Row], dtype: pl.DataType) -> list[Row]:
    """Give the deletions of one key, in the order of arrival, their moments; one that ends nothing more is left out."""
    of_key = list(known)
    placed: dict[_Moment, Row] = {}
    for end in ends:
        before = [row[VALID_FROM] for row in of_key if row[ARRIVAL] <= end[ARRIVAL]]
        base = max(before) if before else None
        after = [row[VALID_FROM] for row in of_key if row[ARRIVAL] > end[ARRIVAL]]
        later = min((moment for moment in after if base is None or moment > base), default=None)
        if base in placed:
            # It ends what an earlier one has ended already, and what came in between.
            placed[base] = {**placed[base], ARRIVAL: end[ARRIVAL]}
            continue
        moment = _moment(end, base, later, dtype)
        if moment is not None:
            placed[base] = {**end, VALID_FROM: moment}
    return list({row[VALID_FROM]: row for row in placed.values()}.values())


def _moment(end: Row, base: _Moment, later: _Moment, dtype: pl.DataType) -> _Moment:
    """Return from when on a key is gone: after its last version, before the next one; None where nothing is between."""
    derived = _as_moment(end["_ingested_at"], dtype)
    if base is None:
        moment = _lowest(dtype) if derived is None else derived
    else:
        moment = _next(base, dtype) if derived is None or derived <= base else derived
    if later is not None and moment >= later and base is not None:
        moment = _next(base, dtype)
    return None if later is not None and moment >= later else moment


def _as_moment(ingested: datetime, dtype: pl.DataType) -> _Moment:
    """Return a moment as a value of the cursor's type; None where the cursor is no time."""
    if dtype == pl.Date():
        return ingested.astimezone(UTC).date()
    if isinstance(dtype, pl.Datetime):
        return ingested if dtype.time_zone is not None else ingested.astimezone(UTC).replace(tzinfo=None)
    return None


def _next(value: _Moment, dtype: pl.DataType) -> _Moment:
    """Return the next larger value of a type."""
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1000 if getattr(dtype, "time_unit", "us") == "ms" else 1)
    if isinstance(value, date):
        return value + timedelta(days=1)
    if isinstance(value, float):
        return math.nextafter(value, math.inf)
    if isinstance(value, Decimal):
        return value + Decimal(1).scaleb(-getattr(dtype, "scale", 0))
    return f"{value} " if isinstance(value, str) else value + 1


def _lowest(dtype: pl.DataType) -> _Moment:
    """Return a value that lies before those that a source has."""
    if dtype == pl.String():
        return ""
    if dtype.is_decimal():
        return Decimal(0)
    if dtype.is_float():
        return -math.inf
    return _LEAST.get(dtype, 0)


def _shown_again(
    ends: pl.DataFrame, before: pl.DataFrame, after: pl.DataFrame, key: tuple[str, ...]
) -> list[bool]:
    """Return for each deletion whether the last version before it was read again after it: the key was there."""
    known = _by_key(_of(ends, before, key), key)
    again = _by_key(_of(ends, after, key), key)
    derived: list[bool] = []
    for row in ends.select(*key, ARRIVAL).iter_rows(named=True):
        name = tuple(row[column] for column in key)
        seen = [*known.get(name, []), *again.get(name, [])]
        base = max((one[VALID_FROM] for one in seen if one[ARRIVAL] <= row[ARRIVAL]), default=None)
        derived.append(
            base is not None and any(one[VALID_FROM] == base and one[ARRIVAL] > row[ARRIVAL] for one in seen)
        )
    return derived


def _of(ends: pl.DataFrame, rows: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    return rows.select(*key, VALID_FROM, ARRIVAL).join(ends.select(key), on=list(key), how="semi")


def _by_key(rows: pl.DataFrame, key: tuple[str, ...]) -> Mapping[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows.iter_rows(named=True):
        found.setdefault(tuple(row[name] for name in key), []).append(row)
    return found


def _in(rows: pl.DataFrame, schema: pl.Schema) -> list[pl.Expr]:
    """Return the columns of a schema; those that the rows lack are null."""
    return [
        pl.col(name) if name in rows.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in schema.items()
    ]
