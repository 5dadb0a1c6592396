"""Days that are unusual for a reason stop nothing: a first Sunday, a holiday, the second day of a sale; a loss does."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

import polars as pl
import pytest

from headworks.quality.anomalies import check_anomalies, check_idle
from headworks.quality.baselines import Baseline
from headworks.quality.copies import copies_in, shared
from headworks.quality.judgements import Judgement
from headworks.quality.limits import AnomalyLimits
from headworks.quality.profiles import Profile, profile_columns
from headworks.quality.seasons import easter, is_holiday

MONDAY = datetime(2025, 1, 6, 23, tzinfo=UTC)
QUIET = 0.6


def day(number: int, factor: float = 1.0, seed: int = 1) -> Profile:
    """Return what a day was like: Sundays are quiet."""
    moment = MONDAY + timedelta(days=number)
    usual = 600 * (QUIET if moment.weekday() == 6 else 1.0) * factor
    rows = round(usual * Random(seed * 10_000 + number).gauss(1, 0.03))
    return Profile(
        scope="silver.t.hits", kind="live", run_id=str(number), moment=moment + timedelta(minutes=5), newest=moment,
        rows=rows, days=1.0, counts={"landed": rows},
    )  # fmt: skip


def volume(
    good: list[Profile], candidate: Profile, *said: Judgement, recent: tuple[Profile, ...] = ()
) -> str:
    """Return what is said about a day's volume."""
    known = Baseline(tuple(good), said, recent or tuple(good[-40:]))
    reports = check_anomalies(candidate, known, AnomalyLimits())
    return next((one.outcome for one in reports if one.name == "volume"), "passed")


@pytest.mark.parametrize("seed", range(4))
def test_no_sunday_is_an_alarm_from_the_second_week_on(seed: int) -> None:
    lived = [day(number, seed=seed) for number in range(70)]
    output = [volume(lived[:number], lived[number]) for number in range(7, 70)]
    assert output.count("failed") == 0
    assert output.count("warned") <= 1


@pytest.mark.parametrize("number", [*range(14, 21), *range(42, 49)])
def test_a_third_of_the_rows_lost_is_stopped_on_each_day_of_the_week(number: int) -> None:
    lived = [day(each) for each in range(number)]
    assert volume(lived, day(number, 0.65)) == "failed"


@pytest.mark.parametrize(
    ("when", "wanted"),
    [(date(2025, 4, 18), "warned"), (date(2025, 5, 1), "warned"), (date(2025, 5, 14), "failed")],
)
def test_a_holiday_that_is_as_quiet_as_a_sunday_warns_and_stops_nothing(when: date, wanted: str) -> None:
    number = (when - MONDAY.date()).days
    lived = [day(each) for each in range(number)]
    assert volume(lived, day(number, QUIET)) == wanted
    assert volume(lived, day(number, QUIET / 2)) == "failed", "less than on the quietest day is a loss"


def test_what_goes_on_as_a_person_has_accepted_it_is_reported_once() -> None:
    lived = [day(each) for each in range(43)]
    sale = day(43, 1.4)
    assert volume(lived, sale) == "failed"
    said = Judgement(
        number=1, verdict="accept", scope="silver.t.hits", check="volume", start=sale.as_of - timedelta(hours=20),
        end=sale.as_of + timedelta(hours=1), reason="a sale", by="ada", decided_at=sale.as_of,
    )  # fmt: skip
    recent = (*lived[-39:], sale)
    assert volume([*lived, sale], day(44, 1.4), said, recent=recent) == "passed"
    assert volume([*lived, sale], day(44, 2.0), said, recent=recent) == "failed", (
        "that is more than was accepted"
    )
    assert volume(lived, day(44, 1.4), recent=tuple(lived[-40:])) == "failed", (
        "what nobody let through is no excuse"
    )


def test_holidays_are_those_that_many_countries_keep() -> None:
    assert [easter(year) for year in (2024, 2025, 2026, 2038)] == [
        date(2024, 3, 31), date(2025, 4, 20), date(2026, 4, 5), date(2038, 4, 25),
    ]  # fmt: skip
    days = [date(2026, 1, 1), date(2026, 4, 3), date(2026, 11, 26), date(2026, 11, 27)]
    assert all(is_holiday(evening(one), "daily") for one in days)
    assert all(is_holiday(evening(one) + timedelta(hours=2), "daily") for one in days), "read after midnight"
    year = [evening(date(2026, 1, 1) + timedelta(days=each)) for each in range(365)]
    assert sum(is_holiday(one, "daily") for one in year) <= 20


def evening(day: date) -> datetime:
    """Return the end of a day."""
    return datetime(day.year, day.month, day.day, 23, tzinfo=UTC)


@pytest.mark.parametrize("minutes", [-3, 0, 4])
def test_a_day_is_the_same_day_whether_its_newest_row_is_of_before_midnight_or_after_it(minutes: int) -> None:
    lived = [late(day(number), 55 + (5 if number % 3 else 10)) for number in range(60)]
    assert volume(lived, late(day(62), 60 + minutes)) == "passed", "a Sunday"
    assert volume(lived, late(day(63, QUIET), 60 + minutes)) == "failed", "a Monday that is like one"


