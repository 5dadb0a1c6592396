"""Reads what the dashboard shows: the product as it was published together, and the newest run of the flow."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from headworks.gold.products import ProductVersion, read_product, scan_product
from headworks.ops.ledger import last_run
from headworks.prefect.blocks import lake_settings
from headworks.prefect.console import check_server, local_stack
from headworks.reports import RunReport
from headworks.storage.store import Lake
from headworks.storage.translating import collected
from shop.gold import CUSTOMER_VALUE, DAILY, PRODUCT

FLOW = "sales"


@dataclass(frozen=True)
class News:
    """What was published last, and what the newest run came to; none where there is none yet."""

    product: ProductVersion | None
    run: RunReport | None


@dataclass(frozen=True)
class Sales:
    """The tables of one publication, in full: revenue by day, country and category, and by customer."""

    daily: pl.DataFrame
    customers: pl.DataFrame


def find_lake(block: str) -> Lake:
    """Return the lake that a block describes; raise `SettingsError` where the block or its server is missing."""
    with local_stack():
        check_server()
        return Lake(lake_settings(block))


def read_news(lake: Lake) -> News:
    """Return the newest publication and the newest run. The run is read first, so what it published is there."""
    run = last_run(lake, FLOW)
    return News(read_product(lake, PRODUCT), run)


def read_sales(lake: Lake, product: ProductVersion) -> Sales:
    """Return the tables of just this publication, whatever was committed to them since."""
    tables = scan_product(lake, product)
    daily, customers = (collected(tables[name], f"gold.{name}") for name in (DAILY.name, CUSTOMER_VALUE.name))
    return Sales(daily=daily, customers=customers)
