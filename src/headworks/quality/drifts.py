"""Slow change: cumulative sums of the newest deliveries against an anchored reference.

A step of three points a day is never far from yesterday. The reference are the good runs before the newest ones; what
the newest ones, those that warned among them, are away from it is added up (CUSUM, Page 1954), so that a lasting shift
shows however small its steps are. The limit follows from the budget of false alarms, and grows where the table's own
past has wandered like this before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import median

from headworks.quality.findings import Compared, Finding
from headworks.quality.profiles import ColumnProfile, Profile, log_of_bin
from headworks.quality.seasons import Expected, Point, expect
from headworks.quality.statistics import cusum, cusum_limit, grown, growth_a_day, share_noise, sigmas_for

_NEWEST = 12
"""So many deliveries are added up: what takes longer than this moves less than the seasons do."""

_LEAST_REFERENCE = 12
_MOST_REFERENCE = 60
_LATEST = 3
_FURTHEST = 6.0
"""A single delivery counts no more than this, in standard deviations: one odd day is the step test's."""

_SLACK = 0.4
_TWO_YEARS = 725
_DAY_S = 86_400.0


@dataclass(frozen=True)
class Series:
    """One number of each delivery: (profile, value, what chance alone does to it)."""

    check: str
    what: str
    points: Sequence[tuple[Profile, float, float]]
    least: float
    factor: bool = False


def drift_findings(compared: Compared) -> Iterator[Finding]:
    """Add up how far the volume, nulls, means and shares of values have crept away from the reference."""
    if compared.profile.kind in {"whole", "full"}:
        # A table of all there is has its past in it: what it sums up by customer or by day only ever grows.
        return
    series = list(_series(compared))
    for one in series:
        found = _drift(compared, one, len(series))
        if found is not None:
            yield found


def _history(compared: Compared) -> list[Profile]:
    """Return good runs and the newest that were let through, in order, with the candidate as the last one."""
    lately = {one.as_of: one for one in compared.baseline.recent if one.kind == compared.profile.kind}
    merged = {one.as_of: one for one in compared.baseline.profiles} | lately
    merged.pop(compared.profile.as_of, None)
    return [*(merged[moment] for moment in sorted(merged)), compared.profile]


def _series(compared: Compared) -> Iterator[Series]:
    limits = compared.limits
    history = _history(compared)[-(_MOST_REFERENCE + _NEWEST) :]
    if compared.baseline.rhythm == "hourly":
        # Hours of a day are too unlike each other, and too alike their neighbours: each is added up with its like.
        apart = [one for one in history if abs(one.as_of.hour - compared.profile.as_of.hour) in {0, 23, 1}]
        history = apart
    if len(history) < _LEAST_REFERENCE + 2:
        return
    yield _volume(history, limits.at("drift_level"))
    for column in compared.profile.columns:
        there = [
            (one, mine)
            for one in history
            if one.rows >= limits.rows
            and (mine := one.column(column.name)) is not None
            and mine.dtype == column.dtype
        ]
        if len(there) < _LEAST_REFERENCE + 2 or there[-1][0] is not compared.profile:
            continue
        nulls = [
            (one, mine.nulls / one.rows, share_noise(mine.nulls / one.rows, one.rows)) for one, mine in there
        ]
        yield Series(f"drift of nulls in {column.name}", f"nulls in {column.name}", nulls, limits.at("drift"))
        if column.kind == "number" and not column.identifier:
            levels = [(one, level, 0.0) for one, mine in there if (level := _level(mine)) is not None]
            if len(levels) == len(there):
                name = f"level of {column.name}"
                yield Series(f"drift of {name}", name, levels, limits.at("drift_level"), factor=True)
        if column.categories and len(column.categories) <= _MOST_SHARES and not column.identifier:
            for value in column.categories:
                shares = [
                    (one, count / filled, share_noise(count / filled, filled))
                    for one, mine in there
                    if (filled := max(one.rows - mine.nulls, 1))
                    and mine.categories is not None
                    and (count := mine.categories.get(value, 0)) >= 0
                ]
                yield Series(
                    f"drift of {value!r} in {column.name}", f"share of {value!r} in {column.name}", shares,
                    limits.at("drift"),
                )  # fmt: skip


def _level(column: ColumnProfile) -> float | None:
    """Return the mean logarithm of a column's positive numbers, by its histogram; None where these are few.

    The mean itself wanders with a few large values from day to day, which hides a slow change of all of them.
    """
    there = [(log_of_bin(bin_), count) for bin_, count in column.bins.items() if bin_ > 0]
    rows = sum(count for _, count in there)
    return None if rows < _HANDFUL else sum(level * count for level, count in there) / rows


_HANDFUL = 5
_MOST_SHARES = 12


def _volume(history: Sequence[Profile], least: float) -> Series:
    timed = any(one.days for one in history)
    rates = [(one, one.landed / (one.days or 1.0)) for one in history if one.days or not timed]
    points = [(one, log(rate), 1 / max(one.landed, 1) ** 0.5) for one, rate in rates if rate > 0]
    return Series("drift of volume", "rows a day", points, least, factor=True)


