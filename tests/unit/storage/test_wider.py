"""The wider of two types holds every value of both exactly, or there is none."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings

from headworks.storage.drift import stored, wider
from tests.support.types import FLAT, TYPES, extremes, held


def test_the_wider_of_any_two_flat_types_holds_the_extremes_of_both() -> None:
    for one in FLAT:
        for other in FLAT:
            holds_both(one, other)


@settings(deadline=None, max_examples=500)
@given(TYPES, TYPES)
def test_the_wider_of_any_two_types_holds_the_extremes_of_both(one: pl.DataType, other: pl.DataType) -> None:
    holds_both(one, other)


def holds_both(one: pl.DataType, other: pl.DataType) -> None:
    common = wider(one, other)
    if common is None:
        return
    assert one == other or stored(common) == common, "a type of a table"
    for dtype in (one, other):
        assert all(held(value, common) for value in extremes(dtype)), f"{dtype} into {common}"


@settings(deadline=None, max_examples=300)
@given(TYPES, TYPES)
def test_the_order_of_the_two_types_does_not_matter(one: pl.DataType, other: pl.DataType) -> None:
    assert _sorted(wider(one, other)) == _sorted(wider(other, one))


def _sorted(dtype: Any) -> Any:
    if isinstance(dtype, pl.List):
        return ["list", _sorted(dtype.inner)]
    if isinstance(dtype, pl.Struct):
        return {field.name: _sorted(field.dtype) for field in dtype.fields}
    return dtype() if isinstance(dtype, type) else dtype


@settings(deadline=None, max_examples=300)
@given(TYPES, TYPES)
def test_a_type_that_was_widened_once_takes_both_as_they_are(one: pl.DataType, other: pl.DataType) -> None:
    common = wider(one, other)
    if common is not None and one != other:
        assert _sorted(wider(common, one)) == _sorted(wider(common, other)) == _sorted(common)


_U, _N = pl.Datetime("us", "UTC"), pl.Datetime("us")


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        (pl.Int16(), pl.Int64(), pl.Int64()),
        (pl.UInt64(), pl.Int64(), pl.Decimal(20, 0)),
        (pl.Int64(), pl.Decimal(10, 2), pl.Decimal(21, 2)),
        (pl.Int32(), pl.Float64(), pl.Float64()),
        (pl.Int32(), pl.Float32(), pl.Float64()),
        (pl.Int16(), pl.Float32(), pl.Float32()),
        (pl.Int64(), pl.Float64(), None),
        (pl.Decimal(10, 2), pl.Float64(), None),
        (pl.Decimal(10, 2), pl.Decimal(14, 4), pl.Decimal(14, 4)),
        (pl.Decimal(38, 2), pl.Decimal(38, 4), None),
        (pl.Date(), _N, None),
        (_U, _N, None),
        (pl.Datetime("ms", "Europe/Berlin"), _U, _U),
        (pl.String(), pl.Int64(), None),
        (pl.String(), pl.Binary(), None),
        (pl.Boolean(), pl.Int8(), None),
        (pl.Null(), pl.Date(), pl.Date()),
        (pl.Time(), pl.Date(), None),
        (pl.List(pl.Int32()), pl.List(pl.Int64()), pl.List(pl.Int64())),
        (pl.List(pl.Int32()), pl.Int32(), None),
        (
            pl.Struct({"a": pl.Int64()}),
            pl.Struct({"b": pl.Date(), "a": pl.Int32()}),
            pl.Struct({"a": pl.Int64(), "b": pl.Date()}),
        ),
        (pl.Struct({"a": pl.Int64()}), pl.Struct({"a": pl.String()}), None),
        (pl.Struct({"a": pl.Null()}), pl.Struct({"a": pl.Date()}), pl.Struct({"a": pl.Date()})),
        (pl.List(pl.Null()), pl.List(pl.Date()), pl.List(pl.Date())),
        (pl.Array(pl.UInt8(), 2), pl.List(pl.Int8()), pl.List(pl.Int16())),
    ],
)
def test_what_is_wider_and_what_has_to_be_decided(
    one: pl.DataType, other: pl.DataType, common: pl.DataType | None
) -> None:
    assert wider(one, other) == common
