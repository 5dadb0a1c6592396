"""Anomalies: each kind of damage is found and named, ordinary days are not, and what cannot be compared says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import polars as pl
import pytest

from headworks.quality.anomalies import anomalies_of, check_anomalies, check_idle
from headworks.quality.baselines import Baseline
from headworks.quality.gate import decide
from headworks.quality.judgements import Judgement
from headworks.quality.limits import AnomalyLimits
from headworks.quality.profiles import Profile, profile_columns
from headworks.reports import CheckReport

MONDAY = datetime(2026, 3, 2, 23, 45, tzinfo=UTC)
LIMITS = AnomalyLimits()
WEEK = (1.0, 0.9, 1.0, 1.1, 1.2, 0.7, 0.5)


def day_rows(number: int, rows: int | None = None) -> pl.DataFrame:
    """Make an ordinary day's rows: 400 on a Monday, fewer at the week-end, growing by half a percent a day."""
    chance = Random(number)
    count = (
        rows if rows is not None else int(400 * WEEK[number % 7] * 1.005**number * chance.uniform(0.95, 1.05))
    )
    begin = MONDAY + timedelta(days=number) - timedelta(hours=23)
    at = [begin + timedelta(hours=chance.betavariate(4, 3) * 22) for _ in range(count)]
    return pl.DataFrame(
        {
            "id": [number * 10_000 + place for place in range(count)],
            "price": [round(chance.lognormvariate(3, 0.8), 2) for _ in range(count)],
            "city": [chance.choice(["Köln", "Delft", "Leeds", "Malmö"]) for _ in range(count)],
            "name": [f"customer {chance.randrange(10**6)} of the shop" for _ in range(count)],
            "born": [None if chance.random() < 0.1 else chance.randrange(1940, 2005) for _ in range(count)],
            "ordered_at": [moment - timedelta(minutes=chance.randrange(50)) for moment in at],
            "at": at,
        },
        schema_overrides={"ordered_at": pl.Datetime("us", "UTC"), "at": pl.Datetime("us", "UTC")},
    )


def profile(number: int, rows: pl.DataFrame, **changes: object) -> Profile:
    moment = MONDAY + timedelta(days=number)
    columns = profile_columns(rows, ["id"], moment, timedelta(days=1), "at")
    made = Profile(
        scope="silver.t.sales", kind="live", run_id=str(number), moment=moment, rows=rows.height, days=1.0,
        newest=moment - timedelta(minutes=40), counts={"landed": rows.height, "rejected": 0},
        fields={name: rows.height for name in rows.columns}, columns=columns,
    )  # fmt: skip
    return made.model_copy(update=changes)


GOOD = tuple(profile(number, day_rows(number)) for number in range(28))


def found(candidate: Profile, good: tuple[Profile, ...] = GOOD, *said: Judgement) -> list[CheckReport]:
    return check_anomalies(candidate, Baseline(good, said), LIMITS)


def alarms(reports: list[CheckReport]) -> dict[str, str]:
    return {one.name: one.outcome for one in reports if one.outcome not in {"passed", "cold start"}}


def test_ordinary_days_raise_no_alarm() -> None:
    """Week-ends and growth are usual; three weeks of days, each against the ones before it."""
    days = [profile(number, day_rows(number)) for number in range(49)]
    loud = [
        number for number in range(28, 49) if alarms(found(days[number], tuple(days[number - 28 : number])))
    ]
    assert loud == []


def test_days_that_differ_by_chance_raise_hardly_an_alarm_though_few_of_a_weekday_are_known() -> None:
    """Thirty seasons of days that vary by a tenth: their median of four Tuesdays is no certain thing either."""
    loud = 0
    for season in range(30):
        chance = Random(season)
        rows = [max(1, round(400 * WEEK[number % 7] * chance.gauss(1, 0.1))) for number in range(70)]
        days = [
            Profile(
                scope="silver.t.sales", kind="live", run_id=str(number), moment=MONDAY + timedelta(days=number),
                newest=MONDAY + timedelta(days=number), rows=count, days=1.0, counts={"landed": count},
            )
            for number, count in enumerate(rows)
        ]  # fmt: skip
        loud += sum("volume" in alarms(found(days[n], tuple(days[n - 30 : n]))) for n in range(30, 70))
    assert loud <= 12, f"{loud} of 1,200 days: more than one in a hundred"


