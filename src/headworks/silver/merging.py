"""What silver gets of a range: its changes, what a full read or a newer array ends, and the commit that merges both."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from headworks.bronze.generations import Generation, newest_complete
from headworks.quality.deliveries import (
    open_holds,
)
from headworks.silver.arrays import find_ended, with_known_arrays
from headworks.silver.compare import FLIPPED, PAST, Comparison
from headworks.silver.dataset import (
    DELETED,
    PROVENANCE,
    VOID,
    Dataset,
)
from headworks.silver.history import compare_history, current_rows, with_deletions
from headworks.silver.lives import with_lives
from headworks.silver.parse import key_text, same_key
from headworks.silver.quarantine import Try, rejected_rows
from headworks.silver.table import (
    Pending,
    check_committed,
    commit_silver,
)
from headworks.silver.vanishing import Vanished, find_vanished
from headworks.silver.versions import rows_of
from headworks.silver.work import Refinement
from headworks.storage.delta import Table

Holds = dict[str, int] | None
"""The transactions that name the list of deliveries which silver does not have, where that changes."""


@dataclass(frozen=True)
class Gone:
    """Silver after the merge of the changes, and the keys in it that a complete full read no longer has."""

    after: pl.LazyFrame
    generation: Generation | None
    vanished: Vanished

    @property
    def deletes(self) -> pl.DataFrame:
        """The tombstones of these keys."""
        return self.vanished.deletes

    @property
    def counts(self) -> dict[str, int]:
        """What of it the report says."""
        return {
            "deleted": self.vanished.deletes.height,
            "returned": self.vanished.back.height,
            "unidentified": self.vanished.unidentified,
        }

    @property
    def limited(self) -> bool:
        """Whether the full read brings a limit of its own for what it may delete."""
        return self.generation is not None and self.generation.largest_share is not None


def find_gone(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    changes: Comparison | pl.LazyFrame,
    rejected: pl.DataFrame,
    todo: Pending,
    arrays: pl.DataFrame,
    accepted: pl.DataFrame | None = None,
) -> Gone:
    """Find the keys that a complete full read, if one is to be consumed, no longer has.

    ``accepted`` are all rows of the range that passed, where a history of elements needs them.
    """
    merged = _merged(silver, changes, dataset)
    after = current_rows(merged, dataset)
    if dataset.nested is not None:
        fresh = changes.fresh.lazy() if isinstance(changes, Comparison) else changes
        whole = with_known_arrays(bronze, silver, dataset, arrays, fresh)
        return Gone(after, None, find_ended(work.lake, dataset, silver, merged, whole, accepted))
    generation = newest_complete(work.lake, bronze, dataset.name) if todo.generation else None
    found = find_vanished(work.lake, dataset, bronze, silver, after, generation, rejected)
    return Gone(after, generation, found)


def follows_parents(work: Refinement, dataset: Dataset, silver: Table) -> bool:
    """Return whether elements of arrays have to end or come back with their parents, though nothing new came."""
    if dataset.nested is None:
        return False
    there = rows_of(silver, dataset)
    return not find_ended(work.lake, dataset, silver, there, pl.DataFrame()).rows.is_empty()


def touching_rejected(
    work: Refinement, dataset: Dataset, silver: Table, rejected: pl.DataFrame, comparison: Comparison
) -> Comparison:
    """Keep the later reading of unchanged rows only where a rejected row has the same key, or a held one may.

    Such a row may lie between both readings; judged again after a fix, it must not win over the later one. To keep it
    for all would rewrite silver with every full read.
    """
    again = comparison.closings
    if dataset.keeps == "history" or again.is_empty() or open_holds(work.lake, silver):
        # What is held lies between two readings as well.
        return comparison
    known = keys_of_rejected(work, dataset, silver, key_text(rejected, dataset.key))
    mine = compared_keys(again, dataset)
    touched = again.filter(mine.is_in(known.drop_nulls().unique().implode()))
    return replace(comparison, closings=touched)


def ended_but_shown(
    dataset: Dataset, read_again: pl.DataFrame, kept: pl.DataFrame, vanished: Vanished
) -> pl.DataFrame:
    """Return the later readings of unchanged elements that would end, had they not been read again.

    An array of the same range lacks them, and a newer one has them.
    """
    if dataset.nested is None or read_again.is_empty() or vanished.deletes.is_empty():
        return read_again.clear()
    ended, there = compared_keys(vanished.deletes, dataset), compared_keys(kept, dataset)
    mine = compared_keys(read_again, dataset)
    return read_again.filter(mine.is_in(ended.implode()) & ~mine.is_in(there.implode()))


def compared_keys(rows: pl.DataFrame, dataset: Dataset) -> pl.Series:
    """Return keys as texts that may be compared with those of other types."""
    return _comparable(key_text(rows, dataset.key))


def _comparable(keys: pl.Series) -> pl.Series:
    return keys.to_frame("key").select(same_key(pl.col("key"))).to_series()


def keys_of_rejected(work: Refinement, dataset: Dataset, silver: Table, now: pl.Series) -> pl.Series:
    """Return the keys, as texts to be compared, of the rows rejected now and before."""
    kept = rejected_rows(work.lake, dataset.name, silver)
    return _comparable(now if kept is None else pl.concat([now, kept.select("key").collect().to_series()]))


def with_first_elements(
    bronze: Table,
    silver: Table,
    dataset: Dataset,
    shown: pl.DataFrame,
    found: Comparison,
    arrays: pl.DataFrame,
) -> Comparison:
    """Return the changes with elements that keep their first version as the arrays have them, one after another."""
    if not dataset.keeps_first_elements or shown.is_empty():
        return found
    known = with_known_arrays(bronze, silver, dataset, arrays, shown.lazy())
    return with_lives(silver, dataset, shown, found, known)


def without_ended(
    work: Refinement,
    dataset: Dataset,
    bronze: Table,
    silver: Table,
    candidates: pl.DataFrame,
    passed: pl.DataFrame,
    found: Comparison,
) -> Comparison:
    """Return the changes of rows that were kept back without elements that are not in their parents' newest arrays."""
    if dataset.nested is None:
        return found
    found = with_first_elements(bronze, silver, dataset, passed, found, pl.DataFrame())
    known = with_known_arrays(bronze, silver, dataset, pl.DataFrame(), found.fresh.lazy())
    ended = find_ended(work.lake, dataset, silver, _merged(silver, found, dataset), known, passed)
    return with_vanished(silver, candidates, found, ended, dataset)


