"""The dashboard's tables as rows of texts. Pure functions of frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from dashboard import view

Row = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table's header, rows and foot; the first ``texts`` columns are texts, the others numbers."""

    header: Row
    rows: tuple[Row, ...]
    texts: int
    foot: Row = ()


def sums(rows: pl.DataFrame, dimension: view.Dimension) -> Table:
    """Return revenue and units by one dimension, each with its share of the whole, and their sum."""
    whole = view.total(rows)
    written = tuple(
        (
            _written(row[dimension]),
            view.money(row[view.REVENUE]),
            view.share_of(row[view.REVENUE], whole),
            view.number(row["units"]),
        )
        for row in rows.iter_rows(named=True)
    )
    units = view.number(int(rows.get_column("units").sum()))
    return Table(
        (dimension.capitalize(), "Revenue", "Share", "Units"),
        written,
        1,
        ("In all", view.money(whole), view.share_of(whole, whole), units),
    )


def customers(rows: pl.DataFrame) -> Table:
    """Return customers with where and what they are, since when they buy, and what they are worth."""
    written = tuple(
        (
            f"No. {row['customer_id']}",
            row["country"],
            row["segment"],
            view.day(row["first_order_day"]),
            view.day(row["last_order_day"]),
            view.number(row["orders"]),
            view.money(row[view.REVENUE]),
        )
        for row in rows.iter_rows(named=True)
    )
    header = ("Customer", "Country", "Segment", "First order", "Last order", "Orders", "Revenue")
    return Table(header, written, 5)


def _written(value: Any) -> str:
    return str(value) if isinstance(value, str) else view.day(value)
