"""Decimals of up to fifteen digits, read as floating-point numbers and made exact again.

Arrow reads the text of a float in less than half the time of a decimal's. A number k / 10ˢ with |k| < 10¹⁵ is nearest
to a float that differs from it by a part of 2⁻⁵³ at most, and so does its product with 10ˢ, which floats hold exactly:
together less than 10¹⁵ · 2⁻⁵² < 1/4, so that the nearest whole number is k.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_MOST_DIGITS = 15


def narrowest(precision: int, scale: int) -> pa.DataType:
    """Return the type of decimals: of 64 bits where floats lead to them, which halves what is moved and written."""
    short = 0 <= scale <= precision <= _MOST_DIGITS
    return pa.decimal64(precision, scale) if short else pa.decimal128(precision, scale)


def by_way_of_floats(kind: pa.DataType) -> bool:
    """Return whether floats hold the values of a type closely enough to find each again."""
    return bool(pa.types.is_decimal64(kind)) and 0 <= kind.scale <= kind.precision <= _MOST_DIGITS


def exact(floats: pa.Array, kind: pa.Decimal64Type | pa.Decimal128Type) -> pa.Array:
    """Return the decimals whose texts were read as ``floats``.

    Raises `pyarrow.ArrowInvalid` for a value that no such decimal has.
    """
    values, given = _values(floats), None
    if floats.null_count:
        given = _given(floats)
        values = np.where(given, values, 0.0)
    whole = values * 10.0**kind.scale
    np.rint(whole, out=whole)
    beyond = 10.0**kind.precision
    # NaN is the least and the most of what it is among, and less than nothing.
    if len(whole) and not -beyond < whole.min() <= whole.max() < beyond:
        raise pa.ArrowInvalid(f"a value does not fit {kind}")
    numbers = whole.astype(np.int64)
    if kind.bit_width > numbers.itemsize * 8:
        # A decimal is a whole number of 128 bits, then: 64 low ones, and the sign in all others.
        numbers = np.stack([numbers, numbers >> 63], axis=1)
    valid = None if given is None else pa.py_buffer(np.packbits(given, bitorder="little"))
    return pa.Array.from_buffers(kind, len(whole), [valid, pa.py_buffer(numbers)])


# From the buffers themselves, since pyarrow's to_numpy() imports pandas: half a second and 50 MB.
def _values(floats: pa.Array) -> npt.NDArray[np.float64]:
    return np.frombuffer(floats.buffers()[1] or b"", np.float64)[floats.offset : floats.offset + len(floats)]


def _given(floats: pa.Array) -> npt.NDArray[np.bool_]:
    bits = np.unpackbits(np.frombuffer(floats.buffers()[0], np.uint8), bitorder="little")
    return bits[floats.offset : floats.offset + len(floats)].astype(np.bool_)
