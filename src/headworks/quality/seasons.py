"""What a number usually is at a moment: robust expectations by hour, weekday, day of the month; and a table's rhythm.

A season is used only where the history shows it: each way of grouping the past is tried on the past itself, every run
against the others (leave-one-out), and for each group, such as Sundays, the one that predicts it best counts: where one
day of the week differs, only that day is expected to. Medians and median absolute deviations are
robust up to half of the values (Hampel 1974).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from math import sqrt
from statistics import fmean, median
from typing import Literal

from headworks.quality.statistics import median_noise, spread

Rhythm = Literal["hourly", "daily", "weekly", "monthly", "list"]
Point = tuple[datetime, float]

REACH_DAYS: dict[Rhythm, int] = {"hourly": 31, "daily": 200, "weekly": 1_830, "monthly": 1_830, "list": 200}
"""How far back runs are compared with: 30 days of hours; five years of months, since a year has a season of its own."""

MOST_RUNS = 750
"""The newest runs of a table that are looked at: 30 days of hours."""

_FEW = 3
"""A group with fewer others says nothing about one of its own."""

_BETTER = 0.85
"""A finer grouping must predict this much better than a coarser one: it has fewer runs to learn from."""

_SPECIAL = 3.0
_MONTH_ENDS = 3


@dataclass(frozen=True)
class Expected:
    """What a number is expected to be, and how far the good runs were from what the others said about them."""

    center: float
    scale: float
    residuals: tuple[float, ...]
    count: int
    named: str = "runs"

    @property
    def noise(self) -> float:
        """How much further than from the true middle a new value lies from this one."""
        return median_noise(max(self.count, 1))


def rhythm_of(moments: Sequence[datetime]) -> Rhythm:
    """Return how often a table gets something, from the moments of its runs; ``daily`` where too few are known."""
    gaps = [(b - a) / timedelta(days=1) for a, b in pairwise(sorted(moments)) if b > a]
    if len(gaps) < _FEW:
        return "daily"
    usual = median(gaps)
    if usual < 0.45:
        return "hourly"
    return "daily" if usual < 4 else "weekly" if usual < 18 else "monthly"


def expect(points: Sequence[Point], at: datetime, rhythm: Rhythm) -> Expected:
    """Return what the value at a moment is expected to be, from values at earlier ones; there must be one at least."""
    name = ""
    alike: Callable[[datetime], Hashable] = _all
    best = _left_out(points, alike)
    apart: list[tuple[str, Callable[[datetime], Hashable], list[float]]] = []
    for tried, group in _GROUPINGS[rhythm]:
        if sum(group(when) == group(at) for when, _ in points) < _FEW:
            continue
        residuals = _left_out(points, group)
        if _size(residuals) < _BETTER * _size(best):
            name, best, alike, apart = tried, residuals, group, []
        else:
            apart.append((tried, group, residuals))
    same = [value for when, value in points if alike(when) == alike(at)]
    for tried, group, residuals in apart:
        for one, members in _places(points, group).items():
            if _is_better(residuals, best, members):
                for place in members:
                    best[place] = residuals[place]
                if one == group(at):
                    name, same = tried, [points[place][1] for place in members]
    scale = max(spread(best), _rest(best))
    center = median(same) + _special(points, best, at, scale, rhythm)
    named = f"runs of {_within(at, rhythm):{name}}" if name else "runs"
    return Expected(center, scale, tuple(best), len(same), named)


def _within(when: datetime, rhythm: Rhythm) -> datetime:
    """Return a moment in the day, or the month, that most of a delivery is of.

    Its newest row is of the last minute of a day, or of the first one of the next: that decides nothing.
    """
    return when - _HALF.get(rhythm, timedelta(0))


_HALF: dict[Rhythm, timedelta] = {"daily": timedelta(hours=5), "monthly": timedelta(days=15)}


def _all(_: datetime) -> Hashable:
    return 0


def _size(residuals: Sequence[float]) -> float:
    return fmean(abs(one) for one in residuals)


def _places(points: Sequence[Point], group: Callable[[datetime], Hashable]) -> dict[Hashable, list[int]]:
    found: dict[Hashable, list[int]] = defaultdict(list)
    for place, (when, _) in enumerate(points):
        found[group(when)].append(place)
    return found


def _is_better(residuals: Sequence[float], before: Sequence[float], members: Sequence[int]) -> bool:
    """Return whether a group alone is predicted better by its own: it lies away from the others by more than chance."""
    if len(members) < _FEW:
        return False
    mine, theirs = ([some[place] for place in members] for some in (residuals, before))
    usual = spread(before) / sqrt(len(members))
    return _size(mine) < _BETTER * _size(theirs) and abs(median(theirs)) > _SPECIAL * usual


def same_place(points: Sequence[Point], at: datetime, rhythm: Rhythm) -> list[float] | None:
    """Return the values of a moment's place in the week, where these are too few to be expected; None where not."""
    group = _PLACES.get(rhythm)
    if group is None:
        return None
    found = [value for when, value in points if group(when) == group(at)]
    return found if len(found) <= _FEW else None


