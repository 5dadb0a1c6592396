"""The shop's rules in plain Python, row by row: slow, and written apart from the SQL that it checks."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import psycopg

from shop import vocabulary as words
from shop.truth import CustomerValueRow, DailyRow, ExpectedKeys, Truth
from shop.world import CustomerRow, LineRow, OrderRow

CENT = Decimal("0.01")
LONG_AGO = datetime(1800, 1, 1, tzinfo=UTC)


@dataclass
class Exports:
    """Everything that was ever read from the shop: rows in the order of reading, with all their versions."""

    customers: list[CustomerRow] = field(default_factory=list)
    orders: list[OrderRow] = field(default_factory=list)
    lines: list[LineRow] = field(default_factory=list)
    products: list[tuple[str, datetime]] = field(default_factory=list)
    rates: list[tuple[date, str, Decimal]] = field(default_factory=list)

    def read(self, connection: psycopg.Connection[Any], after: datetime = LONG_AGO) -> None:
        """Read on: rows written after a moment; the catalogue as a whole."""

        def rows(columns: tuple[str, ...], table: str) -> list[tuple[Any, ...]]:
            statement = f"SELECT {', '.join(columns)} FROM {table} WHERE updated_at > %s"
            return connection.execute(statement, (after,)).fetchall()

        self.customers += [CustomerRow(*row) for row in rows(CustomerRow._fields, "shop.customers")]
        self.orders += [OrderRow(*row) for row in rows(OrderRow._fields, "shop.orders")]
        self.lines += [LineRow(*row) for row in rows(LineRow._fields, "shop.order_lines")]
        self.products += connection.execute("SELECT payload, updated_at FROM catalogue.products").fetchall()
        self.rates += connection.execute("SELECT day, currency, eur_per_unit FROM catalogue.rates").fetchall()


def customer_is_valid(row: CustomerRow) -> bool:
    """The rules of customers."""
    if row.customer_id is None or not re.search(words.EMAIL_PATTERN, row.email):
        return False
    if row.country not in words.COUNTRIES or row.segment not in words.SEGMENTS:
        return False
    if row.birth_date is None:
        return True
    try:
        return words.EARLIEST_BIRTH <= date.fromisoformat(row.birth_date) <= words.LATEST_BIRTH
    except ValueError:
        return False


def order_is_valid(row: OrderRow, customers: dict[int, CustomerRow]) -> bool:
    """The rules of orders."""
    if row.order_id is None or row.customer_id not in customers:
        return False
    if row.currency not in words.CURRENCIES or row.status not in words.STATUSES:
        return False
    if not words.EARLIEST_ORDER <= row.ordered_at <= row.updated_at + timedelta(days=1):
        return False
    shipping = _object(row.shipping)
    return shipping is not None and isinstance(shipping.get("city"), str) and shipping["city"] != ""


def product_is_valid(record: dict[str, Any]) -> bool:
    """The rules of products."""
    key, price = record["product_id"], record["price"]
    if (
        not isinstance(key, int)
        or key <= 0
        or not record["name"]
        or record["category"] not in words.CATEGORIES
    ):
        return False
    if isinstance(price, str) and not re.fullmatch(r"\d+(\.\d+)?", price):
        return False
    return float(price) >= 0 and _object(record["attributes"]) is not None


def line_is_valid(row: LineRow, orders: dict[int, OrderRow], products: dict[int, dict[str, Any]]) -> bool:
    """The rules of order lines."""
    return (
        row.order_id in orders
        and row.product_id in products
        and row.quantity > 0
        and row.unit_price >= 0
        and 0 <= row.discount < 1
    )


@dataclass
class Valid:
    """The newest valid version of each key."""

    customers: dict[int, CustomerRow]
    orders: dict[int, OrderRow]
    lines: dict[tuple[int, int], LineRow]
    products: dict[int, dict[str, Any]]
    rates: dict[tuple[date, str], Decimal]


def validate(exports: Exports) -> Valid:
    """Keep what is valid, and the newest of it."""
    by_age = sorted(exports.customers, key=lambda row: row.updated_at)
    customers = {row.customer_id: row for row in by_age if row.customer_id and customer_is_valid(row)}
    orders = {
        row.order_id: row
        for row in sorted(exports.orders, key=lambda row: row.updated_at)
        if row.order_id and order_is_valid(row, customers)
    }
    records = [json.loads(payload) for payload, _ in sorted(exports.products, key=lambda product: product[1])]
    products = {record["product_id"]: record for record in records if product_is_valid(record)}
    lines = {
        (row.order_id, row.line_no): row
        for row in sorted(exports.lines, key=lambda row: row.updated_at)
        if row.order_id and line_is_valid(row, orders, products)
    }
    return Valid(
        customers, orders, lines, products, {(day, unit): value for day, unit, value in exports.rates}
    )


def slow_truth(exports: Exports) -> Truth:
    """What gold must be."""
    valid = validate(exports)
    by_day: defaultdict[tuple[date, str, str], list[tuple[int, int, Decimal]]] = defaultdict(list)
    by_customer: defaultdict[int, list[tuple[int, date, Decimal]]] = defaultdict(list)
    for (order_id, _), line in valid.lines.items():
        order = valid.orders[order_id]
        if order.status == "cancelled":
            continue
        assert order.customer_id is not None
        assert line.product_id is not None
        day = order.ordered_at.astimezone(UTC).date()
        euros = (
            line.quantity * line.unit_price * (1 - line.discount) * _rate(valid.rates, order.currency, day)
        )
        euros = euros.quantize(CENT, ROUND_HALF_UP)
        country = valid.customers[order.customer_id].country
        category = valid.products[line.product_id]["category"]
        by_day[day, country, category].append((order_id, line.quantity, euros))
        by_customer[order.customer_id].append((order_id, day, euros))
    daily = [
        DailyRow(
            day=day,
            country=country,
            category=category,
            orders=len({order for order, _, _ in lines}),
            units=sum(quantity for _, quantity, _ in lines),
            revenue_eur=sum((euros for _, _, euros in lines), Decimal("0.00")),
        )
        for (day, country, category), lines in sorted(by_day.items())
    ]
    return Truth(daily=tuple(daily), customer_value=_values(valid, by_customer), expected=_expected(valid))


def _values(
    valid: Valid, by_customer: dict[int, list[tuple[int, date, Decimal]]]
) -> tuple[CustomerValueRow, ...]:
    return tuple(
        CustomerValueRow(
            customer_id=key,
            country=valid.customers[key].country,
            segment=valid.customers[key].segment,
            first_order_day=min(day for _, day, _ in lines),
            last_order_day=max(day for _, day, _ in lines),
            orders=len({order for order, _, _ in lines}),
            revenue_eur=sum((euros for _, _, euros in lines), Decimal("0.00")),
        )
        for key, lines in sorted(by_customer.items())
    )


def _expected(valid: Valid) -> ExpectedKeys:
    return ExpectedKeys(
        customers=len(valid.customers),
        orders=len(valid.orders),
        order_lines=len(valid.lines),
        products=len(valid.products),
        rates=len(valid.rates),
    )


def _rate(rates: dict[tuple[date, str], Decimal], currency: str, day: date) -> Decimal:
    while (day, currency) not in rates:
        day -= timedelta(days=1)
    return rates[day, currency]


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def keys_with_ties(rows: Iterable[tuple[Any, datetime, Any]]) -> list[Any]:
    """Keys of which two different rows claim the same moment."""
    seen: dict[tuple[Any, datetime], Any] = {}
    return [key for key, moment, row in rows if seen.setdefault((key, moment), row) != row]
