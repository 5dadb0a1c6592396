"""Weeks that are good, and weeks that are bad in a way that has a name, each as silver would have it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from crm.churn import FEATURES, HORIZON, MODEL, features, outcomes
from crm.datasets import CONTACTS, CONTRACTS, SUBSCRIPTIONS, TICKETS, USAGE
from crm.timelapse import RUNS_AT
from crm.truth import Frames, feature_rows, received
from crm.world import WEEK, World
from headworks.gold.curation import GoldTable
from headworks.models.features import AsOf, LeakCheck, feature_table, leaks, received_of
from headworks.models.judging import data_checks
from headworks.models.model import Model
from headworks.models.timelapse import Fitted, judged, learned
from headworks.models.training import Asked
from headworks.quality.gate import decide
from headworks.reports import GateReport

START = datetime(2026, 1, 5, tzinfo=UTC)
FIRST_WEEK, WEEK_OF_CHAMPION = 10, 38
ASKED = Asked(horizon=HORIZON)


@dataclass
class Case:
    """A week as it reaches the model: frames of silver, the table of features, the model, and changed training rows."""

    frames: Frames
    table: GoldTable = FEATURES
    model: Model = MODEL
    spoil: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    """What is done to all rows with features."""
    estimator: Callable[[int], Any] | None = None
    rows: pl.DataFrame | None = None
    """The features, where they were made before."""


@cache
def world(seed: int, customers: int = 400) -> World:
    return World(START, WEEK_OF_CHAMPION + 4, customers=customers, seed=seed)


@cache
def rows_of(seed: int, week: int, customers: int = 400) -> pl.DataFrame:
    return feature_rows(FEATURES, frames_of(seed, week, customers))


@cache
def frames_of(seed: int, week: int, customers: int = 400) -> Frames:
    first, until = START + FIRST_WEEK * WEEK + RUNS_AT, START + week * WEEK + RUNS_AT
    return received(world(seed, customers), first, until, WEEK)


@cache
def champion(seed: int) -> Fitted:
    """Return the champion of a world, made a week before."""
    return learned(MODEL, rows_of(seed, WEEK_OF_CHAMPION), ASKED)


def judge(case: Case, current: Fitted, promises: tuple[float, ...] = (), seed: int = 1) -> GateReport:
    """Return the decision of the gate about a week, by the very checks that a run makes."""
    model = replace(case.model, features=case.table)
    rows = feature_rows(case.table, case.frames) if case.rows is None else case.rows
    rows = rows if case.spoil is None else case.spoil(rows)
    asked = Asked(horizon=HORIZON, seed=seed)
    cuts = rows.get_column("cut").unique().sort().to_list()
    found: LeakCheck = leaks(
        case.table,
        {name: frame.lazy() for name, frame in case.frames.items()},
        MODEL.columns,
        [cuts[-8]],
    )
    now = rows.get_column("observed_until").max()
    assert isinstance(now, datetime)
    received = received_of(case.table, case.frames)
    if received is not None:
        now = max(now, received.newest)
    made = replace(model, estimator=case.estimator) if case.estimator is not None else model
    data = data_checks(model, rows, asked, current.trained.profile, found, now, received)
    judgement = judged(made, rows, asked, current, promises, data)
    assert not judgement.problem
    return decide(model.scope, judgement.checks, contract_required=False)


def _newest(frames: Frames) -> datetime:
    moment = frames[USAGE.name].get_column("_ingested_at").max()
    assert isinstance(moment, datetime)
    return moment


def _lately(frames: Frames, weeks: int = 1) -> pl.Expr:
    return pl.col("_ingested_at") > _newest(frames) - weeks * WEEK


def _with(frames: Frames, name: str, frame: pl.DataFrame) -> Frames:
    return {**frames, name: frame}


def shuffled_labels(frames: Frames, chance: np.random.Generator) -> Case:
    def shuffle(rows: pl.DataFrame) -> pl.DataFrame:
        order = chance.permutation(rows.height)
        happened = (rows.get_column("target_at") - rows.get_column("cut")).gather(order)
        return rows.with_columns(target_at=pl.col("cut") + happened)

    return Case(frames, spoil=shuffle)


def leaked_feature(frames: Frames, _: np.random.Generator) -> Case:
    def leaky(known: AsOf) -> pl.LazyFrame:
        ended = known.frames[SUBSCRIPTIONS.name].lazy().filter(pl.col("status") == "cancelled")
        gone = ended.select("contact_id", gone_in=pl.lit(1)).unique("contact_id")
        made = features(known).join(gone, on="contact_id", how="left")
        return made.with_columns(open_tickets=pl.col("open_tickets") + pl.col("gone_in").fill_null(0)).drop(
            "gone_in"
        )

    table = feature_table(
        "churn.features",
        of=(CONTACTS, SUBSCRIPTIONS, TICKETS, USAGE),
        features=leaky,
        outcomes=outcomes,
        key=("contact_id",),
        contract=CONTRACTS / "gold_churn_features.yml",
    )
    return Case(frames, table=table)


def half_of_the_crm_missing(frames: Frames, _: np.random.Generator) -> Case:
    gone = frames[CONTACTS.name].filter(pl.col("contact_id") % 2 == 0).unique("contact_id", keep="last")
    tombstones = gone.with_columns(
        _deleted=pl.lit(True), _ingested_at=pl.lit(_newest(frames)), valid_from=pl.lit(_newest(frames))
    )
    there = frames[CONTACTS.name]
    return Case(_with(frames, CONTACTS.name, pl.concat([there, tombstones.select(there.columns)])))


def minutes_as_seconds(frames: Frames, _: np.random.Generator) -> Case:
    minutes = pl.when(_lately(frames, 3)).then(pl.col("minutes") * 60).otherwise(pl.col("minutes"))
    return Case(_with(frames, USAGE.name, frames[USAGE.name].with_columns(minutes=minutes)))


def price_in_cents(frames: Frames, _: np.random.Generator) -> Case:
    return Case(frames, spoil=lambda rows: _at_newest(rows, monthly_eur=pl.col("monthly_eur") * 100))


def a_segment_gone(frames: Frames, _: np.random.Generator) -> Case:
    return Case(frames, spoil=lambda rows: rows.filter(~(_is_newest(rows) & (pl.col("country") == "NL"))))


def a_segment_renamed(frames: Frames, _: np.random.Generator) -> Case:
    return Case(frames, spoil=lambda rows: _at_newest(rows, plan=pl.col("plan").str.to_uppercase()))


def duplicated_contacts(frames: Frames, _: np.random.Generator) -> Case:
    """The CRM was joined with itself: each contact is there again under another number."""
    given = dict(frames)
    for name in (CONTACTS.name, SUBSCRIPTIONS.name):
        frame = frames[name]
        own = "subscription_id" if name == SUBSCRIPTIONS.name else "contact_id"
        numbers = {column: pl.col(column) + 1_000_000 for column in {own, "contact_id"}}
        twins = frame.with_columns(**numbers, _ingested_at=pl.lit(_newest(frames)))
        given[name] = pl.concat([frame, twins.select(frame.columns)])
    return Case(given)


def duplicate_keys(frames: Frames, _: np.random.Generator) -> Case:
    return Case(frames, spoil=lambda rows: pl.concat([rows, rows.filter(_is_newest(rows)).head(20)]))


def clock_skew(frames: Frames, _: np.random.Generator) -> Case:
    """The source's clock is three weeks ahead: its newest records are not valid yet."""
    moved = pl.col("happened_at") + 3 * WEEK
    skewed = pl.when(_lately(frames, 4)).then(moved).otherwise(pl.col("happened_at"))
    frame = frames[USAGE.name].with_columns(happened_at=skewed, updated_at=skewed)
    return Case(_with(frames, USAGE.name, frame))


