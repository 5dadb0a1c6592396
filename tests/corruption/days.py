"""The shop's days as frames, as its database and its API would hand them over: weekday season, and growth.

Growth is made by leaving orders out, fewer of them every day; references stay whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time
from math import exp

import polars as pl

from shop import datasets, gold
from shop.chronicle import Chronicle
from shop.world import CustomerRow, Day, World
from tests.corruption.company import Company
from tests.corruption.company import Day as CompanyDay

_MOMENT = pl.Datetime("us", "UTC")
CUSTOMERS = pl.Schema(
    {
        "customer_id": pl.Int64(), "name": pl.String(), "email": pl.String(), "country": pl.String(),
        "segment": pl.String(), "birth_date": pl.String(), "created_at": _MOMENT, "updated_at": _MOMENT,
    }
)  # fmt: skip
ORDERS = pl.Schema(
    {
        "order_id": pl.Int64(), "customer_id": pl.Int64(), "ordered_at": _MOMENT, "currency": pl.String(),
        "status": pl.String(), "shipping": pl.String(), "updated_at": _MOMENT,
    }
)  # fmt: skip
LINES = pl.Schema(
    {
        "order_id": pl.Int64(), "line_no": pl.Int32(), "product_id": pl.Int64(), "quantity": pl.Int32(),
        "unit_price": pl.Decimal(12, 2), "discount": pl.Decimal(5, 4), "updated_at": _MOMENT,
    }
)  # fmt: skip
RECORDS = pl.Schema({"record": pl.Binary()})

_AT_FIRST = 0.5
"""The share of the world's orders that there are on the first day."""


def world(seed: int) -> World:
    """Make a world that is lived through quickly, and large enough to have distributions."""
    return World(
        seed=seed,
        history_days=400,
        customers_at_start=800,
        customers_per_day=40,
        moves_per_day=40,
        orders_per_day=180,
        products_at_start=240,
    )


def days(seed: int, count: int, *, growth: float = 0.003) -> Iterator[CompanyDay]:
    """Yield the first ``count`` days of a world whose orders grow by ``growth`` a day."""
    chronicle = Chronicle(world(seed))
    catalogue: dict[int, str] = {}
    customers: dict[int | None, CustomerRow] = {}
    for number in range(count):
        day = chronicle.day(number)
        catalogue |= {row.ord: row.payload for row in [*day.new_products, *day.changed_products]}
        share = min(1.0, _AT_FIRST * exp(growth * number))
        frames = {
            "shop.customers": _customers(day, customers),
            "shop.products": _records(list(catalogue.values())),
            "shop.rates": _records([_rate(*row) for row in day.rates]),
            "shop.orders": _thinned(_frame([*day.new_orders, *day.changed_orders], ORDERS), share),
            "shop.order_lines": _thinned(_frame([*day.new_lines, *day.changed_lines], LINES), share),
        }
        yield CompanyDay(number, datetime.combine(day.day, time(23, 45), tzinfo=UTC), frames)


def _customers(day: Day, known: dict[int | None, CustomerRow]) -> pl.DataFrame:
    """Return the customers written on a day; whoever moves is written again."""
    written = [*day.new_customers, *day.changed_customers]
    known.update({row.customer_id: row for row in written if row.customer_id is not None})
    for move in day.moves:
        there = known[move.customer_id]._replace(country=move.country, updated_at=move.updated_at)
        known[move.customer_id] = there
        written.append(there)
    return _frame(written, CUSTOMERS)


def _thinned(rows: pl.DataFrame, share: float) -> pl.DataFrame:
    """Keep about a share of all orders, and the same ones every day."""
    place = pl.col("order_id").hash(7) % 1_000
    return rows.filter(pl.col("order_id").is_null() | (place < int(1_000 * share)))


def _frame(rows: Sequence[tuple[object, ...]], schema: pl.Schema) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def _records(texts: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"record": [text.encode() for text in texts]}, schema=RECORDS)


def _rate(day: object, currency: str, eur_per_unit: object) -> str:
    return f'{{"day": "{day}", "currency": "{currency}", "eur_per_unit": "{eur_per_unit}"}}'


SHOP = Company("the shop", datasets.IN_ORDER, gold.TABLES, gold.INPUTS, gold.PRODUCT, days)
