"""Silver commits: the range of bronze that was consumed travels with the rows that it became.

A silver commit carries, in one Delta commit, the changed rows, the last consumed sequence of each bronze stream,
the writer number that makes any two writers conflict, and the token of the try whose rejected rows count. It goes
through the table object that was audited and is never rebased.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce

import polars as pl

from headworks.bronze.consumed import check_bronze, check_not_restored, remembered, rows_id, set_back_id
from headworks.bronze.generations import ended_id
from headworks.bronze.stamping import LANDED
from headworks.errors import AccountMismatch
from headworks.silver.quarantine import QUARANTINED, TRY, WRITER, Try
from headworks.storage.delta import Table
from headworks.storage.near import within
from headworks.storage.store import Lake
from headworks.storage.translating import refused_when_stale

_ORIGIN = ("_stream", "_sequence", "_row")
CHANGE = "#change"
CHANGED_BY = "#changed-by"
"""The token of the try that changed the rows last: after a restore the same number of changes may mean other rows."""


@dataclass(frozen=True)
class StreamRange:
    """Sequences of one stream, from the one after ``after`` to ``upto``, and how many rows were landed in them."""

    stream: str
    after: int
    upto: int
    rows: int | None = None


def is_read_again(bronze: Table, ranges: Iterable[StreamRange]) -> bool:
    """Return whether ranges hold what was read again since an operator set its stream back."""
    return any(0 < one.after <= bronze.transaction(set_back_id(one.stream)) for one in ranges)


@dataclass(frozen=True)
class Pending:
    """What silver has not consumed of one bronze version: ranges of streams, and a complete full read if any.

    ``remembered`` are transactions that silver keeps of that bronze. ``late`` ranges lie below silver's
    watermark, which has passed them before: consuming them does not move it.
    """

    ranges: tuple[StreamRange, ...]
    generation: int
    remembered: Mapping[str, int] = field(default_factory=dict)
    late: bool = False

    def is_empty(self) -> bool:
        """Return whether there is nothing to consume."""
        return not self.ranges and not self.generation


def pending(dataset: str, bronze: Table, silver: Table) -> Pending:
    """Return what ``silver`` has not consumed of ``bronze``; upper bounds come from bronze's own transactions.

    Raises `LakeUnusable` where either of them was set back.
    """
    check_not_restored(silver)
    check_bronze(dataset, bronze, silver)
    ranges = [
        StreamRange(stream, silver.transaction(stream), bronze.transaction(stream))
        for stream in {dataset, *bronze.streams()}
    ]
    ended = bronze.transaction(ended_id(dataset))
    generation = ended if ended > silver.transaction(ended_id(dataset)) else 0
    found = sorted((r for r in ranges if r.upto > r.after), key=lambda r: r.stream)
    counted = tuple(replace(each, rows=_landed(each, bronze, silver, generation)) for each in found)
    return Pending(counted, generation, remembered(bronze, [each.stream for each in found]))


def _landed(one: StreamRange, bronze: Table, silver: Table, generation: int) -> int | None:
    """Return how many rows were landed in a range; None where that is not known.

    A silver that is made again from a bronze whose old rows aged is whole with a full read, and only so.
    """
    upto, after = bronze.transaction(rows_id(one.stream)), silver.transaction(rows_id(one.stream))
    if not upto or (not after and (one.after or generation)):
        return None
    return upto - (after or 1)


def read_range(bronze: Table, todo: Pending) -> pl.DataFrame:
    """Read the pending rows of a bronze version."""
    return of_ranges(bronze, todo).collect()


def of_ranges(bronze: Table, todo: Pending) -> pl.LazyFrame:
    """Return the pending rows of a bronze version."""
    if not todo.ranges:
        return bronze.scan().head(0)
    wanted = [
        (pl.col("_stream") == r.stream) & (pl.col("_sequence") > r.after) & (pl.col("_sequence") <= r.upto)
        for r in todo.ranges
    ]
    return bronze.scan().filter(reduce(lambda left, right: left | right, wanted))


def rows_of_origin(bronze: Table, origins: pl.DataFrame) -> pl.LazyFrame:
    """Return rows of bronze by their origins; the files of other streams and batches are not read."""
    named = origins.select(_ORIGIN)
    batches = [
        (pl.col("_stream") == stream)
        & pl.col("_sequence").is_in(sorted(set(sequences)))
        & within("_row", pl.Series(places, dtype=pl.Int64))
        for stream, sequences, places in named.group_by("_stream").agg("_sequence", "_row").iter_rows()
    ]
    if not batches:
        return bronze.scan().head(0)
    near = bronze.scan().filter(reduce(lambda left, right: left | right, batches))
    return near.join(named.lazy(), on=list(_ORIGIN), how="semi")


def count_batches(bronze: Table, todo: Pending) -> pl.DataFrame:
    """Count the pending rows of each batch, with the version of bronze and the moment at which it was landed.

    Raises `AccountMismatch` where rows that were landed are not there.
    """
    rows = of_ranges(bronze, todo)
    landed = pl.col(LANDED) if LANDED in bronze.columns else pl.lit(None, dtype=pl.Int64)
    counts = (
        rows.group_by("_stream", "_sequence")
        .agg(pl.len(), landed.max().alias("landed"), pl.col("_ingested_at").max().alias("at"))
        .sort("_stream", "_sequence")
        .collect()
    )
    for one in todo.ranges:
        there = int(counts.filter(pl.col("_stream") == one.stream).get_column("len").sum())
        if one.rows is not None and there != one.rows:
            raise AccountMismatch(
                f"{one.rows} rows were landed in stream {one.stream} after sequence {one.after}, {there} are there.",
                where=bronze.name,
                do="restore what took them away. If they are lost, or aged before silver was made again: headworks "
                f"stream reset {one.stream}, which has them read again, or a full read of the source.",
            )
    return counts


def split(bronze: Table, todo: Pending, rows: int, counts: pl.DataFrame | None = None) -> tuple[Pending, ...]:
    """Divide a delivery into parts of about ``rows`` rows, along the streams' sequences; one part if it is small.

    ``counts`` has the rows of each batch of it, and may have those of others. A full read's end is in the last part.
    """
    counts = count_batches(bronze, todo) if counts is None else counts
    mine = [
        (pl.col("_stream") == one.stream) & pl.col("_sequence").is_between(one.after + 1, one.upto)
        for one in todo.ranges
    ]
    counts = counts.filter(reduce(lambda left, right: left | right, mine)) if mine else counts.head(0)
    if int(counts.get_column("len").sum()) <= rows:
        return (todo,)
    parts: list[tuple[StreamRange, ...]] = []
    part: list[StreamRange] = []
    filled = 0
    for one in todo.ranges:
        after = one.after
        of_stream = counts.filter(pl.col("_stream") == one.stream)
        for sequence, height in of_stream.select("_sequence", "len").iter_rows():
            if filled and filled + height > rows:
                if sequence - 1 > after:
                    part.append(StreamRange(one.stream, after, sequence - 1))
                parts.append(tuple(part))
                part, filled, after = [], 0, sequence - 1
            filled += height
        part.append(StreamRange(one.stream, after, one.upto))
    parts.append(tuple(part))
    last = len(parts) - 1
    return tuple(
        replace(todo, ranges=ranges, generation=todo.generation if number == last else 0)
        for number, ranges in enumerate(parts)
    )


def merged_ranges(parts: tuple[Pending, ...]) -> tuple[StreamRange, ...]:
    """Return the ranges of all parts, one a stream."""
    merged: dict[str, StreamRange] = {}
    for one in (one for part in parts for one in part.ranges):
        after = merged[one.stream].after if one.stream in merged else one.after
        merged[one.stream] = StreamRange(one.stream, after, one.upto)
    return tuple(merged.values())


def commit_silver(
    silver: Table,
    dataset: str,
    key: tuple[str, ...],
    changes: pl.DataFrame | pl.LazyFrame,
    todo: Pending,
    attempt: Try,
    only_inserts: bool = False,
    removed: pl.DataFrame | None = None,
    holds: Mapping[str, int] | None = None,
) -> None:
    """Commit the changes of an audited range with its transactions; also when there are none, or it is read for ever.

    With ``only_inserts`` silver has none of the keys, and they need not be looked for again. ``removed`` are keys of
    rows that go, and ``holds`` the transactions that name the deliveries which silver does not have. Raises
    `CandidateStale` where anything was committed since ``silver`` was opened.
    """
    transactions: dict[str, int] = {}
    if not todo.late:
        transactions |= {r.stream: r.upto for r in todo.ranges}
        if todo.generation:
            transactions[ended_id(dataset)] = todo.generation
        transactions |= todo.remembered
    transactions |= holds or {}
    transactions[QUARANTINED] = attempt.quarantined or silver.transaction(QUARANTINED)
    transactions[WRITER] = attempt.writer
    transactions[TRY] = attempt.token
    goes = removed is not None and not removed.is_empty()
    nothing = changes.lazy().head(1).collect().is_empty() and not goes
    transactions[CHANGE] = silver.transaction(CHANGE) + (0 if nothing else 1)
    if not nothing:
        transactions[CHANGED_BY] = attempt.token
    with refused_when_stale(silver.name):
        if nothing:
            silver.append(changes.select(silver.columns), transactions, retries=0)
        elif only_inserts or silver.row_count() == 0:
            silver.append(changes, transactions, retries=0)
        else:
            silver.merge(changes, key, transactions, removed)


def check_committed(lake: Lake, dataset: str, silver: Table, attempt: Try, rows: int) -> None:
    """Compare the committed table with what was meant to be committed; raises `AccountMismatch` for any difference."""
    committed = lake.must_open("silver", dataset, silver.version)
    if committed.transaction(TRY) != attempt.token or committed.row_count() != rows:
        raise AccountMismatch(
            f"Silver holds {committed.row_count()} rows after the merge and should hold {rows}.",
            where=f"silver.{dataset}, version {committed.version}",
            do="keep the table as it is and report this with the run's id; bronze has every row.",
        )