def use_not_delivered(frames: Frames, _: np.random.Generator) -> Case:
    return Case(_with(frames, USAGE.name, frames[USAGE.name].filter(~_lately(frames, 3))))


def events_twice(frames: Frames, _: np.random.Generator) -> Case:
    there = frames[USAGE.name]
    again = there.filter(_lately(frames, 5)).with_columns(event_id=pl.col("event_id") + 10_000_000)
    return Case(_with(frames, USAGE.name, pl.concat([there, again])))


def nulls(frames: Frames, chance: np.random.Generator) -> Case:
    def empty(rows: pl.DataFrame) -> pl.DataFrame:
        some = pl.Series(chance.random(rows.height) < 0.4)
        return _at_newest(rows, seats=pl.when(~some).then(pl.col("seats")))

    return Case(frames, spoil=empty)


def a_constant_feature(frames: Frames, _: np.random.Generator) -> Case:
    return Case(frames, spoil=lambda rows: _at_newest(rows, tenure_weeks=pl.lit(12.0)))


def an_infinite_feature(frames: Frames, _: np.random.Generator) -> Case:
    """In every week some rows are divided by nothing."""
    few = pl.col("contact_id") % 12 == 0
    return Case(
        frames,
        spoil=lambda rows: rows.with_columns(
            use_ratio=pl.when(few).then(float("inf")).otherwise(pl.col("use_ratio"))
        ),
    )


