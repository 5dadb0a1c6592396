"""Text is read as exactly what it says, or as null: nothing is rounded, cut or guessed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation, localcontext

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headworks.silver.expressions import decimal, iso_date, utc_moment, whole_number

_NUMBERS = st.from_regex(r"[+-]?[0-9]{0,42}(\.[0-9]{0,42})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


@settings(deadline=None, max_examples=100)
@given(st.lists(_NUMBERS, min_size=1, max_size=8), st.integers(0, 38), st.integers(0, 38))
@example(
    ["12.349", "0.005", "1e2", "1E-3", "-0", ".5", "5.", "1.2300000", "9999999999.99", "NaN", "1_0", ""],
    12,
    2,
)
def test_a_decimal_is_what_its_text_says_or_null(texts: list[str], digits: int, scale: int) -> None:
    precision = max(digits, scale, 1)
    frame = pl.DataFrame({"x": texts}, schema={"x": pl.String})
    read = frame.select(decimal("x", precision, scale)).to_series().to_list()
    assert read == [_exact(text, precision, scale) for text in texts]


def _exact(text: str, precision: int, scale: int) -> Decimal | None:
    with localcontext(prec=300):
        try:
            value = Decimal(text) if "_" not in text else None
        except InvalidOperation:
            return None
        if value is None or not value.is_finite() or (value and abs(value.adjusted()) > 60):
            return None
        scaled = value.scaleb(scale)
        fits = scaled == scaled.to_integral_value() and abs(scaled) < Decimal(10) ** precision
        return value if fits else None


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-01-31", "2026-01-31"),
        *[
            (text, None)
            for text in ("24-02-03", "2026-1-5", "2026-02-30", "0000-01-01", "12026-01-05", " 2026-01-05")
        ],
        *[
            (text, None)
            for text in ("2026-01-05 ", "20260105", "2026-01-05T00:00", "-2026-01-01", "", "2026-13-01")
        ],
    ],
)
def test_a_day_has_four_digits_of_a_year(text: str, day: str | None) -> None:
    read = pl.DataFrame({"x": [text]}).select(iso_date("x")).item()
    assert (None if read is None else read.isoformat()) == day


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-01-31T23:59:59Z", 0),
        ("2026-01-31T23:59:59.5Z", 500_000),
        ("2026-01-31T23:59:59.123456000Z", 123_456),
        ("2026-01-31T23:59:59.123456789Z", None),
        ("2026-01-31T23:59:60Z", None),
        ("26-01-31T23:59:59Z", None),
        ("0000-01-31T23:59:59Z", None),
        ("2026-01-31T23:59:59+01:00", None),
    ],
)
def test_a_moment_keeps_all_its_digits(text: str, microsecond: int | None) -> None:
    read = pl.DataFrame({"x": [text]}).select(utc_moment("x")).item()
    assert read == (
        microsecond if microsecond is None else datetime(2026, 1, 31, 23, 59, 59, microsecond, UTC)
    )


def test_a_number_with_a_fraction_is_no_whole_number_in_any_type() -> None:
    for values in ([2.75], ["2.75"], [Decimal("2.75")], ["9223372036854775808"]):
        assert pl.DataFrame({"x": values}).select(whole_number("x")).item() is None
    assert pl.DataFrame({"x": [7]}).select(whole_number("x")).item() == 7
