"""Columns of every type that Parquet has, with extremes and random values, and what their values mean.

Shared by the suites of types; no tests here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa

_PER_US = {"s": Fraction(1_000_000), "ms": Fraction(1000), "us": Fraction(1), "ns": Fraction(1, 1000)}
_WHOLE = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())


def _whole(kind: pa.DataType) -> Callable[[random.Random], pa.Array]:
    bits, signed = kind.bit_width, pa.types.is_signed_integer(kind)
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return lambda chance: pa.array([least, most, 0, 1, chance.randint(least, most), None], kind)


def _decimal(kind: pa.DataType) -> Callable[[random.Random], pa.Array]:
    def made(chance: random.Random) -> pa.Array:
        most = 10**kind.precision - 1
        values = [_exact(each, kind.scale) for each in (most, -most, 0, chance.randint(-most, most))]
        return pa.array([*values, None], kind)

    return made


def _exact(digits: int, scale: int) -> Decimal:
    """Return a decimal without the rounding of Python's context."""
    return Decimal((int(digits < 0), tuple(map(int, str(abs(digits)))), -scale))


def _ints(kind: pa.DataType, *values: int) -> Callable[[random.Random], pa.Array]:
    return lambda chance: (
        pa.array([*values, chance.randint(min(values), max(values)), None], pa.int64())
        .cast(pa.int32() if kind.bit_width == 32 else pa.int64())
        .view(kind)
    )


def _given(kind: pa.DataType, *values: Any) -> Callable[[random.Random], pa.Array]:
    return lambda chance: pa.array([*values, chance.choice(values), None], kind)


