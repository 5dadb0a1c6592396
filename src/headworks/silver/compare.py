"""Versions of a key: which is the newest, and what it means for what silver has.

The newest version of a key has the largest (source cursor, arrival, read time, stream, sequence, row number), so the
order in which versions are refined does not matter. A deletion that comes without a cursor, from the source or from a
full read, ends all that arrived until then: what arrived earlier does not count, however large its cursor is.

A deleted key keeps the values of the last version that it had when it was deleted, after all versions that arrived
until then were merged one by one. So these do not depend on how versions and deletions are divided into ranges. Pure
functions from frames to frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce

import polars as pl

from headworks.silver.dataset import ARRIVAL, CURSOR, DELETED, PROVENANCE, VOID
from headworks.storage.near import among

PAST = "_past"
"""Of a candidate that is a tombstone: what orders the version of its range whose values it keeps; null for none.

A struct of that version's cursor and arrival, and whether a deletion of the same range came before it.
"""

RECEIVED = "_ingested_at"

FLIPPED = "_flipped"
"""Of a candidate of a history: whether its range has other values of it too, so that they are not just read again."""

STATE = "_state"
INSERT, UPDATE, CLOSING, SAME, OLDER, RAISED = range(6)
"""What a candidate means for silver: new, changed, the same read later, the same, older than what is there, older and
with a deletion that silver's row outlives, but has to remember."""


@dataclass(frozen=True)
class Comparison:
    """What a range means for silver: rows to insert and to update, and how many change nothing.

    ``closings`` are rows that keep their values: they were read again later, or the end of their time moved.
    ``marked`` has all candidates, with a column ``_state`` for what each of them means. ``removed`` are rows of silver,
    by their keys, that have to go, and ``added`` how many rows silver has then that it did not have, where that is not
    the number of inserts.
    """

    inserts: pl.DataFrame
    updates: pl.DataFrame
    superseded: int
    unchanged: int
    closings: pl.DataFrame = field(default_factory=pl.DataFrame)
    marked: pl.DataFrame = field(default_factory=pl.DataFrame)
    removed: pl.DataFrame = field(default_factory=pl.DataFrame)
    added: int | None = None

    @property
    def fresh(self) -> pl.DataFrame:
        """The rows whose values silver does not have."""
        return pl.concat([self.inserts, self.updates])

    @property
    def changes(self) -> pl.DataFrame:
        """The rows that a merge has to carry."""
        return pl.concat([self.inserts, self.updates, *([self.closings] if self.closings.height else [])])

    @property
    def is_empty(self) -> bool:
        """Whether silver stays as it is."""
        return self.changes.is_empty() and self.removed.is_empty()

    @property
    def growth(self) -> int:
        """How many rows silver has more when this was merged."""
        return (self.inserts.height if self.added is None else self.added) - self.removed.height


def fresh_of(comparison: Comparison) -> pl.DataFrame:
    """Return the candidates that say what silver does not have, as they came."""
    return comparison.marked.filter(pl.col(STATE).is_in([INSERT, UPDATE])).drop(STATE)


def newest(rows: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    """Return the newest version of each key; one that arrived before a deletion without a cursor is a tombstone.

    A tombstone has the values that its key had last, and in ``_past`` which version had them.
    """
    marked = with_voids(rows)
    return _with_last_values(newest_rows(marked, key), marked, key, _won)


def newest_rows(rows: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    """Return the newest version of each key as it came; one that arrived before a deletion is marked as deleted."""
    marked = with_voids(rows)
    found = marked.sort(list(PROVENANCE), nulls_last=False).unique(
        subset=list(key), keep="last", maintain_order=True
    )
    voids = _voids(marked, key)
    if voids.is_empty():
        return found
    ended = found.drop(VOID).join(voids, on=list(key), how="left", maintain_order="left")
    return ended.with_columns(pl.col(DELETED) | _ended(ARRIVAL, VOID)).select(marked.columns)


def with_first_receipts(found: pl.DataFrame, rows: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    """Return the newest rows of their keys, each received when the same values came first since other ones did.

    So it says what a merge of ``rows`` one by one would, which keeps the receipt of what is read again.
    """
    several = rows.filter(pl.len().over(key) > 1)
    if several.is_empty():
        return found.with_columns(pl.lit(False).alias(FLIPPED))
    values = [name for name in rows.columns if name not in {*key, *PROVENANCE, VOID}]
    ordered = several.sort(list(PROVENANCE), nulls_last=False, maintain_order=True)
    changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)).over(key) for name in values)
    first_one = pl.int_range(pl.len()).over(key) == 0
    runs = ordered.select(
        *key, RECEIVED, (changed & ~first_one).cast(pl.Int64).cum_sum().over(key).alias(_RANK)
    )
    newest_run = runs.filter(pl.col(_RANK) == pl.col(_RANK).max().over(key))
    since = newest_run.group_by(list(key)).agg(
        pl.col(RECEIVED).min().alias(f"{RECEIVED}{_KEPT}"), (pl.col(_RANK).max() > 0).alias(FLIPPED)
    )
    joined = found.join(since, on=list(key), how="left", maintain_order="left")
    return joined.with_columns(
        pl.coalesce(f"{RECEIVED}{_KEPT}", RECEIVED).alias(RECEIVED), pl.col(FLIPPED).fill_null(value=False)
    ).select(*found.columns, FLIPPED)


