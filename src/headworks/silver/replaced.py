"""Rejected versions that a newer accepted version of the same key replaces: superseded, and no longer to be decided.

A source that corrects its rows gives them again, right and newer. What was wrong with the earlier versions then matters
to nobody: they are counted as superseded before any share is computed, and leave the list of open rejected rows. Which
version is newer is what silver decides by: the cursor, then the order of arrival; where the cursor itself is what is
wrong, or does not order versions, the order of arrival alone. In a history each version counts, so only one of the same
moment replaces another; a rejected version that a newer accepted one follows stays open there, and is no objection.
"""

from __future__ import annotations

import polars as pl

from headworks.bronze.resolutions import Resolver, resolve
from headworks.quality.rules import REASONS
from headworks.silver.compare import with_voids
from headworks.silver.dataset import ARRIVAL, CURSOR, ORIGIN, VOID, Dataset
from headworks.silver.noted import Changed, Noted, is_noted, is_noted_before, noted
from headworks.silver.parse import CURSOR_IN_FUTURE, key_text, parse, readable, same_key
from headworks.silver.refused import refused_versions
from headworks.silver.rejects import open_rejects
from headworks.silver.table import rows_of_origin
from headworks.silver.versions import in_silver_types, rows_of
from headworks.silver.work import Refinement
from headworks.storage.delta import Table
from headworks.storage.near import among
from headworks.storage.translating import collected

REPLACED, FOLLOWED = "_replaced", "_followed"
"""Marks rejected rows that are superseded, and those of a history that a newer accepted version follows."""

_NEWEST, _NEWEST_ARRIVAL, _LAST, _VOID, _AGAIN = "_newest", "_newest_arrival", "_last", "_void", "_again"


def places(rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return of rejected rows what orders them among the versions of their keys, and their reasons."""
    return rows.select(*ORIGIN, *dataset.key, CURSOR, ARRIVAL, REASONS)


def accepted_versions(
    good: pl.DataFrame, silver: Table, keys: pl.DataFrame, dataset: Dataset
) -> pl.LazyFrame:
    """Return the accepted versions of some keys: those of a range, and what silver has."""
    wanted = [*dataset.key, CURSOR, ARRIVAL, VOID]
    of_keys = keys.select(dataset.key).drop_nulls().unique()
    here = among(with_voids(good).lazy().select(wanted), of_keys, dataset.key)
    if of_keys.is_empty():
        return here
    there = among(rows_of(silver, dataset), of_keys, dataset.key).select(wanted)
    return pl.concat([here, there])


def with_fate(rejected: pl.DataFrame, accepted: pl.LazyFrame, dataset: Dataset) -> pl.DataFrame:
    """Return what `places` does, and mark the rows that accepted versions of the same keys replace or follow."""
    key, rejected = list(dataset.key), places(rejected, dataset)
    newest = pl.col(CURSOR).max()
    of_key = accepted.group_by(key).agg(
        newest.alias(_NEWEST),
        pl.col(ARRIVAL).filter(pl.col(CURSOR).eq_missing(newest)).max().alias(_NEWEST_ARRIVAL),
        pl.col(ARRIVAL).max().alias(_LAST),
        pl.col(VOID).max().alias(_VOID),
    )
    marked = rejected.lazy().join(of_key, on=key, how="left", maintain_order="left")
    orders = dataset.cursor is not None and dataset.keeps != "first"
    placed = pl.col(CURSOR).is_not_null() & ~pl.col(REASONS).list.contains(CURSOR_IN_FUTURE) & pl.lit(orders)
    newer = (pl.col(_NEWEST) > pl.col(CURSOR)) | (
        (pl.col(_NEWEST) == pl.col(CURSOR)) & (pl.col(_NEWEST_ARRIVAL) > pl.col(ARRIVAL))
    )
    later = pl.col(_LAST) > pl.col(ARRIVAL)
    ended = (pl.col(ARRIVAL) <= pl.col(_VOID)).fill_null(value=False)
    follows = pl.when(placed).then(newer).otherwise(later).fill_null(value=False) | ended
    if dataset.keeps != "history":
        marked_rows = marked.with_columns(follows.alias(REPLACED), pl.lit(value=False).alias(FOLLOWED))
    else:
        of_moment = accepted.group_by([*key, CURSOR]).agg(pl.col(ARRIVAL).max().alias(_AGAIN))
        again = (pl.col(_AGAIN) > pl.col(ARRIVAL)).fill_null(value=False) & placed
        marked_rows = (
            marked.join(of_moment, on=[*key, CURSOR], how="left", maintain_order="left")
            .with_columns(again.alias(REPLACED))
            .with_columns((follows & ~pl.col(REPLACED)).alias(FOLLOWED))
        )
    return marked_rows.select(*rejected.columns, REPLACED, FOLLOWED).collect()


def note_replaced(
    work: Refinement, dataset: Dataset, bronze: Table, changed: Changed | None = None
) -> Noted | None:
    """Note the open rejected rows that silver has a newer version of as superseded.

    Read off silver and the quarantine alone: what a run that was killed did not note, the next one does. ``changed`` is
    what the last commit of silver has changed, where that is known: others need no look where they had one (`noted`).
    Returns the mark to be kept once everything is noted, None where it is there already.
    """
    silver = work.lake.must_open("silver", dataset.name)
    if is_noted(work.lake, dataset, silver):
        return None
    kept = open_rejects(work.lake, dataset.name, silver).filter(pl.col("key").is_not_null())
    if changed is not None and is_noted_before(work.lake, dataset, silver, changed):
        texts = key_text(changed.keys, dataset.key).to_frame("key").select(same_key(pl.col("key")))
        kept = kept.filter(same_key(pl.col("key")).is_in(texts.to_series().unique().implode()))
    _note(work, dataset, bronze, silver, collected(kept, f"quarantine.{dataset.name}"))
    return noted(work.lake, dataset, silver)


def _note(work: Refinement, dataset: Dataset, bronze: Table, silver: Table, open_ones: pl.DataFrame) -> None:
    if open_ones.is_empty():
        return
    rows = rows_of_origin(bronze, open_ones).collect()
    columns = [*ORIGIN, *dataset.key, CURSOR, ARRIVAL]
    judged = parse(readable(rows.lazy()).collect(), dataset).select(columns)
    at_source = refused_versions(rows, dataset, work.clock()).select(columns)
    read = in_silver_types(pl.concat([judged, at_source]), silver)
    reasons = open_ones.select(*ORIGIN, pl.col("reasons").alias(REASONS))
    rejected = places(read.join(reasons, on=list(ORIGIN), how="inner"), dataset)
    accepted = accepted_versions(read.clear(), silver, rejected, dataset)
    replaced = with_fate(rejected, accepted, dataset).filter(REPLACED)
    gone = open_ones.join(replaced.select(ORIGIN), on=list(ORIGIN), how="semi")
    note = "a newer version of the key was accepted"
    resolve(work.lake, dataset.name, gone, "superseded", Resolver(work.run_id, "", note, work.clock()))


def without(rejected: pl.DataFrame, replaced: pl.DataFrame) -> pl.DataFrame:
    """Return rejected rows but for those that are replaced."""
    if replaced.is_empty():
        return rejected
    return rejected.join(replaced.select(ORIGIN), on=list(ORIGIN), how="anti", maintain_order="left")
