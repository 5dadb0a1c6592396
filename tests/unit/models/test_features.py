"""Features are as they were known at the cut, labels are known when their horizon has passed, and leaks are found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import polars as pl
import pytest

from crm.churn import FEATURES, HORIZON, MODEL, features, outcomes
from crm.datasets import CONTACTS, CONTRACTS, SUBSCRIPTIONS, TICKETS, USAGE
from crm.timelapse import RUNS_AT
from crm.truth import Frames, feature_rows, received
from crm.world import WEEK, World
from headworks.errors import SettingsError, TransformFailed
from headworks.models.features import AsOf, Known, PointInTime, feature_table, leaks
from headworks.models.model import Model
from headworks.models.timelapse import weeks_again
from headworks.models.training import LABEL, Asked, check_columns, split

START = datetime(2026, 1, 5, tzinfo=UTC)
FIRST = START + 10 * WEEK + RUNS_AT
SOURCES = (CONTACTS, SUBSCRIPTIONS, TICKETS, USAGE)


@cache
def frames(weeks: int = 22) -> Frames:
    return received(World(START, weeks + 1, customers=120), FIRST, START + weeks * WEEK + RUNS_AT, WEEK)


def _known(rows: list[tuple[int, str, int, int, bool]]) -> AsOf:
    """Return what is known on day 10 of rows: key, value, day it is valid from, day it was received, deleted."""
    day = timedelta(days=1)
    frame = pl.DataFrame(
        [(key, value, START + at * day, START + got * day, gone) for key, value, at, got, gone in rows],
        schema={
            "id": pl.Int64(),
            "value": pl.String(),
            "valid_from": pl.Datetime("us", "UTC"),
            "_ingested_at": pl.Datetime("us", "UTC"),
            "_deleted": pl.Boolean(),
        },
        orient="row",
    )
    return AsOf(START + 10 * day, {"a.b": Known("a.b", ("id",), "valid_from")}, {"a.b": frame})


@pytest.mark.parametrize(
    ("rows", "seen"),
    [
        ([(1, "old", 1, 1, False), (1, "new", 5, 6, False)], ["new"]),
        ([(1, "old", 1, 1, False), (1, "new", 5, 11, False)], ["old"]),
        ([(1, "old", 1, 1, False), (1, "new", 11, 9, False)], ["old"]),
        ([(1, "old", 1, 9, False), (1, "new", 5, 6, False)], ["new"]),
        ([(1, "old", 1, 1, False), (1, "", 5, 6, True)], []),
        ([(1, "old", 1, 1, False), (1, "", 5, 11, True)], ["old"]),
        ([(1, "new", 5, 11, False)], []),
    ],
    ids=[
        "the newest counts",
        "not what was received after the cut",
        "not what is valid after the cut",
        "what came late does not replace what is newer",
        "a deletion that was known",
        "a deletion that was not known yet",
        "nothing was known",
    ],
)
def test_what_was_known_at_a_cut(rows: list[tuple[int, str, int, int, bool]], seen: list[str]) -> None:
    assert _known(rows).rows("a.b").collect().get_column("value").to_list() == seen


def test_features_of_a_cut_do_not_change_when_more_is_received() -> None:
    """So what a model learned from is what it would have been given then."""
    # A third of the use is delivered two weeks late, as of a device that was offline.
    offline = pl.when(pl.col("event_id") % 3 == 0).then(pl.col("_ingested_at") + 2 * WEEK)
    given = dict(frames())
    given[USAGE.name] = given[USAGE.name].with_columns(_ingested_at=offline.otherwise(pl.col("_ingested_at")))
    then = START + 18 * WEEK + RUNS_AT
    early = feature_rows(
        FEATURES, {name: frame.filter(pl.col("_ingested_at") <= then) for name, frame in given.items()}
    )
    late = feature_rows(FEATURES, given)
    columns = ["contact_id", "cut", *MODEL.columns]
    cuts = early.get_column("cut").unique()
    assert cuts.len() == 9
    assert late.filter(pl.col("cut").is_in(cuts.implode())).select(columns).equals(early.select(columns))


def test_a_label_is_known_when_its_horizon_has_passed_and_not_before() -> None:
    rows = feature_rows(FEATURES, frames())
    parts = split(MODEL, rows, Asked(horizon=HORIZON))
    until = rows.get_column("observed_until").max()
    known = pl.concat([parts.train, parts.holdout])
    assert known.filter(pl.col("cut") + HORIZON > until).is_empty()
    assert known.filter(pl.col(LABEL)).height > 5
    assert known.filter(pl.col(LABEL) & (pl.col("target_at") > pl.col("cut") + HORIZON)).is_empty()
    # No outcome is in what is learned from and in what is judged by.
    assert parts.train.filter(pl.col("cut") + HORIZON > parts.holdout.get_column("cut").min()).is_empty()


def test_features_that_are_as_they_were_known_have_no_leak() -> None:
    rows = feature_rows(FEATURES, frames())
    cuts = rows.get_column("cut").unique().sort().to_list()
    found = leaks(
        FEATURES, {name: frame.lazy() for name, frame in frames().items()}, MODEL.columns, cuts[3::4]
    )
    assert (found.leaks, found.missing) == ((), ())
    assert found.rows > 200


def _from_today(known: AsOf) -> pl.LazyFrame:
    """Return features with a look into all frames, and not into what was known."""
    ended = known.frames[SUBSCRIPTIONS.name].lazy().filter(pl.col("status") == "cancelled")
    gone = ended.select("contact_id", leaked=pl.lit(1)).unique("contact_id")
    return (
        features(known)
        .join(gone, on="contact_id", how="left")
        .with_columns(open_tickets=pl.col("open_tickets") + pl.col("leaked").fill_null(0))
        .drop("leaked")
    )


def _uses_late_tickets(known: AsOf) -> pl.LazyFrame:
    """Return features that take the source's clock in the place of the moment of receipt."""
    late = replace(known, frames={**known.frames, USAGE.name: _as_if_received(known, USAGE.name)})
    return features(late)


