"""Rows that are elements of their parents' arrays: they end with a newer array that lacks them, and with their parent.

Of two arrays of one parent the newer is that with the larger (cursor, arrival) where the rows have their parent's
cursor, and else the one that arrived later. What an older one has and a newer one has not gets a tombstone in the newer
one's place, so that an older one which comes late raises nothing. Each newer one counts, not the newest alone: or the
same records would come to something else in other portions. A key that an array has and that was rejected is as it was
before it; where an element of it has a key that cannot be read, nothing is ended by it.

In a history each array says of each version before it whether the element is still there: of versions that newer ones
follow, too, since it may have gone and come back in between.

Where the key does not say whose an element is, it may move to another parent: its newest version says whose it is, and
the newest array of that parent alone can end it.
"""

from __future__ import annotations

import polars as pl

from headworks.bronze.nested import ELEMENT, NOTHING
from headworks.silver.dataset import (
    ARRIVAL,
    CURRENT,
    CURSOR,
    DELETED,
    ORIGIN,
    VALID_FROM,
    VALID_TO,
    VOID,
    Dataset,
)
from headworks.silver.history import current_rows, inferred, without_ends
from headworks.silver.parse import cursor_order, parse, readable
from headworks.silver.vanishing import Vanished
from headworks.storage.delta import Table
from headworks.storage.exact import exactly, same_kind
from headworks.storage.near import among
from headworks.storage.store import Lake
from headworks.storage.translating import reading

_KEYED, EMPTY, _MOMENT = "_keyed", "_empty", "_moment"
_OLDEST, _KNOWN, _UNTIL, _FOLLOWED, _SINCE, _FIRST = (
    "_oldest", "_known", "_until", "_followed", "_since", "_first",
)  # fmt: skip
SET = (CURSOR, ARRIVAL)
"""What distinguishes one array of a parent from another: the cursor, and the arrival of its first row."""
BY_ARRAY = -1
"""In place of a row's number: the tombstone of what a newer array lacks."""
_PLACES = {
    CURSOR: "_to_cursor", ARRIVAL: "_to_arrival", _MOMENT: "_to_moment", EMPTY: "_to_empty",
    "_stream": "_to_stream", "_sequence": "_to_sequence", "_ingested_at": "_to_ingested",
}  # fmt: skip


def elements(rows: pl.DataFrame) -> pl.DataFrame:
    """Return bronze rows without those that say that an array is empty: these are no rows of the dataset."""
    if ELEMENT not in rows.columns:
        return rows
    return rows.filter(pl.col(ELEMENT).is_null() | (pl.col(ELEMENT) != NOTHING))


def before_arrays(rows: pl.LazyFrame, dataset: Dataset) -> pl.LazyFrame:
    """Return silver's rows with tombstones in the place of the version that a newer array of its parent lacked.

    A parent's array ends what is that parent's: where the element is another parent's since, it is no reason against.
    """
    if not dataset.can_move or not dataset.has_parents_order:
        return rows
    cursor = str(dataset.cursor)
    place = cursor_order(pl.col(cursor), dataset.schema.columns()[cursor].dtype, dataset.cursor_type())
    ended = pl.col(DELETED) & (pl.col("_row") == BY_ARRAY) & place.is_not_null()
    return rows.with_columns(pl.when(ended).then(place).otherwise(CURSOR).alias(CURSOR))


