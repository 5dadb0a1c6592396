"""Silver commits: the range of bronze that was consumed travels with the rows that it became.

A silver commit carries, in one Delta commit, the changed rows, the last consumed sequence of each bronze stream,
the writer number that makes any two writers conflict, and the token of the try whose rejected rows count. It goes
through the table object that was audited and is never rebased.

What belongs here: which range is pending, reading it, committing its result. What does not: what becomes of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import polars as pl

from headworks.errors import AccountMismatch
from headworks.lake.delta import Table, refused_when_stale
from headworks.lake.generations import ended_id
from headworks.lake.quarantine import TRY, WRITER, Try
from headworks.lake.store import Lake

CHANGE = "change"


@dataclass(frozen=True)
class StreamRange:
    """Sequences of one stream, from the one after ``after`` to ``upto``."""

    stream: str
    after: int
    upto: int


@dataclass(frozen=True)
class Pending:
    """What silver has not consumed of one bronze version: ranges of streams, and a complete full read if any."""

    ranges: tuple[StreamRange, ...]
    generation: int

    def is_empty(self) -> bool:
        """Tell whether there is nothing to consume."""
        return not self.ranges and not self.generation


def pending(dataset: str, bronze: Table, silver: Table) -> Pending:
    """Return what ``silver`` has not consumed of ``bronze``; upper bounds come from bronze's own transactions."""
    ranges = [
        StreamRange(stream, silver.transaction(stream), bronze.transaction(stream))
        for stream in {dataset, *bronze.streams()}
    ]
    ended = bronze.transaction(ended_id(dataset))
    generation = ended if ended > silver.transaction(ended_id(dataset)) else 0
    open_ranges = sorted((r for r in ranges if r.upto > r.after), key=lambda r: r.stream)
    return Pending(tuple(open_ranges), generation)


def read_range(bronze: Table, todo: Pending) -> pl.DataFrame:
    """Read the pending rows of a bronze version."""
    if not todo.ranges:
        return bronze.scan().head(0).collect()
    wanted = [
        (pl.col("_stream") == r.stream) & (pl.col("_sequence") > r.after) & (pl.col("_sequence") <= r.upto)
        for r in todo.ranges
    ]
    return bronze.scan().filter(reduce(lambda left, right: left | right, wanted)).collect()


def commit_silver(
    silver: Table,
    dataset: str,
    key: tuple[str, ...],
    changes: pl.DataFrame,
    todo: Pending,
    attempt: Try,
) -> None:
    """Commit the changes of an audited range with its transactions; also when there are none, or it is read for ever.

    Raises `CandidateStale` where anything was committed since ``silver`` was opened.
    """
    transactions = {r.stream: r.upto for r in todo.ranges}
    if todo.generation:
        transactions[ended_id(dataset)] = todo.generation
    transactions[WRITER] = attempt.writer
    transactions[TRY] = attempt.token
    transactions[CHANGE] = silver.transaction(CHANGE) + (0 if changes.is_empty() else 1)
    with refused_when_stale(silver.name):
        if changes.is_empty():
            silver.append(changes.select(silver.columns), transactions, retries=0)
        elif silver.row_count() == 0:
            silver.append(changes, transactions, retries=0)
        else:
            silver.merge(changes, key, transactions)


def check_committed(lake: Lake, dataset: str, silver: Table, attempt: Try, rows: int) -> None:
    """Compare the committed table with what was meant to be committed; raises `AccountMismatch` for any difference."""
    committed = lake.must_open("silver", dataset, silver.version)
    if committed.transaction(TRY) != attempt.token or committed.row_count() != rows:
        raise AccountMismatch(
            f"Silver holds {committed.row_count()} rows after the merge and should hold {rows}.",
            where=f"silver.{dataset}, version {committed.version}",
            do="keep the table as it is and report this with the run's id; bronze has every row.",
        )
