"""The dataset ``t.sales``, whose rows refer to those of ``t.items`` and are held against them.

Only short ways to do the usual steps belong here; what a test is about it spells out itself.
"""

from __future__ import annotations

import dataframely as dy
import polars as pl

from headworks.bronze.landing import Landing, land
from headworks.reports import RefineReport
from headworks.settings import RejectLimits
from headworks.silver.dataset import Agreement, Dataset, Reference
from headworks.silver.quarantine import rejected_rows
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from headworks.testing.sources import Rows
from tests.support.items import NAME

SALES = "t.sales"

Sale = tuple[int, int, int | None]
"""A sale: its id, its item's, its price."""


class SaleSchema(dy.Schema):
    """A sale of an item."""

    id = dy.Int64(nullable=False, min=0)
    item = dy.Int64(nullable=False)
    price = dy.Int64(nullable=True)


SALE = Dataset(
    name=SALES,
    key=("id",),
    schema=SaleSchema,
    columns={name: pl.col(name) for name in SaleSchema.column_names()},
    references=(Reference(("item",), NAME, ("id",), "unknown_item"),),
    agreements=(Agreement("too_dear", pl.col("price") <= 10 * pl.col("t.items.v")),),
    limits=RejectLimits(share=1.0),
)


def land_sales(lake: Lake, rows: list[Sale], stream: str) -> None:
    """Land sales in a stream."""
    frame = pl.DataFrame(rows, schema={name: pl.Int64 for name in ("id", "item", "price")}, orient="row")
    land(Landing(lake, SALES, stream, "run"), Rows(frame))


def sell(lake: Lake, *rows: Sale, dataset: Dataset = SALE) -> RefineReport:
    """Land sales and refine them; the gate has to be open."""
    if rows:
        land_sales(lake, list(rows), f"{SALES}@{rows[0][0]}")
    outcome = refine(Refinement(lake, "run"), dataset)
    assert outcome.gate is None or outcome.gate.open, outcome.gate
    return outcome.report


def sold(lake: Lake) -> list[int]:
    """Return the ids of the sales in silver."""
    return sorted(lake.must_open("silver", SALES).scan().collect()["id"])


def reasons(lake: Lake) -> dict[str, list[str]]:
    """Return why sales were rejected, by id."""
    kept = rejected_rows(lake, SALES, lake.open("silver", SALES))
    assert kept is not None
    return {key: output for key, output in kept.select("key", "reasons").collect().iter_rows()}
