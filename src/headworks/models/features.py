"""Features as they were known: for each cut, from what bronze had received by then and what was valid then.

A table of features has one row for each entity and cut, and is an ordinary gold table. Its transform is a function of
what was known at one cut, which is called for every cut with just that. `leaks` finds a transform of any other kind
that looks further: it makes the features again from what had been received by the cut, and compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from headworks.errors import SettingsError, TransformFailed, did_you_mean
from headworks.gold.curation import GoldTable, Inputs
from headworks.silver.dataset import VALID_FROM, Dataset

CUT = "cut"
"""The moment that a row's features are as of."""

TARGET_AT = "target_at"
"""When the target happened first after the cut, as known now; null where it did not yet."""

OBSERVED_UNTIL = "observed_until"
"""Until when outcomes were received: of a later moment nothing is known, not even that nothing happened."""

_RECEIVED, _GONE = "_ingested_at", "_deleted"
_STEADY_STEPS, _STEADY_AT_LEAST, _STEADY_ROWS = 8, 4, 3
_MONDAY = datetime(2001, 1, 1, tzinfo=UTC)
_MOMENT = pl.Datetime("us", "UTC")
_DAY = timedelta(days=1)
_FROM = "_counts_after"


@dataclass(frozen=True)
class Known:
    """A dataset as a table of features reads it: its key, and the column with the moment from which a row holds."""

    name: str
    key: tuple[str, ...]
    moment: str | None

    @classmethod
    def of(cls, dataset: Dataset) -> Known:
        """Return how a dataset is read: a history by its versions, another by its cursor, where that is a moment."""
        if dataset.keeps == "history":
            return cls(dataset.name, dataset.key, VALID_FROM)
        cursor = dataset.cursor
        moment = cursor is not None and isinstance(dataset.schema.columns()[cursor].dtype, pl.Datetime)
        return cls(dataset.name, dataset.key, cursor if moment else None)


@dataclass(frozen=True)
class AsOf:
    """What was known at a cut.

    Args:
        cut: the moment.
        of: the datasets that may be asked for, by name.
        frames: what was received of each.

    Raises `TransformFailed` for a dataset that the table of features does not name.

    Example:
        >>> from headworks.models.features import Known
        >>> received = datetime(2026, 1, 5, tzinfo=UTC)
        >>> rows = pl.DataFrame({"id": [1], "seats": [7], "_ingested_at": [received], "_deleted": [False]})
        >>> before = AsOf(datetime(2026, 1, 1, tzinfo=UTC), {"a": Known("a", ("id",), None)}, {"a": rows})
        >>> before.rows("a").collect().height
        0
    """

    cut: datetime
    of: Mapping[str, Known]
    frames: Mapping[str, pl.DataFrame]

    def versions(self, name: str) -> pl.LazyFrame:
        """Return every version of every key that had been received and was valid by the cut, deletions among them."""
        known, rows = self._known(name), self.frames[name].lazy().filter(pl.col(_RECEIVED) <= self.cut)
        return rows if known.moment is None else rows.filter(pl.col(known.moment) <= self.cut)

    def rows(self, name: str) -> pl.LazyFrame:
        """Return the newest version of each key that was known by the cut, without those that were deleted."""
        known = self._known(name)
        order = [*known.key, *([known.moment] if known.moment else []), _RECEIVED]
        ordered = self.versions(name).sort(order, maintain_order=True)
        # In the order of their keys, so that what is made of them does not depend on chance.
        newest = ordered.unique(known.key, keep="last", maintain_order=True)
        return newest.filter(~pl.col(_GONE)).drop(_RECEIVED, _GONE)

    def _known(self, name: str) -> Known:
        if name in self.of:
            return self.of[name]
        raise TransformFailed(
            f"The features or outcomes ask for the dataset {name!r}, which their table does not read; it reads "
            f"{', '.join(self.of)}.{did_you_mean(name, self.of)}",
            where=f"known.rows({name!r})",
            do="correct the name, or name the dataset in feature_table(..., of=…).",
        )


