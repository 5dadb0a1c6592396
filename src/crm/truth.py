"""What is true of the world: the frames that a perfect delivery would give, and the chances that nobody is shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from crm.datasets import SOURCES
from crm.world import CAUSES, KEYS, Record, World
from headworks.gold.curation import GoldTable

Frames = dict[str, pl.DataFrame]


def received(world: World, first: datetime, until: datetime, every: timedelta) -> Frames:
    """Return the CRM's records as silver has them when it is read from ``first`` on in steps, up to a moment.

    Of a record that changed twice between two readings the last version alone was seen, as by a reading of the API.
    """
    frames: Frames = {}
    for dataset, _ in SOURCES:
        resource = dataset.name.removeprefix("crm.")
        rows = _seen(world.records[resource], KEYS[resource], first, until, every)
        schema: dict[str, Any] = {name: dataset.schema.columns()[name].dtype for name in dataset.columns}
        schema |= {"_ingested_at": pl.Datetime("us", "UTC"), "_deleted": pl.Boolean()}
        if resource == "subscriptions":
            schema["monthly_eur"] = pl.String()
        frame = pl.DataFrame(rows, schema=schema)
        if resource == "subscriptions":
            frame = frame.with_columns(pl.col("monthly_eur").cast(pl.Decimal(12, 2)))
        if dataset.keeps == "history":
            frame = frame.with_columns(pl.col("updated_at").alias("valid_from"))
        frames[dataset.name] = frame
    return frames


def _seen(
    records: list[Record], key: str, first: datetime, until: datetime, every: timedelta
) -> list[Record]:
    seen: dict[tuple[Any, datetime], Record] = {}
    for record in records:
        late = record["updated_at"] - first
        steps = 0 if late <= timedelta(0) else -(-late // every)
        at = first + steps * every
        if at <= until:
            row = {name: value for name, value in record.items() if name != "deleted"}
            seen[record[key], at] = {
                **row,
                "_ingested_at": at,
                "_deleted": bool(record.get("deleted", False)),
            }
    return list(seen.values())


def feature_rows(table: GoldTable, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of a table of features from such frames."""
    return table.transform({name: frame.lazy() for name, frame in frames.items()}).collect()


def true_features(world: World) -> pl.DataFrame:
    """Return what leads to leaving, for each customer and Monday, as the world knows it and nobody is shown."""
    rows = [(customer.contact_id, at, *felt) for customer in world.customers for at, felt in customer.causes]
    schema = {"contact_id": pl.Int64(), "monday": pl.Datetime("us", "UTC")}
    return pl.DataFrame(rows, schema={**schema, **dict.fromkeys(CAUSES, pl.Float64())}, orient="row")