def first(rows: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    """Return the version of each key that arrived first, since its last deletion if there was any."""
    marked = with_voids(rows).with_columns(
        pl.when(DELETED).then(pl.max_horizontal(ARRIVAL, VOID)).otherwise(VOID).alias(VOID)
    )
    ordered = marked.sort(_BY_ARRIVAL)
    voids = _voids(marked, key)
    if not voids.is_empty():
        ordered = ordered.drop(VOID).join(voids, on=list(key), how="left", maintain_order="left")
    alive = ordered.filter(~pl.col(DELETED) & ~_ended(ARRIVAL, VOID))
    began = alive.unique(subset=list(key), keep="first", maintain_order=True)
    gone = ordered.join(began, on=list(key), how="anti").unique(
        subset=list(key), keep="last", maintain_order=True
    )
    found = pl.concat([began, gone.with_columns(pl.lit(True).alias(DELETED))])
    return _with_last_values(found.select(marked.columns), marked, key, _began)


def _with_last_values(
    found: pl.DataFrame,
    rows: pl.DataFrame,
    key: tuple[str, ...],
    counted: Callable[[tuple[str, ...]], pl.Expr],
) -> pl.DataFrame:
    """Give tombstones the values of the last version that ``counted`` when the rows are merged as they arrived.

    Where none of them was alive, these are the values that the first deletion came with.
    """
    gone = found.filter(DELETED)
    kind = _past_type(rows)
    if gone.is_empty():
        return found.with_columns(pl.lit(None, dtype=kind).alias(PAST))
    names = [name for name in found.columns if name not in {*key, *PROVENANCE, DELETED, VOID}]
    events = rows.join(gone, on=list(key), how="semi", nulls_equal=True).sort(
        list(PROVENANCE), nulls_last=False
    )
    events = events.with_row_index(_RANK).sort(_BY_ARRIVAL)
    after = pl.col(DELETED).cast(pl.Int64).cum_sum().over(key) > 0
    marked = events.with_columns(after.alias(_AFTER), (~pl.col(DELETED) & counted(key)).alias(_COUNTED))
    last = (
        marked.filter(pl.col(_COUNTED) | (pl.int_range(pl.len()).over(key) == 0))
        .unique(subset=list(key), keep="last", maintain_order=True)
        .with_columns(pl.when(_COUNTED).then(pl.struct(CURSOR, ARRIVAL, _AFTER)).cast(kind).alias(PAST))
    )
    valued = found.join(
        last.select(*key, PAST, *(pl.col(name).alias(f"{name}{_KEPT}") for name in names)),
        on=list(key),
        how="left",
        maintain_order="left",
    )
    kept = [pl.when(DELETED).then(f"{name}{_KEPT}").otherwise(name).alias(name) for name in names]
    return valued.with_columns(kept).select(*found.columns, PAST)


def _past_type(rows: pl.DataFrame) -> pl.DataType:
    return pl.Struct({CURSOR: rows.schema[CURSOR], ARRIVAL: pl.Int64(), _AFTER: pl.Boolean()})


def _won(key: tuple[str, ...]) -> pl.Expr:
    """Return which rows were the newest of their key when they arrived."""
    return pl.col(_RANK) == pl.col(_RANK).cum_max().over(key)


def _began(key: tuple[str, ...]) -> pl.Expr:
    """Return which rows were the first of their key when they arrived, or the first since it was deleted."""
    return pl.col(DELETED).shift(1).over(key).fill_null(value=True)


def with_voids(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows that know until when what arrived of their keys is void: a deletion without a cursor says so."""
    missing = {DELETED: pl.lit(False), VOID: pl.lit(None, dtype=pl.Int64)}
    marked = rows.with_columns(
        value.alias(name) for name, value in missing.items() if name not in rows.columns
    )
    voided = pl.when(floating()).then(pl.max_horizontal(ARRIVAL, VOID)).otherwise(VOID)
    return marked.with_columns(voided.alias(VOID))


def floating() -> pl.Expr:
    """Return which rows are deletions without a cursor: they end what arrived until then."""
    return pl.col(DELETED) & pl.col(CURSOR).is_null()


def compare(
    candidates: pl.DataFrame,
    silver: pl.LazyFrame,
    key: tuple[str, ...],
    *,
    keep_first: bool = False,
    as_versions: bool = False,
) -> Comparison:
    """Compare candidates, one for each key, with silver's rows of the same keys.

    Superseded: silver has a newer version, or knows of a deletion since. Unchanged: silver has the same values. Both
    leave silver as it is. With ``keep_first`` a key that silver has is not changed again, but for its deletion and its
    return. A tombstone takes over the values that silver has, unless its key had others since. ``as_versions`` compares
    for a history, whose tombstones have no values. Rows that are the same and were read later are unchanged, and
    returned as ``closings`` too: where something may yet come that lies between both readings, silver has to know of
    the later one, or the older would win.
    """
    candidates = with_voids(candidates)
    if PAST not in candidates.columns:
        candidates = candidates.with_columns(pl.lit(None, dtype=_past_type(candidates)).alias(PAST))
    if FLIPPED not in candidates.columns:
        candidates = candidates.with_columns(pl.lit(False).alias(FLIPPED))
    order = [name for name in candidates.columns if name not in {PAST, FLIPPED}]
    values = [name for name in order if name not in PROVENANCE]
    if VOID not in silver.collect_schema():
        silver = silver.with_columns(pl.lit(None, dtype=pl.Int64).alias(VOID))
    there = among(silver, candidates.select(key), key).select(*values, *PROVENANCE).collect()
    joined = candidates.join(there, on=list(key), how="left", suffix=_THERE, maintain_order="left")
    compared = [name for name in values if name not in {*key, DELETED, VOID}]
    rules = _first_wins() if keep_first else _newest_wins(as_versions=as_versions)
    equal = pl.all_horizontal(pl.col(name).eq_missing(_there(name)) for name in [*compared, DELETED])
    sooner = (pl.col(RECEIVED) < _there(RECEIVED)).fill_null(value=False)
    earlier = equal & sooner & ~pl.col(FLIPPED) & pl.lit(as_versions)
    judged = joined.with_columns(rules.known.alias("_known"), rules.wins.alias("_wins")).with_columns(
        (pl.col("_known") & ~pl.col("_wins") & (_further() | earlier)).alias("_raises"),
        pl.col(RECEIVED).alias("_received"),
    )
    # Where the candidate loses, but brings a deletion that silver does not know of, silver's row continues with that.
    # So it does where a history had the same version received earlier, as of a delivery that was held.
    stays = pl.col("_raises")
    void = pl.max_horizontal(VOID, _there(VOID))
    killed = stays & ~_there(DELETED) & _ended(_THERE_ARRIVAL, void)
    taken = rules.taken | stays
    made = judged.with_columns(
        *(pl.when(taken).then(_there(name)).otherwise(pl.col(name)).alias(name) for name in compared),
        *(
            pl.when(stays).then(_there(name)).otherwise(pl.col(name)).alias(name)
            for name in (CURSOR, ARRIVAL)
        ),
        *(
            pl.when(stays & ~killed).then(_there(name)).otherwise(pl.col(name)).alias(name)
            for name in PROVENANCE
            if name not in {CURSOR, ARRIVAL}
        ),
        void.alias(VOID),
        pl.when(stays)
        .then(_there(DELETED) | killed)
        .otherwise(pl.col(DELETED) | _ended(ARRIVAL, void))
        .alias(DELETED),
        killed.alias("_killed"),
    )
    if as_versions:
        # What is read again was known since its first reading.
        first_receipt = pl.min_horizontal("_received", _there(RECEIVED))
        made = made.with_columns(
            pl.when(pl.col("_known") & equal & ~pl.col(FLIPPED))
            .then(first_receipt)
            .otherwise(RECEIVED)
            .alias(RECEIVED)
        )
    provenance = pl.all_horizontal(pl.col(name).eq_missing(_there(name)) for name in (*PROVENANCE, VOID))
    known, wins = pl.col("_known"), pl.col("_wins")
    state = (
        pl.when(~known)
        .then(INSERT)
        .when(pl.col("_killed"))
        .then(UPDATE)
        .when(pl.col("_raises"))
        .then(RAISED)
        .when(~wins)
        .then(pl.when(equal & pl.lit(keep_first)).then(SAME).otherwise(OLDER))
        .when(~equal | _ends_later() | _confirms())
        .then(UPDATE)
        .when(provenance)
        .then(SAME)
        .otherwise(CLOSING)
    )
    marked = made.select(*order, state.cast(pl.Int8).alias(STATE))
    states = marked.get_column(STATE)

    def those(*which: int) -> pl.DataFrame:
        return marked.filter(states.is_in(which)).select(order)

    return Comparison(
        inserts=those(INSERT),
        updates=those(UPDATE),
        superseded=int(states.is_in([OLDER, RAISED]).sum()),
        unchanged=int(states.is_in([SAME, CLOSING]).sum()),
        closings=those(CLOSING, RAISED),
        marked=marked,
    )


_THERE, _KEPT = "_there", "_kept"
_THERE_ARRIVAL = f"{ARRIVAL}{_THERE}"
_RANK, _COUNTED, _AFTER = "_rank", "_counted", "_after"
_BY_ARRIVAL = [name for name in PROVENANCE if name != CURSOR]


@dataclass(frozen=True)
class _Rules:
    """Which candidates silver knows, which of them win over its row, and which take over its values."""

    known: pl.Expr
    wins: pl.Expr
    taken: pl.Expr


def _newest_wins(*, as_versions: bool) -> _Rules:
    known = _there(DELETED).is_not_null()
    void = _ended(ARRIVAL, _there(VOID)) & ~floating()
    dead = pl.col(DELETED) & pl.lit(not as_versions)
    return _Rules(known, known & ~void & _not_older(), known & dead & ~_lived_since())


def _first_wins() -> _Rules:
    """A row that is there stays, until it is deleted; what arrives after that begins again.

    Of a key that a full read did not show, and that is shown again, the first values stay: nobody changed them.
    """
    known, gone, dead = _there(DELETED).is_not_null(), _there(DELETED), pl.col(DELETED)
    later = (pl.col(ARRIVAL) > _there(ARRIVAL)) & ~_ended(ARRIVAL, _there(VOID))
    ended = _ended(_THERE_ARRIVAL, pl.col(VOID))
    inferred = gone & (_there("_sequence") == 0)
    shown = inferred & ~ended
    began = _past(ARRIVAL) > pl.max_horizontal(_THERE_ARRIVAL, _there(VOID))
    lived = (began & (_past(_AFTER) | (gone & ~inferred))).fill_null(value=False)
    wins = known & later & pl.when(dead).then(~gone | lived | inferred).otherwise(gone | ended)
    return _Rules(known, wins, known & ((dead & ~lived) | (~dead & shown)))


def _past(name: str) -> pl.Expr:
    return pl.col(PAST).struct.field(name)


def _lived_since() -> pl.Expr:
    """Return which tombstones have the values of a version that silver's row is older than."""
    cursor, there = _past(CURSOR), _there(CURSOR)
    newer = (cursor > there).fill_null(value=False) | (cursor.is_not_null() & there.is_null())
    later = cursor.eq_missing(there) & (_past(ARRIVAL) > _there(ARRIVAL))
    ended = (_past(ARRIVAL) <= _there(VOID)).fill_null(value=False)
    return pl.col(PAST).is_not_null() & (newer | later) & ~ended


def _ends_later() -> pl.Expr:
    """Return which candidates delete a deleted key once more, with a larger cursor: older versions raise nothing."""
    both = pl.col(DELETED) & _there(DELETED)
    return both & (pl.col(CURSOR) > _there(CURSOR)).fill_null(value=False)


def _confirms() -> pl.Expr:
    """Return which candidates are the source's own word that a key is gone that a full read only did not show."""
    return pl.col(DELETED) & _there(DELETED) & (_there("_sequence") == 0) & (pl.col("_sequence") > 0)


def _there(name: str) -> pl.Expr:
    return pl.col(f"{name}{_THERE}")


def _further() -> pl.Expr:
    """Return which candidates bring a deletion that lies after those that silver's row knows of."""
    return (pl.col(VOID) > _there(VOID)).fill_null(value=False) | (
        pl.col(VOID).is_not_null() & _there(VOID).is_null()
    )


def _ended(arrival: str, void: pl.Expr | str) -> pl.Expr:
    """Return which rows arrived before the deletion of their key."""
    until = pl.col(void) if isinstance(void, str) else void
    return (pl.col(arrival) <= until).fill_null(value=False)


def _voids(rows: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    voided = rows.filter(pl.col(VOID).is_not_null())
    return voided.group_by(list(key)).agg(pl.col(VOID).max())


def _not_older() -> pl.Expr:
    """Compare provenance lexicographically: true where the candidate is newer than, or as new as, silver's row."""

    def step(rest: pl.Expr, name: str) -> pl.Expr:
        here, there = pl.col(name), _there(name)
        larger = (here > there).fill_null(value=False) | (here.is_not_null() & there.is_null())
        return larger | (here.eq_missing(there) & rest)

    return reduce(step, reversed(list(PROVENANCE)), pl.lit(True))
