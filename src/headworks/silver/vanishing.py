"""Keys that vanished from a source: which they are, and whether so many may vanish at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from headworks.bronze.generations import Generation
from headworks.bronze.resolutions import resolutions
from headworks.errors import SettingsError
from headworks.reports import CheckReport
from headworks.silver.dataset import (
    ARRIVAL,
    BATCH,
    CURSOR,
    DELETED,
    ORIGIN,
    VALID_FROM,
    VOID,
    Dataset,
)
from headworks.silver.history import inferred
from headworks.silver.parse import (
    RECORD_UNREADABLE,
    UNREADABLE,
    parse,
    raw_records,
    readable,
    refused,
    stamped_before,
)
from headworks.silver.quarantine import rejected_rows
from headworks.silver.rejects import open_rejects
from headworks.silver.table import rows_of_origin
from headworks.sources.repeated import REPEATED
from headworks.storage.delta import Table
from headworks.storage.exact import exactly
from headworks.storage.store import Lake


@dataclass(frozen=True)
class Vanished:
    """What a complete full read says about keys.

    ``deletes`` are tombstones of the keys that it does not show, as they are in silver after the merge. ``kept_out``
    are those of keys that wait or were rejected and that it does not show either: nothing may raise them later.
    ``back`` are rows whose keys an earlier full read did not show and this one does. ``unidentified`` records of it
    have no key that can be read: any missing key may be theirs, so nothing is deleted then.
    """

    deletes: pl.DataFrame
    kept_out: pl.DataFrame
    back: pl.DataFrame
    unidentified: int = 0

    @property
    def rows(self) -> pl.DataFrame:
        """All rows that silver gets by it."""
        return pl.concat([self.deletes, self.kept_out, self.back])


def find_vanished(
    lake: Lake,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    after: pl.LazyFrame,
    generation: Generation | None,
    rejected: pl.DataFrame,
) -> Vanished:
    """Compare the keys after the merge with those that a complete full read shows, or that were seen since it began.

    Seen since is what was landed after the sequences that the streams had then; clocks are not asked. Looked for in
    ``after``, the rows after the merge: a key that waited in bronze until now can be gone already, too. ``rejected``
    are the origins of the rows that are rejected now.
    """
    have = after.collect_schema()
    none, keys = pl.DataFrame(schema=have), {name: have[name] for name in dataset.key}
    if generation is None or generation.before is None:
        return Vanished(none, none, none)
    landed = bronze.scan().filter(_landed_since(generation.before)).collect()
    read = parse(readable(landed.lazy()).collect(), dataset)
    held = _unidentified(lake, dataset, silver, generation, landed, read)
    seen = _in_types(read.lazy(), keys).drop_nulls().unique()
    if generation.keys is not None:
        seen = pl.concat([seen, _in_types(_shown(lake, dataset, generation.keys), keys)])
    floor = _floor(generation)
    back = after.filter(inferred()).join(seen, on=list(dataset.key), how="semi").collect()
    if held:
        return Vanished(none, none, _back(back, generation, floor), held)
    early = after.filter(~pl.col(DELETED) & (pl.col(ARRIVAL) <= floor))
    gone = early.join(seen, on=list(dataset.key), how="anti").collect()
    waiting = _waiting_keys(lake, dataset, bronze, silver, rejected, floor)
    unshown = _in_types(waiting.lazy(), keys).join(seen, on=list(dataset.key), how="anti").collect()
    return Vanished(
        _tombstones(gone, generation, floor, dataset),
        _kept_out(unshown, after, generation, floor, dataset),
        _back(back, generation, floor),
    )


def _floor(generation: Generation) -> int:
    """Return the place in the order of arrival up to which rows are from before a full read began.

    A mark of 0.1 has no version of bronze, and none of the rows from before it has an order that was noted: they are
    ordered by the clocks that stamped them, as the mark's own moment is. Whatever a later version landed comes after.
    """
    if generation.landed is None:
        return stamped_before(generation.started_at)
    return generation.landed * BATCH + BATCH - 1


def _in_types(rows: pl.LazyFrame, keys: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    """Return keys in silver's types."""
    given = rows.select(list(keys)).collect_schema()
    return rows.select(exactly(pl.col(name), given[name], dtype) for name, dtype in keys.items())


