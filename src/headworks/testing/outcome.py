"""What a lake holds after a trial: the records of bronze, and silver in four numbers."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from headworks.quality.limits import AnomalyLimits
from headworks.settings import RejectLimits
from headworks.silver.dataset import Dataset
from headworks.silver.expressions import utc_moment, whole_number
from headworks.silver.refinement import Refinement, refine
from headworks.sources.base import RAW
from headworks.storage.store import Lake

DATASET = "t.hostile"


class ThingSchema(dy.Schema):
    """A thing in silver."""

    id = dy.Int64(nullable=False)
    amount = dy.Int64(nullable=True)
    updated_at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")


THINGS = Dataset(
    name=DATASET,
    key=("id",),
    schema=ThingSchema,
    fields=("id", "amount", "updated_at"),
    columns={
        "id": whole_number("id"),
        "amount": whole_number("amount"),
        "updated_at": utc_moment("updated_at"),
    },
    cursor="updated_at",
    limits=RejectLimits(share=1.0),
    # Stamps far in the future are one of the faults: here the reading is judged, and not the gate.
    anomalies=AnomalyLimits(future_hours=24 * 365 * 1000),
)


def bronze_records(lake: Lake) -> list[bytes]:
    """Return the records of bronze in order of arrival, refused ones too; none where there is no table yet."""
    table = lake.open("bronze", DATASET)
    if table is None:
        return []
    rows = table.scan().sort("_sequence", "_row")
    kept = pl.coalesce("record", RAW) if RAW in table.columns else pl.col("record")
    return rows.select(kept.alias("record")).collect().get_column("record").to_list()


def silver_amounts(lake: Lake) -> dict[int, int | None]:
    """Refine what is landed, and return the amounts that silver then holds, by key; a duplicate key is an error."""
    if lake.open("bronze", DATASET) is None:
        return {}
    outcome = refine(Refinement(lake, "run"), THINGS)
    assert outcome.gate is None or outcome.gate.open, outcome.gate
    table = lake.open("silver", DATASET)
    if table is None:
        return {}
    rows = table.scan().filter(~pl.col("_deleted")).collect()
    amounts = dict(zip(rows.get_column("id").to_list(), rows.get_column("amount").to_list(), strict=True))
    assert len(amounts) == rows.height, f"duplicate keys in silver: {rows}"
    return amounts
