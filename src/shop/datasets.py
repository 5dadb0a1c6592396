"""The shop's datasets: where each is read from, how its columns are made, what it refers to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from headworks.silver.dataset import Agreement, Dataset, Reference
from headworks.silver.expressions import (
    decimal,
    iso_date,
    json_object,
    json_string,
    utc_moment,
    whole_number,
)
from headworks.sources.api.paginate import Cursor, PageNumbers
from headworks.sources.api.resource import Completeness, Incremental, Resource
from shop import schemas
from shop.vocabulary import LARGEST_MARKUP, UNITS_PER_EURO

CONTRACTS = Path(__file__).parent / "contracts"


@dataclass(frozen=True)
class TableSource:
    """A table of the shop's database and the column that it is read by."""

    schema_name: str
    table: str
    cursor: str


def _is_near_list_price() -> pl.Expr:
    """Return whether a line's price is of the order of its product's list price, which is in euros."""
    listed = pl.col("shop.products.price").cast(pl.Float64)
    units = pl.col("shop.orders.currency").replace_strict(
        UNITS_PER_EURO, default=None, return_dtype=pl.Float64
    )
    times = pl.col("unit_price").cast(pl.Float64) / (listed * units)
    return (listed == 0) | times.is_between(1 / LARGEST_MARKUP, LARGEST_MARKUP)


CUSTOMERS = Dataset(
    name="shop.customers",
    key=("customer_id",),
    schema=schemas.Customers,
    columns={
        "customer_id": pl.col("customer_id"),
        "name": pl.col("name").str.strip_chars(),
        "email": pl.col("email"),
        "country": pl.col("country"),
        "segment": pl.col("segment"),
        "birth_date": iso_date("birth_date"),
        "created_at": pl.col("created_at"),
        "updated_at": pl.col("updated_at"),
    },
    cursor="updated_at",
    contract=CONTRACTS / "silver_shop_customers.yml",
)

ORDERS = Dataset(
    name="shop.orders",
    key=("order_id",),
    schema=schemas.Orders,
    columns={
        "order_id": pl.col("order_id"),
        "customer_id": pl.col("customer_id"),
        "ordered_at": pl.col("ordered_at"),
        "currency": pl.col("currency"),
        "status": pl.col("status"),
        "shipping_city": json_string("shipping", "city"),
        "updated_at": pl.col("updated_at"),
    },
    cursor="updated_at",
    references=(Reference(("customer_id",), "shop.customers", ("customer_id",), "unknown_customer"),),
    contract=CONTRACTS / "silver_shop_orders.yml",
)

ORDER_LINES = Dataset(
    name="shop.order_lines",
    key=("order_id", "line_no"),
    schema=schemas.OrderLines,
    columns={name: pl.col(name) for name in schemas.OrderLines.column_names()},
    cursor="updated_at",
    references=(
        Reference(("order_id",), "shop.orders", ("order_id",), "orphan_line"),
        Reference(("product_id",), "shop.products", ("product_id",), "unknown_product"),
    ),
    agreements=(Agreement("price_far_from_list", _is_near_list_price()),),
    contract=CONTRACTS / "silver_shop_order_lines.yml",
)

PRODUCTS = Dataset(
    name="shop.products",
    key=("product_id",),
    schema=schemas.Products,
    fields=(
        "product_id",
        "name",
        "category",
        "price",
        "currency",
        "attributes",
        "updated_at",
    ),
    columns={
        "product_id": whole_number("product_id"),
        "name": pl.col("name"),
        "category": pl.col("category"),
        "price": decimal("price", 12, 2),
        "currency": pl.col("currency"),
        "attributes": json_object("attributes"),
        "updated_at": utc_moment("updated_at"),
    },
    cursor="updated_at",
)

RATES = Dataset(
    name="shop.rates",
    key=("day", "currency"),
    schema=schemas.Rates,
    fields=("day", "currency", "eur_per_unit"),
    columns={
        "day": iso_date("day"),
        "currency": pl.col("currency"),
        "eur_per_unit": decimal("eur_per_unit", 18, 8),
    },
)

TABLES: tuple[tuple[Dataset, TableSource], ...] = (
    (CUSTOMERS, TableSource("shop", "customers", "updated_at")),
    (ORDERS, TableSource("shop", "orders", "updated_at")),
    (ORDER_LINES, TableSource("shop", "order_lines", "updated_at")),
)

RESOURCES: tuple[tuple[Dataset, Resource], ...] = (
    (
        PRODUCTS,
        Resource(
            path="/v1/products",
            records="data.items",
            pagination=PageNumbers(pages_field="meta.pages"),
            completeness=Completeness(total_field="meta.total"),
            key=("product_id",),
        ),
    ),
    (
        RATES,
        Resource(
            path="/v1/rates",
            records="rates",
            # Its token is the last day and currency of a page.
            pagination=Cursor(stable=True),
            incremental=Incremental(parameter="since", field="day", format="date"),
            key=("day", "currency"),
        ),
    ),
)

IN_ORDER: tuple[tuple[Dataset, ...], ...] = (
    (CUSTOMERS, PRODUCTS, RATES),
    (ORDERS,),
    (ORDER_LINES,),
)
"""The datasets in the order in which silver is made: what refers to others comes after them."""
