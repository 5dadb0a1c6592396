"""COPY text is read back to the values that it was written from, whatever they hold."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headworks.errors import ReadIncomplete
from headworks.sources.sql.blocks import BlockReader
from headworks.sources.sql.columns import Column
from headworks.sources.sql.misfits import misfit_column

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f", "\v": "\\v"}
_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from("\\nN\t\n")
)


def text(name: str) -> Column:
    """Return a text column."""
    return Column(name, "text", "text", pl.String(), pa.string())


def written(value: str | None) -> str:
    """Write a value as COPY does."""
    return "\\N" if value is None else "".join(_ESCAPES.get(letter, letter) for letter in value)


@settings(deadline=None)
@given(st.lists(st.tuples(st.none() | _TEXT, st.none() | _TEXT), min_size=1))
def test_every_text_comes_back(rows: list[tuple[str | None, str | None]]) -> None:
    block = "".join(f"{written(one)}\t{written(other)}\n" for one, other in rows).encode()
    table = BlockReader([text("a"), text("b")], "refuse", "here").table(block)
    assert list(zip(table["a"].to_pylist(), table["b"].to_pylist(), strict=True)) == rows


@settings(deadline=None)
@given(st.lists(st.none() | _TEXT, min_size=1))
def test_a_single_column_has_empty_lines_that_are_empty_texts(values: list[str | None]) -> None:
    block = "".join(f"{written(value)}\n" for value in values).encode()
    assert BlockReader([text("a")], "refuse", "here").table(block)["a"].to_pylist() == values


def test_rows_that_are_not_as_described_are_never_landed() -> None:
    reader = BlockReader([text("a"), text("b")], "refuse", "here")
    for block in (b"one\n", b"one\ttwo\tthree\n", b"\xff\xfe\ttwo\n", b"one\ttwo"):
        with pytest.raises(ReadIncomplete):
            reader.table(block)


def decimal(precision: int, scale: int) -> Column:
    """Return a column of decimals."""
    written = f"numeric({precision},{scale})"
    return Column("d", "numeric", written, pl.Decimal(precision, scale), pa.decimal128(precision, scale))


@st.composite
def decimals(draw: st.DrawFn) -> tuple[int, int, list[int | None]]:
    """Draw a precision, a scale, and values as whole numbers of the last place, many of them at the very end."""
    precision = draw(st.integers(1, 18))
    scale = draw(st.integers(0, precision))
    most = 10**precision - 1
    value = (
        st.integers(-most, most) | st.integers(max(most - 9, 0), most) | st.integers(-most, min(9 - most, 0))
    )
    return precision, scale, draw(st.lists(st.none() | value, min_size=1, max_size=30))


@settings(deadline=None, max_examples=400)
@given(decimals())
def test_every_decimal_comes_back_to_its_last_place(given_values: tuple[int, int, list[int | None]]) -> None:
    precision, scale, places = given_values
    values = [None if value is None else Decimal(value).scaleb(-scale) for value in places]
    block = "".join(f"{written(None if value is None else f'{value:f}')}\n" for value in values).encode()
    table = BlockReader([decimal(precision, scale)], "refuse", "here").table(block)
    assert table["d"].to_pylist() == values
    assert table["d"].type == pa.decimal128(precision, scale)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_numeric_that_is_no_number_is_refused_or_set_beside_its_column(value: str) -> None:
    block = f"1.00\n\\N\n{value}\n-0.05\n".encode()
    table = BlockReader([decimal(10, 2)], "refuse", "here").table(block)
    assert table["d"].to_pylist() == [Decimal("1.00"), None, None, Decimal("-0.05")]
    assert table[misfit_column("d")].to_pylist() == [None, None, value, None]
    table = BlockReader([decimal(10, 2)], "beside", "here").table(block)
    assert table["d"].to_pylist() == [Decimal("1.00"), None, None, Decimal("-0.05")]
    assert table["d_text"].to_pylist() == [None, None, value, None]


def test_a_decimal_with_more_digits_than_described_is_never_landed() -> None:
    for value in (b"1000.00\n", b"99999999999999999999\n"):
        with pytest.raises(ReadIncomplete):
            BlockReader([decimal(5, 2)], "refuse", "here").table(value)