def _tombstones(gone: pl.DataFrame, generation: Generation, floor: int, dataset: Dataset) -> pl.DataFrame:
    """Return rows as tombstones that end whatever arrived before the full read began."""
    schema = gone.schema
    marked = gone.with_columns(
        pl.lit(value=True).alias(DELETED),
        pl.max_horizontal(VOID, pl.lit(floor, dtype=pl.Int64)).alias(VOID),
        _later(generation.started_at).alias("_ingested_at"),
        pl.lit(generation.stream).alias("_stream"),
        pl.lit(0, dtype=pl.Int64).alias("_sequence"),
        pl.lit(0, dtype=pl.Int64).alias("_row"),
    )
    if dataset.keeps == "history":
        # Of which version it is the end says the order of arrival; the moment follows from that version.
        marked = marked.with_columns(
            pl.lit(None, dtype=schema[CURSOR]).alias(CURSOR),
            pl.lit(floor, dtype=pl.Int64).alias(ARRIVAL),
            pl.lit(None, dtype=schema[VALID_FROM]).alias(VALID_FROM),
        )
    return marked.select(list(schema))


def _kept_out(
    keys: pl.DataFrame, after: pl.LazyFrame, generation: Generation, floor: int, dataset: Dataset
) -> pl.DataFrame:
    """Return tombstones of keys that are not alive, so that nothing that arrived before the full read raises them."""
    schema = after.collect_schema()
    if keys.is_empty():
        return pl.DataFrame(schema=schema)
    dead = after.filter(DELETED).join(keys.lazy(), on=list(dataset.key), how="semi").collect()
    unknown = keys.lazy().join(after.select(dataset.key), on=list(dataset.key), how="anti").collect()
    rows = unknown.select(
        *(
            pl.col(name) if name in dataset.key else pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in schema.items()
        )
    ).with_columns(pl.lit(floor, dtype=pl.Int64).alias(ARRIVAL))
    if dataset.keeps == "history":
        return _tombstones(pl.concat([dead, rows]), generation, floor, dataset)
    # Whose the deletion was stays with the rows that there are; and one that never had values cannot come back.
    kept = dead.with_columns(pl.max_horizontal(VOID, pl.lit(floor, dtype=pl.Int64)).alias(VOID))
    new = _tombstones(rows, generation, floor, dataset)
    return pl.concat([kept, new.with_columns(pl.lit(None, dtype=pl.Int64).alias("_sequence"))])


def _back(rows: pl.DataFrame, generation: Generation, floor: int) -> pl.DataFrame:
    """Return tombstones that an earlier full read made of keys which are shown now, alive again."""
    return rows.with_columns(
        pl.lit(value=False).alias(DELETED),
        pl.lit(floor, dtype=pl.Int64).alias(ARRIVAL),
        pl.lit(generation.started_at, dtype=pl.Datetime("us", "UTC")).alias("_ingested_at"),
        pl.lit(generation.stream).alias("_stream"),
    ).select(rows.columns)


def _unidentified(
    lake: Lake,
    dataset: Dataset,
    silver: Table,
    generation: Generation,
    landed: pl.DataFrame,
    read: pl.DataFrame,
) -> int:
    """Count the records of a full read whose key cannot be read, but for those that somebody has discarded before."""
    if generation.keys is not None:
        return 0
    unread = [pl.col(UNREADABLE).list.contains(f"{name}|unreadable") for name in dataset.key]
    keyless = pl.any_horizontal(pl.col(name).is_null() for name in dataset.key)
    # Of a record that gives a name twice the key may be known all the same.
    twice = pl.col(UNREADABLE).list.contains(REPEATED) & keyless
    damaged = pl.any_horizontal(*unread, pl.col(UNREADABLE).list.contains(RECORD_UNREADABLE), twice)
    origins = pl.concat([read.filter(damaged).select(ORIGIN), refused(landed).select(ORIGIN)])
    rows = landed.filter(pl.col("_stream") == generation.stream).join(origins, on=list(ORIGIN), how="semi")
    kept = rejected_rows(lake, dataset.name, silver, ever=True) if rows.height else None
    if kept is None:
        return rows.height
    decided = resolutions(lake, dataset.name).filter(pl.col("resolution") == "discarded").select(ORIGIN)
    known = {*kept.join(decided, on=list(ORIGIN), how="semi").select("record").collect().to_series()}
    return sum(record not in known for record in raw_records(rows, dataset))


