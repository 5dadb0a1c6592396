"""Ten rules about TPC-H's lineitem, three times the same: for headworks, by hand in Polars, and for pandera."""

from __future__ import annotations

from datetime import date

import polars as pl

MONEY = pl.Decimal(15, 2)


def _money(text: str) -> pl.Expr:
    return pl.lit(text).cast(MONEY)


RULES: dict[str, pl.Expr] = {
    "quantity_out_of_range": pl.col("l_quantity").is_between(_money("1"), _money("50")),
    "price_not_positive": pl.col("l_extendedprice") > _money("0"),
    "price_too_high": pl.col("l_extendedprice") < _money("100000"),
    "discount_out_of_range": pl.col("l_discount").is_between(_money("0"), _money("0.10")),
    "tax_out_of_range": pl.col("l_tax").is_between(_money("0"), _money("0.08")),
    "unknown_flag": pl.col("l_returnflag").is_in(["A", "N", "R"]),
    "unknown_status": pl.col("l_linestatus").is_in(["F", "O"]),
    "unknown_mode": pl.col("l_shipmode").is_in(["AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK"]),
    "received_before_shipped": pl.col("l_receiptdate") > pl.col("l_shipdate"),
    "shipped_too_late": pl.col("l_shipdate") <= date(1998, 10, 10),
}
"""About one row in a hundred breaks one of them."""
