"""What holds between the columns of a candidate: sums, products, orders, common nulls, combinations of values.

Nobody declares these: what held in nearly all rows of each good run is watched, and can be proposed as a rule. They are
counted on a sample of rows, which is enough for shares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import polars as pl

SAMPLED = 10_000
"""So many rows of a candidate say how often something holds between its columns."""

_NUMBERS = 7
_MOMENTS = 6
_CHOICES = 7
_MOST_VALUES = 30
_MOST_COMBINATIONS = 120
_OFTEN = 0.5
_RATIO_BINS = 12
_STEP = 1.25
_CENT = 0.0101

Relations = dict[str, tuple[int, int]]
"""What holds, with the rows in which it does, and those of which it could be said."""


def relations_of(rows: pl.DataFrame, identifiers: Sequence[str], names: Sequence[str]) -> Relations:
    """Count how often sums, products, orders and common nulls hold, of those that hold in most rows."""
    rows = _sampled(rows).select(names)
    if rows.height < 2:
        return {}
    asked = dict(_asked(rows, identifiers))
    if not asked:
        return {}
    counted = rows.select(
        *(holds.sum().alias(f"h{place}") for place, holds in enumerate(asked.values())),
        *(holds.is_not_null().sum().alias(f"n{place}") for place, holds in enumerate(asked.values())),
    ).row(0, named=True)
    found = {
        name: (int(counted[f"h{place}"] or 0), int(counted[f"n{place}"])) for place, name in enumerate(asked)
    }
    return {name: (held, of) for name, (held, of) in found.items() if of and held > _OFTEN * of}


def combinations_of(
    rows: pl.DataFrame, identifiers: Sequence[str], categories: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Count the combinations of values of each two columns that have few, whether a value is null among them.

    Only pairs in which not everything occurs with everything are kept: a currency of each country, not any of any.
    """
    rows = _sampled(rows)
    choices = [name for name in categories if name not in identifiers][:_CHOICES]
    marks = [
        pl.when(pl.col(name).is_null()).then(pl.lit("null")).otherwise(pl.lit("given")).alias(f"{name} given")
        for name, nulls in zip(rows.columns, rows.null_count().row(0) if rows.width else (), strict=True)
        if 0 < nulls < rows.height and not name.startswith("_")
    ][: _CHOICES - 2]
    shaped = rows.select(*(pl.col(name).cast(pl.String) for name in choices), *marks)
    found = {}
    for one, other in combinations(shaped.columns, 2):
        if {one, other} <= set(choices) or one.removesuffix(" given") != other:
            pairs = shaped.select(one, other).drop_nulls().group_by(one, other).len()
            few = pairs.height <= min(
                _MOST_COMBINATIONS, 4 * pairs[one].n_unique() * pairs[other].n_unique() // 5
            )
            if few and pairs.height > 1:
                found[f"{one} and {other}"] = {f"{a} | {b}": int(count) for a, b, count in pairs.iter_rows()}
    return found


def ratios_of(rows: pl.DataFrame, identifiers: Sequence[str]) -> dict[str, dict[int, int]]:
    """Count the ratios of each two positive numbers by bins that grow by a quarter, where these are few."""
    rows = _sampled(rows)
    numbers = [pl.col(name).cast(pl.Float64) for name in _numbers(rows, identifiers)]
    if len(numbers) < 2 or rows.is_empty():
        return {}
    pairs = {f"{a.meta.output_name()} / {b.meta.output_name()}": (a, b) for a, b in combinations(numbers, 2)}
    # No number and infinity have no bin: null, where a strict cast would end the run.
    binned = rows.select(
        pl.when((a > 0) & (b > 0)).then((a / b).log(_STEP).floor().cast(pl.Int32, strict=False)).alias(name)
        for name, (a, b) in pairs.items()
    )
    found = {}
    for name in binned.columns:
        counts = binned.get_column(name).drop_nulls().value_counts(sort=True)
        if counts.height > 0 and int(counts["count"].head(_RATIO_BINS).sum()) >= 0.98 * int(
            counts["count"].sum()
        ):
            found[name] = {int(bin_): int(count) for bin_, count in counts.iter_rows()}
    return found


def _sampled(rows: pl.DataFrame) -> pl.DataFrame:
    return rows if rows.height <= SAMPLED else rows.gather_every(rows.height // SAMPLED + 1)


def _numbers(rows: pl.DataFrame, identifiers: Sequence[str]) -> list[str]:
    named = [
        name
        for name, dtype in rows.schema.items()
        if dtype.is_numeric() and name not in identifiers and name[0] != "_"
    ]
    return named[:_NUMBERS]


def _asked(rows: pl.DataFrame, identifiers: Sequence[str]) -> Iterator[tuple[str, pl.Expr]]:
    numbers = _numbers(rows, identifiers)
    there = {name: pl.col(name).cast(pl.Float64) for name in numbers}
    yield from _sums_and_products(there)
    for one, other in combinations(numbers, 2):
        yield f"{one} <= {other}", there[one] <= there[other]
        yield f"{other} <= {one}", there[other] <= there[one]
    moments = [name for name, dtype in rows.schema.items() if isinstance(dtype, pl.Datetime | pl.Date)]
    yield from _orders_of_moments(rows, moments[:_MOMENTS])
    yield from _common_nulls(rows)


def _sums_and_products(there: dict[str, pl.Expr]) -> Iterator[tuple[str, pl.Expr]]:
    for total, whole in there.items():
        for one, other in combinations([name for name in there if name != total], 2):
            apart = _CENT + 1e-6 * whole.abs()
            # Where one of them is nothing, a sum says no more than that the other two are equal.
            some = (there[one] != 0) & (there[other] != 0)
            yield (
                f"{total} = {one} + {other}",
                pl.when(some).then((whole - there[one] - there[other]).abs() <= apart),
            )
            yield (
                f"{total} = {one} * {other}",
                pl.when(some).then((whole - there[one] * there[other]).abs() <= apart),
            )


def _orders_of_moments(rows: pl.DataFrame, moments: Iterable[str]) -> Iterator[tuple[str, pl.Expr]]:
    def plain(name: str) -> pl.Expr:
        dtype = rows.schema[name]
        zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
        return (
            pl.col(name).dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zoned else pl.col(name)
        ).cast(pl.Datetime("us"), strict=False)

    for one, other in combinations(moments, 2):
        yield f"{one} <= {other}", plain(one) <= plain(other)
        yield f"{other} <= {one}", plain(other) <= plain(one)


def _common_nulls(rows: pl.DataFrame) -> Iterator[tuple[str, pl.Expr]]:
    nulls = dict(zip(rows.columns, rows.null_count().row(0), strict=True))
    some = [name for name, count in nulls.items() if 0 < count < rows.height][:_NUMBERS]
    for one, other in combinations(some, 2):
        yield f"{one} null as {other}", pl.col(one).is_null() == pl.col(other).is_null()
