"""The product ``sales``: revenue by day, country and category, and what each customer is worth, in EUR.

A line's revenue is its quantity times price less discount, at the newest exchange rate known on the day of the order,
rounded to the cent, half away from zero. Cancelled orders do not count.
"""

from __future__ import annotations

import polars as pl

from headworks.gold.curation import GoldTable, Inputs
from headworks.publish.tables import PublishedTable
from shop.datasets import CONTRACTS, CUSTOMERS, ORDER_LINES, ORDERS, PRODUCTS, RATES
from shop.vocabulary import UNCOUNTED_STATUS

PRODUCT = "sales"
SCHEMA = "analytics"

# Wide enough for every product of the factors: Polars keeps the left scale when it multiplies decimals.
_WIDE = pl.Decimal(38, 14)
_MONEY = pl.Decimal(18, 2)
INPUTS = (CUSTOMERS.name, ORDERS.name, ORDER_LINES.name, PRODUCTS.name, RATES.name)


def counted_lines(inputs: Inputs) -> pl.LazyFrame:
    """Return the lines that are revenue, each with its day, its customer, its category and its revenue in EUR."""
    orders = (
        inputs[ORDERS.name]
        .filter(pl.col("status") != UNCOUNTED_STATUS)
        .select("order_id", "customer_id", "currency", day=pl.col("ordered_at").dt.date())
        .sort("day")
    )
    rates = inputs[RATES.name].select("currency", "eur_per_unit", rate_day="day").sort("rate_day")
    priced = orders.join_asof(
        rates,
        left_on="day",
        right_on="rate_day",
        by="currency",
        strategy="backward",
        check_sortedness=False,
    )
    revenue = (
        pl.col("quantity").cast(_WIDE)
        * pl.col("unit_price").cast(_WIDE)
        * (1 - pl.col("discount").cast(_WIDE))
        * pl.col("eur_per_unit").cast(_WIDE)
    )
    return (
        inputs[ORDER_LINES.name]
        .join(priced.filter(pl.col("eur_per_unit").is_not_null()), on="order_id")
        .join(
            inputs[CUSTOMERS.name].select("customer_id", "country", "segment"),
            on="customer_id",
        )
        .join(inputs[PRODUCTS.name].select("product_id", "category"), on="product_id")
        .with_columns(revenue_eur=revenue.round(2, mode="half_away_from_zero").cast(_MONEY))
    )


def daily(inputs: Inputs) -> pl.LazyFrame:
    """Return one row a day, country and category."""
    return (
        counted_lines(inputs)
        .group_by("day", "country", "category")
        .agg(
            orders=pl.col("order_id").n_unique().cast(pl.Int64),
            units=pl.col("quantity").cast(pl.Int64).sum(),
            revenue_eur=pl.col("revenue_eur").sum().cast(_MONEY),
        )
    )


def customer_value(inputs: Inputs) -> pl.LazyFrame:
    """Return one row a customer who bought something."""
    return (
        counted_lines(inputs)
        .group_by("customer_id", "country", "segment")
        .agg(
            first_order_day=pl.col("day").min(),
            last_order_day=pl.col("day").max(),
            orders=pl.col("order_id").n_unique().cast(pl.Int64),
            revenue_eur=pl.col("revenue_eur").sum().cast(_MONEY),
        )
    )


def line_totals(inputs: Inputs) -> pl.LazyFrame:
    """Return what ``daily`` must add up to: the units of all lines whose order counts, and their revenue."""
    counted = inputs[ORDERS.name].filter(pl.col("status") != UNCOUNTED_STATUS)
    units = inputs[ORDER_LINES.name].join(counted, on="order_id", how="semi").select(pl.col("quantity").sum())
    revenue = counted_lines(inputs).select(pl.col("revenue_eur").sum().cast(_MONEY))
    return pl.concat(
        [units.select(units=pl.col("quantity").cast(pl.Int64)), revenue],
        how="horizontal",
    )


def revenue_total(inputs: Inputs) -> pl.LazyFrame:
    """Return what ``customer_value`` must add up to."""
    return counted_lines(inputs).select(pl.col("revenue_eur").sum().cast(_MONEY))


DAILY = GoldTable(
    name="sales.daily",
    inputs=INPUTS,
    transform=daily,
    key=("day", "country", "category"),
    contract=CONTRACTS / "gold_sales_daily.yml",
    totals=line_totals,
    by=("day",),
)
CUSTOMER_VALUE = GoldTable(
    name="sales.customer_value",
    inputs=INPUTS,
    transform=customer_value,
    key=("customer_id",),
    contract=CONTRACTS / "gold_sales_customer_value.yml",
    totals=revenue_total,
    by=("customer_id",),
)

TABLES = (DAILY, CUSTOMER_VALUE)
PUBLISHED = (
    PublishedTable(DAILY.name, "sales_daily", DAILY.key, CONTRACTS / "postgres_sales_daily.yml"),
    PublishedTable(
        CUSTOMER_VALUE.name,
        "sales_customer_value",
        CUSTOMER_VALUE.key,
        CONTRACTS / "postgres_sales_customer_value.yml",
    ),
)
