"""Arrow's types as a Delta table holds them: every value as it was, or an error that names what does not fit.

Each type has one type that it is kept as, whatever the values of a file are, so that the files of one writer give one
column. Arrow's own casts refuse a value that the other type does not hold, and so nothing is rounded, wrapped or cut.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import pyarrow as pa

Nanoseconds: TypeAlias = Literal["refuse", "cut", "text"]
"""What becomes of moments and lengths of time below a microsecond, which Delta's types do not hold."""

LONGEST_DECIMAL = 38
_UNSIGNED: tuple[tuple[Callable[[pa.DataType], bool], pa.DataType], ...] = (
    (pa.types.is_uint8, pa.int16()),
    (pa.types.is_uint16, pa.int32()),
    (pa.types.is_uint32, pa.int64()),
    (pa.types.is_uint64, pa.decimal128(20, 0)),
    (pa.types.is_float16, pa.float32()),
)


class NotHeld(Exception):
    """A Delta table has no type for a column, or none for its values."""


def held(kind: pa.DataType, nanoseconds: Nanoseconds = "refuse") -> pa.DataType:
    """Return the type as which a column of an Arrow type is kept; raises `NotHeld` where there is none."""
    for is_kind, target in _UNSIGNED:
        if is_kind(kind):
            return target
    if isinstance(kind, pa.BaseExtensionType):
        return held(kind.storage_type, nanoseconds)
    if pa.types.is_dictionary(kind):
        return held(kind.value_type, nanoseconds)
    if pa.types.is_decimal(kind):
        fits = kind.precision <= LONGEST_DECIMAL and 0 <= kind.scale <= kind.precision
        return pa.decimal128(kind.precision, kind.scale) if fits else pa.string()
    if pa.types.is_temporal(kind):
        return _time(kind, nanoseconds)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.large_string()
    if _is_bytes(kind):
        return pa.large_binary()
    flat = pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return kind if flat or pa.types.is_null(kind) else _nested(kind, nanoseconds)


def _time(kind: pa.DataType, nanoseconds: Nanoseconds) -> pa.DataType:
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_time(kind):
        return pa.string()
    if not (pa.types.is_timestamp(kind) or pa.types.is_duration(kind)):
        raise NotHeld(f"the type {kind}")
    if kind.unit == "ns" and nanoseconds == "text":
        return pa.string()
    return pa.int64() if pa.types.is_duration(kind) else pa.timestamp("us", "UTC" if kind.tz else None)


def _nested(kind: pa.DataType, nanoseconds: Nanoseconds) -> pa.DataType:
    if pa.types.is_struct(kind):
        if not kind.num_fields:
            raise NotHeld("a structure without fields")
        return pa.struct([_field(each, nanoseconds) for each in kind])
    if pa.types.is_map(kind):
        # As its entries: the columns of a map do not go through every reader, and its duplicate keys through none.
        entry = [("key", held(kind.key_type, nanoseconds)), ("value", held(kind.item_type, nanoseconds))]
        return pa.large_list(pa.struct(entry))
    if _is_list(kind):
        return pa.large_list(held(kind.value_type, nanoseconds))
    raise NotHeld(f"the type {kind}")


def as_held(values: pa.ChunkedArray, nanoseconds: Nanoseconds = "refuse") -> pa.ChunkedArray:
    """Return values in the type that holds them; raises `NotHeld` where one of them does not fit."""
    target = held(values.type, nanoseconds)
    if values.type == target:
        return values
    try:
        if _has_view(values.type):
            # Arrow's cast of list views loses their elements.
            return pa.chunked_array([pa.array(values.to_pylist(), target)], target)
        whole = values.cast(_counted(values.type, nanoseconds), safe=nanoseconds != "cut")
        return whole.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError, ValueError) as problem:
        raise NotHeld(f"values of the type {values.type}: {str(problem).strip()[:200]}") from problem


def _counted(kind: pa.DataType, nanoseconds: Nanoseconds) -> pa.DataType:
    """Return a type with its lengths of time in microseconds: the one step that Arrow does not make at once."""
    if isinstance(kind, pa.BaseExtensionType):
        return _counted(kind.storage_type, nanoseconds)
    if pa.types.is_duration(kind):
        return pa.int64() if kind.unit == "ns" and nanoseconds == "text" else pa.duration("us")
    if pa.types.is_timestamp(kind) and nanoseconds == "cut":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_struct(kind):
        return pa.struct([each.with_type(_counted(each.type, nanoseconds)) for each in kind])
    if pa.types.is_map(kind):
        return pa.map_(_counted(kind.key_type, nanoseconds), _counted(kind.item_type, nanoseconds))
    if _is_list(kind):
        return pa.large_list(_counted(kind.value_type, nanoseconds))
    return kind


def _field(field: pa.Field, nanoseconds: Nanoseconds) -> pa.Field:
    return pa.field(field.name, held(field.type, nanoseconds))


def _has_view(kind: pa.DataType) -> bool:
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        return True
    return any(_has_view(kind.field(place).type) for place in range(kind.num_fields))


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )
