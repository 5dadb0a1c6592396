"""What gold must be: computed from the export tables by Postgres alone, apart from what makes gold.

Only this second opinion belongs here. It shares the vocabulary with the rules, and no code with them.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel, ConfigDict

from shop import vocabulary
from shop.database import read_sql


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DailyRow(_Frozen):
    """A row of sales.daily."""

    day: date
    country: str
    category: str
    orders: int
    units: int
    revenue_eur: Decimal


class CustomerValueRow(_Frozen):
    """A row of sales.customer_value."""

    customer_id: int
    country: str
    segment: str
    first_order_day: date
    last_order_day: date
    orders: int
    revenue_eur: Decimal


class ExpectedKeys(_Frozen):
    """How many distinct valid keys each table holds."""

    customers: int
    orders: int
    order_lines: int
    products: int
    rates: int


class Truth(_Frozen):
    """What gold must be, row by row, and how many keys silver must have."""

    daily: tuple[DailyRow, ...]
    customer_value: tuple[CustomerValueRow, ...]
    expected: ExpectedKeys


def truth(connection: Connection[Any]) -> Truth:
    """Return what gold must be, of one moment: the shop does not live on while it is reported."""
    parameters = _parameters()
    valid = read_sql("valid")
    with connection.transaction():
        connection.execute("LOCK TABLE shop.life IN SHARE MODE")
        with connection.cursor(row_factory=class_row(DailyRow)) as days:
            daily = tuple(days.execute(valid + read_sql("daily"), parameters))
        with connection.cursor(row_factory=class_row(CustomerValueRow)) as customers:
            customer_value = tuple(customers.execute(valid + read_sql("customer_value"), parameters))
        with connection.cursor(row_factory=class_row(ExpectedKeys)) as counts:
            (expected,) = counts.execute(valid + read_sql("expected"), parameters)
    return Truth(daily=daily, customer_value=customer_value, expected=expected)


def _parameters() -> dict[str, object]:
    return {
        "email": vocabulary.EMAIL_PATTERN,
        "countries": list(vocabulary.COUNTRIES),
        "segments": list(vocabulary.SEGMENTS),
        "iso_date": vocabulary.ISO_DATE_PATTERN,
        "earliest_birth": vocabulary.EARLIEST_BIRTH,
        "latest_birth": vocabulary.LATEST_BIRTH,
        "categories": list(vocabulary.CATEGORIES),
        "price": vocabulary.PRICE_PATTERN,
        "currencies": list(vocabulary.CURRENCIES),
        "statuses": list(vocabulary.STATUSES),
        "earliest_order": vocabulary.EARLIEST_ORDER,
        "clock_skew": vocabulary.ORDER_CLOCK_SKEW,
        "uncounted": vocabulary.UNCOUNTED_STATUS,
    }
