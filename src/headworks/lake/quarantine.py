"""The table of rejected rows, each with its raw record, its reasons and its origin.

Rejected rows and the silver commit that they belong to are in two tables, so no single commit holds both. Each try
to commit silver has a number (silver's writer number, plus one) and a random token. Its rejected rows are written
first and carry both; silver's commit then names the token. Rows of a try that silver did not name do not count, and the
next try takes them away. Every try commits here even when it rejects nothing, so that a try that slept through another
one finds its snapshot stale.

What belongs here: that protocol, and reading the rows that count. What does not: deciding what is rejected.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from headworks.errors import CandidateStale
from headworks.lake.delta import Table
from headworks.lake.store import Lake
from headworks.lake.translating import refused_when_stale
from headworks.sources.base import PLACE

SCHEMA = pl.Schema(
    {
        "_stream": pl.String(),
        "_sequence": pl.Int64(),
        "_row": pl.Int64(),
        "_ingested_at": pl.Datetime("us", "UTC"),
        **PLACE,
        "key": pl.String(),
        "reasons": pl.List(pl.String()),
        "record": pl.String(),
        "run_id": pl.String(),
        "rejected_at": pl.Datetime("us", "UTC"),
        "_writer": pl.Int64(),
        "_try": pl.Int64(),
    }
)
TRY = "try"
WRITER = "writer"


@dataclass(frozen=True)
class Try:
    """One try to commit silver: the writer number that it would take, its token, and the last committed try."""

    writer: int
    token: int
    last_token: int


def next_try(silver: Table, token: int) -> Try:
    """Return the try that would follow the commits of a silver table version."""
    return Try(
        writer=silver.transaction(WRITER) + 1,
        token=token,
        last_token=silver.transaction(TRY),
    )


def put_rejected(lake: Lake, dataset: str, attempt: Try, rows: pl.DataFrame | pl.LazyFrame) -> None:
    """Write the rejected rows of a try, and take away those of earlier tries that silver never named.

    Raises `CandidateStale` where another run wrote to the quarantine since it was opened, or silver moved: rows of a
    try that slept through several others would count with the next number, in addition to those that were committed.
    """
    table = lake.ensure("quarantine", dataset, SCHEMA)
    # In this order: whoever commits to silver after this look has to write to the quarantine first.
    silver = lake.open("silver", dataset)
    if silver is not None and silver.transaction(WRITER) + 1 != attempt.writer:
        raise CandidateStale(
            "Another run committed to silver while this one judged its rows.",
            where=f"silver.{dataset}",
            do="nothing is lost: run it again.",
        )
    frame = rows.with_columns(
        pl.lit(attempt.writer, dtype=pl.Int64).alias("_writer"),
        pl.lit(attempt.token, dtype=pl.Int64).alias("_try"),
    ).select(list(SCHEMA))
    with refused_when_stale(table.name):
        _take_away_unnamed(table, attempt)
        table.append(frame, {WRITER: table.transaction(WRITER) + 1}, retries=0)


def rejected_rows(lake: Lake, dataset: str, silver: Table | None) -> pl.LazyFrame | None:
    """Return the rejected rows that count for a silver table version; None where nothing was ever rejected."""
    table = lake.open("quarantine", dataset)
    if table is None:
        return None
    writer = silver.transaction(WRITER) if silver else 0
    token = silver.transaction(TRY) if silver else 0
    return table.scan().filter(
        (pl.col("_writer") < writer) | ((pl.col("_writer") == writer) & (pl.col("_try") == token))
    )


def pending_rows(lake: Lake, dataset: str, silver: Table | None) -> pl.LazyFrame | None:
    """Return the rejected rows of tries that silver has not named: after a closed gate, what it was closed for."""
    table = lake.open("quarantine", dataset)
    if table is None:
        return None
    unnamed = table.scan().filter(pl.col("_writer") > (silver.transaction(WRITER) if silver else 0))
    return unnamed.sort("rejected_at").unique(
        ["_stream", "_sequence", "_row"], keep="last", maintain_order=True
    )


def _take_away_unnamed(table: Table, attempt: Try) -> None:
    last = attempt.writer - 1
    unnamed = (pl.col("_writer") == last) & (pl.col("_try") != attempt.last_token)
    if table.scan().filter(unnamed).head(1).collect().is_empty():
        return
    table.delete(
        f"_writer = {last} AND _try <> {attempt.last_token}",
        {WRITER: table.transaction(WRITER) + 1},
    )