def late(one: Profile, minutes: int) -> Profile:
    """Return a day whose newest row came so many minutes after eleven in the evening."""
    newest = one.as_of + timedelta(minutes=minutes)
    return one.model_copy(update={"newest": newest, "moment": newest + timedelta(minutes=5)})


def test_what_is_paid_each_month_is_no_copy_of_the_month_before_and_what_is_copied_is() -> None:
    paid = pl.DataFrame({"id": range(300), "account": range(300), "amount": [9.9, 14.9, 24.9] * 100})
    months = [
        paid.with_columns(pl.lit(MONDAY + timedelta(days=30 * number)).alias("ordered"))
        for number in range(3)
    ]
    sketches = [copies_in(one, ["id"])[1] for one in months]
    assert shared(sketches[2], sketches[:2])[0] == 0
    copied = copies_in(months[1].with_columns(pl.col("id") + 900), ["id"])[1]
    assert shared(copied, sketches[:2]) == (len(copied), len(copied))


@pytest.mark.parametrize("seed", range(6))
def test_what_comes_by_chance_is_not_missed_and_what_comes_each_day_is(seed: int) -> None:
    """Rows that come once a day or so, at any time, leave three days out now and then; a daily table does not."""
    chance, moment = Random(seed), MONDAY
    by_chance = []
    for number in range(40):
        moment += timedelta(hours=max(1.0, chance.expovariate(1 / 24)))
        by_chance.append(
            day(number).model_copy(update={"newest": moment, "moment": moment + timedelta(minutes=5)})
        )
    each_day = [day(number) for number in range(40)]
    limits = AnomalyLimits()
    for lived, wanted in ((by_chance, "passed"), (each_day, "warned")):
        newest = lived[-1].as_of
        said = check_idle("silver.t.hits", newest, newest + timedelta(days=3), Baseline(tuple(lived)), limits)
        assert said is not None
        assert said.outcome == wanted
    gone = check_idle(
        "silver.t.hits", moment, moment + timedelta(days=14), Baseline(tuple(by_chance)), limits
    )
    assert gone is not None
    assert gone.outcome == "warned"


@pytest.mark.parametrize("parents", [30, 400])
def test_one_parent_for_many_is_held_whether_parents_are_few_or_many(parents: int) -> None:
    def profile(number: int, *, broken: bool = False) -> Profile:
        rng = Random(number)
        refers = [rng.randrange(parents) for _ in range(600)]
        if broken:
            refers[:150] = [7] * 150
        frame = pl.DataFrame({"id": range(600), "parent": refers})
        columns = profile_columns(frame, ["id", "parent"], MONDAY, timedelta(days=1))
        return day(number).model_copy(update={"rows": 600, "columns": columns})

    lived = tuple(profile(number) for number in range(30))
    clean = check_anomalies(profile(30), Baseline(lived, (), lived), AnomalyLimits())
    assert not [one.detail for one in clean if one.outcome in {"warned", "failed"} and "parent" in one.name]
    found = check_anomalies(profile(30, broken=True), Baseline(lived, (), lived), AnomalyLimits())
    assert "commonest value of parent" in {one.name for one in found if one.outcome == "failed"}


@pytest.mark.parametrize("accepted", range(9))
def test_a_young_table_of_which_days_were_accepted_is_compared_all_the_same(accepted: int) -> None:
    """Eight days are known, some of them accepted whole: a tenth of the rows is stopped, however many they are."""
    lived = [day(number) for number in range(8)]
    said = [
        Judgement(
            number=number, verdict="accept", scope="silver.t.hits", start=lived[number].as_of - timedelta(hours=20),
            end=lived[number].as_of + timedelta(hours=1), reason="it is fine", by="ada", decided_at=lived[number].as_of,
        )
        for number in range(accepted)
    ]  # fmt: skip
    assert volume(lived, day(8, 0.1), *said) == "failed"


@pytest.mark.parametrize(("sign", "wanted"), [(0.4, "passed"), (0.0, "failed")])
def test_in_cold_start_a_mean_of_another_sign_is_gross_only_where_nothing_was_negative(
    sign: float, wanted: str
) -> None:
    def profile(number: int, factor: float = 1.0) -> Profile:
        rng = Random(number)
        delays = [
            rng.lognormvariate(2, 0.5) * (-1 if rng.random() < sign else 1) * factor for _ in range(400)
        ]
        frame = pl.DataFrame({"id": range(400), "delay": delays})
        columns = profile_columns(frame, ["id"], MONDAY, timedelta(days=1))
        return day(number).model_copy(update={"rows": 400, "columns": columns})

    lived = tuple(profile(number) for number in range(4))
    reports = check_anomalies(profile(4, -1.0), Baseline(lived, (), lived), AnomalyLimits())
    outcomes = [one.outcome for one in reports if one.name == "cold start: mean of delay"]
    assert (outcomes or ["passed"]) == [wanted]
