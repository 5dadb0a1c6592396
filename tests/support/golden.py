"""A small silver and two gold tables made of it, which are one product.

Only short ways to do the usual steps belong here; what a test is about it spells out itself.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from headworks.gold.curation import GoldTable, Inputs, audit, curate, stage
from headworks.gold.products import ProductVersion, publish_product
from headworks.gold.table import Pins, Staged, pin
from headworks.publish.tables import PublishedTable
from headworks.reports import CurateReport, TableRef
from headworks.storage.store import Lake
from tests.support.items import NAME, land_items, refine_items
from tests.support.sources import Record

PRODUCT = "t"
CONTRACT = """\
dataset: lake/gold/each
columns:
- name: id
  checks:
  - missing:
"""
PUBLISHED = (PublishedTable("t.each", "each", ("id",)), PublishedTable("t.sums", "sums", ("parity",)))


def each(inputs: Inputs) -> pl.LazyFrame:
    """Return the items themselves, with their value as money."""
    return inputs[NAME].select("id", "v", money=pl.col("v").cast(pl.Decimal(12, 2)) / 100)


def sums(inputs: Inputs) -> pl.LazyFrame:
    """Return the sum of the odd and of the even items."""
    return inputs[NAME].group_by(id=pl.col("id") % 2).agg(pl.col("v").sum()).rename({"id": "parity"})


def tables(folder: Path) -> tuple[GoldTable, GoldTable]:
    """Declare both gold tables, with contracts in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    contract = folder / "items.yml"
    contract.write_text(CONTRACT)
    second = folder / "sums.yml"
    second.write_text(CONTRACT.replace("gold/each", "gold/sums").replace("name: id", "name: parity"))
    return (
        GoldTable(
            "t.each", (NAME,), each, ("id",), contract, lambda inputs: inputs[NAME].select(pl.col("v").sum())
        ),
        GoldTable("t.sums", (NAME,), sums, ("parity",), second),
    )


def fill(lake: Lake, records: list[Record]) -> Pins:
    """Land and refine items, and pin silver."""
    land_items(lake, records)
    refine_items(lake)
    return pin(lake, [NAME])


def staged(lake: Lake, gold: GoldTable, pins: Pins) -> Staged:
    """Stage a candidate."""
    return stage(lake, gold, pins)


def committed(lake: Lake, gold: GoldTable, pins: Pins) -> CurateReport:
    """Stage, audit and commit a gold table."""
    candidate = stage(lake, gold, pins)
    return curate(lake, candidate, audit(lake, gold, candidate))


def named(lake: Lake, folder: Path, records: list[Record], run_id: str = "run") -> ProductVersion:
    """Do everything from landing to the product's row."""
    pins = fill(lake, records)
    references: list[TableRef] = [committed(lake, gold, pins).table for gold in tables(folder)]
    return publish_product(lake, PRODUCT, references, run_id)


def rows(lake: Lake, dataset: str = "t.each") -> list[int]:
    """Return the ids of a gold table's newest version, sorted, duplicate ones included."""
    frame = lake.must_open("gold", dataset).scan().collect()
    return sorted(frame.to_series().to_list())