def commit_merge(
    work: Refinement,
    dataset: Dataset,
    silver: Table,
    merge: Comparison,
    todo: Pending,
    attempt: Try,
    listed: Holds = None,
) -> None:
    """Commit the changes that a comparison came to, and look whether silver then holds what it should."""
    only_inserts = merge.updates.is_empty() and merge.closings.is_empty() and merge.removed.is_empty()
    commit_rows(
        work, dataset, silver, merge.changes, todo, attempt, merge.growth, only_inserts, merge.removed, listed
    )


def commit_changes(
    work: Refinement,
    dataset: Dataset,
    silver: Table,
    changes: pl.DataFrame,
    attempt: Try,
    growth: int,
    removed: pl.DataFrame,
    listed: Holds,
) -> None:
    """Commit rows that were made again from bronze, which is consumed no further by it."""
    commit_rows(
        work,
        dataset,
        silver,
        changes,
        Pending((), 0),
        attempt,
        growth,
        only_inserts=False,
        removed=removed,
        listed=listed,
    )


def commit_rows(
    work: Refinement,
    dataset: Dataset,
    silver: Table,
    changes: pl.DataFrame | pl.LazyFrame,
    todo: Pending,
    attempt: Try,
    growth: int,
    only_inserts: bool,
    removed: pl.DataFrame | None = None,
    listed: Holds = None,
) -> None:
    rows = silver.row_count() + growth
    in_order = changes.select(list(dataset.silver_schema()))
    commit_silver(
        silver, dataset.name, dataset.row_key, in_order, todo, attempt, only_inserts, removed, listed
    )
    check_committed(work.lake, dataset.name, silver, attempt, rows)


def with_vanished(
    silver: Table, candidates: pl.DataFrame, comparison: Comparison, vanished: Vanished, dataset: Dataset
) -> Comparison:
    """Add what a full read says about keys; in a history each deletion becomes a version that ends the last one."""
    if vanished.rows.is_empty():
        return comparison
    if dataset.keeps == "history":
        ended = pl.concat([vanished.deletes, vanished.kept_out])
        ends = ended.with_columns(pl.lit(False).alias(FLIPPED)).select(candidates.columns)
        return compare_history(
            with_deletions(candidates, ends, dataset),
            rows_of(silver, dataset),
            dataset,
            vanished.back.select(dataset.key),
        )
    rows = vanished.rows.select(comparison.inserts.columns)

    def without(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.join(rows, on=list(dataset.key), how="anti") if frame.height else frame

    known = pl.concat([comparison.inserts.select(dataset.key), _keys_there(silver, rows, dataset)])
    added = rows.join(known, on=list(dataset.key), how="anti")
    new = pl.concat([rows.join(comparison.inserts, on=list(dataset.key), how="semi"), added])
    return replace(
        comparison,
        inserts=pl.concat([without(comparison.inserts), new]),
        updates=pl.concat([without(comparison.updates), rows.join(new, on=list(dataset.key), how="anti")]),
        closings=without(comparison.closings),
    )


def _keys_there(silver: Table, rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    return silver.scan().select(dataset.key).join(rows.lazy(), on=list(dataset.key), how="semi").collect()


def not_there(after: pl.LazyFrame, rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return those of the rows whose keys are not there after the merge."""
    return rows.lazy().join(after, on=list(dataset.key), how="anti").collect()


def after_merge(silver: Table, changes: Comparison | pl.LazyFrame, dataset: Dataset) -> pl.LazyFrame:
    """Return silver after the merge of the changes; of a history what is current then, and deletions."""
    return current_rows(_merged(silver, changes, dataset), dataset)


def _merged(silver: Table, changes: Comparison | pl.LazyFrame, dataset: Dataset) -> pl.LazyFrame:
    """Return all rows of silver after the merge of the changes."""
    merged = changes.changes.lazy() if isinstance(changes, Comparison) else changes
    kept = rows_of(silver, dataset).join(merged, on=list(dataset.row_key), how="anti")
    if isinstance(changes, Comparison) and changes.removed.height:
        kept = kept.join(changes.removed.lazy(), on=list(dataset.row_key), how="anti")
    return pl.concat([kept, merged], how="diagonal").select(list(dataset.silver_schema()))


def live_rows(candidates: pl.DataFrame) -> pl.DataFrame:
    """Return candidates without tombstones and metadata: what a contract is about."""
    return living(candidates).drop(*PROVENANCE, DELETED, VOID, strict=False)


def living(candidates: pl.DataFrame) -> pl.DataFrame:
    """Return candidates that are no tombstones."""
    return candidates.filter(~pl.col(DELETED)).drop(PAST, FLIPPED, strict=False)
