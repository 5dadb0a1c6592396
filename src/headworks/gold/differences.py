"""What differs between two versions of a gold table: found batch by batch, in the order of the key, in little memory.

Gold is written in the order of its key, so two versions are compared like two sorted lists. Where one of them is not in
order, or has a key twice, the answer is `NotKnown`, and whoever asked looks at all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import polars as pl

MOST = 250_000
"""Of more rows that differ nothing is gained by knowing them one by one."""


class NotKnown(Exception):
    """Which rows differ is not known: rows are not in the order of their key, or most of them differ."""


@dataclass(frozen=True)
class Differences:
    """What has to be done to rows for them to be others.

    ``gone`` are the keys of rows that are not there any more, or otherwise; ``came`` are the rows that are there now
    and were not, or otherwise; ``rows`` is how many there are then.
    """

    gone: pl.DataFrame
    came: pl.DataFrame
    rows: int


def comparable(schema: pl.Schema, key: Sequence[str]) -> bool:
    """Return whether rows can be put in order by a key: it is there, and no part of it is a float or nested."""
    kinds = [schema.get(name) for name in key]
    return all(kind is not None and not kind.is_float() and not kind.is_nested() for kind in kinds)


def differences(
    before: Iterable[pl.DataFrame], after: Iterable[pl.DataFrame], schema: pl.Schema, key: Sequence[str]
) -> Differences:
    """Compare two lists of rows of the same schema, each in the order of ``key``.

    Raises `NotKnown` where one of them is not, and where most rows differ.
    """
    if not comparable(schema, key):
        raise NotKnown("rows have no order by a key like this one")
    old, new = _Reading(before, key), _Reading(after, key)
    gone, came = [schema.to_frame().select(key)], [schema.to_frame()]
    while True:
        here, there = old.ahead(), new.ahead()
        if here is None and there is None:
            break
        upto = _first(here, there, key)
        left, right = old.take(upto, schema), new.take(upto, schema)
        if left.equals(right):
            continue
        lost, made = _apart(left, right, key)
        gone.append(_alone(lost))
        came.append(_alone(made))
        if sum(frame.height for frame in (*gone, *came)) > MOST:
            raise NotKnown("most rows differ")
    return Differences(pl.concat(gone), pl.concat(came), new.rows)


def in_order(frames: Iterable[pl.DataFrame], key: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Yield frames as they are; raises `NotKnown` at the first row whose key is not larger than the one before it."""
    last: pl.DataFrame | None = None
    for frame in frames:
        if frame.is_empty():
            continue
        keys = frame.select(key)
        if last is not None:
            keys = pl.concat([last, keys])
        larger = keys.select(_larger(key).slice(1).all(ignore_nulls=False).fill_null(value=False)).item()
        if not larger or any(count for count in keys.null_count().row(0)):
            raise NotKnown("rows are not in the order of the key")
        last = frame.select(key).tail(1)
        yield frame


class _Reading:
    """A list of rows that is read as far as it is needed."""

    def __init__(self, frames: Iterable[pl.DataFrame], key: Sequence[str]) -> None:
        self._frames = in_order(frames, key)
        self._key = key
        self._waits: pl.DataFrame | None = None
        self.rows = 0

    def ahead(self) -> pl.DataFrame | None:
        """Return the rows that come next, None at the end."""
        if self._waits is None:
            self._waits = next(self._frames, None)
            self.rows += self._waits.height if self._waits is not None else 0
        return self._waits

    def take(self, upto: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
        """Return the next rows up to a key, and let them go."""
        rows = self._waits
        if rows is None:
            return schema.to_frame()
        bound = {f"_{place}": upto.get_column(name) for place, name in enumerate(self._key)}
        # Rows are in order: where the last one is not after the key, none is.
        last = rows.tail(1).lazy().join(pl.LazyFrame(bound), how="cross").select(_not_after(self._key))
        if last.collect().item():
            self._waits = None
            return rows
        within = rows.lazy().join(pl.LazyFrame(bound), how="cross").select(_not_after(self._key))
        count = int(within.collect().to_series().sum())
        self._waits = rows.slice(count) if count < rows.height else None
        return rows.head(count)


def _first(here: pl.DataFrame | None, there: pl.DataFrame | None, key: Sequence[str]) -> pl.DataFrame:
    """Return the smaller of the last keys of two lists."""
    ends = [frame.select(key).tail(1) for frame in (here, there) if frame is not None]
    return pl.concat(ends).sort(key).head(1)


def _apart(left: pl.DataFrame, right: pl.DataFrame, key: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the keys that ``right`` has not, or with other values, and the rows of ``right`` that ``left`` has not."""
    values = [name for name in right.columns if name not in key]
    equal = [pl.col(name).eq_missing(pl.col(f"{name}{_THERE}")) for name in values]
    if equal and left.select(key).equals(right.select(key)):
        # Mostly no row came or went between two batches: then each is alongside what it was.
        before = left.select(pl.col(name).alias(f"{name}{_THERE}") for name in values)
        differ = right.hstack(before).select(~pl.all_horizontal(equal)).to_series()
        return right.select(key).filter(differ), right.filter(differ)
    both = right.join(left, on=list(key), how="inner", suffix=_THERE, maintain_order="left")
    same = both.filter(pl.all_horizontal(equal) if equal else pl.lit(value=True)).select(key)
    return (
        left.select(key).join(same, on=list(key), how="anti", maintain_order="left"),
        right.join(same, on=list(key), how="anti", maintain_order="left"),
    )


def _alone(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a few rows of a batch in memory of their own: texts and lists else keep all that the batch has."""
    if not any(dtype.is_nested() or dtype in {pl.String(), pl.Binary()} for dtype in rows.dtypes):
        return rows
    copied = pl.DataFrame(rows.to_arrow(compat_level=pl.CompatLevel.oldest()))
    return copied if copied.schema == rows.schema else rows


_THERE = "\0there"


def _larger(key: Sequence[str]) -> pl.Expr:
    """Return which keys are larger than those of the rows before them."""

    def step(rest: pl.Expr, name: str) -> pl.Expr:
        here, there = pl.col(name), pl.col(name).shift(1)
        return (here > there) | ((here == there) & rest)

    return reduce(step, reversed(key), pl.lit(value=False))


def _not_after(key: Sequence[str]) -> pl.Expr:
    """Return which keys are not larger than one that is alongside them."""

    def step(rest: pl.Expr, part: tuple[int, str]) -> pl.Expr:
        here, there = pl.col(part[1]), pl.col(f"_{part[0]}")
        return (here < there) | ((here == there) & rest)

    return reduce(step, reversed(list(enumerate(key))), pl.lit(value=True))
