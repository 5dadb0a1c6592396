"""A change of type changes no value: what the other type does not hold is found, for every pair of types."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings

from headworks.errors import SchemaChanged, ValueRefused
from headworks.storage.drift import stored, wider
from headworks.storage.exact import exactly, fits, in_types, same_kind
from tests.support.types import FLAT, PAIRS, extremes, held


def plain(value: Any) -> Any:
    """Return a value with moments in UTC as moments without a zone, and fields that are empty left out."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items() if each is not None}
    return value


def changes(before: pl.DataType, after: pl.DataType) -> None:
    """Insist that each of the hardest values of a type is the same in another one, or is found not to fit."""
    kept = stored(after)
    if kept is None or not same_kind(before, kept):
        return
    values = pl.Series("v", [*extremes(before), None], dtype=before).to_frame()
    made = values.select(
        made=exactly(pl.col("v"), before, kept), fits=pl.lit(True) & fits(pl.col("v"), before, kept)
    )
    assert made.schema["made"] == kept
    assert made["fits"].to_list() == [held(plain(value), kept) for value in values["v"].to_list()], (
        f"{before}, {kept}"
    )
    for value, there, fit in zip(values["v"].to_list(), made["made"].to_list(), made["fits"], strict=True):
        assert plain(there) == (plain(value) if fit else None), f"{value} of {before} in {kept}"


def test_every_flat_type_in_every_other() -> None:
    for before in FLAT:
        for after in FLAT:
            changes(before, after)


@settings(deadline=None, max_examples=500)
@given(PAIRS)
@example((pl.Struct({"a": pl.List(pl.Float64())}), pl.Struct({"b": pl.Date(), "a": pl.List(pl.Int64())})))
def test_a_value_in_another_type_is_the_same_value_or_is_found(pair: tuple[pl.DataType, pl.DataType]) -> None:
    changes(*pair)


@settings(deadline=None, max_examples=500)
@given(PAIRS)
def test_a_wider_type_takes_every_value(pair: tuple[pl.DataType, pl.DataType]) -> None:
    common = wider(*pair)
    if common is None or pair[0] == pair[1]:
        return
    for dtype in pair:
        values = pl.DataFrame({"v": pl.Series([*extremes(dtype), None], dtype=dtype)})
        made = in_types(values, {"v": common}, "here", "nothing")
        assert [plain(value) for value in made["v"].to_list()] == [
            plain(value) for value in values["v"].to_list()
        ]


@pytest.mark.parametrize(
    ("value", "before", "after", "message"),
    [
        (2.75, pl.Float64(), pl.Int64(), r"v was Int64 and is Float64: 1 values do not fit, such as 2.75"),
        (math.nan, pl.Float64(), pl.Int32(), "v was Int32 and is Float64: 1 values do not fit, such as NaN"),
        (1e300, pl.Float64(), pl.Float32(), r"v was Float32 and is Float64"),
        ([1.5], pl.List(pl.Float64()), pl.List(pl.Int64()), r"v was List\(Int64\) and is List\(Float64\)"),
        (
            {"a": 1, "b": 2},
            pl.Struct({"a": pl.Int64(), "b": pl.Int64()}),
            pl.Struct({"a": pl.Int64()}),
            "v was Struct",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_column_and_both_types(
    value: Any, before: pl.DataType, after: pl.DataType, message: str
) -> None:
    frame = pl.DataFrame({"v": pl.Series([value, None], dtype=before)})
    with pytest.raises(ValueRefused, match=message):
        in_types(frame, {"v": after}, "here", "do this")


def test_another_kind_of_type_is_refused_whatever_the_values() -> None:
    with pytest.raises(SchemaChanged, match="Column v was Int64 and is String"):
        in_types(pl.DataFrame({"v": pl.Series(["7"])}), {"v": pl.Int64()}, "here", "do this")


def test_moments_finer_than_microseconds_are_found() -> None:
    moments = pl.DataFrame({"v": pl.Series([1_000_000_001, 1_000_000_000]).cast(pl.Datetime("ns"))})
    with pytest.raises(ValueRefused, match=r"1 values do not fit, such as 1970-01-01 00:00:01\.000000001"):
        in_types(moments, {"v": pl.Datetime("us")}, "here", "do this")
    assert in_types(moments[1:], {"v": pl.Datetime("us")}, "here", "do this")["v"].to_list() == [
        datetime(1970, 1, 1, 0, 0, 1)
    ]