def a_new_feature_that_is_known_later_alone(frames: Frames, _: np.random.Generator) -> Case:
    """The champion does not have it: of the weeks before most who left are in it, of the newest nobody is yet."""

    def filled(rows: pl.DataFrame) -> pl.DataFrame:
        soon = (pl.col("target_at") <= pl.col("cut") + HORIZON).fill_null(value=False)
        found = pl.when(soon & (pl.col("contact_id") % 10 < 6)).then(1.0).otherwise(0.0)
        return rows.with_columns(surveyed=pl.when(_is_newest(rows)).then(None).otherwise(found))

    return Case(frames, model=replace(MODEL, numbers=(*MODEL.numbers, "surveyed")), spoil=filled)


def cancellations_not_delivered(frames: Frames, _: np.random.Generator) -> Case:
    late = (pl.col("status") == "cancelled") & _lately(frames, 10)
    return Case(_with(frames, SUBSCRIPTIONS.name, frames[SUBSCRIPTIONS.name].filter(~late)))


def subscriptions_that_stopped(frames: Frames, _: np.random.Generator) -> Case:
    """One source of four gives nothing any more, and nobody is known to have cancelled since."""
    return Case(_with(frames, SUBSCRIPTIONS.name, frames[SUBSCRIPTIONS.name].filter(~_lately(frames, 2))))


def tickets_that_stopped(frames: Frames, _: np.random.Generator) -> Case:
    return Case(_with(frames, TICKETS.name, frames[TICKETS.name].filter(~_lately(frames, 2))))


def nobody_at_the_newest_cut(frames: Frames, _: np.random.Generator) -> Case:
    """Then the cut before is the newest one with rows, and would be scored as if it were now."""
    return Case(frames, spoil=lambda rows: rows.filter(~_is_newest(rows)))


def rises_in_percent(frames: Frames, _: np.random.Generator) -> Case:
    """Most have no rise of their price, so in all rows together little has changed."""
    return Case(frames, spoil=lambda rows: _at_newest(rows, raised_8w=pl.col("raised_8w") * 100))


def another_value_for_none(frames: Frames, _: np.random.Generator) -> Case:
    none = pl.when(pl.col("severe_8w") == 0).then(-9999).otherwise(pl.col("severe_8w"))
    return Case(frames, spoil=lambda rows: _at_newest(rows, severe_8w=none))


