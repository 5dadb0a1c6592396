"""Gold by parts: of a table that says ``by`` only the parts are made again that the changes of silver touch.

The parts are the different values of columns of gold, such as its days. Which of them are touched is followed through
the plan of the transform (``following.py``), from the rows that differ between the versions of silver that the table
was made from and those that are pinned now. What is made again is computed by the same plan. Where any of this cannot
be shown to be right, `NotFollowed` says why, and the table is made whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from headworks.errors import LakeUnusable
from headworks.gold.following import Changes, Following, without_equal
from headworks.gold.plans import NotFollowed, Plan, ask, schemas_of
from headworks.gold.table import PLAN, Pins, as_inputs, input_id, pin_versions, pinned_inputs, version_id
from headworks.storage.between import NotComparable, rows_of_changed_files
from headworks.storage.store import Lake
from headworks.storage.translating import is_foreign, is_of_a_store

_MANY = 50_000
"""Of more rows the equal ones are found by their hashes of 64 bits, which costs a third of comparing them."""
_TOO_MANY = 40_000_000
_ROUNDING = 1e-9
"""Sums of floats in another order differ by less than this share of them."""


@dataclass(frozen=True)
class Again:
    """What is made again: the values of the parts that are touched, and all rows of these parts."""

    values: pl.DataFrame
    rows: pl.DataFrame


@dataclass(frozen=True)
class Made:
    """How a gold table is made: the transform, what it reads, and by which columns it has parts."""

    transform: Callable[[Mapping[str, pl.LazyFrame]], object]
    inputs: tuple[str, ...]
    by: tuple[str, ...]
    receipts: bool = False
    plan: Plan | None = None
    """What the transform says, where it was asked already."""


def made_again(lake: Lake, made: Made, transactions: Callable[[str], int], pins: Pins) -> Again:
    """Make the touched parts of a gold table again from pinned silver.

    ``transactions`` are those of the table as it is, which say what it was made from. Raises `NotFollowed`.
    """
    before = _pins_before(lake, made.inputs, transactions)
    frames = pinned_inputs(lake, pins, made.inputs, receipts=made.receipts)
    earlier = pinned_inputs(lake, before, made.inputs, receipts=made.receipts)
    plan = made.plan or ask(made.transform, schemas_of(frames))
    root = plan.followed()
    if plan.number != transactions(PLAN):
        raise NotFollowed(
            "its transform says something else than the last time, as one does that has today's date in it"
        )
    try:
        changed = {name: _changed(lake, before, pins, name, receipts=made.receipts) for name in made.inputs}
        following = Following(root, earlier, frames, changed)
        following.check()
        values = following.touched(made.by)
        return Again(values, following.rows(made.by, values).collect())
    except NotFollowed:
        raise
    except BaseException as problem:
        gone = isinstance(problem, LakeUnusable) or is_of_a_store(problem)
        if not gone and not is_foreign(problem):
            raise
        # Whatever it is that raises comes again where the table is made whole, and is explained there.
        what = "the earlier silver cannot be read any more" if gone else f"it raised {type(problem).__name__}"
        raise NotFollowed(what) from problem


def with_parts(there: pl.DataFrame, again: Again, by: Sequence[str]) -> pl.DataFrame:
    """Return the rows of a table with some of its parts made again."""
    if there.schema != again.rows.schema:
        raise NotFollowed("its columns or their types are others now")
    values = again.values.select(pl.col(name).cast(there.schema[name]) for name in by)
    kept = there.join(values, on=list(by), how="anti", nulls_equal=True)
    return pl.concat([kept, again.rows])


def differing(parts: pl.DataFrame, whole: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that only the one, and only the other of two makings of a table has; floats may be rounded."""
    if parts.schema != whole.schema:
        return parts, whole
    found = without_equal(parts, whole)
    floats = [name for name, dtype in parts.schema.items() if dtype.is_float()]
    if not floats or found.is_empty:
        return found.gone, found.came
    exact = [name for name in parts.columns if name not in floats]
    gone, came = (rows.with_row_index("\0place") for rows in (found.gone, found.came))
    pairs = (
        gone.join(came, on=exact, suffix="\0", nulls_equal=True)
        if exact
        else gone.join(came, how="cross", suffix="\0")
    )
    close = pairs.filter(
        pl.all_horizontal(
            pl.col(name).eq_missing(pl.col(f"{name}\0"))
            | ((pl.col(name) - pl.col(f"{name}\0")).abs() <= _ROUNDING * pl.col(name).abs())
            for name in floats
        )
    )
    return (
        gone.join(close, on="\0place", how="anti").drop("\0place"),
        came.join(close, left_on="\0place", right_on="\0place\0", how="anti").drop("\0place"),
    )


def _pins_before(lake: Lake, inputs: Sequence[str], transactions: Callable[[str], int]) -> Pins:
    """Pin the versions of silver that a gold table was made from."""
    versions = {name: transactions(version_id(name)) - 1 for name in inputs}
    if unknown := [name for name, version in versions.items() if version < 0]:
        raise NotFollowed(f"which version of {', '.join(unknown)} it was made from is not known")
    try:
        before = pin_versions(lake, versions)
    except LakeUnusable as problem:
        raise NotFollowed("the versions of silver that it was made from are gone") from problem
    if other := [name for name in inputs if before.input_of(name) != transactions(input_id(name))]:
        raise NotFollowed(f"silver.{', silver.'.join(other)} was made again, or restored, since")
    return before


def _changed(lake: Lake, before: Pins, after: Pins, name: str, *, receipts: bool) -> Changes:
    """Return the rows of an input that differ between two versions of it."""
    if before.made_from((name,)) == after.made_from((name,)):
        nothing = as_inputs(
            lake.must_open("silver", name, after.version_of(name).version).scan(), receipts=receipts
        )
        none = pl.DataFrame(schema=nothing.collect_schema())
        return Changes(none, none)
    old, new = (lake.must_open("silver", name, pins.version_of(name).version) for pins in (before, after))
    try:
        gone, came = (as_inputs(rows, receipts=receipts) for rows in rows_of_changed_files(old, new))
    except NotComparable as problem:
        raise NotFollowed(f"silver.{name} cannot be compared with what it was: {problem}") from problem
    count = sum(rows.select(pl.len()).collect().item() for rows in (gone, came))
    if count > _TOO_MANY:
        raise NotFollowed(f"{count} rows of silver.{name} were written again")
    if count > _MANY:
        gone, came = _narrowed(gone, came)
    return without_equal(gone.collect(), came.collect())


def _narrowed(gone: pl.LazyFrame, came: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Return the rows of two sets that have no equal one in the other, found by their hashes in little memory."""
    number = pl.struct(pl.all()).hash()
    one, other = (
        rows.select(number.alias("hash")).collect(engine="streaming").get_column("hash")
        for rows in (gone, came)
    )
    mine, theirs = (
        left.to_frame().lazy().join(right.to_frame().lazy(), on="hash", how="anti")
        for left, right in ((one, other), (other, one))
    )
    if one.n_unique() != len(one) or other.n_unique() != len(other):
        return gone, came
    return gone.filter(number.is_in(mine.collect().to_series().implode())), came.filter(
        number.is_in(theirs.collect().to_series().implode())
    )
