"""The rules of the shop's rows, one schema a dataset; a rule's name is the reason on a rejected row."""

from __future__ import annotations

from decimal import Decimal

import dataframely as dy
import polars as pl

from shop.vocabulary import (
    CATEGORIES,
    COUNTRIES,
    CURRENCIES,
    EARLIEST_BIRTH,
    EARLIEST_ORDER,
    EMAIL_PATTERN,
    LATEST_BIRTH,
    ORDER_CLOCK_SKEW,
    SEGMENTS,
    STATUSES,
)


class Customers(dy.Schema):
    """Customers as they are now."""

    customer_id = dy.Int64(nullable=False)
    name = dy.String(nullable=True)
    email = dy.String(nullable=False)
    country = dy.String(nullable=False)
    segment = dy.String(nullable=False)
    birth_date = dy.Date(nullable=True)
    created_at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")
    updated_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")

    @dy.rule()
    def malformed_email(cls) -> pl.Expr:
        """An address has one @ and a dot after it."""
        return pl.col("email").str.contains(EMAIL_PATTERN)

    @dy.rule()
    def unknown_country(cls) -> pl.Expr:
        """The shop delivers to these countries only."""
        return pl.col("country").is_in(COUNTRIES)

    @dy.rule()
    def unknown_segment(cls) -> pl.Expr:
        """A customer is in one of these segments."""
        return pl.col("segment").is_in(SEGMENTS)

    @dy.rule()
    def impossible_birth_date(cls) -> pl.Expr:
        """Customers were born within living memory."""
        return pl.col("birth_date").is_between(EARLIEST_BIRTH, LATEST_BIRTH)


class Orders(dy.Schema):
    """Orders as they are now."""

    order_id = dy.Int64(nullable=False)
    customer_id = dy.Int64(nullable=False)
    ordered_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")
    currency = dy.String(nullable=False)
    status = dy.String(nullable=False)
    shipping_city = dy.String(nullable=False)
    updated_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")

    @dy.rule()
    def unknown_currency(cls) -> pl.Expr:
        """The shop sells in these currencies only."""
        return pl.col("currency").is_in(CURRENCIES)

    @dy.rule()
    def unknown_status(cls) -> pl.Expr:
        """An order has one of these statuses."""
        return pl.col("status").is_in(STATUSES)

    @dy.rule()
    def impossible_order_date(cls) -> pl.Expr:
        """No order is older than the shop, or lies after the moment in which it was written."""
        return pl.col("ordered_at").is_between(EARLIEST_ORDER, pl.col("updated_at") + ORDER_CLOCK_SKEW)


class OrderLines(dy.Schema):
    """Lines of orders as they are now."""

    order_id = dy.Int64(nullable=False)
    line_no = dy.Int32(nullable=False)
    product_id = dy.Int64(nullable=False)
    quantity = dy.Int32(nullable=False)
    unit_price = dy.Decimal(12, 2, nullable=False)
    discount = dy.Decimal(5, 4, nullable=False)
    updated_at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")

    @dy.rule()
    def quantity_not_positive(cls) -> pl.Expr:
        """A line sells at least one piece."""
        return pl.col("quantity") > 0

    @dy.rule()
    def negative_price(cls) -> pl.Expr:
        """Nobody is paid for buying."""
        return pl.col("unit_price") >= Decimal(0)

    @dy.rule()
    def discount_out_of_range(cls) -> pl.Expr:
        """A discount is a share below one."""
        return (pl.col("discount") >= Decimal(0)) & (pl.col("discount") < Decimal(1))


class Products(dy.Schema):
    """The catalogue as it is now."""

    product_id = dy.Int64(nullable=False)
    name = dy.String(nullable=False)
    category = dy.String(nullable=False)
    price = dy.Decimal(12, 2, nullable=False)
    currency = dy.String(nullable=True)
    attributes = dy.String(nullable=False)
    updated_at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")

    @dy.rule()
    def product_id_not_positive(cls) -> pl.Expr:
        """Products are numbered from one."""
        return pl.col("product_id") > 0

    @dy.rule()
    def empty_name(cls) -> pl.Expr:
        """A product has a name."""
        return pl.col("name") != ""

    @dy.rule()
    def unknown_category(cls) -> pl.Expr:
        """A product is in one of these categories."""
        return pl.col("category").is_in(CATEGORIES)

    @dy.rule()
    def negative_price(cls) -> pl.Expr:
        """Nothing costs less than nothing."""
        return pl.col("price") >= Decimal(0)


class Rates(dy.Schema):
    """Exchange rates by day: what one unit of the currency is worth in EUR."""

    day = dy.Date(nullable=False)
    currency = dy.String(nullable=False)
    eur_per_unit = dy.Decimal(18, 8, nullable=False)

    @dy.rule()
    def unknown_currency(cls) -> pl.Expr:
        """The shop sells in these currencies only."""
        return pl.col("currency").is_in(CURRENCIES)

    @dy.rule()
    def rate_not_positive(cls) -> pl.Expr:
        """A currency is worth something."""
        return pl.col("eur_per_unit") > Decimal(0)