Damage = Callable[[pl.DataFrame], pl.DataFrame]
CASES: dict[str, tuple[Damage, str, str]] = {
    "half of the rows are lost": (lambda rows: rows.head(rows.height // 2), "volume", "failed"),
    "a quarter is lost": (lambda rows: rows.head(rows.height * 7 // 10), "volume", "failed"),
    "the day is duplicated": (lambda rows: pl.concat([rows, rows]), "volume", "failed"),
    "prices in cents": (lambda rows: rows.with_columns(pl.col("price") * 100), "mean of price", "failed"),
    "a few prices in cents": (
        lambda rows: rows.with_columns(pl.when(pl.int_range(pl.len()) % 15 == 0).then(pl.col("price") * 1e4)
                                       .otherwise("price").alias("price")), "outliers in price", "failed"),
    "one price of a hundred in cents": (
        lambda rows: rows.with_columns(pl.when(pl.int_range(pl.len()) % 100 == 0).then(pl.col("price") * 1e4)
                                       .otherwise("price").alias("price")), "outliers in price", "failed"),
    "one city": (lambda rows: rows.with_columns(city=pl.lit("Köln")), "one value in city", "failed"),
    "a new city": (
        lambda rows: rows.with_columns(pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("Oz"))
                                       .otherwise("city").alias("city")), "new values of city", "failed"),
    "cities drift": (
        lambda rows: rows.with_columns(pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("Delft"))
                                       .otherwise("city").alias("city")), "distribution of city", "failed"),
    "two cities of five drift": (
        lambda rows: rows.with_columns(pl.when(pl.int_range(pl.len()) % 5 < 2).then(pl.lit("Delft"))
                                       .otherwise("city").alias("city")), "distribution of city", "failed"),
    "births are missing": (lambda rows: rows.with_columns(born=pl.lit(None, pl.Int64)), "nulls in born", "failed"),
    "more births are missing": (
        lambda rows: rows.with_columns(pl.when(pl.int_range(pl.len()) % 6 != 0).then("born").alias("born")),
        "nulls in born", "failed"),
    "mojibake": (
        lambda rows: rows.with_columns(pl.col("city").str.replace("ö", "Ã¶", literal=True)),
        "mojibake in city", "failed"),
    "names are cut off": (lambda rows: rows.with_columns(pl.col("name").str.head(4)), "distribution of name", "failed"),
    "names are placeholders": (lambda rows: rows.with_columns(name=pl.lit("n/a")), "placeholder in name", "failed"),
    "another time zone": (
        lambda rows: rows.with_columns(pl.col("ordered_at") - pl.duration(hours=6)),
        "distribution of ordered_at", "failed"),
    "all in another time zone": (
        lambda rows: rows.with_columns(pl.col("at", "ordered_at") - pl.duration(hours=9)), "hours of at", "failed"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_damage_is_found_and_named(case: str) -> None:
    damage, name, outcome = CASES[case]
    assert alarms(found(profile(28, damage(day_rows(28))))).get(name) == outcome


def test_hours_of_the_day_are_no_measure_of_a_table_that_is_delivered_hourly() -> None:
    """Each delivery has the hour before it, for ten days; then a column of some is in another zone: its lag says so."""

    def hour(number: int, zone: float = 0.0) -> Profile:
        end = MONDAY + timedelta(hours=number + 0.3)
        chance = Random(number)
        moments = [end - timedelta(minutes=chance.uniform(5, 55)) for _ in range(60)]
        at = pl.Series("at", moments, dtype=pl.Datetime("us", "UTC"))
        rows = day_rows(number, 60).with_columns(at, (at - timedelta(hours=zone)).alias("ordered_at"))
        columns = profile_columns(rows, ["id"], end, timedelta(hours=1), "at")
        return profile(0, rows, moment=end, days=1 / 24, newest=max(moments), columns=columns)

    good = tuple(hour(number) for number in range(240))
    hours = [
        sum(count > 0 for count in column.hours) for one in good for column in one.columns if column.hours
    ]
    assert 0 < max(hours) <= 2
    for number in range(240, 246):
        assert alarms(found(hour(number), good)) == {}
        loud = alarms(found(hour(number, zone=7.0), good))
        assert "distribution of ordered_at" in loud or "lag of ordered_at" in loud, loud
        assert "hours of ordered_at" not in loud


def test_a_finding_says_what_was_measured_what_was_expected_and_by_how_much() -> None:
    report = next(one for one in found(profile(28, day_rows(28).head(200))) if one.name == "volume")
    assert (report.kind, report.severity, report.scope) == ("anomaly", "critical", "silver.t.sales")
    assert report.value == 200
    assert report.expected is not None
    assert 400 < report.expected < 520
    assert "4 good runs of Mondays" in report.detail


def test_a_missing_field_and_a_new_one_are_told() -> None:
    rows = day_rows(28)
    fields = {name: rows.height for name in rows.columns if name != "born"} | {"colour": rows.height}
    assert alarms(found(profile(28, rows, fields=fields))) == {
        "field born": "failed",
        "field colour": "warned",
    }


def test_more_rejected_rows_than_usual_are_told_though_they_are_under_the_limit() -> None:
    rows = day_rows(28)
    counts, reasons = (
        {"landed": rows.height, "rejected": rows.height // 8},
        {"unknown_city": rows.height // 8},
    )
    assert set(alarms(found(profile(28, rows, counts=counts, reasons=reasons)))) == {
        "rejected rows", "rejected as unknown_city",
    }  # fmt: skip


def test_stale_data_is_told() -> None:
    old = MONDAY + timedelta(days=28) - timedelta(hours=12)
    assert alarms(found(profile(28, day_rows(28), newest=old))) == {"freshness": "warned"}


def test_too_little_history_is_told_as_cold_start_and_is_not_a_passed_check() -> None:
    reports = [one for one in found(profile(28, day_rows(28)), GOOD[:6]) if one.outcome != "passed"]
    assert [(one.outcome, one.name) for one in reports] == [("cold start", "anomalies")]
    assert "6 good runs of kind live of the 7 needed" in reports[0].detail
    assert decide("silver.t.sales", reports, contract_required=False).open
    assert not decide("silver.t.sales", reports, contract_required=True).open


@pytest.mark.parametrize(
    ("days", "before", "objects"),
    [
        (None, 0.003, False),
        (0.003, None, False),
        (0.003, 0.003, False),
        (None, None, False),
        (1.0, 0.003, True),
    ],
)
def test_in_a_cold_start_a_run_right_after_another_is_not_held_against_runs_of_hours(
    days: float | None, before: float | None, objects: bool
) -> None:
    """Six rows each time: how many a day is not known of a range of seconds."""
    counts = {"landed": 6}
    young = [
        profile(day, day_rows(day, 6), counts=counts).model_copy(update={"days": before})
        for day in (25, 26, 27)
    ]
    here = profile(28, day_rows(28, 6), counts=counts).model_copy(update={"days": days})
    assert any(name.startswith("cold start: volume") for name in alarms(found(here, tuple(young)))) is objects


def test_a_full_read_that_deletes_much_needs_no_history_to_be_stopped() -> None:
    counts = {"landed": 60, "before": 100, "deleted": 40}
    reports = found(profile(28, day_rows(28, 60), kind="full", counts=counts), ())
    assert alarms(reports) == {"deleted by a full read": "failed"}


@pytest.mark.parametrize(
    ("counts", "stopped"),
    [
        ({"landed": 0, "before": 5, "deleted": 5}, True),
        ({"landed": 0, "before": 1, "deleted": 1}, True),
        ({"landed": 1, "before": 5, "deleted": 5}, False),
        ({"landed": 4, "before": 5, "deleted": 1}, False),
        ({"landed": 0, "before": 0, "deleted": 0}, False),
    ],
)
def test_a_full_read_that_shows_nothing_and_empties_a_table_is_stopped_however_small_the_table_is(
    counts: dict[str, int], stopped: bool
) -> None:
    reports = found(profile(28, day_rows(28, counts["landed"]), kind="full", counts=counts), ())
    assert ("deleted by a full read" in alarms(reports)) is stopped


def test_a_day_without_rows_inside_a_range_needs_no_history_to_be_stopped() -> None:
    by_day = {"2026-03-02": 400, "2026-03-03": 0, "2026-03-04": 410, "2026-03-05": 390}
    assert alarms(found(profile(28, day_rows(28), by_day=by_day), ())) == {"rows of 2026-03-03": "failed"}


def accepted(check: str, day: int, verdict: str = "accept") -> Judgement:
    start = MONDAY + timedelta(days=day) - timedelta(hours=23)
    return Judgement.model_validate(
        {
            "verdict": verdict, "scope": "silver.t.sales", "check": check, "start": start,
            "end": start + timedelta(days=1), "reason": "Black Friday", "by": "ada", "decided_at": MONDAY,
        }
    )  # fmt: skip


def test_an_accepted_anomaly_does_not_stop_and_says_who_accepted_it_and_why() -> None:
    candidate = profile(28, day_rows(28, 2000))
    report = next(one for one in found(candidate, GOOD, accepted("volume", 28)) if one.name == "volume")
    assert report.outcome == "accepted"
    assert "accepted by ada: Black Friday" in report.detail
    assert alarms(found(candidate, GOOD, accepted("volume", 27)))["volume"] == "failed"
    assert alarms(found(candidate, GOOD, accepted("nulls in born", 28)))["volume"] == "failed"


def test_an_accepted_day_is_no_measure_for_the_days_after_it() -> None:
    """With only Mondays of Black Friday's size to compare with, an ordinary Monday would be an alarm."""
    loud = [profile(number, day_rows(number, 2000 if number % 7 == 0 else None)) for number in range(28)]
    said = [accepted("volume", number) for number in range(0, 28, 7)]
    candidate = profile(28, day_rows(28))
    assert alarms(found(candidate, tuple(loud)))["volume"] == "failed"
    assert "volume" not in alarms(found(candidate, tuple(loud), *said))


def test_nothing_new_for_longer_than_usual_is_told() -> None:
    newest = GOOD[-1].as_of
    baseline = Baseline(GOOD)
    usual = check_idle("silver.t.sales", newest, newest + timedelta(hours=12), baseline, LIMITS)
    late = check_idle("silver.t.sales", newest, newest + timedelta(hours=25), baseline, LIMITS)
    strict = check_idle(
        "silver.t.sales", newest, newest + timedelta(hours=25), baseline, AnomalyLimits(when_idle="stop")
    )
    assert [one.outcome if one else None for one in (usual, late, strict)] == ["passed", "warned", "failed"]
    assert check_idle("silver.t.sales", newest, newest, Baseline(GOOD[:5]), LIMITS) is None


def test_switched_off_nothing_is_compared() -> None:
    candidate = profile(28, day_rows(28).head(3))
    assert check_anomalies(candidate, Baseline(GOOD), AnomalyLimits(enabled=False)) == []


def test_in_cold_start_gross_differences_are_looked_for_and_are_not_held_against_the_delivery_later() -> None:
    """A first delivery that is odd would otherwise be the only one that the good ones after it are compared with."""
    few = profile(28, day_rows(28).head(10))
    reports = found(few, GOOD[:6])
    assert alarms(reports) == {"cold start: volume": "failed"}
    half_null = profile(28, day_rows(28).with_columns(born=pl.when(pl.col("id") % 2 == 0).then("born")))
    reports = found(half_null, GOOD[:2])
    assert alarms(reports) == {"cold start: nulls in born": "warned"}
    gate = decide("silver.t.sales", reports, contract_required=False)
    assert gate.open
    assert anomalies_of(gate) == []


def test_in_cold_start_a_whole_table_may_grow_by_leaps_and_not_shrink() -> None:
    """Its history may be loaded in pieces: growth warns, and what is suddenly gone stops."""
    large, small = profile(28, day_rows(28), kind="whole"), profile(28, day_rows(28).head(10), kind="whole")
    few = tuple(profile(number, day_rows(number).head(4), kind="whole") for number in range(3))
    assert alarms(found(large, few))["cold start: volume"] == "warned"
    many = tuple(profile(number, day_rows(number), kind="whole") for number in range(3))
    assert alarms(found(small, many))["cold start: volume"] == "failed"


@pytest.mark.parametrize("garbage", range(4))
def test_a_garbage_run_in_the_cold_start_blinds_nobody(garbage: int) -> None:
    odd = day_rows(garbage).with_columns(
        pl.lit(None, pl.Int64).alias("born"), pl.lit("Oz").alias("city"), pl.col("price") * 1000
    )
    lived = [profile(n, odd if n == garbage else day_rows(n)) for n in range(10)]
    assert alarms(found(profile(10, day_rows(10)), tuple(lived))) == {}
    for damage in ("births are missing", "prices in cents", "one city"):
        change, name, _ = CASES[damage]
        assert alarms(found(profile(10, change(day_rows(10))), tuple(lived))).get(name) == "failed", damage


@pytest.mark.parametrize("runs", [0, 3, 28])
def test_good_rows_with_moments_in_the_future_are_stopped_at_no_time(runs: int) -> None:
    """What is due, or valid until, lies in the future in good rows; in cold start as well."""
    rows = [
        day_rows(n).with_columns(due=pl.col("at") + pl.duration(days=30 + n % 3)) for n in range(runs + 1)
    ]
    lived = tuple(profile(n, one) for n, one in enumerate(rows))
    assert {
        name for name, outcome in alarms(found(lived[-1], lived[:-1])).items() if outcome == "failed"
    } == set()


def test_names_of_a_list_that_outgrows_what_is_kept_of_them_are_not_all_new() -> None:
    def listed(number: int) -> Profile:
        rows = day_rows(number, 55 + number).with_columns(
            name="title " + pl.int_range(pl.len()).cast(pl.String)
        )
        return profile(number, rows)

    lived = tuple(listed(number) for number in range(9))
    for number in range(5, 9):
        assert "new values of name" not in alarms(found(lived[number], lived[:number]))
    later = tuple(listed(number) for number in range(-7, 6))
    assert "new values of name" not in alarms(found(listed(6), later))
