"""Types of columns, their hardest values, and whether a type holds a value, by Python's exact arithmetic."""

from __future__ import annotations

import math
import struct
from datetime import date, datetime
from decimal import Context, Decimal
from typing import Any

import polars as pl
from hypothesis import strategies as st

from headworks.storage.drift import as_instance

FLAT: tuple[pl.DataType, ...] = (
    *(pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64()),
    *(pl.Float32(), pl.Float64(), pl.Boolean(), pl.String(), pl.Binary(), pl.Date(), pl.Null()),
    *(pl.Datetime("us"), pl.Datetime("us", "UTC"), pl.Datetime("ms"), pl.Datetime("us", "Asia/Tokyo")),
    *(pl.Decimal(1, 0), pl.Decimal(3, 0), pl.Decimal(10, 2), pl.Decimal(14, 4), pl.Decimal(20, 0)),
    *(pl.Decimal(38, 0), pl.Decimal(38, 19), pl.Decimal(38, 38)),
)
TYPES = st.recursive(
    st.sampled_from(FLAT)
    | st.builds(lambda p, s: pl.Decimal(max(p, s, 1), s), st.integers(1, 38), st.integers(0, 38)),
    lambda inner: (
        st.builds(pl.List, inner) | st.dictionaries(st.sampled_from("abc"), inner, min_size=1).map(pl.Struct)
    ),
    max_leaves=4,
)


def _structs(made: tuple[Any, Any, str]) -> tuple[pl.DataType, pl.DataType]:
    types = {"a": made[0], "b": made[1]}
    before, after = made[2].split()
    return pl.Struct({name: types[name][0] for name in before}), pl.Struct(
        {name: types[name][1] for name in after}
    )


PAIRS = st.recursive(
    st.tuples(st.sampled_from(FLAT), st.sampled_from(FLAT)),
    lambda inner: (
        inner.map(lambda pair: (pl.List(pair[0]), pl.List(pair[1])))
        | st.tuples(inner, inner, st.sampled_from(["ab ab", "ab ba", "a ab", "ab a"])).map(_structs)
    ),
    max_leaves=4,
)
"""Two types of the same shape: a column before and after a change."""


_WIDE = Context(prec=200)
_BITS: dict[str, int] = {name: bits for bits in (8, 16, 32, 64) for name in (f"Int{bits}", f"UInt{bits}")}


def extremes(dtype: pl.DataType) -> list[Any]:
    """Return the values of a type that are the hardest to hold."""
    if isinstance(dtype, pl.Decimal):
        nines, least = Decimal((0, (9,) * dtype.precision, -dtype.scale)), Decimal((1, (1,), -dtype.scale))
        return [nines, nines.copy_negate(), least]
    if isinstance(dtype, pl.Datetime):
        # In other zones than UTC Python's calendar has no first and no last hour.
        away = 0 if dtype.time_zone in {None, "UTC"} else 1
        first, last = datetime(1 + away, 1, 1), datetime(9999 - away, 12, 31, 23, 59, 59, 999000)
        return [first, last, datetime(1969, 12, 31, 23, 59, 59, 1000)]
    if isinstance(dtype, pl.List):
        return [extremes(as_instance(dtype.inner)), [], None]
    if isinstance(dtype, pl.Struct):
        each = {field.name: extremes(as_instance(field.dtype)) for field in dtype.fields}
        return [{name: values[0] for name, values in each.items()}, {name: None for name in each}]
    if str(dtype) in _BITS:
        bits = _BITS[str(dtype)]
        return (
            [0, 2**bits - 1] if str(dtype).startswith("U") else [2 ** (bits - 1) - 1, -(2 ** (bits - 1)), -1]
        )
    single = struct.unpack("f", struct.pack("f", 0.1))[0]
    flat: dict[pl.DataType, list[Any]] = {
        pl.Float32(): [3.4028234663852886e38, 2.0**-149, single, math.inf],
        pl.Float64(): [1.7976931348623157e308, 5e-324, 0.1, 2.0**53 + 2, -math.inf],
        pl.Boolean(): [True, False],
        pl.String(): ["007", "", "é"],
        pl.Binary(): [b"\xff", b""],
        pl.Date(): [date(1, 1, 1), date(9999, 12, 31)],
        pl.Null(): [None],
    }
    return flat[dtype]


def held(value: Any, there: pl.DataType) -> bool:
    """Report by Python's exact arithmetic whether a type holds a value as it is."""
    if value is None:
        return True
    if isinstance(there, pl.List):
        inner = as_instance(there.inner)
        return isinstance(value, list) and all(held(each, inner) for each in value)
    if isinstance(there, pl.Struct):
        kinds = {field.name: as_instance(field.dtype) for field in there.fields}
        return isinstance(value, dict) and all(
            each is None or (name in kinds and held(each, kinds[name])) for name, each in value.items()
        )
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        made = pl.Series([value], dtype=there.base_type()() if isinstance(value, datetime) else there)
        return bool(made.dtype.is_temporal() == isinstance(value, date)) and made.to_list() == [value]
    if isinstance(there, pl.Decimal):
        if isinstance(value, float):
            return False
        scaled: Decimal = Decimal(value).scaleb(there.scale, context=_WIDE)
        return bool(
            scaled == scaled.to_integral_value(context=_WIDE) and scaled.copy_abs() < 10**there.precision
        )
    if there.is_integer():
        return bool(math.isfinite(value) and value == int(value) and _in_range(int(value), there))
    if there.is_float():
        if isinstance(value, Decimal):
            return False
        if math.isnan(value):
            return True
        form = "f" if there == pl.Float32() else "d"
        return bool(struct.unpack(form, struct.pack(form, value))[0] == value)
    return False


def _in_range(value: int, there: pl.DataType) -> bool:
    bits = _BITS[str(there)]
    least, beyond = (0, 2**bits) if str(there).startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    return bool(least <= value < beyond)
