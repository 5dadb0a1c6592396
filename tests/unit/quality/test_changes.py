"""Slow change and the faults between rows and columns are found, in variants; clean deliveries of four worlds are not.

The worlds are made for these tests. Everything is seeded, and a small sample of what was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest

from headworks.quality.anomalies import check_anomalies
from headworks.quality.baselines import Baseline
from headworks.quality.limits import AnomalyLimits
from headworks.quality.profiles import Profile
from headworks.reports import CheckReport
from tests.unit.quality.worlds import KINDS, LEDGER, PLANS, RATES, SHOP, World, some

LIMITS = AnomalyLimits()
LIVED = {"shop": 60, "ledger": 24, "plans": 40, "rates": 40}


@cache
def lived(world: World) -> tuple[Profile, ...]:
    """Return what a world's clean deliveries looked like."""
    return tuple(world.profile(number, world.frame(number)) for number in range(LIVED[world.name]))


def judged(
    world: World, profile: Profile, good: Sequence[Profile] = (), limits: AnomalyLimits = LIMITS
) -> list[CheckReport]:
    """Return the anomalies of a delivery after the clean ones."""
    usual = tuple(good) or lived(world)
    reports = check_anomalies(profile, Baseline(usual, (), usual[-40:]), limits)
    return [one for one in reports if one.outcome in {"warned", "failed"}]


def stopped(reports: Sequence[CheckReport]) -> set[str]:
    return {one.name for one in reports if one.outcome == "failed"}


@pytest.mark.parametrize("world", [SHOP, LEDGER, PLANS], ids=lambda world: world.name)
def test_clean_deliveries_raise_hardly_an_alarm(world: World) -> None:
    first = LIVED[world.name]
    days = [
        *lived(world),
        *(world.profile(number, world.frame(number)) for number in range(first, first + 12)),
    ]
    loud = [
        (number, [one.detail for one in found])
        for number in range(first, first + 12)
        if (found := judged(world, days[number], days[:number]))
    ]
    assert len(loud) <= 1, loud


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_in_a_quarter_of_the_rows_is_noticed(kind: str) -> None:
    number = LIVED["shop"]
    rows = KINDS[kind](SHOP.frame(number), 0.25)
    assert judged(SHOP, SHOP.profile(number, rows)), kind


def drifting(
    change: Callable[[pl.DataFrame, int], pl.DataFrame], days: int
) -> list[tuple[int, list[CheckReport]]]:
    """Let something change from day to day, leaving out of the good runs what warned; the days with an anomaly."""
    first, good, recent = LIVED["shop"], list(lived(SHOP)), list(lived(SHOP))
    found = []
    for day in range(1, days + 1):
        profile = SHOP.profile(first + day, change(SHOP.frame(first + day), day))
        reports = check_anomalies(profile, Baseline(tuple(good), (), tuple(recent[-40:])), LIMITS)
        out = [one for one in reports if one.outcome in {"warned", "failed"}]
        profile = profile.model_copy(update={"warned": tuple(one.name for one in out)})
        if out:
            found.append((day, out))
        else:
            good.append(profile)
        recent.append(profile)
    return found


def _nulls(points: int) -> Callable[[pl.DataFrame, int], pl.DataFrame]:
    return lambda rows, day: rows.with_columns(
        pl.when(~some(day * points / 100)).then("status").alias("status")
    )


def _dearer(rows: pl.DataFrame, day: int) -> pl.DataFrame:
    return rows.with_columns((pl.col("net", "tax", "gross") * 1.03**day).round(2))


def _fewer(rows: pl.DataFrame, day: int) -> pl.DataFrame:
    return rows.filter(~some(1 - 0.97**day))


def _returned(rows: pl.DataFrame, day: int) -> pl.DataFrame:
    return rows.with_columns(
        pl.when(some(day * 0.015)).then(pl.lit("returned")).otherwise("status").alias("status")
    )


