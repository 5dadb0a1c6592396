"""Changes of type that change no value: what the other type does not hold is found, never cut, rounded or wrapped.

Polars casts 2.75 to 2, rounds decimals, takes 1e300 as infinity in 32 bits, cuts nanoseconds, and writes a date as a
moment. Here each value of the other type is turned back and compared, unless the type is known to hold all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

import polars as pl

from headworks.errors import SchemaChanged, ValueRefused
from headworks.storage.drift import as_instance, wider

_CERTAIN_DIGITS = 15
"""Up to so many digits a decimal number and the float next to it name each other, if there is no exponent."""
_MOST_DIGITS = 767
"""The most significant digits that any float has when it is written in full."""
_EPOCH = date(1970, 1, 1)
_FIRST_OF_CALENDAR, _LAST_OF_CALENDAR = (date(1, 1, 1) - _EPOCH).days, (date(9999, 12, 31) - _EPOCH).days
_A_DAY = {unit: 86_400 * size for unit, size in (("ms", 10**3), ("us", 10**6), ("ns", 10**9))}


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


def within_calendar(value: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    """For each value, say whether its days and moments lie in the years 1 to 9999; None where its type has none.

    Nothing that reads Delta through Python has other years, and neither has what is published to Postgres.
    """
    if isinstance(dtype, pl.Date):
        return value.is_null() | value.to_physical().is_between(_FIRST_OF_CALENDAR, _LAST_OF_CALENDAR)
    if isinstance(dtype, pl.Datetime):
        if dtype.time_unit == "ns":
            return None  # 64 bits of nanoseconds reach from 1677 to 2262
        a_day = _A_DAY[dtype.time_unit]
        lowest, beyond = _FIRST_OF_CALENDAR * a_day, (_LAST_OF_CALENDAR + 1) * a_day
        return value.is_null() | value.to_physical().is_between(lowest, beyond - 1)
    if isinstance(dtype, pl.List | pl.Array):
        inner = within_calendar(pl.element(), as_instance(dtype.inner))
        if inner is None:
            return None
        values = value.arr.to_list() if isinstance(dtype, pl.Array) else value
        return value.is_null() | values.list.eval(inner).list.all()
    if isinstance(dtype, pl.Struct):
        inside = [
            within
            for name, kind in fields_of(dtype).items()
            if (within := within_calendar(value.struct.field(name), kind)) is not None
        ]
        return value.is_null() | pl.all_horizontal(*inside) if inside else None
    return None


def same_numbers(texts: pl.Series, read: pl.Series) -> pl.Series:
    """Return which floats, written with as many digits as their texts have, are the same numbers as these."""
    certain = (texts.str.len_bytes() <= _CERTAIN_DIGITS) & ~texts.str.contains("[eE]")
    same = certain | (read.cast(pl.String) == texts)
    doubtful = (~same & read.is_not_null()).fill_null(value=False)
    if not doubtful.any():
        return same
    pairs = zip(texts.filter(doubtful), read.filter(doubtful), strict=True)
    return same.scatter(doubtful.arg_true(), [_is_same_number(*pair) for pair in pairs])


def _is_same_number(text: str, found: float) -> bool:
    if not any(character.isdigit() for character in text):
        return True
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return False
    digits = len("".join(map(str, exact.as_tuple().digits)).strip("0")) or 1
    if not math.isfinite(found) or digits > _MOST_DIGITS:
        return False
    return Decimal(f"{found:.{digits - 1}e}") == exact


def fields_of(dtype: pl.Struct) -> dict[str, pl.DataType]:
    """Return the fields of a struct and their types."""
    return {each.name: as_instance(each.dtype) for each in dtype.fields}


def in_calendar(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows as Python can hold them: days and moments outside of the years 1 to 9999 make their column text.

    A nested value that has such a one becomes JSON. Of a year that Polars cannot write either (before -262143 or after
    262142) the number is shown that represents it, of days or of the type's unit since 1970.
    """
    dated = {
        name: within
        for name, dtype in rows.schema.items()
        if (within := within_calendar(pl.col(name), dtype)) is not None
    }
    beyond = [name for name, within in dated.items() if not rows.select(within.all()).item()]
    nested = [name for name in beyond if rows.schema[name].is_nested()]
    return rows.with_columns(
        *(_written(name) for name in beyond if name not in nested),
        *(pl.Series(name, _as_json(rows, name), dtype=pl.String()) for name in nested),
    )


def _written(name: str) -> pl.Expr:
    known = pl.col(name).dt.year().is_not_null()
    text = pl.when(known).then(pl.col(name)).cast(pl.String)
    return pl.when(known).then(text).otherwise(pl.col(name).to_physical().cast(pl.String)).alias(name)


def _as_json(rows: pl.DataFrame, name: str) -> list[str]:
    values = rows.select(v=name)
    try:
        lines = values.write_ndjson().splitlines()
    except pl.exceptions.PanicException:
        lines = values.select(pl.col("v").to_physical()).write_ndjson().splitlines()
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
