"""Keys that vanished from a source: which they are, and whether so many may vanish at once.

What belongs here: comparing silver with a complete generation. What does not: completing one (``lake/generations.py``),
and the merge that makes the tombstones count.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import polars as pl

from headworks.errors import SettingsError
from headworks.lake.delta import Table
from headworks.lake.exact import exactly
from headworks.lake.generations import Generation
from headworks.lake.store import Lake
from headworks.observe.report import CheckReport
from headworks.refine.dataset import Dataset
from headworks.refine.parse import parse, readable


def find_deletes(
    lake: Lake, dataset: Dataset, bronze: Table, after: pl.LazyFrame, generation: Generation | None
) -> pl.DataFrame:
    """Return tombstones for the keys that a complete full read does not show, and that were not seen since it began.

    Seen since is what was landed after the sequences that the streams had then; clocks are not asked. Looked for in
    ``after``, the rows as they would be: a key that waited in bronze until now can be gone already, too.
    """
    schema = dataset.silver_schema()
    if generation is None or generation.before is None:
        return pl.DataFrame(schema=schema)
    since = _landed_since(generation.before)
    keys = {name: dtype for name, dtype in after.collect_schema().items() if name in dataset.key}
    seen = parse(readable(bronze.scan()).filter(since).collect(), dataset).select(dataset.key)
    seen = seen.select(exactly(pl.col(name), seen.schema[name], dtype) for name, dtype in keys.items())
    gone = after.filter(~pl.col("_deleted") & ~since).join(seen.lazy(), on=list(dataset.key), how="anti")
    if generation.keys is not None:
        shown = _shown(lake, dataset, generation.keys)
        given = shown.collect_schema()
        shown = shown.select(exactly(pl.col(name), given[name], dtype) for name, dtype in keys.items())
        gone = gone.join(shown, on=list(dataset.key), how="anti")
    return (
        gone.with_columns(
            pl.lit(True).alias("_deleted"),
            _later(generation.started_at).alias("_ingested_at"),
            pl.lit(generation.stream).alias("_stream"),
            pl.lit(0, dtype=pl.Int64).alias("_sequence"),
            pl.lit(0, dtype=pl.Int64).alias("_row"),
        )
        .select(list(schema))
        .collect()
    )


def _landed_since(before: Mapping[str, int]) -> pl.Expr:
    """Tell which rows were landed after the given sequences; a stream that had none then is all since."""
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


def check_vanished(
    scope: str, deletes: pl.DataFrame, after: pl.LazyFrame, generation: Generation | None
) -> tuple[CheckReport, ...]:
    """Compare the share of keys that vanish with the largest allowed; no check where any share is."""
    if generation is None or generation.largest_share is None:
        return ()
    alive = int(after.filter(~pl.col("_deleted")).select(pl.len()).collect().item())
    allowed = generation.largest_share * alive
    return (
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
