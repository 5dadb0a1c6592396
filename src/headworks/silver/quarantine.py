"""The table of rejected rows, each with its raw record, its reasons and its origin.

Rejected rows and the silver commit that they belong to are in two tables, so no single commit holds both. Each try
to commit silver has a number (silver's writer number, plus one) and a random token. Its rejected rows are written
first and carry both; silver's commit then names the token. Rows of a try that silver did not name do not count, and the
next try takes them away. Every try commits here even when it rejects nothing, so that a try that slept through another
one finds its snapshot stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from headworks.bronze.consumed import check_not_restored
from headworks.errors import CandidateStale, LakeUnusable
from headworks.quality.deliveries import Span, holds, rows_in
from headworks.sources.base import PLACE
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from headworks.storage.translating import reading, refused_when_stale

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
        "_waits": pl.Boolean(),
    }
)
WAITS = "_waits"
"""Marks rows that a later row of another dataset can release; null in rows that were kept before this was noted."""
TRY = "#try"
WRITER = "#writer"
QUARANTINED = "#quarantined"
"""In silver: the writer number of the quarantine that holds the rejected rows of the try that was committed."""

REBUILT = "#rebuilt"
"""In silver: the writer number of the commit that made it again from bronze: rejected rows of earlier ones do not
count any more."""


HELD = 2**62
"""The writer number of rejected rows of a held delivery: no commit of silver has it, so they do not count."""

CLOSED = "#closed"
"""In the quarantine: the token of the last try whose gate was closed, which will never be named by silver."""


@dataclass(frozen=True)
class Try:
    """One try to commit silver: the writer number that it would take, its token, and the last committed try.

    ``quarantined`` is the quarantine's writer number once the rejected rows are there.
    """

    writer: int
    token: int
    last_token: int
    quarantined: int = 0


def next_try(silver: Table, token: int) -> Try:
    """Return the try that would follow the commits of a silver table version."""
    return Try(
        writer=silver.transaction(WRITER) + 1,
        token=token,
        last_token=silver.transaction(TRY),
    )


def put_rejected(lake: Lake, dataset: str, attempt: Try, rows: pl.DataFrame | pl.LazyFrame) -> Try:
    """Write the rejected rows of a try, take away those of earlier tries that silver never named, and return the try.

    Raises `CandidateStale` where another run wrote to the quarantine since it was opened, or committed silver since it
    was read; `LakeUnusable` where the quarantine lacks what was written for a try that silver named.
    """
    table = lake.ensure("quarantine", dataset, SCHEMA)
    # Only now: who commits silver after this has written to the quarantine after it was opened here, or is named by it.
    _check_last(lake.open("silver", dataset), table, attempt)
    frame = rows.with_columns(
        pl.lit(attempt.writer, dtype=pl.Int64).alias("_writer"),
        pl.lit(attempt.token, dtype=pl.Int64).alias("_try"),
    ).select(list(SCHEMA))
    with reading(table.name), refused_when_stale(table.name):
        _take_away_unnamed(table, attempt)
        table.append(frame, {WRITER: table.transaction(WRITER) + 1}, retries=0)
    return replace(attempt, quarantined=table.transaction(WRITER))


def put_held(
    lake: Lake, dataset: str, attempt: Try, rows: pl.DataFrame | pl.LazyFrame, spans: Sequence[Span]
) -> Try:
    """Keep the rejected rows of a delivery that is held, once however often it is judged, and return the try.

    They do not count; they are there to be looked at. Raises as `put_rejected`.
    """
    attempt = put_rejected(lake, dataset, attempt, pl.DataFrame(schema=SCHEMA))
    table = lake.must_open("quarantine", dataset)
    frame = rows.with_columns(
        pl.lit(HELD, dtype=pl.Int64).alias("_writer"), pl.lit(attempt.token, dtype=pl.Int64).alias("_try")
    ).select(list(SCHEMA))
    with reading(table.name), refused_when_stale(table.name):
        _take_away_held(table, spans)
        if not frame.lazy().head(1).collect().is_empty():
            table.append(frame, {WRITER: table.transaction(WRITER) + 1}, retries=0)
    return replace(attempt, quarantined=table.transaction(WRITER))


def forget_held(lake: Lake, dataset: str, spans: Sequence[Span]) -> None:
    """Take away what `put_held` kept of a delivery that is held no longer."""
    table = lake.open("quarantine", dataset)
    if table is not None:
        with reading(table.name), refused_when_stale(table.name):
            _take_away_held(table, spans)


def _take_away_held(table: Table, spans: Sequence[Span]) -> None:
    there = table.scan().filter((pl.col("_writer") == HELD) & rows_in(spans))
    if not there.head(1).collect().is_empty():
        named = " OR ".join(
            f"(_stream = '{one.stream}' AND _sequence > {one.after} AND _sequence <= {one.upto})"
            for one in spans
        )
        table.delete(f"_writer = {HELD} AND ({named})", {WRITER: table.transaction(WRITER) + 1})


def note_closed(lake: Lake, dataset: str, attempt: Try) -> None:
    """Note that the gate was closed for a try: it is never committed, and the next try may take its rows away.

    Raises `CandidateStale` where another run wrote to the quarantine since.
    """
    table = lake.must_open("quarantine", dataset)
    if table.transaction(WRITER) != attempt.quarantined:
        return
    with reading(table.name), refused_when_stale(table.name):
        numbers = {CLOSED: attempt.token, WRITER: attempt.quarantined + 1}
        table.append(pl.DataFrame(schema=table.schema), numbers, retries=0)


def _check_last(silver: Table | None, quarantine: Table, attempt: Try) -> None:
    if silver is not None and silver.transaction(WRITER) >= attempt.writer:
        raise CandidateStale(
            "Another run committed silver while this one judged its rows, so they were not kept.",
            where=silver.name,
            do="nothing: the step is repeated from the newest version.",
        )
    check_not_restored(quarantine)
    if silver is not None and silver.transaction(QUARANTINED) > quarantine.transaction(WRITER):
        raise LakeUnusable(
            "The quarantine is older than silver, as after a partial restore: rejected rows that silver counts are not "
            "in it.",
            where=quarantine.name,
            do="restore it from the moment of silver or a later one. If it is lost, move silver away too: both are "
            "made again from bronze.",
        )


def rejected_rows(
    lake: Lake, dataset: str, silver: Table | None, *, ever: bool = False
) -> pl.LazyFrame | None:
    """Return the rejected rows that count for a silver table version; None where nothing was ever rejected.

    With ``ever``, also those that counted before silver was made again from bronze.
    """
    table = lake.open("quarantine", dataset)
    if table is None:
        return None
    writer = silver.transaction(WRITER) if silver else 0
    token = silver.transaction(TRY) if silver else 0
    counted = (pl.col("_writer") < writer) | ((pl.col("_writer") == writer) & (pl.col("_try") == token))
    rebuilt = silver.transaction(REBUILT) if silver and not ever else 0
    rows = table.scan().filter(counted & (pl.col("_writer") >= rebuilt))
    out = () if ever else holds(lake, silver)
    # Of a delivery that silver does not have nothing is open: neither its good rows nor its rejected ones.
    return rows.filter(~rows_in(span for one in out for span in one.spans)) if out else rows


def pending_rows(lake: Lake, dataset: str, silver: Table | None) -> pl.LazyFrame | None:
    """Return the rejected rows of tries that silver has not named: after a closed gate, what it was closed for."""
    table = lake.open("quarantine", dataset)
    if table is None:
        return None
    later = pl.col("_writer") > (silver.transaction(WRITER) if silver else 0)
    held = [span for one in holds(lake, silver) if one.state == "held" for span in one.spans]
    unnamed = table.scan().filter(later & ((pl.col("_writer") != HELD) | rows_in(held)))
    return unnamed.sort("rejected_at").unique(
        ["_stream", "_sequence", "_row"], keep="last", maintain_order=True
    )


def _take_away_unnamed(table: Table, attempt: Try) -> None:
    """Delete the rows of tries that silver never named, and never will: it is past them, or their gate was closed."""
    last, closed = attempt.writer - 1, table.transaction(CLOSED)
    number, token = pl.col("_writer"), pl.col("_try")
    unnamed = ((number == last) & (token != attempt.last_token)) | (
        (number == attempt.writer) & (token == closed)
    )
    if table.scan().filter(unnamed).head(1).collect().is_empty():
        return
    table.delete(
        f"(_writer = {last} AND _try <> {attempt.last_token}) OR (_writer = {attempt.writer} AND _try = {closed})",
        {WRITER: table.transaction(WRITER) + 1},
    )