DRIFTS: dict[str, tuple[Callable[[pl.DataFrame, int], pl.DataFrame], int, str]] = {
    "one point of nulls a day": (_nulls(1), 9, "nulls in status"),
    "three points of nulls a day": (_nulls(3), 3, "nulls in status"),
    "prices rise by 3 % a day": (_dearer, 7, "net"),
    "the volume falls by 3 % a day": (_fewer, 7, "volume"),
    "a category grows by 1.5 points a day": (_returned, 6, "'returned' in status"),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("drift", DRIFTS)
def test_slow_change_is_noticed_early_and_stays_one_incident(drift: str) -> None:
    """Before ten points or about a fifth have moved; and from then on each day, since what warned is no measure.

    The mean of these prices differs by 5 % from day to day by chance.
    """
    change, latest, about = DRIFTS[drift]
    found = drifting(change, latest + 4)
    noticed = [day for day, reports in found if any(about in one.name for one in reports)]
    assert noticed, "never noticed"
    assert noticed[0] <= latest, f"noticed on day {noticed[0]}"
    quiet = set(range(noticed[0], latest + 5)) - set(noticed)
    assert len(quiet) <= 1, f"once noticed it stays, but not on days {quiet}"


@pytest.mark.parametrize("change", ["ten times", "turned over", "a tenth more"])
@pytest.mark.parametrize("currencies", [["USD"], ["GBP", "JPY"], ["PLN"]])
def test_a_small_tables_wrong_number_is_held_and_named(change: str, currencies: list[str]) -> None:
    number = LIVED["rates"]
    rows = RATES.frame(number)
    new = {
        "ten times": pl.col("rate") * 10,
        "turned over": 1 / pl.col("rate"),
        "a tenth more": pl.col("rate") * 1.1,
    }
    wrong = rows.with_columns(
        pl.when(pl.col("currency").is_in(currencies)).then(new[change]).otherwise("rate").alias("rate")
    )
    assert judged(RATES, RATES.profile(number, rows)) == []
    (found,) = [
        one for one in judged(RATES, RATES.profile(number, wrong)) if one.name == "values of rate by key"
    ]
    assert any(one in found.detail for one in currencies)
    assert found.outcome == "failed" or change != "ten times"


@pytest.mark.parametrize(("column", "factor"), [("net", 5_000), ("gross", -5_000), ("pieces", 10_000)])
def test_a_single_value_a_thousandfold_is_held_and_its_row_is_named(column: str, factor: int) -> None:
    number = LIVED["shop"]
    rows = SHOP.frame(number)
    usual = rows.get_column(column).abs().median()
    assert isinstance(usual, float)
    key = rows.get_column("id")[17]
    wrong = rows.with_columns(
        pl.when(pl.col("id") == key).then(pl.lit(usual * factor)).otherwise(column)
        .cast(rows.schema[column]).alias(column)
    )  # fmt: skip
    (found,) = [
        one for one in judged(SHOP, SHOP.profile(number, wrong)) if one.name == f"largest value of {column}"
    ]
    assert found.outcome == "failed"
    assert f"in the row {key}" in found.detail


@pytest.mark.parametrize("share", [0.08, 0.25, 1.0])
def test_the_rows_of_an_earlier_delivery_under_new_keys_are_held(share: float) -> None:
    number = LIVED["shop"]
    rows = SHOP.frame(number)
    old = SHOP.frame(number - 3).filter(some(share)).head(rows.height).with_columns(pl.col("id") + 999_999)
    mixed = pl.concat([rows.head(rows.height - old.height), old])
    assert "copies of earlier rows" in stopped(judged(SHOP, SHOP.profile(number, mixed)))


@pytest.mark.parametrize("updated", [0.3, 0.6, 1.0])
def test_numbers_that_are_used_again_overwrite_no_old_rows(updated: float) -> None:
    number = LIVED["shop"]
    rows = SHOP.frame(number)
    known = int(rows.height * updated)
    counts = {"landed": rows.height, "rejected": 0, "inserted": rows.height - known, "updated": known}
    assert "rows updated" in stopped(judged(SHOP, SHOP.profile(number, rows, counts=counts)))


@pytest.mark.parametrize("silent", ["north", "south", "west"])
def test_a_stream_that_is_silent_while_others_flow_is_noticed(silent: str) -> None:
    """West delivers each third day, and is noticed in its own rhythm."""

    def streams(number: int) -> dict[str, int]:
        return {"north": 50, "south": 40} | ({"west": 10} if number % 3 == 0 else {})

    days = [one.model_copy(update={"streams": streams(number)}) for number, one in enumerate(lived(SHOP))]
    first = LIVED["shop"]
    noticed = []
    for number in range(first, first + 8):
        there = {name: rows for name, rows in streams(number).items() if name != silent}
        profile = SHOP.profile(number, SHOP.frame(number), streams=there)
        if any(one.name == f"stream {silent}" for one in judged(SHOP, profile, days)):
            noticed.append(number - first)
    assert noticed[0] == (2 if silent == "west" else 1)


@pytest.mark.parametrize("share", [0.03, 0.049, 0.1])
def test_deletions_that_add_up_are_noticed(share: float) -> None:
    """Each full read deletes little, and together they take everything away."""
    rows = 10_000.0
    good: list[Profile] = []
    noticed: list[int] = []
    frame = SHOP.frame(1)
    for number in range(40):
        lost = share if number >= 20 else 0.001
        counts = {
            "landed": int(rows), "before": int(rows), "deleted": int(rows * lost),
            "inserted": 10 if number < 20 else 0, "updated": 0,
        }  # fmt: skip
        profile = SHOP.profile(number, frame, kind="full", counts=counts)
        if any("over time" in one.name for one in judged(SHOP, profile, good or [profile])):
            noticed.append(number)
        good.append(profile)
        rows *= 1 - lost
        if rows < 7_000:
            break
    assert noticed
    assert 20 <= noticed[0] <= 20 + 0.2 / share


@pytest.mark.parametrize("parent", ["one has ten times its share", "far too few", "from another range"])
def test_children_that_are_shared_out_otherwise_are_noticed(parent: str) -> None:
    number = LIVED["shop"]
    rows = SHOP.frame(number)
    new = {
        "one has ten times its share": pl.when(some(0.1)).then(pl.lit(7)).otherwise("customer"),
        "far too few": pl.col("customer") % 60,
        "from another range": pl.when(some(0.1)).then(pl.col("customer") * 1_000_000).otherwise("customer"),
    }[parent]
    assert stopped(judged(SHOP, SHOP.profile(number, rows.with_columns(new.alias("customer")))))


def test_strict_finds_more_and_relaxed_less_and_a_limit_that_is_given_is_kept() -> None:
    strict, relaxed = AnomalyLimits(sensitivity="strict"), AnomalyLimits(sensitivity="relaxed", share=0.03)
    assert (strict.at("share"), LIMITS.at("share"), relaxed.at("share")) == (0.01, 0.02, 0.03)
    assert strict.budget > LIMITS.budget > relaxed.budget
    number = LIVED["shop"]
    rows = KINDS["nulls where there are none"](SHOP.frame(number), 0.015)
    outcomes = [len(judged(SHOP, SHOP.profile(number, rows), limits=one)) for one in (strict, relaxed)]
    assert outcomes[0] > 0 == outcomes[1]


def test_the_message_that_closes_the_gate_names_the_command_and_draws_the_history() -> None:
    number = LIVED["shop"]
    rows = KINDS["nulls where there are none"](SHOP.frame(number), 0.4)
    (found,) = [one for one in judged(SHOP, SHOP.profile(number, rows)) if one.name == "nulls in currency"]
    assert (
        "headworks anomaly accept silver.t.world --check 'nulls in currency' --as-new-normal" in found.detail
    )
    assert "▁|█" in found.detail


def test_how_often_the_good_runs_would_have_raised_an_alarm_is_reported() -> None:
    profile = SHOP.profile(LIVED["shop"], SHOP.frame(LIVED["shop"]))
    (found,) = [
        one for one in check_anomalies(profile, Baseline(lived(SHOP)), LIMITS) if one.name == "false alarms"
    ]
    assert found.outcome == "passed"
    assert found.value is not None
    assert found.value <= 0.05, found.detail
    assert np.isclose(found.expected or 0, LIMITS.false_alarms)
    assert timedelta(0) < profile.moment - profile.as_of