def _drift(compared: Compared, series: Series, checks: int) -> Finding | None:
    since = compared.baseline.normal_since(series.check)
    accepted = compared.baseline.accepted
    points = [
        each
        for each in series.points
        if (since is None or each[0].as_of >= since)
        and (each[0] is compared.profile or accepted(series.check, each[0].as_of) is None)
    ]
    reference, newest = points[:-_NEWEST], points[-_NEWEST:]
    if len(reference) < _LEAST_REFERENCE:
        reference, newest = points[:_LEAST_REFERENCE], points[_LEAST_REFERENCE:]
    if len(newest) < _LATEST or not newest or newest[-1][0] is not compared.profile:
        return None
    volume = series.check == "drift of volume"
    days = _day(reference[-1][0]) - _day(reference[0][0])
    either = volume and compared.baseline.rhythm in {"weekly", "monthly"} and days < _TWO_YEARS
    # Of a year alone nobody can say what grows, and what comes again each year: a drift is what neither explains.
    ways = [
        _summed(compared, reference, newest, trending=trending)
        for trending in ((False, True) if either else (volume,))
    ]
    total, steps, away, past, center = min(ways, key=lambda one: abs(one[0]))
    chance = compared.limits.budget / max(checks, 1)
    allowed = cusum_limit(chance, 1, _SLACK) * sigmas_for(chance, len(reference)) / sigmas_for(chance, 1_000)
    # What has wandered before, wanders again.
    allowed = max(
        allowed, 1.2 * max((abs(cusum(past[: end + 1], _SLACK)[0]) for end in range(len(past))), default=0.0)
    )
    moved = median(distance for _, distance in away[-_LATEST:])
    begun = newest[max(len(newest) - max(steps, 1), 0)][0].as_of
    value = center + moved
    shown = (exp(value), exp(center)) if series.factor else (value, center)
    amount = f"{exp(moved) - 1:+.1%}" if series.factor else f"{100 * moved:+.1f} points"
    figures = (
        f"{shown[0]:,.4g}, was {shown[1]:,.4g}" if series.factor else f"{shown[0]:.1%}, was {shown[1]:.1%}"
    )
    beyond = abs(total) / allowed if abs(moved) > series.least and total * moved > 0 else 0.0
    return Finding(
        series.check, *shown, beyond, 1.0, 1e9,
        f"{series.what} has crept by {amount} since {begun:%Y-%m-%d %H:%M} ({figures}; {steps} deliveries one way)",
        tuple(value for _, value, _ in points[-2 * _NEWEST : -1]), drawn=points[-1][1],
    )  # fmt: skip


def _summed(
    compared: Compared,
    reference: Sequence[tuple[Profile, float, float]],
    newest: Sequence[tuple[Profile, float, float]],
    *,
    trending: bool,
) -> tuple[float, int, list[tuple[float, float]], list[float], float]:
    """Return the sum of the newest deliveries' deviations, of how many of them it is, and what it was made of."""
    away, past, center = _deviations(compared, reference, newest, trending=trending)
    total, steps = cusum([one for one, _ in away], _slack(len(reference), trending=trending))
    return total, steps, away, past, center


def _slack(reference: int, *, trending: bool) -> float:
    """Return what counts as nothing: more of a short reference, whose center and growth are not known well.

    The error of a median is shared by all newest deliveries and would add up; that of a slope grows with the distance.
    """
    center = 1.25 / sqrt(reference)
    slope = sqrt(12) / reference**1.5 * (reference / 2 + _NEWEST) if trending else 0.0
    return _SLACK + center + slope


def _deviations(
    compared: Compared,
    reference: Sequence[tuple[Profile, float, float]],
    newest: Sequence[tuple[Profile, float, float]],
    *,
    trending: bool,
) -> tuple[list[tuple[float, float]], list[float], float]:
    """Return how far the newest are from the reference, in deviations and as it is, the past's, and the center."""
    rhythm = "list" if compared.baseline.rhythm == "hourly" else compared.baseline.rhythm
    growth, last = 0.0, _day(reference[-1][0])
    if trending:
        weekdays = compared.baseline.rhythm in {"hourly", "daily", "list"}
        growth = growth_a_day([(_day(one), exp(value)) for one, value, _ in reference], weekdays=weekdays)
    flat: list[Point] = [
        (one.as_of, log(grown(exp(value), growth, last - _day(one))) if trending else value)
        for one, value, _ in reference
    ]
    away: list[tuple[float, float]] = []
    known: dict[int, Expected] = {}
    center = 0.0
    for one, value, noise in newest:
        season = one.as_of.weekday() if rhythm == "daily" else one.as_of.month if rhythm == "monthly" else 0
        if season not in known:
            known[season] = expect(flat, one.as_of, rhythm)
        expected = known[season]
        center = expected.center + growth * (_day(one) - last)
        unit = max(expected.scale, noise, 1e-9) * expected.noise
        distance = value - center
        away.append((max(-_FURTHEST, min(_FURTHEST, distance / unit)), distance))
    scale = max(expected.scale, newest[-1][2], 1e-9)
    past = [max(-_FURTHEST, min(_FURTHEST, one / scale)) for one in expected.residuals]
    return away, past, center


def _day(profile: Profile) -> float:
    return profile.as_of.timestamp() / _DAY_S
