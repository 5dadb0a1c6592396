"""The settings of a shop's world and the shapes of what happens in it.

Settings, row types and the seeded sources of chance belong here. What happens on which day does not: see
`people`, `trade`, `catalogue` and `dirt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Final, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field

NOBODY: Final = 8_000_000
"""Keys from here on are never given to anything: references to them lead nowhere."""


class World(BaseModel):
    """Everything that decides what happens: two equal worlds live the same days."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=7, description="Where all chance comes from.")
    first_day: date = Field(default=date(2026, 1, 5), description="Day number 0.")
    history_days: int = Field(default=60, ge=3, description="Days that a newly founded shop has behind it.")
    customers_at_start: int = Field(default=1400, ge=10, description="Customers on the first day.")
    customers_per_day: int = Field(default=10, ge=2, description="New customers on each day.")
    moves_per_day: int = Field(
        default=14, ge=1, description="Customers who move to another country each day."
    )
    orders_per_day: int = Field(default=200, ge=8, description="New orders on an average day.")
    products_at_start: int = Field(default=440, ge=10, description="Sound products on the first day.")

    def day(self, day_no: int) -> date:
        """The date of a day number."""
        return self.first_day + timedelta(days=day_no)

    def random(self, topic: str, number: int) -> Random:
        """A source of chance of its own for one topic and one day (or key)."""
        return Random(f"{self.seed}/{topic}/{number}")

    def moment(self, day_no: int, chance: Random, *, earliest_hour: int = 6) -> datetime:
        """A moment within a day; never in its last hour, so that a little later is the same day."""
        start = datetime.combine(self.day(day_no), time(earliest_hour), tzinfo=UTC)
        return start + timedelta(microseconds=chance.randrange(0, (23 - earliest_hour) * 3_600_000_000))


class CustomerRow(NamedTuple):
    """A row of shop.customers."""

    customer_id: int | None
    name: str
    email: str
    country: str
    segment: str
    birth_date: str | None
    created_at: datetime
    updated_at: datetime


class OrderRow(NamedTuple):
    """A row of shop.orders."""

    order_id: int | None
    customer_id: int | None
    ordered_at: datetime
    currency: str
    status: str
    shipping: str
    updated_at: datetime


class LineRow(NamedTuple):
    """A row of shop.order_lines."""

    order_id: int | None
    line_no: int
    product_id: int | None
    quantity: int
    unit_price: Decimal
    discount: Decimal
    updated_at: datetime


class ProductRow(NamedTuple):
    """A row of catalogue.products: `payload` is what the API serves, to the byte."""

    ord: int
    payload: str
    updated_at: datetime


class RateRow(NamedTuple):
    """A row of catalogue.rates."""

    day: date
    currency: str
    eur_per_unit: Decimal


class Move(NamedTuple):
    """A customer's change of country."""

    customer_id: int
    country: str
    updated_at: datetime


RowT = TypeVar("RowT", CustomerRow, OrderRow, LineRow)


@dataclass(frozen=True, slots=True)
class Version(Generic[RowT]):
    """What a row looks like from a day on."""

    day_no: int
    row: RowT


RunContext = tuple[Version[RowT], ...]
"""The life of one row: first it is inserted, every later version replaces it in place."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Orders with their lines, as they will have been written and changed."""

    orders: tuple[RunContext[OrderRow], ...]
    lines: tuple[RunContext[LineRow], ...]


@dataclass(frozen=True, slots=True)
class Day:
    """All that is written on one day."""

    day_no: int
    day: date
    new_customers: Sequence[CustomerRow]
    changed_customers: Sequence[CustomerRow]
    moves: Sequence[Move]
    new_orders: Sequence[OrderRow]
    changed_orders: Sequence[OrderRow]
    new_lines: Sequence[LineRow]
    changed_lines: Sequence[LineRow]
    new_products: Sequence[ProductRow]
    changed_products: Sequence[ProductRow]
    rates: Sequence[RateRow]
