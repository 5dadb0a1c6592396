"""Values of drivers: taken as they are or one by one, both ways agree, and nothing is changed without a word."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headworks.sources.sql import rows as rows_module
from headworks.sources.sql.misfits import misfit_column
from headworks.sources.sql.reflection import DialectColumn
from headworks.sources.sql.rows import RowReader

NUMBER = pl.Decimal(12, 2)
DTYPES: list[pl.DataType] = [
    pl.Int64(),
    pl.Float64(),
    pl.Boolean(),
    pl.String(),
    pl.Binary(),
    pl.Date(),
    pl.Datetime("us"),
    pl.Datetime("us", "UTC"),
    NUMBER,
    pl.Decimal(6, 0),
]
VALUES = st.one_of(
    st.none(),
    st.integers(-(2**65), 2**65),
    st.floats(allow_nan=False),
    st.floats(-1e9, 1e9).map(lambda value: round(value, 2)),
    st.booleans(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.dates(),
    st.datetimes(),
    st.dates().map(date.isoformat),
    st.datetimes().map(lambda moment: moment.isoformat(" ")),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.decimals(-(10**6), 10**6, places=2),
)


def read(dtype: pl.DataType, values: list[Any]) -> list[Any] | str:
    """Return the column's values, or what was refused."""
    column = DialectColumn("c", dtype, as_text=False)
    reader = RowReader((column,), pl.Schema({"c": dtype}), "refuse", "t")
    frame = reader.frame([(value,) for value in values])
    if misfit_column("c") not in frame.columns:
        return frame.get_column("c").to_list()
    texts = frame.get_column(misfit_column("c"))
    assert texts.null_count() < len(values)
    return f"refused: {texts.to_list()}, taken: {frame.get_column('c').to_list()}"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_both_ways_give_the_same_values_or_refuse(
    dtype: pl.DataType, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly = rows_module._as_they_are

    @given(st.lists(VALUES, min_size=1, max_size=4) | VALUES.map(lambda value: [value, value]))
    @settings(max_examples=60, deadline=None)
    def agree(values: list[Any]) -> None:
        monkeypatch.setattr(rows_module, "_as_they_are", quickly)
        fast = read(dtype, values)
        monkeypatch.setattr(rows_module, "_as_they_are", lambda *_: None)
        assert repr(fast) == repr(read(dtype, values))

    agree()


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (pl.Int64(), 1.5),
        (pl.Int64(), 2**63),
        (pl.Int64(), Decimal("1.5")),
        (pl.Int64(), Decimal("NaN")),
        (NUMBER, Decimal("39490794792486382780826068467.2909570791")),
        (pl.Boolean(), 2),
        (NUMBER, Decimal("0.005")),
        (NUMBER, 0.005),
        (NUMBER, Decimal("NaN")),
        (NUMBER, Decimal(10**10)),
        (pl.Date(), datetime(2026, 1, 5, 8)),
        (pl.Date(), "0000-00-00"),
        (pl.Float64(), "x"),
        (pl.Binary(), 2**40),
        (pl.Binary(), True),
    ],
)
def test_a_value_that_would_be_changed_is_refused(dtype: pl.DataType, value: Any) -> None:
    assert isinstance(read(dtype, [value]), str)


def test_a_whole_number_may_come_as_a_decimal() -> None:
    assert read(pl.Int64(), [Decimal("12"), Decimal("-3.0"), 4, None]) == [12, -3, 4, None]
