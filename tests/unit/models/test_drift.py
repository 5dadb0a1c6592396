"""Changes of unit, sentinels and renamed values are seen in features of every form; what chance brings is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from crm.churn import MODEL
from headworks.models.checks import Checks
from headworks.models.judging import _check_category, _check_number
from headworks.models.training import category_profile, feature_profiles, number_profile

Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]
Form = Callable[[np.random.Generator, int], Numbers]
NOW, BEFORE = 400, 3200


def _mostly(value: float, share: float, rest: Form) -> Form:
    """Return a feature that is one value in a share of the rows, and something else in the others."""
    return lambda chance, rows: np.where(chance.random(rows) < share, value, rest(chance, rows))


FORMS: dict[str, Form] = {
    "nine of ten are zero": _mostly(0, 0.9, lambda chance, rows: chance.uniform(0.05, 0.2, rows)),
    "counts, most of them zero": lambda chance, rows: chance.poisson(0.15, rows).astype(np.float64),
    "a third is zero": _mostly(0, 0.35, lambda chance, rows: chance.lognormal(2, 0.5, rows)),
    "a constant": lambda _, rows: np.full(rows, 1.0),
    "two values": lambda chance, rows: (chance.random(rows) < 0.4).astype(np.float64),
    "a bell": lambda chance, rows: chance.normal(50, 5, rows),
    "a long tail": lambda chance, rows: chance.lognormal(3, 1, rows),
    "most at the top": _mostly(104, 0.7, lambda chance, rows: chance.uniform(1, 104, rows)),
}
SPOILED: dict[str, Callable[[Numbers], Numbers]] = {
    "x 100": lambda values: values * 100,
    "/ 100": lambda values: values / 100,
    "the commonest as -9999": lambda values: np.where(values == _commonest(values), -9999, values),
}


def _commonest(values: Numbers) -> float:
    found, counts = np.unique(values, return_counts=True)
    return float(found[np.argmax(counts)])


def _closed(then: Numbers, now: Numbers) -> list[str]:
    checks = Checks(MODEL)
    profile = {**number_profile(pl.Series("f", then)), "medians": None}
    _check_number(checks, "f", pl.DataFrame({"f": now}), profile)
    return [f"{check.name}: {check.detail}" for check in checks.made if check.outcome != "passed"]


@pytest.mark.parametrize("spoiled", SPOILED)
@pytest.mark.parametrize("form", FORMS)
def test_another_unit_or_a_sentinel_is_seen_in_each_form_of_a_feature(form: str, spoiled: str) -> None:
    for seed in range(5):
        chance = np.random.default_rng(seed)
        then, now = FORMS[form](chance, BEFORE), FORMS[form](chance, NOW)
        changed = SPOILED[spoiled](now)
        if np.mean(changed != now) < 0.02:
            # Where no value is common, a single row has another one.
            continue
        assert _closed(then, changed), (seed, form, spoiled)


@pytest.mark.parametrize("form", FORMS)
def test_what_chance_brings_is_no_drift(form: str) -> None:
    refused = 0
    for seed in range(100):
        chance = np.random.default_rng(1000 + seed)
        refused += bool(_closed(FORMS[form](chance, BEFORE), FORMS[form](chance, NOW)))
    assert refused == 0


def _names(chance: np.random.Generator, rows: int, values: int, start: str = "c") -> pl.Series:
    return pl.Series("city", [f"{start}{number}" for number in chance.integers(0, values, rows)])


@pytest.mark.parametrize("values", [40, 200, 500, 1000])
def test_values_of_a_large_category_that_were_renamed_are_seen(values: int) -> None:
    for seed in range(5):
        chance = np.random.default_rng(seed)
        profile = category_profile(_names(chance, BEFORE, values))
        for start, wanted in (("c", False), ("C", True)):
            checks = Checks(MODEL)
            _check_category(checks, "city", pl.DataFrame([_names(chance, NOW, values, start)]), profile)
            closed = [check.name for check in checks.made if check.outcome != "passed"]
            assert ("feature city: values" in closed) == wanted, (seed, values, start, closed)
            assert wanted or not closed


def test_ids_are_no_category_whose_values_are_missed() -> None:
    checks = Checks(MODEL)
    profile = category_profile(pl.Series("city", [f"id {number}" for number in range(BEFORE)]))
    now = pl.DataFrame({"city": [f"new {number}" for number in range(NOW)]})
    _check_category(checks, "city", now, profile)
    assert next(check.outcome for check in checks.made if check.name == "feature city: values") == "passed"


def test_what_three_warehouses_share_is_judged_by_its_median_and_not_by_its_distribution() -> None:
    """At each cut three values of nine, others at the next: a clean week is none that has drifted, another unit is."""
    start, week = datetime(2026, 1, 5, tzinfo=UTC), timedelta(weeks=1)
    refused = seen = 0
    for seed in range(40):
        chance = np.random.default_rng(seed)
        rows = [
            (start + cut * week, float(staff))
            for cut in range(9)
            for staff in chance.integers(4, 13, 3)
            for _ in range(100)
        ]
        frame = pl.DataFrame(rows, schema=["cut", "staff"], orient="row")
        cuts = frame.get_column("cut").unique().sort().to_list()
        profile = feature_profiles(frame, cuts[:-1], ["staff"], [])["numbers"]["staff"]
        newest = frame.filter(pl.col("cut") == cuts[-1])
        for spoiled, rows_now in ((False, newest), (True, newest.with_columns(pl.col("staff") * 100))):
            checks = Checks(MODEL)
            _check_number(checks, "staff", rows_now, profile)
            closed = any(check.outcome != "passed" for check in checks.made)
            refused += closed and not spoiled
            seen += closed and spoiled
    assert (refused, seen) == (0, 40)


def test_a_reason_says_where_the_rows_are_that_moved() -> None:
    """A median that stayed the same would contradict it."""
    then, now = np.tile([1.0, 8.0, 9.0], 1000), np.tile([8.0, 8.0, 9.0], 130)
    (said,) = _closed(then, now)
    assert "its median is 8 and was 8" in said
    assert "at 1 are 0% of the rows, and were 33%" in said


def test_no_number_is_a_null_and_lies_nowhere() -> None:
    chance = np.random.default_rng(3)
    then, now = chance.normal(50, 5, BEFORE), chance.normal(50, 5, NOW)
    assert not _closed(then, np.where(chance.random(NOW) < 0.08, np.nan, now))
    assert _closed(then, np.where(chance.random(NOW) < 0.3, np.nan, now))[0].startswith("feature f: nulls")


def _weeks(values: Numbers, cuts: int = 9) -> tuple[pl.DataFrame, list[datetime]]:
    """Return values of a feature as rows of cuts that follow each other."""
    moments = [datetime(2026, 1, 5, tzinfo=UTC) + cut * timedelta(weeks=1) for cut in range(cuts)]
    each = len(values) // cuts
    of_rows = [moment for moment in moments for _ in range(each)]
    return pl.DataFrame({"cut": of_rows, "f": values}), moments


@pytest.mark.parametrize("share", [0.3, 0.4, 0.55, 0.9])
def test_a_feature_of_few_values_that_is_often_no_number_is_compared_by_its_distribution(
    share: float,
) -> None:
    """Nothing changed is no drift, and all values at one is: no number is no value that comes and goes."""
    for seed in range(5):
        chance = np.random.default_rng(seed)
        values = chance.integers(0, 3, 9 * NOW).astype(np.float64)
        frame, cuts = _weeks(np.where(chance.random(len(values)) < share, np.nan, values))
        profile = feature_profiles(frame, cuts[:-1], ["f"], [])["numbers"]["f"]
        assert profile["medians"] is None
        newest = frame.filter(pl.col("cut") == cuts[-1])
        moved = newest.with_columns(pl.when(pl.col("f").is_nan()).then(pl.col("f")).otherwise(2.0).alias("f"))
        for rows, outcome in ((newest, "passed"), (moved, "failed")):
            checks = Checks(MODEL)
            _check_number(checks, "f", rows, profile)
            outcomes = {check.name: check.outcome for check in checks.made}
            assert outcomes["feature f: drift"] == outcome, (seed, checks.made)


@pytest.mark.parametrize("share", [0.2, 0.55, 1.0])
@pytest.mark.parametrize("shared", [False, True])
def test_no_number_gives_the_profile_that_a_null_gives(shared: bool, share: float) -> None:
    """Also of what many rows share, whose medians are those of the numbers."""
    chance = np.random.default_rng(7)
    if shared:
        values = np.concatenate([np.repeat(chance.integers(4, 13, 3), 100) for _ in range(9)]).astype(
            np.float64
        )
    else:
        values = chance.integers(0, 3, 9 * 300).astype(np.float64)
    frame, cuts = _weeks(np.where(chance.random(len(values)) < share, np.nan, values))
    with_nulls = frame.with_columns(pl.col("f").fill_nan(None))
    mine, theirs = (feature_profiles(each, cuts, ["f"], []) for each in (frame, with_nulls))
    assert mine == theirs
    assert np.isfinite(mine["numbers"]["f"]["medians"] or []).all()
    if shared and share < 0.5:
        assert len(mine["numbers"]["f"]["medians"]) == 8


@pytest.mark.parametrize("kept", [float("nan"), None])
def test_medians_of_a_champion_that_are_no_numbers_are_not_compared_with(kept: float | None) -> None:
    """A champion kept them before no number was a null; its distribution says what they do not."""
    profile = {**number_profile(pl.Series("f", [0.0, 1.0, 2.0] * 400)), "medians": [kept] * 8}
    for now, outcome in (([0.0, 1.0, 2.0] * 100, "passed"), ([2.0] * 300, "failed")):
        checks = Checks(MODEL)
        _check_number(checks, "f", pl.DataFrame({"f": now}), profile)
        assert {check.name: check.outcome for check in checks.made}["feature f: drift"] == outcome