def _as_if_received(known: AsOf, name: str) -> pl.DataFrame:
    return known.frames[name].with_columns(_ingested_at=pl.col("updated_at") - timedelta(days=3))


@pytest.mark.parametrize(
    ("leaky", "column"), [(_from_today, "open_tickets"), (_uses_late_tickets, "sessions_4w")]
)
def test_a_leaked_feature_is_found_and_named(leaky: object, column: str) -> None:
    table = feature_table(
        "churn.leaky",
        of=SOURCES,
        features=leaky,  # type: ignore[arg-type]
        outcomes=outcomes,
        key=("contact_id",),
        contract=CONTRACTS / "gold_churn_features.yml",
    )
    given = dict(frames())
    if leaky is _uses_late_tickets:
        # The use of the last days before a cut comes a week late, by the source's clock it is there.
        given[USAGE.name] = given[USAGE.name].with_columns(pl.col("_ingested_at") + WEEK)
    rows = feature_rows(table, given)
    cuts = rows.get_column("cut").unique().sort().to_list()
    found = leaks(table, {name: frame.lazy() for name, frame in given.items()}, MODEL.columns, cuts[4:8:2])
    assert column in {one.column for one in found.leaks}


@pytest.mark.parametrize("name", ["cut", "target_at", "observed_until", "label"])
def test_features_take_no_name_of_the_table_of_features(name: str) -> None:
    """Another outcome or cut of the same name would be lost, or be learned from."""

    def more(known: AsOf) -> pl.LazyFrame:
        return features(known).with_columns(pl.lit(1.0).alias(name))

    table = replace(FEATURES, transform=replace(_point_in_time(), features=more))
    with pytest.raises(TransformFailed, match=f"have a column {name}, which") as caught:
        feature_rows(table, frames())
    assert "more" in str(caught.value)


def _point_in_time() -> PointInTime:
    assert isinstance(FEATURES.transform, PointInTime)
    return FEATURES.transform


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (replace(MODEL, numbers=(*MODEL.numbers, "seatz")), "no column seatz"),
        (replace(MODEL, segments=("plann",)), "no column plann"),
        (replace(MODEL, numbers=("plan",), categories=()), r"no numbers: plan \(String"),
        (replace(MODEL, numbers=("day", "moment")), r"no numbers: day \(Date\), moment \(Datetime"),
        (replace(MODEL, numbers=("many",)), r"no numbers: many \(List"),
        (replace(MODEL, categories=("many",)), r"no categories: many \(List"),
        (replace(MODEL, segments=("many",)), r"no categories: many \(List"),
    ],
)
def test_what_no_estimator_can_get_is_named_with_its_model(changed: Model, said: str) -> None:
    rows = feature_rows(FEATURES, frames()).with_columns(
        day=pl.col("cut").dt.date(), moment=pl.col("cut"), many=pl.concat_list("seats", "seats")
    )
    with pytest.raises(SettingsError, match=said) as caught:
        next(weeks_again(changed, rows))
    assert "model.churn, churn.features" in str(caught.value)
    check_columns(MODEL, rows.with_columns(pl.col("seats").cast(pl.Decimal(9, 2)), severe_8w=pl.lit(True)))