def _waiting_keys(
    lake: Lake, dataset: Dataset, bronze: Table, silver: Table, rejected: pl.DataFrame, floor: int
) -> pl.DataFrame:
    """Return the keys of the rows, rejected now or before, that something may still let into silver."""
    open_ones = open_rejects(lake, dataset.name, silver).select(ORIGIN).collect()
    origins = pl.concat([rejected.select(ORIGIN), open_ones]).unique()
    if origins.is_empty():
        return pl.DataFrame(schema={name: dataset.silver_schema()[name] for name in dataset.key})
    rows = rows_of_origin(bronze, origins).collect()
    read = parse(readable(rows.lazy()).collect(), dataset)
    return read.filter(pl.col(ARRIVAL) <= floor).select(dataset.key).drop_nulls().unique()


def _landed_since(before: Mapping[str, int]) -> pl.Expr:
    """Return which rows were landed after the given sequences; a stream that had none then is all since."""
    marks = pl.DataFrame(
        {"stream": list(before), "mark": list(before.values())},
        schema={"stream": pl.String, "mark": pl.Int64},
    )
    known = pl.col("_stream").replace_strict(marks["stream"], marks["mark"], default=0, return_dtype=pl.Int64)
    return pl.col("_sequence") > known


def _later(started_at: datetime) -> pl.Expr:
    """Return when a key counts as gone: when the full read began, or just after its last version.

    The latter where that version's clock ran ahead.
    A tombstone is newer than what it ends, or the same row, judged once more, would raise it.
    """
    began = pl.lit(started_at, dtype=pl.Datetime("us", "UTC"))
    return pl.max_horizontal(began, pl.col("_ingested_at") + pl.duration(microseconds=1))


def _held_back(scope: str, unidentified: int) -> CheckReport:
    return CheckReport(
        scope=scope,
        name="deletions held back",
        kind="vanished",
        outcome="warned",
        severity="warning",
        detail=f"{unidentified} records of the full read have no key that can be read, so no key counts as vanished. "
        "Correct them at the source, or discard them in the quarantine, and read in full again",
    )


def check_vanished(
    scope: str,
    deletes: pl.DataFrame,
    after: pl.LazyFrame,
    generation: Generation | None,
    unidentified: int = 0,
) -> tuple[CheckReport, ...]:
    """Compare the share of keys that vanish with the largest allowed; no check where any share is."""
    held = (_held_back(scope, unidentified),) if unidentified else ()
    if generation is None or generation.largest_share is None:
        return held
    alive = int(after.filter(~pl.col("_deleted")).select(pl.len()).collect().item())
    allowed = generation.largest_share * alive
    return (
        *held,
        CheckReport(
            scope=scope,
            name="vanished keys",
            kind="vanished",
            outcome="failed" if deletes.height > allowed else "passed",
            detail=f"{deletes.height} of {alive} keys vanished, allowed are {generation.largest_share:.0%}. If that "
            "is right, run again with a larger largest_vanishing_share",
        ),
    )


def _shown(lake: Lake, dataset: Dataset, path: str) -> pl.LazyFrame:
    """Return the keys of a key set as silver has them; raises `SettingsError` where a key is made of other columns."""
    keys = lake.get_rows(path)
    known = set(keys.collect_schema())
    needed = {name for column in dataset.key for name in dataset.columns[column].meta.root_names()}
    if needed - known:
        raise SettingsError(
            f"Silver's key is made of {', '.join(sorted(needed))}, and the source's key is {', '.join(sorted(known))}.",
            where=dataset.name,
            do="find deletions by full reads, or declare the table's key with the columns that silver's is made of.",
        )
    return keys.select(dataset.columns[column].alias(column) for column in dataset.key)
