"""What a dataset's columns are like, found in its declaration and in clean rows: never by their names.

An API's records are taken apart into columns and put together again, so that the same faults fit both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import polars as pl

from headworks.silver.dataset import Dataset

FEW = 60
"""A text column with at most so many values is a set of categories."""

SMALL = 40
"""A delivery of at most so many rows is a small table's."""

_WHOLE_RECORD = "_record"


@dataclass(frozen=True)
class Shape:
    """The columns of a dataset by what they are like."""

    dataset: Dataset
    rows: int
    key: tuple[str, ...]
    references: tuple[str, ...]
    amounts: tuple[str, ...]
    categories: tuple[str, ...]
    texts: tuple[str, ...]
    moments: tuple[str, ...]
    sums: tuple[tuple[str, str, str], ...]
    determined: tuple[tuple[str, str], ...]
    listed: bool = False
    """Each delivery has the whole list again: what is not in it is still in silver."""

    @property
    def cursor(self) -> str | None:
        """The column whose larger value is newer."""
        return self.dataset.cursor

    @property
    def text_keys(self) -> tuple[str, ...]:
        """The columns of the key that are text."""
        columns = self.dataset.schema.columns()
        return tuple(name for name in self.key if name in columns and columns[name].dtype == pl.String)

    @property
    def number_references(self) -> tuple[str, ...]:
        """The references that are numbers."""
        columns = self.dataset.schema.columns()
        return tuple(name for name in self.references if name in columns and columns[name].dtype.is_numeric())

    def values(self) -> tuple[str, ...]:
        """All columns that are neither key nor reference nor cursor."""
        return (*self.amounts, *self.categories, *self.texts, *self.moments)

    def may_be_null(self, name: str) -> bool:
        """Return whether the declaration lets a column be null."""
        column = self.dataset.schema.columns().get(name)
        return column is None or column.nullable


def shape_of(dataset: Dataset, clean: Sequence[pl.DataFrame]) -> Shape:
    """Find the shape of a dataset in several clean deliveries' rows."""
    each = [opened(dataset, one) for one in clean]
    rows = pl.concat(each, how="vertical_relaxed")
    key = tuple(name for name in dataset.key if name in rows.columns)
    named = [column for reference in dataset.references for column in reference.columns]
    references = tuple(dict.fromkeys(name for name in named if name in rows.columns and name not in key))
    own = {*key, *references, dataset.cursor, _WHOLE_RECORD}
    kinds: dict[str, list[str]] = {"amounts": [], "categories": [], "texts": [], "moments": []}
    for name, dtype in rows.schema.items():
        there = rows.get_column(name).drop_nulls()
        if name in own or there.is_empty():
            continue
        if dtype.is_numeric():
            kinds["amounts"].append(name)
        elif dtype == pl.String:
            few = 2 <= there.n_unique() <= min(FEW, max(2, there.len() // 5))
            kinds["categories" if few else "texts"].append(name)
        elif dtype.is_temporal():
            kinds["moments"].append(name)
    return Shape(
        dataset=dataset,
        rows=rows.height,
        key=key,
        references=references,
        sums=_sums(rows, kinds["amounts"]),
        determined=_determined(rows, kinds["categories"]),
        listed=len(each) > 1 and _overlap(each[-2], each[-1], key) > 0.5,
        **{name: tuple(columns) for name, columns in kinds.items()},
    )


def _overlap(one: pl.DataFrame, other: pl.DataFrame, key: Sequence[str]) -> float:
    """Return the share of a delivery's keys that the one before it had."""
    return other.join(one, on=list(key), how="semi").height / max(other.height, 1)


def _sums(rows: pl.DataFrame, amounts: Sequence[str]) -> tuple[tuple[str, str, str], ...]:
    """Return the triples of which the first is the sum of the others in each row."""
    numbers = rows.select(pl.col(name).cast(pl.Float64) for name in amounts)
    found = []
    for whole, one, other in permutations(amounts, 3):
        if one < other:
            apart = numbers.select((pl.col(whole) - pl.col(one) - pl.col(other)).abs().max()).item()
            if apart is not None and apart < 1e-6 and numbers.get_column(other).n_unique() > 1:
                found.append((whole, one, other))
    return tuple(found)


def _determined(rows: pl.DataFrame, categories: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of which the first decides the second."""
    found = []
    for one, other in permutations(categories, 2):
        pairs = rows.select(one, other).drop_nulls().unique()
        if pairs.height == pairs.get_column(one).n_unique() and pairs.get_column(other).n_unique() > 1:
            found.append((one, other))
    return tuple(found)


def opened(dataset: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows as columns; of an API's records, those that are objects of the usual fields."""
    if not dataset.fields:
        return rows
    records = [_object(one) for one in rows.get_column("record")]
    columns: dict[str, list[Any]] = {
        name: [None if one is None else one.get(name) for one in records] for name in dataset.fields
    }
    frame = pl.DataFrame({name: _column(values) for name, values in columns.items()})
    return frame.with_columns(rows.get_column("record").alias(_WHOLE_RECORD))


def closed(dataset: Dataset, before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Put columns together into what the source gives, as ``before`` has it."""
    if not dataset.fields:
        return after.select(before.columns).cast(before.schema)
    given = opened(dataset, before)
    known = dict(zip(given.get_column(_WHOLE_RECORD), given.iter_rows(named=True), strict=True))
    out = [_record(known[row[_WHOLE_RECORD]], row) for row in after.iter_rows(named=True)]
    return pl.DataFrame({"record": out}, schema=before.schema)


def _record(before: dict[str, Any], after: dict[str, Any]) -> bytes:
    record = bytes(after[_WHOLE_RECORD])
    changed = {
        name: value for name, value in after.items() if name != _WHOLE_RECORD and value != before[name]
    }
    values = _object(record)
    if values is None or not changed:
        return record
    for name, value in changed.items():
        as_text = isinstance(values.get(name), str) and value is not None
        values[name] = f"{value:.8f}" if as_text and isinstance(value, float) else value
    return json.dumps(values, ensure_ascii=False).encode()


def _object(record: bytes) -> dict[str, Any] | None:
    try:
        values = json.loads(record)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None


def _column(values: list[Any]) -> pl.Series:
    """Make a column of a field's values: numbers written as text are numbers, and what is nested is left alone."""
    flat = [None if isinstance(value, dict | list) else value for value in values]
    numbers = pl.Series([None if one is None else str(one) for one in flat], dtype=pl.String)
    as_numbers = numbers.cast(pl.Float64, strict=False)
    if numbers.drop_nulls().len() and as_numbers.null_count() <= numbers.null_count() + len(values) // 10:
        whole = all(isinstance(one, int) for one in flat if one is not None)
        return as_numbers.cast(pl.Int64, strict=False) if whole else as_numbers
    return numbers