def some_in_another_unit(frames: Frames, _: np.random.Generator) -> Case:
    """A twelfth of the customers comes from another system."""
    few = pl.when(pl.col("contact_id") % 12 == 0).then(pl.col("minutes_4w") * 1000)
    return Case(frames, spoil=lambda rows: _at_newest(rows, minutes_4w=few.otherwise(pl.col("minutes_4w"))))


def _exchanged(share: float, *columns: str) -> Callable[[pl.DataFrame, np.random.Generator], pl.DataFrame]:
    """Return what gives some keys of the newest cut the values of other ones: no distribution changes."""

    def exchange(rows: pl.DataFrame, chance: np.random.Generator) -> pl.DataFrame:
        newest = rows.select(_is_newest(rows)).to_series().to_numpy().nonzero()[0]
        some = newest[chance.random(len(newest)) < share]
        order = np.arange(rows.height)
        order[some] = chance.permutation(some)
        return rows.with_columns(rows.select(columns)[order])

    return exchange


def features_of_others(frames: Frames, chance: np.random.Generator) -> Case:
    """A join under a wrong key: each customer has the features of another one."""
    exchange = _exchanged(1.0, *MODEL.columns)
    return Case(frames, spoil=lambda rows: exchange(rows, chance))


def use_of_others(frames: Frames, chance: np.random.Generator) -> Case:
    """The same of a quarter of the customers, and of their use alone."""
    exchange = _exchanged(0.25, "sessions_4w", "minutes_4w", "use_ratio", "days_since_use")
    return Case(frames, spoil=lambda rows: exchange(rows, chance))


def everybody_leaves(frames: Frames, _: np.random.Generator) -> Case:
    """A status that means something else now: all outcomes are there, and far too many."""
    gone = pl.when(pl.col("contact_id") % 50 > 0).then(pl.col("cut") + timedelta(days=2))
    return Case(frames, spoil=lambda rows: rows.with_columns(target_at=gone))


def labels_reversed(frames: Frames, _: np.random.Generator) -> Case:
    """The outcomes of the newest weeks were joined to the wrong end: who stayed counts as gone, in the same number."""

    def turn(rows: pl.DataFrame) -> pl.DataFrame:
        busy = pl.col("sessions_4w").rank("ordinal", descending=True).over("cut") <= 0.05 * pl.len().over(
            "cut"
        )
        gone = pl.when(busy).then(pl.col("cut") + timedelta(days=3))
        holdout = pl.col("cut") > pl.col("cut").max() - 9 * WEEK
        return rows.with_columns(target_at=pl.when(holdout).then(gone).otherwise(pl.col("target_at")))

    return Case(frames, spoil=turn)


def trained_on_few(frames: Frames, _: np.random.Generator) -> Case:
    return Case(frames, spoil=lambda rows: rows.filter(pl.col("cut") > pl.col("cut").max() - 12 * WEEK))


class _Constant:
    """An estimator that has learned nothing but the share."""

    def fit(self, values: Any, labels: Any) -> _Constant:
        self.share = float(np.mean(labels))
        return self

    def predict_proba(self, values: Any) -> Any:
        return np.tile([1 - self.share, self.share], (len(values), 1))


def an_estimator_that_learned_nothing(frames: Frames, _: np.random.Generator) -> Case:
    return Case(frames, estimator=lambda seed: _Constant())


class _Loud:
    """An estimator whose ranking is right and whose chances are not, as after a change of class weights."""

    def __init__(self, seed: int) -> None:
        self.inner = MODEL.estimator(seed)

    def fit(self, values: Any, labels: Any) -> _Loud:
        self.inner.fit(values, labels, sample_weight=np.where(labels == 1, 20.0, 1.0))
        return self

    def predict_proba(self, values: Any) -> Any:
        return self.inner.predict_proba(values)


def chances_out_of_scale(frames: Frames, _: np.random.Generator) -> Case:
    return Case(frames, estimator=_Loud)


