"""Changes of type that change no value: what the other type does not hold is found, never cut, rounded or wrapped.

Polars casts 2.75 to 2, rounds decimals, takes 1e300 as infinity in 32 bits, cuts nanoseconds, and writes a date as a
moment. Here each value of the other type is turned back and compared, unless the type is known to hold all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from headworks.errors import SchemaChanged, ValueRefused
from headworks.storage.drift import as_instance, wider


def same_kind(before: pl.DataType, after: pl.DataType) -> bool:
    """Return whether values mean the same in both types, so that each of them either fits the other or does not.

    Numbers do, but for decimals and floats, which have hardly a value in common; dates and moments do not, nor moments
    with a zone and without, nor text and anything else.
    """
    if before == after or isinstance(before, pl.Null):
        return True
    if isinstance(before, pl.List | pl.Array) and isinstance(after, pl.List):
        return same_kind(as_instance(before.inner), as_instance(after.inner))
    if isinstance(before, pl.Struct) and isinstance(after, pl.Struct):
        here, there = fields_of(before), fields_of(after)
        return all(same_kind(here[name], there[name]) for name in here if name in there)
    if isinstance(before, pl.Datetime) and isinstance(after, pl.Datetime):
        return (before.time_zone is None) == (after.time_zone is None)
    if before.is_numeric() and after.is_numeric():
        return not (
            {before.is_decimal(), after.is_decimal()}
            == {before.is_float(), after.is_float()}
            == {True, False}
        )
    return isinstance(before, pl.Categorical | pl.Enum) and isinstance(after, pl.String)


def exactly(value: pl.Expr, before: pl.DataType, after: pl.DataType) -> pl.Expr:
    """Return a value in another type of the same kind, null where that does not hold it."""
    if before == after:
        return value
    if isinstance(before, pl.List | pl.Array) and isinstance(after, pl.List):
        inner = as_instance(before.inner), as_instance(after.inner)
        values = value.arr.to_list() if isinstance(before, pl.Array) else value
        if inner[0] == inner[1]:
            return values
        made = values.list.eval(exactly(pl.element(), *inner))
        return pl.when(fits(value, before, after)).then(made)
    if isinstance(before, pl.Struct) and isinstance(after, pl.Struct):
        here = fields_of(before)
        fields = [
            exactly(value.struct.field(name), here[name], kind).alias(name)
            if name in here
            else pl.lit(None, dtype=kind).alias(name)
            for name, kind in fields_of(after).items()
        ]
        return pl.when(value.is_not_null() & fits(value, before, after)).then(pl.struct(fields))
    if _holds(before, after):
        return value.cast(after)
    return pl.when(fits(value, before, after)).then(value.cast(after, strict=False))


def fits(value: pl.Expr, before: pl.DataType, after: pl.DataType) -> pl.Expr:
    """For each value, say whether another type of the same kind holds it; null fits everywhere."""
    if before == after or isinstance(before, pl.Null):
        return pl.lit(True)
    if isinstance(before, pl.List | pl.Array) and isinstance(after, pl.List):
        values = value.arr.to_list() if isinstance(before, pl.Array) else value
        inner = fits(pl.element(), as_instance(before.inner), as_instance(after.inner))
        # The element is looked at, or a list whose elements all fit would come as one value.
        return value.is_null() | values.list.eval(inner | pl.element().is_null()).list.all()
    if isinstance(before, pl.Struct) and isinstance(after, pl.Struct):
        there = fields_of(after)
        held = [
            fits(value.struct.field(name), kind, there[name])
            if name in there
            else value.struct.field(name).is_null()
            for name, kind in fields_of(before).items()
        ]
        return value.is_null() | pl.all_horizontal(pl.lit(True), *held)
    if _holds(before, after):
        return pl.lit(True)
    there_and_back = value.cast(after, strict=False).cast(before, strict=False)
    return value.is_null() | (there_and_back == value).fill_null(False)


def in_types(frame: pl.DataFrame, types: Mapping[str, pl.DataType], where: str, do: str) -> pl.DataFrame:
    """Return a frame with columns in other types that hold each of their values.

    Raises `SchemaChanged` for a type of another kind, and `ValueRefused` with an example for a value that does not fit.
    """
    others = {
        name: (before, types[name])
        for name, before in frame.schema.items()
        if types.get(name, before) != before
    }
    if not others:
        return frame
    for name, (before, after) in others.items():
        if not same_kind(before, after):
            raise SchemaChanged(f"Column {name} was {after} and is {before}.", where=where, do=do)
    unfit = frame.select((~fits(pl.col(name), *both)).sum().alias(name) for name, both in others.items())
    for name, count in unfit.row(0, named=True).items():
        if count:
            before, after = others[name]
            example = _first(frame.filter(~fits(pl.col(name), before, after)).get_column(name))
            raise ValueRefused(
                f"Column {name} was {after} and is {before}: {count} values do not fit, such as {example}.",
                where=where,
                do=do,
            )
    return frame.with_columns(exactly(pl.col(name), *both).alias(name) for name, both in others.items())


def lazily_in_types(frame: pl.LazyFrame, types: Mapping[str, pl.DataType], where: str) -> pl.LazyFrame:
    """Return rows that are not there yet with columns in other types, which hold every value of theirs.

    Raises `SchemaChanged` for a type that does not.
    """
    given = frame.collect_schema()
    others = {name: (dtype, types[name]) for name, dtype in given.items() if types.get(name, dtype) != dtype}
    if apart := [
        f"{name} was {after} and is {before}"
        for name, (before, after) in others.items()
        if not _holds(before, after)
    ]:
        raise SchemaChanged(
            f"Columns do not fit the table: {'; '.join(apart)}.", where=where, do="nothing was written."
        )
    return frame.with_columns(exactly(pl.col(name), *both).alias(name) for name, both in others.items())


def fields_of(dtype: pl.Struct) -> dict[str, pl.DataType]:
    """Return the fields of a struct and their types."""
    return {each.name: as_instance(each.dtype) for each in dtype.fields}


def in_calendar(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows as Python can hold them: days and moments outside of the years 1 to 9999 make their column text.

    A nested value that has such a one becomes JSON.
    """
    flat = {name: rows.get_column(name) for name, dtype in rows.schema.items() if dtype.is_temporal()}
    dated = {name: of.dt.year() for name, of in flat.items() if isinstance(of.dtype, pl.Date | pl.Datetime)}
    beyond = [name for name, years in dated.items() if not years.drop_nulls().is_between(1, 9999).all()]
    nested = [
        name for name, dtype in rows.schema.items() if dtype.is_nested() and not _fits_python(rows, name)
    ]
    return rows.with_columns(
        *(pl.col(name).cast(pl.String) for name in beyond),
        *(pl.Series(name, _as_json(rows, name), dtype=pl.String()) for name in nested),
    )


def _fits_python(rows: pl.DataFrame, name: str) -> bool:
    try:
        rows.get_column(name).to_list()
    except (ValueError, OverflowError):
        return False
    return True


def _as_json(rows: pl.DataFrame, name: str) -> list[str]:
    lines = rows.select(v=name).write_ndjson().splitlines()
    return [line.removeprefix('{"v":').removesuffix("}") for line in lines]


def _holds(before: pl.DataType, after: pl.DataType) -> bool:
    """Return whether a type holds every value of another; moments of other units only as far as years go."""
    if (
        isinstance(before, pl.Datetime)
        and isinstance(after, pl.Datetime)
        and before.time_unit != after.time_unit
    ):
        return False
    return wider(before, after) == after


def _first(values: pl.Series) -> Any:
    return str(values.cast(pl.String, strict=False)[0] if not values.dtype.is_nested() else values[0])[:100]
