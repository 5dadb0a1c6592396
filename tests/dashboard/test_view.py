"""What of the published sales is shown: sums exact to the cent, whatever is chosen."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dashboard import charts, tables, view
from dashboard.view import Choice

_FIRST = date(2026, 1, 1)
_SCHEMA = {
    "day": pl.Date(),
    "country": pl.String(),
    "category": pl.String(),
    "orders": pl.Int64(),
    "units": pl.Int64(),
    "revenue_eur": pl.Decimal(18, 2),
}
_CENTS = st.integers(0, 10**14).map(lambda cents: Decimal(cents).scaleb(-2))
_ROW = st.tuples(
    st.integers(0, 40).map(lambda days: _FIRST + timedelta(days=days)),
    st.sampled_from(["DE", "FR", "PL"]),
    st.sampled_from(["books", "toys"]),
    st.integers(1, 5),
    st.integers(1, 100),
    _CENTS,
)
_ROWS = st.lists(_ROW, unique_by=lambda row: row[:3], max_size=60)
_CHOICES = st.builds(
    lambda first, days, countries, categories: Choice(
        _FIRST + timedelta(days=first), _FIRST + timedelta(days=first + days), countries, categories
    ),
    st.integers(0, 30),
    st.integers(0, 30),
    st.sampled_from([(), ("DE",), ("DE", "PL")]),
    st.sampled_from([(), ("toys",)]),
)


def _frame(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _sale(day: int, country: str, revenue: str, category: str = "books") -> tuple[object, ...]:
    return (_FIRST + timedelta(days=day), country, category, 1, 2, Decimal(revenue))


@given(_ROWS, _CHOICES)
def test_the_sum_over_what_is_chosen_is_that_of_plain_decimal_arithmetic(
    rows: list[tuple[object, ...]], choice: Choice
) -> None:
    """Amounts up to a million million euros, of which no float keeps the cents of their sum."""
    expected = sum(
        (
            Decimal(str(row[5]))
            for row in rows
            if choice.first <= row[0] <= choice.last  # type: ignore[operator]
            and (not choice.countries or row[1] in choice.countries)
            and (not choice.categories or row[2] in choice.categories)
        ),
        Decimal("0.00"),
    )
    daily = _frame(rows)
    shown = view.chosen(daily, choice)
    assert view.figures(daily, choice).revenue == expected
    assert view.total(view.by_day(shown, choice)) == expected
    for dimension in ("country", "category"):
        assert view.total(view.by(shown, dimension)) == expected
    assert tables.sums(view.by(shown, "country"), "country").foot[1] == view.money(expected)


def test_days_without_a_sale_are_shown_as_nothing_and_not_left_out() -> None:
    choice = Choice(_FIRST, _FIRST + timedelta(days=2))
    days = view.by_day(_frame([_sale(0, "DE", "1.50"), _sale(2, "DE", "2.50")]), choice)
    assert days.get_column("revenue_eur").to_list() == [Decimal("1.50"), Decimal("0.00"), Decimal("2.50")]
    assert view.figures(_frame([_sale(0, "DE", "10.00")]), choice).revenue_a_day == Decimal("3.33")


def test_a_change_is_told_only_against_a_period_that_is_covered_whole() -> None:
    daily = _frame([_sale(0, "DE", "10.00"), _sale(1, "DE", "10.00"), _sale(2, "DE", "30.00")])
    last_day = Choice(_FIRST + timedelta(days=2), _FIRST + timedelta(days=2))
    assert view.figures(daily, last_day).change == Decimal(2)
    assert view.figures(daily, Choice(_FIRST + timedelta(days=1), _FIRST + timedelta(days=2))).change is None
    assert view.figures(_frame([]), last_day).change is None


def test_there_is_nothing_to_choose_from_where_no_day_has_revenue() -> None:
    assert view.offer(_frame([])) is None


def test_countries_come_by_falling_revenue_and_customers_too() -> None:
    sums = view.by(
        _frame([_sale(0, "DE", "1.00"), _sale(0, "FR", "2.00"), _sale(1, "PL", "2.00")]), "country"
    )
    assert sums.get_column("country").to_list() == ["FR", "PL", "DE"]
    customers = pl.DataFrame(
        {"customer_id": [1, 2, 3], "country": ["DE", "FR", "DE"], "revenue_eur": ["1.00", "9.00", "5.00"]}
    ).with_columns(pl.col("revenue_eur").cast(pl.Decimal(18, 2)))
    everywhere, in_germany = Choice(_FIRST, _FIRST), Choice(_FIRST, _FIRST, countries=("DE",))
    assert view.top_customers(customers, everywhere, 2).get_column("customer_id").to_list() == [2, 3]
    assert view.top_customers(customers, in_germany, 5).get_column("customer_id").to_list() == [3, 1]


def test_amounts_are_written_with_all_their_cents() -> None:
    assert view.money(Decimal("123456789012345.67")) == "€ 123,456,789,012,345.67"
    assert view.money(Decimal("-0.50")) == "−€ 0.50"
    assert view.money(Decimal(0)) == "€ 0.00"
    assert view.percent(Decimal("-0.034")) == "−3.4 %"
    assert view.percent(Decimal("0.5")) == "+50.0 %"
    assert view.share_of(Decimal(1), Decimal(0)) == "–"
    assert view.day(date(2026, 3, 1)) == "Sun 1 Mar 2026"


def test_the_file_to_download_holds_exact_amounts_in_order() -> None:
    rows = _frame([_sale(1, "DE", "0.10"), _sale(0, "FR", "123456789012345.67")])
    assert view.as_csv(rows).splitlines() == [
        "day,country,category,orders,units,revenue_eur",
        "2026-01-01,FR,books,1,2,123456789012345.67",
        "2026-01-02,DE,books,1,2,0.10",
    ]


def test_charts_carry_the_exact_amount_as_text_and_units_on_their_axes() -> None:
    rows = _frame([_sale(0, "DE", "90071992547409.93"), _sale(0, "FR", "1.00", "toys")])
    choice = Choice(_FIRST, _FIRST)
    drawn = [
        charts.days(view.by_day(rows, choice)),
        charts.days_split(view.by(rows, "day", "country"), "country", ["DE", "FR"]),
        charts.bars(view.by(rows, "category"), "category"),
    ]
    for chart in drawn:
        assert "(EUR" in chart.to_json()
    assert "€ 90,071,992,547,409.93" in drawn[2].to_json()
