"""Anomalies of a candidate: its profile against those of the good runs before it.

Here are the checks of whole candidates, and the order of all. Too few good runs are reported as ``cold start``, which
is neither passed nor failed, and has rules of its own (``coldstart.py``). A check that needs no history (a full read
that deletes much, a day without rows) is made then, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from math import exp, inf, log, sqrt
from statistics import fmean, median, pstdev

from headworks.quality import between, columns
from headworks.quality.baselines import Baseline
from headworks.quality.coldstart import COLD, cold_findings
from headworks.quality.drifts import drift_findings
from headworks.quality.findings import MANY, Compared, Finding, report_findings, share_finding
from headworks.quality.limits import AnomalyLimits
from headworks.quality.profiles import OF_DAYS, Profile
from headworks.quality.seasons import Point, Rhythm, expect, is_holiday, quietest, same_hours, same_place
from headworks.quality.statistics import grown, growth_a_day, sigmas_for
from headworks.reports import CheckReport, GateReport

Family = Callable[[Compared], Iterable[Finding]]
_DAY_S = 86_400.0
_FURTHER = 1.15
_STEPS = 14
_MANY = 6
_BY_CHANCE = 0.65
"""The standard deviation of exponential times is their mean; of these, without the longest ones, about this part."""

_SURELY_EVEN = 10
"""So many runs say that a number of rows is always the same."""

_SEVERAL_DAYS = 1.5
"""A range of more days has no weekday."""


def anomalies_of(gate: GateReport) -> list[str]:
    """Return the names of the checks of a gate that found an anomaly which nobody has accepted."""
    return [
        one.name
        for one in gate.checks
        if one.kind == "anomaly" and one.outcome in {"warned", "failed"} and not one.name.startswith(COLD)
    ]


def check_anomalies(profile: Profile, baseline: Baseline, limits: AnomalyLimits) -> list[CheckReport]:
    """Compare a candidate with the good runs before it: a report for each family of checks, and for each finding."""
    if not limits.enabled:
        return []
    compared = Compared(profile, baseline, limits)
    runs = len(baseline.profiles)
    cold = runs < compared.needed
    families = _ALWAYS | ({"content in cold start": cold_findings} if cold else _COMPARED)
    reports: list[CheckReport] = []
    made: list[Finding] = []
    for family, findings in families.items():
        found = list(findings(compared))
        made += found
        reports += report_findings(compared, family, found, runs)
    return [*reports, _cold_start(compared, runs) if cold else _false_alarms(compared, made, runs)]


def _false_alarms(compared: Compared, made: Sequence[Finding], runs: int) -> CheckReport:
    """Report how often the good runs themselves would have raised an alarm, each judged by the others."""
    loud = sum(one.loud for one in made)
    return CheckReport(
        scope=compared.profile.scope,
        name="false alarms",
        kind="anomaly",
        outcome="passed",
        severity="warning",
        detail=f"{len(made)} numbers compared; by these limits {runs} good runs would have raised {loud * runs:.1f} "
        f"alarms, the budget is {compared.limits.budget * runs:.1f}",
        value=loud,
        expected=compared.limits.budget,
    )


def check_idle(
    scope: str, newest: datetime | None, moment: datetime, baseline: Baseline, limits: AnomalyLimits
) -> CheckReport | None:
    """Compare how old the newest data is, where nothing new came, with how old it usually gets.

    None where nothing can be said, since it is too early, or where nobody wants to know.
    """
    gaps = _gaps(baseline.profiles)
    if limits.when_idle == "fine" or not limits.enabled or newest is None or len(gaps) < limits.good_runs:
        return None
    # Week-ends are among the usual gaps; one outage in twenty runs is not.
    usual_gap = sorted(gaps)[-1 - len(gaps) // 20]
    usual_age = median((one.moment - one.as_of).total_seconds() for one in baseline.profiles)
    allowed, age = 0.9 * usual_gap + usual_age, (moment - newest).total_seconds()
    shorter = sorted(gaps)[: -1 - len(gaps) // 20]
    if len(shorter) > 2 and pstdev(shorter) > _BY_CHANCE * fmean(shorter):
        # What comes by chance comes after any time (exponential gaps): the longest of few says little.
        allowed = max(allowed, fmean(gaps) * log(10 / limits.budget) + usual_age)
    accepted = baseline.accepted("nothing new", moment)
    stale = "accepted" if accepted else "failed" if limits.when_idle == "stop" else "warned"
    return CheckReport.model_validate(
        {
            "scope": scope,
            "name": "nothing new",
            "kind": "anomaly",
            "outcome": stale if age > allowed else "passed",
            "severity": "critical" if limits.when_idle == "stop" else "warning",
            "detail": f"the newest row is {age / 3600:.1f} h old, usually at most {allowed / 3600:.1f} h",
            "value": age,
            "expected": allowed,
        }
    )


def _cold_start(compared: Compared, runs: int) -> CheckReport:
    profile = compared.profile
    return CheckReport(
        scope=profile.scope,
        name="anomalies",
        kind="anomaly",
        outcome="cold start",
        severity="warning",
        detail=f"{runs} good runs of kind {profile.kind} of the {compared.needed} needed: only gross differences "
        "were looked for",
    )


def volume_findings(compared: Compared) -> Iterator[Finding]:
    """Compare rows a day of the source with runs of the same weekday or hour, grown to the candidate's day."""
    profile, limits = compared.profile, compared.limits
    good = compared.good("volume")
    if good and (profile.kind in {"whole", "full"} or _listed_anew(good)):
        yield _size_finding([_listed(one) for one in good], _listed(profile), limits)
        return
    seen = [(one, rate) for one in good if (rate := _rate(one)) is not None and rate > 0]
    rate = _rate(profile)
    if rate is None or len(seen) < compared.needed:
        return
    today = _day(profile)
    rhythm = compared.baseline.rhythm
    thinned = [(_day(one), value) for one, value in _thinned(seen, profile, rhythm)]
    growth = growth_a_day(thinned, weekdays=rhythm in {"hourly", "daily", "list"})
    now = [(one.as_of, log(grown(value, growth, today - _day(one)))) for one, value in seen]
    several = rhythm in {"hourly", "daily"} and (profile.days or 1.0) > _SEVERAL_DAYS
    expected = expect(now, profile.as_of, "list" if several else rhythm)
    usual_rate = float(f"{exp(expected.center):.12g}")
    chance = 1 / sqrt(max(usual_rate * (profile.days or 1), 1))
    if len(expected.residuals) >= _SURELY_EVEN and expected.scale < chance / 4:
        # Counts that differ far less than chance would let them are none of chance: six rates each month.
        chance = expected.scale
    # The volume says more than any other number: a fifth of the budget is its own.
    sigmas = sigmas_for(limits.budget / 5, len(expected.residuals))
    usual = max(sigmas * expected.scale, sigmas_for(limits.budget / 5, MANY) * expected.noise * chance)
    odd_span = 2.0 if _odd_span(profile, [one for one, _ in seen]) else 1.0
    ratio = rate / usual_rate

    def apart(logarithm: float) -> float:
        """Return the distance that is as far below, or above, the usual: a half is as far away as the double."""
        return exp(logarithm) - 1 if ratio > 1 else 1 - exp(-logarithm)

    warn = max(odd_span * limits.at("volume"), apart(odd_span * usual))
    stop = max(odd_span * limits.at("volume_stop"), apart(odd_span * _FURTHER * usual))
    warn, stop = _reachable(ratio, warn, stop)
    text = f"({ratio - 1:+.0%} against {expected.count} good {expected.named})"
    if abs(ratio - 1) > warn:
        warn, stop, why = _milder(compared, now, rate, ratio, growth, warn, stop)
        text = f"{text}{why}"
    yield Finding(
        "volume", rate, usual_rate, ratio - 1, warn, stop,
        f"{rate:,.0f} rows a day, usually {usual_rate:,.0f} {text}",
        tuple(value for _, value in seen), drawn=rate,
    )  # fmt: skip


