"""Reading text strictly: what was written is read exactly, and what does not fit is null, never a guess."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headworks.silver.expressions import (
    decimal,
    iso_date,
    json_object,
    json_string,
    utc_moment,
    whole_number,
)


def read(expression: pl.Expr, *texts: str | None) -> list[Any]:
    return pl.DataFrame({"c": texts}, schema={"c": pl.String}).select(expression.alias("r"))["r"].to_list()


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_whole_number_is_read_exactly(number: int) -> None:
    assert read(whole_number("c"), str(number)) == [number]


def test_what_is_no_whole_number_of_64_bits_is_null() -> None:
    texts = ["1.0", "1e3", "", " ", "x", "9223372036854775808", "1,000", None]
    assert read(whole_number("c"), *texts) == [None] * len(texts)


@given(st.decimals(min_value=-(10**10) + 1, max_value=10**10 - 1, places=2))
def test_every_decimal_that_fits_is_read_exactly(number: Decimal) -> None:
    assert read(decimal("c", 12, 2), f"{number:f}") == [number]


def test_decimals_with_too_many_digits_or_none_are_null() -> None:
    assert read(decimal("c", 6, 2), "12345.67", "x", "", None, "NaN", "inf") == [None] * 6
    assert read(decimal("c", 6, 2), "1234.56", "-1234.56", "0") == [
        Decimal("1234.56"), Decimal("-1234.56"), Decimal("0.00"),
    ]  # fmt: skip


@given(st.dates(date(1, 1, 1), date(9999, 12, 31)))
def test_every_day_is_read_exactly(day: date) -> None:
    assert read(iso_date("c"), day.isoformat()) == [day]


def test_days_that_do_not_exist_are_null() -> None:
    texts = ["2026-02-29", "2026-13-01", "2026-00-10", "01.02.2026", "2026-01-01T00:00", "", None]
    assert read(iso_date("c"), *texts) == [None] * len(texts)


@given(st.datetimes(datetime(1678, 1, 1), datetime(2261, 1, 1)))
def test_every_moment_is_read_to_the_microsecond(moment: datetime) -> None:
    text = f"{moment.isoformat(timespec='microseconds')}Z"
    assert read(utc_moment("c"), text) == [moment.replace(tzinfo=UTC)]


def test_moments_without_a_zone_or_with_another_one_are_null() -> None:
    texts = [
        "2026-01-31T12:00:00",
        "2026-01-31T12:00:00+02:00",
        "2026-01-31",
        "2026-01-31T25:00:00Z",
        "",
        None,
    ]
    assert read(utc_moment("c"), *texts) == [None] * len(texts)


@given(st.text(min_size=1))
def test_every_string_in_a_json_object_is_read_exactly(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert read(json_string("c", "city"), json.dumps({"city": text})) == [text]


@pytest.mark.parametrize(
    "text",
    ['{"city": 3}', '{"city": ""}', '{"town": "x"}', '["city"]', "{", "", "null", None, '{"city": null}'],
)
def test_what_is_no_string_at_the_field_is_null(text: str | None) -> None:
    assert read(json_string("c", "city"), text) == [None]


def test_an_object_is_kept_as_it_was_written_and_all_else_is_null() -> None:
    kept = '{"b": 1,  "a": 1.10}'
    assert read(json_object("c"), kept, "[1]", "3", "{", None) == [kept, None, None, None, None]


def test_an_object_too_deep_to_be_read_is_null_and_its_neighbours_are_kept() -> None:
    deep = '{"a":' * 2_000 + "1" + "}" * 2_000
    made = pl.DataFrame({"x": [deep, '{"a":1}']}).select(json_object("x"))
    assert made.get_column("x").to_list() == [None, '{"a":1}']
