"""Rows of bronze, judged: by rules, by references, and again where they waited for a parent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from headworks.bronze.resolutions import resolutions
from headworks.quality.rules import REASONS, Verdict, all_among, judge
from headworks.silver.arrays import arrays_of, elements
from headworks.silver.dataset import DELETED, ORIGIN, Dataset
from headworks.silver.emptied import FromNothing
from headworks.silver.parse import (
    UNREADABLE,
    key_text,
    parse,
    raw_records,
    readable,
    tombstones,
    without_future,
)
from headworks.silver.quarantine import SCHEMA, WAITS
from headworks.silver.references import parents_elsewhere, split_orphans
from headworks.silver.refused import refused_versions
from headworks.silver.replaced import FOLLOWED, REPLACED, accepted_versions, places, with_fate, without
from headworks.silver.table import Pending, read_range, rows_of_origin
from headworks.silver.versions import compare_with, in_silver_types, latest_versions
from headworks.silver.waiting import NOTED, Waiting, waiting_rows
from headworks.silver.work import Refinement
from headworks.sources.base import PLACE
from headworks.storage.delta import Table

DISCARDED = "row|discarded"
"""Why a row is rejected that somebody has discarded, where silver is made again."""


@dataclass(frozen=True)
class Judged:
    """A pending range, judged: its rows, newest accepted versions, rejected rows with reasons, and counts.

    ``replaced`` counts the rejected versions that a newer accepted one replaces, which are not among the rejected rows;
    ``followed`` those of a history, which are. ``places`` says of each rejected row with a key where it belongs among
    the key's versions. ``waits`` are the keys that still wait for a parent, and ``settled`` the rows of the quarantine
    that no longer do. ``versions`` are the accepted rows of keys that came more than once or were deleted, where the
    range is one of several parts, and all of elements that keep their first version or every one. ``index`` is which
    rows waited before, and of which more is known now.
    """

    rows: pl.DataFrame
    candidates: pl.DataFrame
    rejected: pl.DataFrame
    landed: int
    good: int
    warned: dict[str, int]
    released: int
    waits: pl.DataFrame
    settled: pl.DataFrame
    elsewhere: int
    arrays: pl.DataFrame
    replaced: int
    followed: int
    places: pl.DataFrame
    versions: pl.DataFrame
    index: Waiting | None = None

    @property
    def waiting(self) -> int:
        """How many keys wait for the row that they refer to."""
        return self.waits.height


def judge_rows(
    work: Refinement, dataset: Dataset, rows: pl.DataFrame, discarded: pl.DataFrame | None = None
) -> tuple[Verdict, Verdict]:
    """Judge bronze rows by the rules, and what passes by the references; tombstones pass with nothing but a key.

    Those with the origins of ``discarded`` do not pass.
    """
    parsed = without_future(parse(rows, dataset), dataset, latest_cursor(work, dataset))
    if discarded is not None and not discarded.is_empty():
        parsed = _without_discarded(parsed, discarded)
    gone = tombstones(parsed, dataset)
    verdict = judge(parsed.filter(~gone), dataset.schema, UNREADABLE, dataset.warnings)
    linked = split_orphans(work.lake, dataset, verdict.good)
    return verdict, replace(linked, good=pl.concat([linked.good, parsed.filter(gone)]))


def judge_range(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    todo: Pending,
    *,
    releases: bool = True,
    in_parts: bool = False,
) -> Judged:
    """Judge what is pending, and what waited where it ``releases`` that too."""
    read = read_range(bronze, todo)
    rows = elements(read)
    discarded = None
    if isinstance(silver, FromNothing):
        # All rows of bronze are judged, those that wait among them; but not what a person has decided about.
        releases = False
        known = resolutions(work.lake, dataset.name).filter(pl.col("resolution") == "discarded")
        discarded = known.select(ORIGIN).collect()
    verdict, linked = judge_rows(work, dataset, readable(rows.lazy()).collect(), discarded)
    again = _judged_again(work, dataset, bronze if releases else None, silver, verdict.good)
    good = in_silver_types(pl.concat([linked.good, again.released]).drop(UNREADABLE), silver)
    at_source = refused_versions(rows, dataset, latest_cursor(work, dataset))
    judged = [verdict.rejected, linked.rejected, at_source]
    out = pl.concat([places(each, dataset) for each in judged])
    fate = with_fate(out, accepted_versions(good, silver, out, dataset), dataset)
    replaced, stays = fate.filter(REPLACED), fate.filter(~pl.col(REPLACED))
    waits = without(linked.rejected, replaced)
    rejected = stays.select(*ORIGIN, *dataset.key, REASONS)
    return Judged(
        rows=rows,
        candidates=latest_versions(good, dataset),
        rejected=rejected,
        landed=rows.height,
        good=good.height,
        warned=verdict.warned,
        released=again.released.height,
        waits=pl.concat([again.waiting, waits.select(dataset.key)]).unique(),
        settled=again.settled,
        elsewhere=parents_elsewhere(work.lake, dataset, waits),
        arrays=arrays_of(read, dataset),
        replaced=replaced.height,
        followed=stays.filter(FOLLOWED).height,
        places=stays,
        versions=_all_or_several(good, dataset, in_parts=in_parts),
        index=again.index,
    )


def _all_or_several(good: pl.DataFrame, dataset: Dataset, *, in_parts: bool) -> pl.DataFrame:
    """Return the accepted rows that are asked for again after a comparison with silver."""
    if dataset.keeps_first_elements or (dataset.nested is not None and dataset.keeps == "history"):
        return good
    return _several(good, dataset) if in_parts else good.clear()


def _several(good: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return the rows of keys of which there is more than the newest version to know."""
    return good.filter((pl.len() > 1).over(dataset.key) | pl.col(DELETED).any().over(dataset.key))


