"""The test kit: rows go through the real rules, and an expectation that does not hold says what is there instead."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from headworks.testing.rules import try_rows, try_transform
from shop import datasets, gold

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
CUSTOMERS = {"shop.customers": [{"customer_id": 7}]}


def order(**changes: Any) -> dict[str, Any]:
    usual = {
        "order_id": 1, "customer_id": 7, "ordered_at": AT, "currency": "EUR", "status": "paid",
        "shipping": '{"city": "Köln"}', "updated_at": AT,
    }  # fmt: skip
    return usual | changes


def product(**changes: Any) -> dict[str, Any]:
    usual = {
        "product_id": 1, "name": "Kettle", "category": "kitchen", "price": "12.50", "currency": "EUR",
        "attributes": '{"colour": "red"}', "updated_at": "2026-03-02T12:00:00.000000Z",
    }  # fmt: skip
    return usual | changes


def test_good_rows_are_accepted_and_others_rejected_for_their_reason() -> None:
    tried = try_rows(
        datasets.ORDERS,
        [
            order(),
            order(order_id=2, currency="XXX"),
            order(order_id=3, customer_id=8),
            order(order_id=4, status=None),
        ],
        parents=CUSTOMERS,
    )
    tried.expect([{"order_id": 1, "shipping_city": "Köln"}])
    tried.expect_rejected("unknown_currency", [{"order_id": 2, "currency": "XXX"}])
    tried.expect_rejected("unknown_customer", [{"order_id": 3}])
    tried.expect_rejected("status|nullability", [{"order_id": 4}])
    assert (tried.report.inserted, tried.report.rejected) == (1, 3)


def line(**changes: Any) -> dict[str, Any]:
    usual = {
        "order_id": 1, "line_no": 1, "product_id": 1, "quantity": 1, "unit_price": Decimal("12.50"),
        "discount": Decimal("0.0000"), "updated_at": AT,
    }  # fmt: skip
    return usual | changes


def test_a_price_is_held_against_its_products_list_price_in_the_orders_currency() -> None:
    """One of 1,250 is right in Swedish kronor for a product of 110 euros, and a hundredfold for one of 12.50."""
    tried = try_rows(
        datasets.ORDER_LINES,
        [
            line(),
            line(order_id=2, product_id=2, unit_price=Decimal("1250.00")),
            line(line_no=2, unit_price=Decimal("1250.00")),
            line(order_id=2, line_no=2, product_id=2, unit_price=Decimal("11.00")),
            line(line_no=3, product_id=3, unit_price=Decimal("99.00")),
        ],
        parents={
            "shop.orders": [{"order_id": 1, "currency": "EUR"}, {"order_id": 2, "currency": "SEK"}],
            "shop.products": [
                {"product_id": 1, "price": Decimal("12.50")},
                {"product_id": 2, "price": Decimal("110.00")},
                {"product_id": 3, "price": Decimal("0.00")},
            ],
        },
        types={
            "line_no": pl.Int32(),
            "quantity": pl.Int32(),
            "unit_price": pl.Decimal(12, 2),
            "discount": pl.Decimal(5, 4),
        },
    )
    tried.expect(
        [{"order_id": 1, "line_no": 1}, {"order_id": 1, "line_no": 3}, {"order_id": 2, "line_no": 1}]
    )
    tried.expect_rejected(
        "price_far_from_list", [{"order_id": 1, "line_no": 2}, {"order_id": 2, "line_no": 2}]
    )


def test_records_of_an_api_are_taken_apart_as_in_production() -> None:
    tried = try_rows(datasets.PRODUCTS, [product(), product(product_id=2, price="n/a")])
    tried.expect([{"product_id": 1, "price": Decimal("12.50")}])
    tried.expect_rejected("price|unreadable", [{"product_id": 2, "price": "n/a"}])


def test_of_two_versions_of_a_key_the_newest_is_expected() -> None:
    later = AT.replace(hour=13)
    tried = try_rows(datasets.ORDERS, [order(status="shipped", updated_at=later), order()], parents=CUSTOMERS)
    tried.expect([{"order_id": 1, "status": "shipped"}])
    tried.expect_nothing_rejected()


def test_an_expectation_that_does_not_hold_says_what_is_there() -> None:
    tried = try_rows(datasets.PRODUCTS, [product(), product(product_id=2, name="")])
    with pytest.raises(AssertionError, match=r"missing: \{'product_id': 5\}"):
        tried.expect([{"product_id": 5}])
    with pytest.raises(AssertionError, match="not expected"):
        tried.expect([])
    with pytest.raises(AssertionError, match="the reasons are: empty_name"):
        tried.expect_rejected("negative_price", [{"product_id": 2}])
    with pytest.raises(AssertionError, match="rejected for empty_name rows are not as expected"):
        tried.expect_rejected("empty_name", [{"product_id": 3}])
    with pytest.raises(AssertionError, match="rows were rejected"):
        tried.expect_nothing_rejected()


def test_a_transform_is_tried_on_rows_of_silver() -> None:
    rows = try_transform(
        gold.DAILY,
        {
            "shop.customers": [{"customer_id": 7, "country": "DE", "segment": "consumer"}],
            "shop.orders": [
                {"order_id": 1, "customer_id": 7, "ordered_at": AT, "currency": "USD", "status": "paid"},
                {"order_id": 2, "customer_id": 7, "ordered_at": AT, "currency": "USD", "status": "cancelled"},
            ],
            "shop.order_lines": [
                {"order_id": number, "line_no": 1, "product_id": 1, "quantity": 3, "unit_price": Decimal("10.00"),
                 "discount": Decimal("0.1")}
                for number in (1, 2)
            ],
            "shop.products": [{"product_id": 1, "category": "kitchen"}],
            "shop.rates": [{"day": date(2026, 3, 1), "currency": "USD", "eur_per_unit": Decimal("0.9")}],
        },
        [dataset for rank in datasets.IN_ORDER for dataset in rank],
    )  # fmt: skip
    assert rows == [
        {
            "day": date(2026, 3, 2), "country": "DE", "category": "kitchen", "orders": 1, "units": 3,
            "revenue_eur": Decimal("24.30"),
        }
    ]  # fmt: skip
