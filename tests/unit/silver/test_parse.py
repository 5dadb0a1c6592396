"""Parsing: what cannot be read is marked row by row; nothing is dropped, guessed or fatal."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import dataframely as dy
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headworks.errors import SettingsError
from headworks.silver.dataset import Dataset
from headworks.silver.expressions import decimal, whole_number
from headworks.silver.parse import UNREADABLE, key_text, parse, raw_records
from tests.support.items import ITEM

NOW = datetime(2026, 1, 5, tzinfo=UTC)


class Thing(dy.Schema):
    """A thing."""

    id = dy.Int64(nullable=False)
    name = dy.String(nullable=True)
    price = dy.Decimal(12, 2, nullable=True)


THINGS = Dataset(
    name="t.things",
    key=("id",),
    schema=Thing,
    fields=("id", "name", "price"),
    columns={"id": whole_number("id"), "name": pl.col("name"), "price": decimal("price", 12, 2)},
)


def landed(*records: bytes) -> pl.DataFrame:
    numbers = range(len(records))
    return pl.DataFrame(
        {
            "record": records,
            "_stream": ["s"] * len(records),
            "_sequence": [1] * len(records),
            "_row": numbers,
        },
        schema_overrides={"record": pl.Binary, "_sequence": pl.Int64, "_row": pl.Int64},
    ).with_columns(_ingested_at=pl.lit(NOW).dt.cast_time_unit("us"))


def parsed(*records: bytes) -> list[dict[str, object]]:
    return parse(landed(*records), THINGS).select("id", "name", "price", UNREADABLE).to_dicts()


def test_a_good_record_is_read_and_nothing_is_marked() -> None:
    assert parsed(b'{"id": 1, "name": "caf\\u00e9", "price": 1.10, "more": [1]}') == [
        {"id": 1, "name": "café", "price": Decimal("1.10"), UNREADABLE: []}
    ]


@pytest.mark.parametrize("record", [b"{", b"", b"[1]", b"3", b"null", b'"x"', b"\xff\xfe", b'{"id": 1'])
def test_a_record_that_is_no_object_is_marked_as_a_whole(record: bytes) -> None:
    assert parsed(record) == [{"id": None, "name": None, "price": None, UNREADABLE: ["record|unreadable"]}]


def test_one_bad_record_does_not_harm_the_others() -> None:
    rows = parsed(b'{"id": 1}', b"{", b'{"id": 3}')
    assert [row["id"] for row in rows] == [1, None, 3]


def test_a_value_that_is_there_and_cannot_be_read_is_marked_and_a_missing_one_is_not() -> None:
    rows = parsed(b'{"id": "x", "price": "dear"}', b'{"id": null}', b"{}")
    assert [row[UNREADABLE] for row in rows] == [["id|unreadable", "price|unreadable"], [], []]


def test_numbers_are_taken_from_their_digits_and_not_by_way_of_a_float() -> None:
    rows = parsed(b'{"id": 9007199254740993, "price": 1234567890.12}', b'{"id": 1.0}', b'{"id": "7"}')
    assert [row["id"] for row in rows] == [9007199254740993, None, 7]
    assert rows[0]["price"] == Decimal("1234567890.12")


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_whatever_comes_each_row_stays_one_row_in_its_place(records: list[bytes]) -> None:
    frame = parse(landed(*records), THINGS)
    assert frame.get_column("_row").to_list() == list(range(len(records)))
    assert frame.get_column(UNREADABLE).null_count() == 0


def test_the_cursor_is_a_number_that_orders_as_the_column_does() -> None:
    rows = pl.DataFrame(
        {
            "id": ["1", "2"],
            "v": ["1", "1"],
            "at": [5, None],
            "_stream": ["s", "s"],
            "_sequence": [1, 1],
            "_row": [0, 1],
        }
    ).with_columns(_ingested_at=pl.lit(NOW).dt.cast_time_unit("us"))
    assert parse(rows, ITEM).get_column("_cursor").to_list() == [5, None]


def test_a_rejected_record_is_kept_as_it_came() -> None:
    rows = landed(b'{"id":  1.0e+2}', b"\xff{")
    assert raw_records(rows, THINGS) == ['{"id":  1.0e+2}', "\ufffd{"]


def test_a_rejected_row_of_a_table_is_kept_as_json_without_our_columns() -> None:
    rows = pl.DataFrame({"id": ["1"], "v": [None], "at": [3], "_stream": ["s"]})
    assert raw_records(rows, ITEM) == ['{"id": "1", "v": null, "at": 3}']


def test_a_key_of_several_columns_is_one_text() -> None:
    assert key_text(pl.DataFrame({"a": [1], "b": ["x"]}), ("a", "b")).to_list() == ["1 / x"]


@pytest.mark.parametrize("wrong", [{"key": ()}, {"key": ("nope",)}, {"columns": {"id": pl.col("id")}}])
def test_a_declaration_that_does_not_fit_itself_is_refused_at_once(wrong: dict[str, object]) -> None:
    declared = {"name": "t.x", "key": ("id",), "schema": Thing, "columns": THINGS.columns}
    with pytest.raises(SettingsError, match="do not fit"):
        Dataset(**{**declared, **wrong})  # type: ignore[arg-type]


def test_a_row_with_a_day_that_python_has_not_is_kept_as_text_for_the_quarantine() -> None:
    """A Parquet file may have the year 0, and its row must not stop the others' way into the quarantine."""
    rows = pl.DataFrame({"id": [1, 2], "d": pl.Series([-719_529, 0], dtype=pl.Int32).cast(pl.Date)})
    dataset = Dataset(name="t.old", key=("id",), schema=Old, columns={"id": pl.col("id")})
    assert raw_records(rows, dataset) == ['{"id": 1, "d": "-0001-12-31"}', '{"id": 2, "d": "1970-01-01"}']


class Old(dy.Schema):
    """A row of which the key alone is asked for."""

    id = dy.Int64(nullable=False)