def _without_discarded(parsed: pl.DataFrame, discarded: pl.DataFrame) -> pl.DataFrame:
    """Mark the rows that somebody has discarded."""
    marked = discarded.with_columns(pl.lit(DISCARDED).alias(DISCARDED))
    judged_rows = parsed.join(marked, on=list(ORIGIN), how="left", maintain_order="left")
    both = pl.concat_list(UNREADABLE, DISCARDED).list.drop_nulls().alias(UNREADABLE)
    return judged_rows.with_columns(both).drop(DISCARDED)


@dataclass(frozen=True)
class _Again:
    """Rows that waited for a parent, judged again: those that silver can take now, and the keys that wait on.

    ``settled`` are those that wait no longer: silver can take them, or has them or a newer version by now.
    """

    released: pl.DataFrame
    waiting: pl.DataFrame
    settled: pl.DataFrame
    index: Waiting | None = None


def _judged_again(
    work: Refinement, dataset: Dataset, bronze: Table | None, silver: Table, judged: pl.DataFrame
) -> _Again:
    """Judge again the rows that wait for a parent; without ``bronze`` none is looked for.

    Whether a row was released is read off silver: what is noted about it comes after the commit, and may be missing.
    """
    none = judged.clear()
    nothing = _Again(
        none, none.select(dataset.key), pl.DataFrame(schema={name: SCHEMA[name] for name in NOTED})
    )
    if not dataset.references or bronze is None:
        return nothing
    index = waiting_rows(work, dataset, silver)
    if index.rows.is_empty():
        return replace(nothing, waiting=_with_sleeping(nothing.waiting, index, dataset), index=index)
    good = _judged_once_more(dataset, bronze, index.rows)
    siblings = index.with_siblings(good, dataset)
    if siblings is not index:
        index, good = siblings, _judged_once_more(dataset, bronze, siblings.rows)
    newest = latest_versions(in_silver_types(good.drop(UNREADABLE), silver), dataset)
    fresh = compare_with(silver, newest, dataset).fresh.select(ORIGIN)
    if dataset.keeps_first_elements:
        # Of an element that went and came back meanwhile a later row counts.
        keys = newest.join(fresh, on=list(ORIGIN), how="semi").select(dataset.key)
        fresh = good.join(keys, on=list(dataset.key), how="semi").select(ORIGIN)
    linked = split_orphans(work.lake, dataset, good.join(fresh, on=list(ORIGIN), how="semi"))
    known = newest.select(ORIGIN).join(fresh, on=list(ORIGIN), how="anti")
    settled = index.rows.join(pl.concat([known, linked.good.select(ORIGIN)]), on=list(ORIGIN), how="semi")
    waiting = _with_sleeping(linked.rejected.select(dataset.key), index, dataset)
    return _Again(linked.good, waiting, settled, index.after(settled, linked.rejected, dataset))


def _judged_once_more(dataset: Dataset, bronze: Table, waiting: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of bronze that wait, as far as they still pass the rules."""
    rows = rows_of_origin(bronze, waiting).collect()
    return judge(parse(rows, dataset), dataset.schema, UNREADABLE, dataset.warnings).good


def _with_sleeping(waiting: pl.DataFrame, index: Waiting, dataset: Dataset) -> pl.DataFrame:
    return pl.concat([waiting, index.known().select(dataset.key)]) if index.asleep.height else waiting


def quarantined(work: Refinement, dataset: Dataset, judged: Judged) -> pl.DataFrame:
    """Return rejected rows as quarantine keeps them, each with its raw record out of bronze."""
    rejected = judged.rejected
    raw = judged.rows.join(rejected.select(ORIGIN), on=list(ORIGIN), how="semi")
    place = [
        pl.col(name) if name in raw.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in PLACE.items()
    ]
    records = raw.select(*ORIGIN, "_ingested_at", *place).with_columns(
        pl.Series("record", raw_records(raw, dataset), dtype=pl.String)
    )
    judged_rows = rejected.with_columns(
        key_text(rejected, dataset.key),
        pl.col(REASONS).alias("reasons"),
        all_among(REASONS, dataset.waiting_reasons).alias(WAITS),
        pl.lit(work.run_id).alias("run_id"),
        pl.lit(work.clock(), dtype=pl.Datetime("us", "UTC")).alias("rejected_at"),
    )
    return judged_rows.join(records, on=list(ORIGIN), how="left", maintain_order="left")


def latest_cursor(work: Refinement, dataset: Dataset) -> datetime:
    """Return the latest moment that a cursor may have now."""
    return work.clock() + timedelta(hours=dataset.anomalies.future_hours)