_INNER = pa.struct([("a", pa.uint16()), ("b", pa.string())])
COLUMNS: dict[str, Callable[[random.Random], pa.Array]] = {
    **{str(kind): _whole(kind) for kind in _WHOLE},
    "bool": _given(pa.bool_(), True, False),
    "half": _given(pa.float16(), 1.5, -65504.0, math.inf),
    "float": _given(pa.float32(), 0.1, -3.4e38, math.nan, math.inf),
    "double": _given(pa.float64(), 0.1, 2.75, 1.7e308, 5e-324, math.nan, 2.0**53 + 2),
    "decimal(5,2)": _decimal(pa.decimal32(5, 2)),
    "decimal(15,4)": _decimal(pa.decimal64(15, 4)),
    "decimal(10,2)": _decimal(pa.decimal128(10, 2)),
    "decimal(38,0)": _decimal(pa.decimal128(38, 0)),
    "decimal(38,38)": _decimal(pa.decimal128(38, 38)),
    "decimal256(30,4)": _decimal(pa.decimal256(30, 4)),
    "decimal256(60,10)": _decimal(pa.decimal256(60, 10)),
    "text": _given(pa.string(), "", "007", "a\nb", "漢", "2024-01-01"),
    "large text": _given(pa.large_string(), "x", ""),
    "text view": _given(pa.string_view(), "x", "a text of more than twelve bytes"),
    "bytes": _given(pa.binary(), b"", b"\x00\xff"),
    "fixed bytes": _given(pa.binary(3), b"abc", b"\x00\x00\x00"),
    "uuid": _given(pa.uuid(), b"\x00" * 16, b"\xff" * 16),
    "date": _ints(pa.date32(), -700_000, 0, 2_932_896),
    "time ms": _ints(pa.time32("ms"), 0, 1, 86_399_999),
    "time us": _ints(pa.time64("us"), 0, 1, 86_399_999_999),
    "time ns": _ints(pa.time64("ns"), 0, 1, 86_399_999_999_999),
    "moment ms": _ints(pa.timestamp("ms"), -62_135_596_800_000, 0, 253_402_300_799_999),
    "moment us": _ints(pa.timestamp("us"), -62_135_596_800_000_000, 1, 253_402_300_799_999_999),
    "moment ns, whole": lambda chance: pa.array([0, 1000, -(2**60) // 1000 * 1000, None], pa.int64()).view(
        pa.timestamp("ns")
    ),
    "moment ns, parts": _ints(pa.timestamp("ns"), -(2**63) + 1, 1, 2**63 - 1),
    "moment in Berlin": _ints(pa.timestamp("us", "Europe/Berlin"), -62_135_596_800_000_000, 1, 2**53),
    "moment with an offset": _ints(pa.timestamp("ms", "+05:30"), -1, 0, 2**41),
    "duration s": _ints(pa.duration("s"), -(2**40), 1, 2**40),
    "duration s, too long": _ints(pa.duration("s"), -(2**62), 1, 2**62),
    "duration us": _ints(pa.duration("us"), -(2**62), 1, 2**62),
    "duration ns": _ints(pa.duration("ns"), -(2**62), 1, 2**62),
    "nulls": lambda chance: pa.nulls(3),
    "category": lambda chance: pa.array(["a", "b", None, chance.choice("xyz")]).dictionary_encode(),
    "list": _given(pa.list_(pa.int64()), [1, None], []),
    "list of uint64": _given(pa.list_(pa.uint64()), [2**64 - 1], []),
    "list of halves": _given(pa.list_(pa.float16()), [1.5]),
    "list of times": _given(pa.list_(pa.time64("ns")), [1, 86_399_999_999_999]),
    "list of durations": _given(pa.list_(pa.duration("ms")), [1, -5]),
    "list of ns": _given(pa.list_(pa.timestamp("ns")), [1]),
    "list of three": _given(pa.list_(pa.int32(), 3), [1, 2, 3]),
    "list view": _given(pa.list_view(pa.int32()), [1, 2], []),
    "list of lists": _given(pa.list_(pa.list_(pa.uint8(), 2)), [[1, 2], None]),
    "list of nulls": _given(pa.list_(pa.null()), [], [None]),
    "struct": _given(_INNER, {"a": 65535, "b": None}, {"a": None, "b": "x"}),
    "struct with more": _given(pa.struct([*_INNER, pa.field("c", pa.int8())]), {"a": 1, "b": "y", "c": -128}),
    "struct with another type": _given(pa.struct([("a", pa.float64())]), {"a": 0.5}),
    "struct with doubled names": _given(pa.struct([("a", pa.int8()), ("A", pa.int8())]), {"a": 1, "A": 2}),
    "list of structs": _given(pa.list_(_INNER), [{"a": 1, "b": "x"}, None]),
    "map": _given(pa.map_(pa.string(), pa.uint64()), [("a", 2**64 - 1), ("a", 1)], []),
}


def meanings(values: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Return what values mean, whatever type they are kept in."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return meanings(array.storage)
    if pa.types.is_dictionary(kind):
        return meanings(array.dictionary_decode())
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        scale = _PER_US[kind.unit]
        return [None if each is None else each * scale for each in array.view(pa.int64()).to_pylist()]
    if pa.types.is_date32(kind):
        return [None if each is None else ("day", each) for each in array.view(pa.int32()).to_pylist()]
    if pa.types.is_time(kind):
        return list(array.cast(pa.string()).to_pylist())
    if pa.types.is_decimal(kind) and kind.precision > 38:
        return list(array.cast(pa.string()).to_pylist())
    if pa.types.is_struct(kind):
        fields = {field.name: meanings(array.field(place)) for place, field in enumerate(kind)}
        return [
            {name: each[row] for name, each in fields.items() if each[row] is not None} if known else None
            for row, known in enumerate(array.is_valid().to_pylist())
        ]
    if pa.types.is_map(kind):
        return [
            None if each is None else [{"key": k, "value": v} for k, v in each] for each in array.to_pylist()
        ]
    if pa.types.is_nested(kind):
        return [meanings(each.values) if each.is_valid else None for each in array]
    return [_plain(each) for each in array.to_pylist()]


def _plain(value: Any) -> Any:
    return "NaN" if isinstance(value, float) and math.isnan(value) else value