def a_feature_that_knows_the_target(frames: Frames, _: np.random.Generator) -> Case:
    """The source writes what it knows today into a column that looks old: no receipt shows it, the metric does."""

    def know(rows: pl.DataFrame) -> pl.DataFrame:
        soon = (pl.col("target_at") <= pl.col("cut") + HORIZON).fill_null(value=False)
        return rows.with_columns(raised_8w=pl.when(soon).then(0.21).otherwise(pl.col("raised_8w")))

    return Case(frames, spoil=know)


def _is_newest(rows: pl.DataFrame) -> pl.Expr:
    return pl.col("cut") == rows.get_column("cut").max()


def _at_newest(rows: pl.DataFrame, **changed: pl.Expr) -> pl.DataFrame:
    newest = _is_newest(rows)
    return rows.with_columns(
        **{name: pl.when(newest).then(made).otherwise(pl.col(name)) for name, made in changed.items()}
    )


Kind = Callable[[Frames, np.random.Generator], Case]

BAD: dict[Kind, tuple[str, ...]] = {
    shuffled_labels: ("quality: better than chance", "quality: good enough"),
    leaked_feature: ("features: as they were known",),
    half_of_the_crm_missing: ("features: rows",),
    minutes_as_seconds: ("feature minutes_4w: drift",),
    price_in_cents: ("feature monthly_eur: drift",),
    a_segment_gone: ("feature country: values",),
    a_segment_renamed: ("feature plan: values",),
    duplicated_contacts: ("features: rows",),
    duplicate_keys: ("features: key is unique",),
    clock_skew: ("feature days_since_use: drift", "feature sessions_4w: drift"),
    use_not_delivered: ("feature days_since_use: drift", "feature sessions_4w: drift"),
    events_twice: ("feature sessions_4w: drift", "feature use_ratio: drift"),
    nulls: ("feature seats: nulls",),
    an_infinite_feature: ("features: finite",),
    a_new_feature_that_is_known_later_alone: ("feature surveyed: nulls",),
    a_constant_feature: ("feature tenure_weeks: drift",),
    cancellations_not_delivered: ("training: class balance of the newest weeks", "features: rows"),
    subscriptions_that_stopped: ("features: deliveries are new",),
    tickets_that_stopped: ("features: deliveries are new",),
    nobody_at_the_newest_cut: ("features: rows of the newest cut",),
    rises_in_percent: ("feature raised_8w: drift", "feature raised_8w: range"),
    another_value_for_none: ("feature severe_8w: drift",),
    some_in_another_unit: ("feature minutes_4w: range",),
    features_of_others: ("features: of their own entity",),
    use_of_others: ("features: of their own entity",),
    everybody_leaves: ("training: class balance", "training: rows of each outcome"),
    labels_reversed: ("quality: better than chance", "quality: good enough"),
    trained_on_few: ("training: rows", "training: rows of each outcome"),
    an_estimator_that_learned_nothing: ("quality: better than chance", "quality: good enough"),
    chances_out_of_scale: ("quality: calibration",),
    a_feature_that_knows_the_target: ("feature raised_8w: drift", "quality: not too good"),
}
"""Each bad week, and the checks of which one at least must say why it is refused."""


def bad_week(kind: Kind, seed: int) -> GateReport:
    """Return what the gate says about a bad week of a world."""
    frames = frames_of(seed, WEEK_OF_CHAMPION + 1)
    case = kind(frames, np.random.default_rng(seed))
    if case.frames is frames and case.table is FEATURES:
        case.rows = rows_of(seed, WEEK_OF_CHAMPION + 1)
    return judge(case, champion(seed))


def good_week(seed: int) -> GateReport:
    """Return what the gate says about a good week of a world."""
    return judge(Case(frames_of(seed, WEEK_OF_CHAMPION + 1)), champion(seed))
