"""COPY text is read back to the values that it was written from, whatever they hold."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headworks.errors import ReadIncomplete
from headworks.sources.sql.blocks import BlockReader
from headworks.sources.sql.columns import Column

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