def _milder(
    compared: Compared,
    now: Sequence[Point],
    rate: float,
    ratio: float,
    growth: float,
    warn: float,
    stop: float,
) -> tuple[float, float, str]:
    """Return the limits of an unusual volume, and why they are wider than usual, where there is a reason.

    Days that are not known yet, holidays, and what continues as people have accepted it are unusual for a reason.
    """
    at, rhythm = compared.profile.as_of, compared.baseline.rhythm
    alike = same_place(now, at, rhythm)
    if alike is not None and not alike:
        return warn, max(stop, 0.8), "; none of this day of the week is known yet"
    if alike and any(abs(rate / exp(one) - 1) <= warn for one in alike):
        return inf, inf, f", as in the {len(alike)} of this day of the week"
    quiet = quietest(now, at, rhythm) if ratio < 1 and is_holiday(at, rhythm) else None
    if quiet is not None and rate >= exp(quiet) * (1 - warn):
        return warn, inf, ", which is as on the week's quietest day: it may be a holiday"
    before = _just_before(compared)
    effects = [
        log(_known(one) / exp(expect(_moved(now, one, growth, at), one.as_of, rhythm).center))
        for one in before
    ]
    if effects and abs(ratio / exp(median(effects)) - 1) <= warn:
        known = all(compared.baseline.accepted("volume", one.as_of) is not None for one in before)
        lately = rhythm == "hourly" and len(before) >= _LIKE
        return (
            inf if known or lately else warn,
            inf,
            f", as in the {len(before)} before it, which were let through",
        )
    return warn, stop, ""


