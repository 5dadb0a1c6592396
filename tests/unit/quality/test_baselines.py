"""Seasons and rhythms: hours, weekdays and days of the month are known where the history shows them, and only there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from headworks.quality.anomalies import check_anomalies
from headworks.quality.baselines import Baseline
from headworks.quality.judgements import Judgement
from headworks.quality.limits import AnomalyLimits
from headworks.quality.profiles import Profile
from headworks.quality.seasons import Point, Rhythm, expect, rhythm_of

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
LIMITS = AnomalyLimits()
HOURS = (1, 1, 1, 1, 1, 2, 6, 15, 30, 40, 45, 50, 50, 50, 48, 45, 40, 35, 30, 20, 12, 6, 3, 2)


@pytest.mark.parametrize(
    ("hours", "rhythm"),
    [
        (0.25, "hourly"),
        (1, "hourly"),
        (6, "hourly"),
        (24, "daily"),
        (24 * 7, "weekly"),
        (24 * 30.4, "monthly"),
    ],
)
def test_how_often_a_table_gets_something_is_learned_from_its_runs(hours: float, rhythm: Rhythm) -> None:
    moments = [MONDAY + timedelta(hours=hours * number) for number in range(20)]
    assert rhythm_of(moments) == rhythm
    assert rhythm_of(moments[:-3] + moments[-2:]) == rhythm, "one run that is missing changes nothing"


def _weekly(when: datetime) -> float:
    return (10.0, 9, 10, 11, 12, 5, 4)[when.weekday()]


def _wages(when: datetime) -> float:
    return 30.0 if when.day == 1 else 10.0


def _month_ends(when: datetime) -> float:
    return 30.0 if (when + timedelta(days=1)).day == 1 else 10.0


@pytest.mark.parametrize("season", [_weekly, _wages, _month_ends])
def test_a_season_that_the_history_shows_is_expected(season: object) -> None:
    assert callable(season)
    chance = Random(5)
    points: list[Point] = [
        (when, season(when) + chance.gauss(0, 0.2)) for number in range(150)
        if (when := MONDAY + timedelta(days=number))
    ]  # fmt: skip
    for number in range(150, 215):
        when = MONDAY + timedelta(days=number)
        found = expect(points, when, "daily")
        assert abs(found.center - season(when)) < 1.0, when


def test_no_season_is_seen_where_there_is_none() -> None:
    """Chance makes some group the best one; a finer grouping has to be clearly better than none."""
    seen = 0
    for seed in range(40):
        chance = Random(seed)
        points = [(MONDAY + timedelta(days=number), chance.gauss(0, 1)) for number in range(60)]
        seen += expect(points, MONDAY + timedelta(days=60), "daily").named != "runs"
    assert seen == 0


def hourly(number: int, seed: int, rows: int | None = None, scale: int = 40) -> Profile:
    moment = MONDAY + timedelta(hours=number)
    chance = Random(seed * 100_000 + number)
    week_end = 0.4 if moment.weekday() >= 5 else 1.0
    usual = HOURS[moment.hour] * scale * week_end * chance.lognormvariate(0, 0.08)
    count = round(usual) if rows is None else rows
    return Profile(
        scope="silver.t.hits", kind="live", run_id=str(number), moment=moment + timedelta(minutes=5),
        newest=moment, rows=count, days=1 / 24, counts={"landed": count},
    )  # fmt: skip


def volume(good: list[Profile], candidate: Profile, *said: Judgement) -> str:
    reports = check_anomalies(candidate, Baseline(tuple(good), said), LIMITS)
    return next((one.outcome for one in reports if one.name == "volume"), "nothing")


def test_hours_with_day_and_night_raise_hardly_an_alarm_and_a_lost_half_is_found() -> None:
    """Of the few rows of a night half may be missing by chance; of two hundred they may not."""
    loud, found, many = 0, 0, 0
    for seed in range(2):
        lived = [hourly(number, seed) for number in range(30 * 24)]
        for number in range(30 * 24, 37 * 24, 2):
            candidate = hourly(number, seed)
            loud += volume(lived, candidate) in {"warned", "failed"}
            if candidate.rows >= 200:
                many += 1
                found += volume(lived, hourly(number, seed, candidate.rows // 2)) in {"warned", "failed"}
    assert loud <= 2, f"{loud} of 168 clean hours"
    assert found == many > 90, f"{found} of {many} halved hours"


def test_a_monthly_table_is_compared_after_seven_months() -> None:
    lived = [
        hourly(0, number, 1_000 + number).model_copy(
            update={"days": 30.0, "newest": MONDAY + timedelta(days=30.4 * number)}
        )
        for number in range(8)
    ]
    candidate = lived[-1].model_copy(update={"rows": 300, "counts": {"landed": 300}})
    assert volume(lived[:-1], candidate) == "failed"
    assert volume(lived[:-1], lived[-1]) == "passed"


def normal(check: str, start: datetime) -> Judgement:
    return Judgement.model_validate(
        {
            "verdict": "normal", "scope": "silver.t.hits", "check": check, "start": start,
            "end": start + timedelta(days=1), "reason": "a new shop", "by": "ada", "decided_at": start,
        }
    )  # fmt: skip


def test_a_new_normal_restarts_the_reference_of_its_check_alone() -> None:
    days = [
        hourly(0, number, 1_000 if number < 20 else 2_000).model_copy(
            update={"days": 1.0, "newest": MONDAY + timedelta(days=number)}
        )
        for number in range(40)
    ]
    assert volume(days[:20], days[20]) == "failed"
    said = normal("volume", days[20].as_of)
    assert volume(days[:20], days[21], said) == "nothing", "too little of the new normal is known"
    assert volume(days[:30], days[30], said) == "passed"
    assert volume(days[:30], days[3].model_copy(update={"newest": days[30].newest}), said) == "failed"
    assert Baseline(tuple(days), (said,)).without_accepted("nulls in x") == tuple(days)
