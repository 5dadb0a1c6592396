"""The records that sources refused: rows of bronze that hold a reason and the bytes, and nothing else.

Where a dataset has a silver table, refinement turns them into rejected rows in quarantine.
"""

from __future__ import annotations

import polars as pl

from headworks.sources.base import PLACE, RAW, REFUSED
from headworks.storage.delta import Table
from headworks.storage.store import Lake

SCHEMA = pl.Schema(
    {
        "_stream": pl.String(),
        "_sequence": pl.Int64(),
        "_row": pl.Int64(),
        "_ingested_at": pl.Datetime("us", "UTC"),
        **PLACE,
        "reason": pl.String(),
        "raw": pl.Binary(),
    }
)


def refused_rows(lake: Lake, dataset: str, table: Table | None = None) -> pl.LazyFrame | None:
    """Return the refused records of a dataset with their origin, lazily, as `SCHEMA` says.

    ``table`` is a version of bronze, the newest one by default. None where no source of the dataset can refuse records.
    """
    bronze = table or lake.open("bronze", dataset)
    if bronze is None or REFUSED not in bronze.columns:
        return None
    place = [
        pl.col(name) if name in bronze.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in PLACE.items()
    ]
    return (
        bronze.scan()
        .filter(pl.col(REFUSED).is_not_null())
        .select(
            "_stream",
            "_sequence",
            "_row",
            "_ingested_at",
            *place,
            pl.col(REFUSED).alias("reason"),
            pl.col(RAW).alias("raw"),
        )
    )
