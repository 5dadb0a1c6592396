"""Products of one table on Postgres, and what the database shows of them."""

from __future__ import annotations

from typing import Any

import polars as pl
import psycopg

from headworks.gold.products import ProductVersion, publish_product
from headworks.publish.tables import PublishedTable
from headworks.reports import TableRef
from headworks.storage.store import Lake

SCHEMA = "analytics"
Rows = list[tuple[Any, ...]]
ONE = (PublishedTable("t.one", "one", ("id",)),)


def ask(connection: psycopg.Connection, query: str) -> Rows:
    return connection.execute(query.encode()).fetchall()


def single(lake: Lake, frame: pl.DataFrame, product: str = "p") -> ProductVersion:
    """Publish one frame as the only table of a product."""
    table = lake.ensure("gold", "t.one", frame.schema)
    table.overwrite(frame, {"writer": table.transaction("writer") + 1})
    reference = TableRef(table="gold.t.one", version=table.version, change=table.transaction("writer"))
    return publish_product(lake, product, [reference], "run")