_LIKE = 3


def _just_before(compared: Compared) -> list[Profile]:
    """Return the deliveries just before, which were let through: of the last hours, or the one of the day before."""
    here = compared.profile
    hourly = compared.baseline.rhythm == "hourly"
    if compared.baseline.rhythm not in {"hourly", "daily"}:
        return []
    reach = timedelta(hours=8) if hourly else timedelta(days=1.6)
    there = [
        one
        for one in compared.baseline.recent
        if one.kind == here.kind and _rate(one) and timedelta(0) < here.as_of - one.as_of <= reach
    ][-_LIKE if hourly else -1 :]
    accepted = compared.baseline.accepted
    odd = all("volume" in one.warned or accepted("volume", one.as_of) is not None for one in there)
    return there if odd else []


def _known(profile: Profile) -> float:
    return max(_rate(profile) or 1.0, 1e-9)


def _moved(now: Sequence[Point], one: Profile, growth: float, at: datetime) -> list[Point]:
    """Return the past as it is grown to another day than the candidate's."""
    days = (one.as_of - at).total_seconds() / _DAY_S
    return [(when, value + growth * days) for when, value in now]


def _thinned(
    seen: Sequence[tuple[Profile, float]], profile: Profile, rhythm: Rhythm
) -> Sequence[tuple[Profile, float]]:
    """Return the runs that growth is estimated by: of an hourly table one a day, always at the candidate's hour."""
    if rhythm != "hourly":
        return seen
    places = same_hours([one.as_of for one, _ in seen], profile.as_of, 0)
    return [seen[place] for place in places]


def _size_finding(seen: Sequence[float], rows: float, limits: AnomalyLimits) -> Finding:
    """Compare the size of a whole table with that of the newest good run, and with the steps that it usually takes."""
    steps = [log(b / a) for a, b in pairwise(seen)]
    expected = seen[-1] * exp(median(steps[-limits.good_runs :]))
    usual = sorted(abs(step) for step in steps[-_STEPS:])
    # The second largest: one list that was cut short, and whole again, is no measure.
    largest = usual[-2 if len(usual) > _MANY else -1] if usual else 0.0
    even = len(steps) >= _SURELY_EVEN and not any(steps[-_SURELY_EVEN:])
    warn = max(limits.at("volume"), 1.5 * largest, 0.0 if even else 4 / sqrt(expected))
    warn, stop = _reachable(rows / expected, warn, max(limits.at("volume_stop"), 1.5 * warn))
    text = f"{rows:,.0f} rows, expected {expected:,.0f} after {seen[-1]:,.0f} in the newest good run"
    return Finding("volume", rows, expected, rows / expected - 1, warn, stop, text)