def quietest(points: Sequence[Point], at: datetime, rhythm: Rhythm) -> float | None:
    """Return the usual value of the week's quietest day, of an hourly table at that hour; None where unknown."""
    if rhythm not in {"hourly", "daily"}:
        return None
    days: dict[int, list[float]] = defaultdict(list)
    for when, value in points:
        if rhythm == "daily" or when.hour == at.hour:
            days[_within(when, rhythm).weekday()].append(value)
    return min((median(one) for one in days.values() if len(one) >= _FEW), default=None)


def is_holiday(at: datetime, rhythm: Rhythm) -> bool:
    """Return whether many countries keep a day: it may be as quiet as a Sunday, whatever day of the week it is."""
    day = _within(at, rhythm).date()
    if (day.month, day.day) in _HOLIDAYS:
        return True
    if day.month == 11 and day.weekday() in {3, 4} and 22 <= day.day - (day.weekday() - 3) <= 28:
        return True  # Thanksgiving and the day after it
    return (day - easter(day.year)).days in _OF_EASTER


def easter(year: int) -> date:
    """Return Easter Sunday of a year in the Gregorian calendar (Meeus, Jones, Butcher)."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    rest = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * rest) // 451
    month, day = divmod(h + rest - 7 * m + 114, 31)
    return date(year, month, day + 1)


_HOLIDAYS = {(1, 1), (1, 6), (5, 1), (7, 4), (8, 15), (11, 1), (12, 24), (12, 25), (12, 26), (12, 31)}
_OF_EASTER = {-2, 0, 1, 39, 50}
"""Good Friday, Easter and its Monday, Ascension Day and Whit Monday."""


def same_hours(moments: Sequence[datetime], at: datetime, apart: int = 1) -> list[int]:
    """Return the places of the moments that are of about the same hour of the day."""
    return [
        place
        for place, one in enumerate(moments)
        if min((one.hour - at.hour) % 24, (at.hour - one.hour) % 24) <= apart
    ]


def _rest(residuals: Sequence[float]) -> float:
    """Return the standard deviation of residuals but for the two furthest: surer of few than a median."""
    kept = sorted(abs(one) for one in residuals)[: max(len(residuals) - 2, 0)]
    return sqrt(fmean(one * one for one in kept)) if kept else 0.0


def _left_out(points: Sequence[Point], group: Callable[[datetime], Hashable]) -> list[float]:
    """Return each value's distance from the median of the others of its group; of all others where these are few."""
    groups: dict[Hashable, list[float]] = defaultdict(list)
    for when, value in points:
        groups[group(when)].append(value)
    for values in groups.values():
        values.sort()
    everything = sorted(value for _, value in points)
    residuals = []
    for when, value in points:
        mine = groups[group(when)]
        others = mine if len(mine) > _FEW else everything
        residuals.append(value - _median_without(others, value) if len(others) > 1 else 0.0)
    return residuals


def _median_without(ordered: Sequence[float], value: float) -> float:
    """Return the median of sorted values but for one of them."""
    gone, rest = bisect_left(ordered, value), len(ordered) - 1

    def kept(place: int) -> float:
        return ordered[place if place < gone else place + 1]

    return kept(rest // 2) if rest % 2 else (kept(rest // 2 - 1) + kept(rest // 2)) / 2


def _special(
    points: Sequence[Point], residuals: Sequence[float], at: datetime, scale: float, rhythm: Rhythm
) -> float:
    """Return by how much a day of the month differs from other days, such as the one on which wages are paid."""
    if rhythm != "daily":
        return 0.0
    for mark in (_month_day, _month_end):
        here = mark(at)
        same = [one for (when, _), one in zip(points, residuals, strict=True) if mark(when) == here]
        if here is not None and len(same) >= _FEW and abs(median(same)) > _SPECIAL * scale / sqrt(len(same)):
            beyond = sum(abs(one) > _SPECIAL * scale for one in same)
            if beyond * 2 > len(same):
                return median(same)
    return 0.0


def _month_day(when: datetime) -> int | None:
    return when.day


def _month_end(when: datetime) -> int | None:
    """Return how many days of the month are left, of its last days."""
    ahead = [(when + timedelta(days=days)).month != when.month for days in range(1, _MONTH_ENDS + 1)]
    return ahead.index(True) if any(ahead) else None


def _week_end(when: datetime) -> bool:
    return when.weekday() >= 5


_GROUPINGS: dict[Rhythm, tuple[tuple[str, Callable[[datetime], Hashable]], ...]] = {
    "hourly": (
        ("%H:00", lambda when: when.hour),
        ("%A %H:00", lambda when: (_week_end(when), when.hour)),
        ("%A, %H:00", lambda when: (when.weekday(), when.hour)),
    ),
    "daily": (("%As", lambda when: _within(when, "daily").weekday()),),
    "weekly": (),
    "monthly": (
        ("%Bs", lambda when: _within(when, "monthly").month),
        ("%B's place in the quarter", lambda when: _within(when, "monthly").month % 3),
    ),
    "list": (),
}
"""Ways of grouping the past, coarse ones first, each with the name of a moment's group."""

_PLACES: dict[Rhythm, Callable[[datetime], Hashable]] = {
    "hourly": lambda when: (_week_end(when), when.hour),
    "daily": lambda when: _within(when, "daily").weekday(),
}
"""Places in the week that a number may depend on."""