def arrays_of(rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return the rows of whole arrays among bronze rows: whose they are, their keys, and their array's place."""
    owner = dataset.owner
    if not owner or ELEMENT not in rows.columns:
        return pl.DataFrame()
    elements = readable(rows.lazy()).filter(pl.col(ELEMENT).is_not_null()).collect()
    at = pl.col(dataset.cursor) if dataset.cursor is not None else pl.lit(None, dtype=pl.Int64)
    cursor = pl.col(CURSOR) if dataset.has_parents_order else pl.lit(None, dtype=dataset.cursor_type())
    return (
        pl.concat([parse(elements, dataset), elements.select(ELEMENT)], how="horizontal")
        .select(
            *dict.fromkeys([*owner, *dataset.key]),
            cursor.alias(CURSOR),
            (pl.col(ARRIVAL) - pl.col(ELEMENT).clip(lower_bound=0)).alias(ARRIVAL),
            at.alias(_MOMENT),
            pl.all_horizontal(pl.col(name).is_not_null() for name in dataset.key).alias(_KEYED),
            (pl.col(ELEMENT) == NOTHING).alias(EMPTY),
            "_stream",
            "_sequence",
            "_ingested_at",
        )
        .drop_nulls(owner)
    )


def with_known_arrays(
    bronze: Table, silver: Table, dataset: Dataset, arrays: pl.DataFrame, fresh: pl.LazyFrame
) -> pl.DataFrame:
    """Return a range's arrays with those that bronze had before of the parents whose rows may be older than these.

    An empty array leaves no row in silver, and a row that waited or was rejected may be of an array that is not the
    newest any more. ``fresh`` are the rows that silver gets by the range.
    """
    if ELEMENT not in bronze.schema or not dataset.owner:
        return arrays
    known = [] if arrays.is_empty() else [arrays]
    if dataset.has_parents_order and known:
        known.append(_heads(bronze, dataset, arrays, NOTHING))
    doubtful = _doubtful(silver, dataset, arrays, fresh)
    if not doubtful.is_empty():
        owner = list(dataset.owner)
        heads = _heads(bronze, dataset, doubtful, NOTHING, 0)
        oldest = doubtful.select(
            *(exactly(pl.col(name), doubtful.schema[name], heads.schema[name]) for name in owner), _OLDEST
        )
        order = CURSOR if dataset.has_parents_order else ARRIVAL
        newer = heads.join(oldest, on=owner).filter(
            (pl.col(order) < pl.col(_OLDEST)).fill_null(value=False).not_()
        )
        batches = newer.select("_stream", "_sequence").unique()
        with reading(bronze.name):
            rows = bronze.scan().join(batches.lazy(), on=["_stream", "_sequence"], how="semi").collect()
        known.append(arrays_of(rows, dataset).join(newer, on=[*owner, *SET], how="semi", nulls_equal=True))
    return pl.concat(known).unique(maintain_order=True) if known else arrays


def _heads(bronze: Table, dataset: Dataset, of: pl.DataFrame, *places: int) -> pl.DataFrame:
    """Return the rows of arrays that are at some places of them, of the parents of some rows."""
    with reading(bronze.name):
        rows = bronze.scan().filter(pl.col(ELEMENT).is_in(places)).collect()
    found, owner = arrays_of(rows, dataset), list(dataset.owner)
    wanted = of.select(exactly(pl.col(name), of.schema[name], found.schema[name]) for name in owner)
    return found.join(wanted, on=owner, how="semi")


def _doubtful(silver: Table, dataset: Dataset, arrays: pl.DataFrame, fresh: pl.LazyFrame) -> pl.DataFrame:
    """Return the parents of rows that silver gets and that newer arrays than those in hand may lack, and since when.

    Such is a row that was kept back, and one that is older than what silver knows of its parent. In a history it is
    any, since silver knows of an array that lacks an element only where there was a version for it to end.
    """
    rows, owner = fresh.filter(~pl.col(DELETED)), list(dataset.owner)
    order = CURSOR if dataset.has_parents_order else ARRIVAL
    place = [*owner, pl.col(order).alias(_OLDEST)]
    batch = ["_stream", "_sequence"]
    released = (
        rows
        if arrays.is_empty() or dataset.keeps == "history"
        else rows.join(arrays.lazy().select(batch).unique(), on=batch, how="anti")
    )
    found = [released.select(place)]
    if dataset.has_parents_order:
        parents = rows.select(owner).unique().collect()
        known = among(silver.scan(), parents, owner).group_by(owner).agg(pl.col(CURSOR).max().alias(_KNOWN))
        late = rows.join(known, on=owner).filter(pl.col(CURSOR).is_null() | (pl.col(CURSOR) < pl.col(_KNOWN)))
        found.append(late.select(place))
    if dataset.can_move and dataset.has_parents_order:
        latest = pl.lit(silver.scan().select(pl.col(CURSOR).max()).collect().to_series())
        found.append(rows.filter(pl.col(CURSOR) < latest).select(place))
    oldest = pl.when(pl.col(_OLDEST).is_not_null().all()).then(pl.col(_OLDEST).min())
    return pl.concat(found).group_by(owner).agg(oldest.alias(_OLDEST)).collect()


def find_ended(
    lake: Lake,
    dataset: Dataset,
    silver: Table,
    after: pl.LazyFrame,
    arrays: pl.DataFrame,
    accepted: pl.DataFrame | None = None,
) -> Vanished:
    """Return the rows that end with newer arrays or with their parents, and those whose parents are back.

    ``after`` is all that silver has after the merge, of a history all versions; ``accepted`` are the rows of the range
    that passed, of a history all readings of a version.
    """
    have = after.collect_schema()
    none = pl.DataFrame(schema=have)
    older = _lacking(dataset, silver, after, arrays, have, accepted)
    ended = none if older.is_empty() else _tombstones(older, have, dataset)
    dead, alive = _parents(lake, dataset, have)
    if dead is None or alive is None:
        return Vanished(ended, none, none)
    rest = current_rows(after, dataset).join(
        older.lazy().select(dataset.row_key), on=list(dataset.row_key), how="anti"
    )
    owner = list(dataset.owner)
    orphans = rest.filter(~pl.col(DELETED)).join(dead, on=owner, how="inner").collect()
    back = rest.filter(inferred()).join(alive, on=owner, how="semi").collect()
    without_cursor: tuple[str, ...] = ()
    if dataset.keeps == "history":
        # It ends when its parent did, and not when it was read itself.
        orphans = orphans.with_columns(pl.col(_SINCE).alias("_ingested_at"))
        without_cursor = (CURSOR, VALID_FROM)
    gone = orphans.with_columns(
        pl.lit(value=True).alias(DELETED),
        pl.lit(dataset.nested.parent if dataset.nested else "").alias("_stream"),
        pl.lit(0, dtype=pl.Int64).alias("_sequence"),
        pl.lit(0, dtype=pl.Int64).alias("_row"),
        *(pl.lit(None, dtype=have[name]).alias(name) for name in without_cursor),
    )
    return Vanished(
        pl.concat([ended, gone.select(list(have))]),
        none,
        back.with_columns(pl.lit(value=False).alias(DELETED)),
    )


def _lacking(
    dataset: Dataset,
    silver: Table,
    after: pl.LazyFrame,
    arrays: pl.DataFrame,
    have: pl.Schema,
    accepted: pl.DataFrame | None,
) -> pl.DataFrame:
    """Return the rows that newer arrays of their parents lack, each with the place of the array that counts."""
    history = dataset.keeps == "history"
    if arrays.is_empty():
        return pl.DataFrame(schema=have)
    owner = list(dataset.owner)
    sets, typed = typed_arrays(arrays, dataset, have)
    to = sets.select(*owner, *(pl.col(name).alias(new) for name, new in _PLACES.items()))
    named = list(dict.fromkeys([*owner, *dataset.key]))
    shown = typed.select(*named, *(pl.col(name).alias(_PLACES[name]) for name in SET))
    near = after.filter(~pl.col(DELETED) | inferred())
    if history:
        floats = not sets.filter(pl.col(EMPTY) & pl.col(CURSOR).is_null()).is_empty()
        near = _open_versions(after, dataset, _first_arrivals(silver, dataset, accepted) if floats else None)
    ours = near.join(to.select(owner).unique().lazy(), on=owner, how="semi").collect()
    lacking = (
        ours.join(to, on=owner)
        .filter(_is_older(dataset))
        .join(shown, on=[*named, *(_PLACES[name] for name in SET)], how="anti", nulls_equal=True)
    )
    # A version ends with the first array without it. Else what raises it has to be newer than the last one.
    older = lacking.sort(*(_PLACES[name] for name in SET), descending=history, nulls_last=False).unique(
        list(dataset.row_key), keep="last", maintain_order=True
    )
    rest = ours.join(older.select(dataset.row_key), on=list(dataset.row_key), how="anti")
    late = _late(dataset, silver, rest, typed)
    return pl.concat([older, late.select(older.columns)])


def typed_arrays(
    arrays: pl.DataFrame, dataset: Dataset, have: pl.Schema
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the arrays of which it is known what they lack, one row each, and the rows of all, in given types."""
    owner = list(dataset.owner)
    typed = arrays.with_columns(
        exactly(pl.col(name), arrays.schema[name], have[name]).alias(name)
        for name in dict.fromkeys([*owner, *dataset.key])
    )
    place = [*owner, *SET]
    unknown = typed.filter(~pl.col(_KEYED) & ~pl.col(EMPTY)).select(place)
    sets = typed.unique(place, maintain_order=True)
    known = sets.join(unknown, on=place, how="anti", nulls_equal=True)
    return known, typed


def _first_arrivals(silver: Table, dataset: Dataset, accepted: pl.DataFrame | None) -> pl.LazyFrame:
    """Return when each version of a history was read first: silver's row has the arrival of the last reading."""
    place = [*dataset.key, CURSOR]
    known = [without_ends(silver.scan()).select(*place, ARRIVAL)]
    if accepted is not None and not accepted.is_empty():
        known.append(accepted.lazy().filter(~pl.col(DELETED)).select(*place, ARRIVAL))
    return pl.concat(known).group_by(place).agg(pl.col(ARRIVAL).min().alias(_FIRST))


def _open_versions(rows: pl.LazyFrame, dataset: Dataset, first: pl.LazyFrame | None) -> pl.LazyFrame:
    """Return the versions of a history that are no deletions, each with the cursor of the one that follows it.

    Alongside it is when the first of those arrived that lie after it; ``first`` has when each was read first.
    As if nothing without a cursor had ended them: that may be taken back, and what an array said has to be known then.
    """
    key = list(dataset.key)
    placed = without_ends(rows)
    arrived = pl.col(ARRIVAL)
    if first is not None:
        placed = placed.join(first, on=[*key, CURSOR], how="left")
        arrived = pl.min_horizontal(ARRIVAL, _FIRST)
    following = {
        _UNTIL: pl.col(CURSOR).shift(-1),
        _FOLLOWED: arrived.cum_min(reverse=True).shift(-1),
    }
    placed = placed.sort(*key, CURSOR)
    return placed.with_columns(one.over(key).alias(name) for name, one in following.items()).filter(
        ~pl.col(DELETED)
    )


def _late(dataset: Dataset, silver: Table, ours: pl.DataFrame, arrays: pl.DataFrame) -> pl.DataFrame:
    """Return rows that silver gets now, of arrays that are older than one that it knows of and bronze has no longer."""
    owner = list(dataset.owner)
    to = [pl.col(name).alias(new) for name, new in _PLACES.items()]
    if not dataset.has_parents_order or ours.is_empty():
        return ours.clear().join(arrays.clear().select(*owner, *to), on=owner)
    known = silver.scan().join(ours.lazy().select(owner).unique(), on=owner, how="semi").collect()
    best = known.sort(*SET, nulls_last=False).unique(owner, keep="last", maintain_order=True)
    gone = best.join(arrays.select(*owner, CURSOR), on=[*owner, CURSOR], how="anti", nulls_equal=True)
    place = gone.with_columns(
        pl.col(str(dataset.cursor)).alias(_MOMENT), pl.lit(value=False).alias(EMPTY)
    ).select(*owner, *to)
    new = ours.join(known.select(ORIGIN), on=list(ORIGIN), how="anti")
    late = new.join(place, on=owner, how="inner").filter(pl.col(CURSOR) < pl.col("_to_cursor"))
    return late.filter(_is_open(dataset))


def _is_older(dataset: Dataset) -> pl.Expr:
    """Return which rows come before an array; an empty one without a cursor comes after all that arrived before it."""
    arrived = pl.col(ARRIVAL) < pl.col("_to_arrival")
    if not dataset.has_parents_order:
        return arrived & _is_open(dataset)
    here, there = pl.col(CURSOR), pl.col("_to_cursor")
    before = (here < there).fill_null(value=False) | (here.is_null() & there.is_not_null())
    floats = there.is_null() & pl.col("_to_empty")
    return (before | ((here.eq_missing(there) | floats) & arrived)) & _is_open(dataset)


def _is_open(dataset: Dataset) -> pl.Expr:
    """Return which versions are not followed by another one before an array, by cursor or else by arrival."""
    if dataset.keeps != "history":
        return pl.lit(value=True)
    later = pl.col("_to_cursor") >= pl.col(_UNTIL)
    floats = pl.col("_to_cursor").is_null() & (pl.col(_FOLLOWED) <= pl.col("_to_arrival"))
    return ~(later.fill_null(value=False) | floats.fill_null(value=False))


def _tombstones(rows: pl.DataFrame, schema: pl.Schema, dataset: Dataset) -> pl.DataFrame:
    """Return rows as tombstones in the place of the array that lacks them."""
    placed = pl.col("_to_cursor").is_not_null()
    made = rows.with_columns(
        pl.lit(value=True).alias(DELETED),
        pl.col("_to_cursor").alias(CURSOR),
        pl.col("_to_arrival").alias(ARRIVAL),
        pl.when(placed).then(pl.col(VOID)).otherwise(pl.max_horizontal(VOID, "_to_arrival")).alias(VOID),
        pl.col("_to_stream").alias("_stream"),
        pl.col("_to_sequence").alias("_sequence"),
        pl.lit(BY_ARRAY, dtype=pl.Int64).alias("_row"),
    )
    if dataset.keeps == "history":
        made = made.with_columns(pl.col("_to_ingested").alias("_ingested_at"))
        moment = pl.when(placed).then(pl.col("_to_moment"))
        valued = [name for name in dataset.columns if name not in {*dataset.key, dataset.cursor}]
        made = made.with_columns(
            moment.alias(VALID_FROM),
            moment.alias(str(dataset.cursor)),
            *(pl.lit(None, dtype=schema[name]).alias(name) for name in valued),
        )
        # An empty array without a cursor is said of each version before it, and ends the last one.
        return made.select(list(schema)).unique([*dataset.row_key, ARRIVAL], maintain_order=True)
    return made.select(list(schema))


def _parents(
    lake: Lake, dataset: Dataset, have: pl.Schema
) -> tuple[pl.LazyFrame | None, pl.LazyFrame | None]:
    """Return the deleted and the living parents by the columns that name them here; None where that is not known.

    Those that are deleted with when that was noticed.
    """
    owner = dataset.owner
    table = lake.open("silver", dataset.nested.parent) if dataset.nested is not None and owner else None
    if table is None or dataset.nested is None:
        return None, None
    named: dict[str, str] = {}
    for reference in dataset.references:
        if reference.parent == dataset.nested.parent:
            named |= dict(zip(reference.columns, reference.parent_columns, strict=True))
    for name in owner:
        roots = dataset.columns[name].meta.root_names()
        if name not in named and len(roots) == 1:
            named[name] = dataset.nested.given[roots[0]]
    types = table.schema
    if any(named.get(name, "") not in types for name in owner):
        return None, None
    if any(not same_kind(types[named[name]], have[name]) for name in owner):
        return None, None
    keys = [exactly(pl.col(named[name]), types[named[name]], have[name]).alias(name) for name in owner]
    dead = pl.col(DELETED) & pl.col(VALID_TO).is_null() if CURRENT in types else pl.col(DELETED)
    living = pl.col(CURRENT) if CURRENT in types else ~pl.col(DELETED)
    of = table.scan()
    return (
        of.filter(dead)
        .select(*keys, pl.col("_ingested_at").alias(_SINCE))
        .drop_nulls(owner)
        .group_by(owner)
        .agg(pl.col(_SINCE).max()),
        of.filter(living).select(keys).drop_nulls().unique(),
    )