def _reachable(ratio: float, warn: float, stop: float) -> tuple[float, float]:
    """Return limits that a fall can reach: by more than all there is nothing falls, but it may well rise by more."""
    return (warn, stop) if ratio > 1 else (min(warn, 0.9), min(stop, 0.95))


def reject_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the share of rejected rows, in all and by reason, and of rows that silver had already."""
    here = compared.profile
    if here.landed < compared.limits.rows or "rejected" not in here.counts:
        return
    for check, hits, counted in (
        ("rejected rows", here.counts.get("rejected", 0), lambda one: one.counts.get("rejected", 0)),
        ("rows read again", _again(here), _again),
    ):
        yield from _landed_share(compared, check, hits, counted)
    for reason in here.reasons:
        yield from _landed_share(
            compared,
            f"rejected as {reason}",
            here.reasons[reason],
            partial(_because, reason),
        )


def _because(reason: str, profile: Profile) -> int:
    return profile.reasons.get(reason, 0)


def _landed_share(
    compared: Compared, check: str, hits: int, counted: Callable[[Profile], int]
) -> Iterator[Finding]:
    """Compare a share of the landed rows; it takes twice as much of them to stop a run: they are held back already."""
    seen = [(one.as_of, counted(one) / one.landed) for one in compared.like(check) if one.landed]
    if seen:
        stop = 2 * compared.limits.at("share_stop")
        yield share_finding(compared, check, hits, compared.profile.landed, seen, check, stop=stop)


def field_findings(compared: Compared) -> Iterator[Finding]:
    """Compare how often the source gives each field: a new one warns, a missing one counts as nulls in all rows."""
    here = compared.profile
    good = [one for one in compared.like("fields") if one.fields and one.landed >= compared.limits.rows]
    if len(good) < compared.needed or here.landed < compared.limits.rows:
        return
    known = {name for one in good for name in one.fields}
    for name in sorted(known | set(here.fields)):
        check, hits = f"field {name}", here.fields.get(name, 0)
        rows = _asked(here)
        if name not in known:
            yield Finding(check, hits / rows, 0.0, 1.0, 0.0, 2.0, f"{name} is new in the source")
            continue
        seen = [(one.as_of, one.fields.get(name, 0) / _asked(one)) for one in good]
        yield share_finding(compared, check, hits, rows, seen, f"{name} given")


def freshness_findings(compared: Compared) -> Iterator[Finding]:
    """Compare how old the newest row is when it is read."""
    here, good = compared.profile, compared.good("freshness")
    ages = [_age(one) for one in good if one.newest is not None]
    if here.newest is None or len(ages) < compared.needed:
        return
    gaps = _gaps(good)
    usual_gap = median(gaps) if gaps else 0.0
    expected, age = median(ages), _age(here)
    warn = max(3 * max(ages), 0.25 * usual_gap) - expected
    text = f"the newest row was {age / 3600:.1f} h old, usually {expected / 3600:.1f} h"
    # Old data is late, fresh data is not too early: one side only.
    yield Finding(
        "freshness", age, expected, max(0.0, age - expected), warn, max(0.9 * usual_gap, 1.5 * warn), text
    )


def gap_findings(compared: Compared) -> Iterator[Finding]:
    """Look for days without rows, or with several times as many as the others, inside a range of several days."""
    here = compared.profile
    inner = list(here.by_day.items())[1:-1]
    if here.kind not in OF_DAYS or len(inner) < 1 or len(here.by_day) < 3:
        return
    usual = median(here.by_day.values())
    if usual < compared.limits.rows:
        return
    for day, rows in inner:
        ratio = rows / max(usual, 1)
        distance = 1 - ratio if ratio < 1 else (ratio - 1) / 2
        yield Finding(
            f"rows of {day}",
            rows,
            usual,
            distance,
            0.7,
            0.9,
            f"{rows:,} rows of {day}, other days have {usual:,.0f}",
        )


def delete_findings(compared: Compared) -> Iterator[Finding]:
    """Compare the keys that a full read deletes with all that silver had: a read cut short looks like this."""
    here, limits = compared.profile, compared.limits
    before, deleted = here.counts.get("before", 0), here.counts.get("deleted", 0)
    # A share of few rows says nothing; that a read showed none and none is left does, as after an empty answer.
    emptied = 0 < before <= deleted and not here.counts.get("landed", 0)
    if here.kind != "full" or (before < limits.rows and not emptied):
        return
    share = deleted / before
    yield Finding(
        "deleted by a full read", share, 0.0, share, limits.at("deleted"), limits.at("deleted_stop"),
        f"a full read does not show {share:.1%} of the {before:,} rows in silver",
    )  # fmt: skip


_ALWAYS: dict[str, Family] = {
    "deleted by a full read": delete_findings,
    "days inside the range": gap_findings,
    "deleted over time": between.erosion_findings,
}
_COMPARED: dict[str, Family] = {
    "volume": volume_findings,
    "freshness": freshness_findings,
    "rejected rows": reject_findings,
    "fields of the source": field_findings,
    "nulls": columns.null_findings,
    "damaged text": columns.damage_findings,
    "distinct values": columns.distinct_findings,
    "constant columns": columns.constant_findings,
    "commonest values": columns.prevalence_findings,
    "means": columns.mean_findings,
    "outliers": columns.outlier_findings,
    "tails": columns.tail_findings,
    "distributions": columns.shift_findings,
    "new values": columns.novelty_findings,
    "signs": columns.sign_findings,
    "shares of values": columns.category_findings,
    "parents": columns.parent_findings,
    "largest values": columns.extreme_findings,
    "relations": between.relation_findings,
    "combinations": between.pair_findings,
    "ratios": between.ratio_findings,
    "copies": between.copy_findings,
    "rows updated": between.updated_findings,
    "values by key": between.by_key_findings,
    "streams": between.stream_findings,
    "drifts": drift_findings,
}


def _rate(profile: Profile) -> float | None:
    if profile.kind in OF_DAYS:
        return profile.landed / profile.days if profile.days else None
    return float(profile.rows if profile.kind == "whole" else profile.landed)


def _listed_anew(seen: Sequence[Profile]) -> bool:
    """Return whether each run reads a whole list again, most of it known: then its size counts, and not rows a day."""
    return median(_again(one) / max(one.landed, 1) for one in seen) > 0.5


def _listed(profile: Profile) -> float:
    """Return how many different good rows came: those of one list, though it was landed twice before it was refined."""
    left_out = profile.counts.get("superseded", 0) + profile.counts.get("rejected", 0)
    return float(max(profile.landed - left_out, 1))


def _again(profile: Profile) -> int:
    return profile.counts.get("superseded", 0) + profile.counts.get("unchanged", 0)


def _asked(profile: Profile) -> int:
    return max(profile.counts.get("asked", profile.landed), 1)


def _age(profile: Profile) -> float:
    return max(0.0, ((profile.read_at or profile.moment) - profile.as_of).total_seconds())


def _day(profile: Profile) -> float:
    return profile.as_of.timestamp() / _DAY_S


def _odd_span(profile: Profile, seen: Sequence[Profile]) -> bool:
    """Return whether a range covers an unusual time: of a row changed twice in it only the last version comes."""
    usual = median([one.days for one in seen if one.days] or [1.0])
    return profile.days is not None and not usual / 1.5 <= profile.days <= usual * 1.5


def _gaps(profiles: Sequence[Profile]) -> list[float]:
    moments = sorted(one.as_of for one in profiles)
    return [(b - a) / timedelta(seconds=1) for a, b in pairwise(moments)]