@dataclass(frozen=True)
class PointInTime:
    """The transform of a table of features: one frame for each cut, all below each other."""

    of: tuple[Known, ...]
    features: Callable[[AsOf], pl.LazyFrame]
    outcomes: Callable[[AsOf], pl.LazyFrame]
    key: tuple[str, ...]
    every: timedelta
    cuts_at_most: int
    only: tuple[datetime, ...] = ()
    """These cuts alone, whatever was received."""
    quiet: tuple[str, ...] = ()
    """Datasets of which nothing new need come: what they said last still holds."""

    @property
    def name(self) -> str:
        """What people know it by: the functions that it is made of."""
        return " or ".join(
            str(getattr(one, "__qualname__", "a function")) for one in (self.features, self.outcomes)
        )

    def __call__(self, inputs: Inputs) -> pl.LazyFrame:
        """Make the rows of every cut, the newest first decided by what was received last."""
        frames = {known.name: inputs[known.name].collect() for known in self.of}
        by_name = {known.name: known for known in self.of}
        until = observed_until(frames, self.every, self.quiet)
        cuts = list(self.only) or self.cuts(frames)
        made = [self._at(AsOf(cut, by_name, frames)) for cut in cuts or [_MONDAY]]
        rows = pl.concat([frame.lazy() for frame in made]).collect()
        rows = rows if cuts else rows.clear()
        happened, dated = self._outcomes(AsOf(until, by_name, frames), rows)
        if dated:
            rows = self._after_what_was_known(rows, by_name, frames)
        after = rows.sort(_FROM if dated else CUT).join_asof(
            happened,
            left_on=_FROM if dated else CUT,
            right_on=TARGET_AT,
            by=list(self.key),
            strategy="forward",
            allow_exact_matches=False,
            check_sortedness=False,
            coalesce=False,
        )
        after = after.drop(_FROM, strict=False)
        return after.with_columns(pl.lit(until, dtype=_MOMENT).alias(OBSERVED_UNTIL)).lazy()

    def cuts(self, frames: Mapping[str, pl.DataFrame]) -> list[datetime]:
        """Return the cuts, the newest last: of each step the last moment in which something was received.

        So what a run has just received counts, whenever it runs; a step is counted from a Monday, so that no run moves
        those before.
        """
        moments = {
            moment
            for frame in frames.values()
            for moment in frame.get_column(_RECEIVED).drop_nulls().unique().to_list()
        }
        last: dict[int, datetime] = {}
        for moment in sorted(moments):
            last[(moment - _MONDAY) // self.every] = moment
        return [last[step] for step in sorted(last)][-self.cuts_at_most :]

    def _at(self, known: AsOf) -> pl.DataFrame:
        made = self.features(known).collect()
        if taken := [name for name in (CUT, TARGET_AT, OBSERVED_UNTIL, "label") if name in made.columns]:
            raise TransformFailed(
                f"The features have a column {', '.join(taken)}, which the table of features makes itself.",
                where=str(getattr(self.features, "__qualname__", "features")),
                do="give it another name, or leave it out.",
            )
        return made.with_columns(pl.lit(known.cut, dtype=_MOMENT).alias(CUT))

    def _outcomes(self, known: AsOf, rows: pl.DataFrame) -> tuple[pl.DataFrame, bool]:
        """Return the outcomes, the oldest first, and whether they have days: a day counts when it is over, in UTC.

        Only then it has happened for sure. As midnight it would lie before a cut of its own day, and be lost.
        """
        made, where = self.outcomes(known).collect(), str(getattr(self.outcomes, "__qualname__", "outcomes"))
        if missing := [name for name in (*self.key, "at") if name not in made.columns]:
            raise TransformFailed(
                f"The outcomes give no column {', '.join(missing)}; they give {', '.join(made.columns)}.",
                where=where,
                do="let them give the key of the entity, and as at the moment in which it happened.",
            )
        kind = made.schema["at"]
        if kind not in (pl.Date, pl.Null) and not isinstance(kind, pl.Datetime):
            raise TransformFailed(
                f"The outcomes' at is no moment: its type is {kind}.",
                where=where,
                do="give a moment with a time zone, or a date, which counts at the end of its day in UTC.",
            )
        dated = kind == pl.Date
        at = pl.col("at").cast(_MOMENT) + (_DAY if dated else timedelta(0))
        kept = made.select(*(pl.col(name).cast(rows.schema[name]) for name in self.key), at.alias(TARGET_AT))
        return kept.drop_nulls().sort(TARGET_AT), dated

    def _after_what_was_known(
        self, rows: pl.DataFrame, by_name: Mapping[str, Known], frames: Mapping[str, pl.DataFrame]
    ) -> pl.DataFrame:
        """Return rows with the moment after which an outcome counts, where outcomes have days.

        That is the cut, or the end of its day where an outcome of that very day was known by the cut.
        """
        if rows.is_empty():
            return rows.with_columns(pl.col(CUT).alias(_FROM))
        over = pl.col(CUT).dt.truncate("1d") + _DAY
        known = pl.concat(
            self._outcomes(AsOf(cut, by_name, frames), rows)[0].with_columns(
                pl.lit(cut, dtype=_MOMENT).alias(CUT)
            )
            for cut in rows.get_column(CUT).unique().sort()
        )
        of_its_day = (
            known.filter(pl.col(TARGET_AT) == over).select(*self.key, CUT, over.alias(_FROM)).unique()
        )
        joined = rows.join(of_its_day, on=[*self.key, CUT], how="left")
        return joined.with_columns(pl.col(_FROM).fill_null(pl.col(CUT)))


def last_received(frames: Mapping[str, pl.DataFrame]) -> dict[str, datetime]:
    """Return when each dataset was received last; one that never was is not among them."""
    moments = {name: frame.get_column(_RECEIVED).max() for name, frame in frames.items()}
    return {name: moment for name, moment in moments.items() if isinstance(moment, datetime)}


def steady(
    frames: Mapping[str, pl.DataFrame], every: timedelta, quiet: Sequence[str] = ()
) -> dict[str, datetime]:
    """Return when each dataset of which rows used to come in every step was received last.

    One of which little comes now and then, as a list of countries, is not missed. Of one that has stopped its own last
    steps count, so that it is missed for ever, or until it is said to be ``quiet``.
    """
    return {
        name: moment
        for name, moment in last_received(frames).items()
        if name not in quiet and _comes_steadily(frames[name], moment, every)
    }


def _comes_steadily(frame: pl.DataFrame, last: datetime, every: timedelta) -> bool:
    """Return whether rows came in all of a dataset's last steps but one: more than chance leaves out of few rows."""
    received = frame.get_column(_RECEIVED).drop_nulls().value_counts().iter_rows()
    rows: dict[int, int] = {}
    for moment, count in received:
        step = (moment - _MONDAY) // every
        rows[step] = rows.get(step, 0) + count
    newest = (last - _MONDAY) // every
    steps = range(max(min(rows), newest - _STEADY_STEPS + 1), newest + 1)
    full = sum(rows.get(step, 0) >= _STEADY_ROWS for step in steps)
    return len(steps) >= _STEADY_AT_LEAST and full >= len(steps) - (len(steps) == _STEADY_STEPS)


def observed_until(
    frames: Mapping[str, pl.DataFrame], every: timedelta, quiet: Sequence[str] = ()
) -> datetime:
    """Return until when all datasets are known: of a later moment an outcome may just not have been delivered.

    Within a step they come at different hours, so it is the end of the newest step that has all that come steadily.
    """
    last = last_received(frames)
    if not last:
        return _MONDAY
    newest = max(last.values())
    oldest = min(steady(frames, every, quiet).values(), default=newest)
    step = (oldest - _MONDAY) // every
    if step == (newest - _MONDAY) // every:
        return newest
    # The last moment of that step in which anything was received.
    end = _MONDAY + (step + 1) * every
    moments = [
        frame.get_column(_RECEIVED).filter(frame.get_column(_RECEIVED) < end).max()
        for frame in frames.values()
    ]
    return max(moment for moment in moments if isinstance(moment, datetime))


def feature_table(
    name: str,
    of: Sequence[Dataset],
    features: Callable[[AsOf], pl.LazyFrame],
    outcomes: Callable[[AsOf], pl.LazyFrame],
    *,
    key: tuple[str, ...],
    contract: Path,
    every: timedelta = timedelta(weeks=1),
    cuts_at_most: int = 104,
    quiet: Sequence[Dataset] = (),
    **more: Any,
) -> GoldTable:
    """Declare a table of features: a gold table with a row for each entity and cut.

    ``features`` makes the rows of one cut from what was known then (`AsOf`): which entities it is about, and their
    features. ``outcomes`` returns the key of the entity and ``at``, the moment in which what is to be predicted
    happened, from what is known now. It is a moment with a time zone, or a date, which counts at the end of its day in
    UTC; so one of the cut's own day is after the cut, unless it was known by the cut. ``every`` is the step between
    cuts, ``cuts_at_most`` how many of them are kept; ``more`` are further fields of the gold table.

    A dataset of which rows came in every step is missed when it stops: nothing is known then of outcomes since, and the
    gate closes when its last delivery is older than ``Bounds.age``. ``quiet`` names those that may stop.

    The table gets the columns ``cut``, ``target_at`` and ``observed_until`` in addition.

    Args:
        name: the gold table's.
        of: the datasets that it reads.
        key: the columns that identify an entity.
        contract: the file with the checks of the features.

    Raises `NameRefused` and `SettingsError` as `GoldTable` does.

    Example:
        >>> class Row(dy.Schema):
        ...     id = dy.Int64(nullable=False)
        >>> accounts = Dataset("crm.accounts", key=("id",), schema=Row, columns={"id": pl.col("id")})
        >>> feature_table(
        ...     "accounts.features",
        ...     (accounts,),
        ...     lambda known: known.rows("crm.accounts").select("id"),
        ...     lambda known: known.rows("crm.accounts").select("id", at=pl.lit(known.cut)),
        ...     key=("id",),
        ...     contract=contract,
        ... ).key
        ('id', 'cut')
    """
    if every <= timedelta(0) or cuts_at_most < 1:
        raise SettingsError(
            "Cuts follow each other in time.", where=name, do="give a step and a number above 0."
        )
    known = tuple(Known.of(dataset) for dataset in of)
    transform = PointInTime(
        known, features, outcomes, key, every, cuts_at_most, quiet=tuple(one.name for one in quiet)
    )
    names = tuple(one.name for one in known)
    return GoldTable(name, names, transform, (*key, CUT), contract, receipts=True, **more)


@dataclass(frozen=True)
class Received:
    """What was received for features: the newest moment of all, and the last one of each steady dataset."""

    newest: datetime
    steady: Mapping[str, datetime]


def received_of(gold: GoldTable, frames: Mapping[str, pl.DataFrame]) -> Received | None:
    """Return what was received for a table of features; None where it is made in another way, or nothing was."""
    transform, last = gold.transform, last_received(frames)
    if not isinstance(transform, PointInTime) or not last:
        return None
    return Received(max(last.values()), steady(frames, transform.every, transform.quiet))


@dataclass(frozen=True)
class Leak:
    """A feature that another value is made of when nothing is there that came after the cut."""

    column: str
    cut: datetime
    rows: int


def _same(column: str, dtype: pl.DataType) -> pl.Expr:
    """Return whether a feature is the same; sums of floats differ in their last digits by the order of the rows."""
    now, then = pl.col(column), pl.col(f"{column}|then")
    same = now.eq_missing(then)
    return (
        same | ((now - then).abs() <= 1e-9 * now.abs()).fill_null(value=False) if dtype.is_float() else same
    )


@dataclass(frozen=True)
class LeakCheck:
    """What a look for leaks found, and at how many cuts and rows it looked: none is not known."""

    leaks: tuple[Leak, ...] = ()
    cuts: int = 0
    rows: int = 0
    missing: tuple[datetime, ...] = field(default=())
    """Cuts of which rows came or went."""


def leaks(gold: GoldTable, inputs: Inputs, columns: Sequence[str], cuts: Sequence[datetime]) -> LeakCheck:
    """Return which features of some cuts are made of what was received after them.

    The features are made twice, from all inputs and from what had been received by the cut, and must be the same.
    """
    frames = {name: frame.collect() for name, frame in inputs.items()}
    # Which cuts there are follows from what was received, so the transform is asked for these alone.
    transform = gold.transform
    if isinstance(transform, PointInTime):
        transform = replace(transform, only=tuple(cuts))
    whole = transform({name: frame.lazy() for name, frame in frames.items()}).collect()
    key = [name for name in gold.key if name != CUT]
    found: list[Leak] = []
    missing: list[datetime] = []
    looked = 0
    for cut in cuts:
        known = {name: frame.filter(pl.col(_RECEIVED) <= cut).lazy() for name, frame in frames.items()}
        then = transform(known).collect().filter(pl.col(CUT) == cut)
        now = whole.filter(pl.col(CUT) == cut)
        looked += now.height
        both = now.join(then, on=key, suffix="|then")
        if both.height != now.height or both.height != then.height:
            missing.append(cut)
        for column in columns:
            different = both.filter(~_same(column, both.schema[column])).height
            if different:
                found.append(Leak(column, cut, different))
    return LeakCheck(tuple(found), len(cuts), looked, tuple(missing))
