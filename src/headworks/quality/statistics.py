"""The few statistics that profiles are compared by: pure functions of numbers, all robust against single odd runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import exp, log, pi, sqrt
from statistics import median

_NEVER_ZERO = 1e-3
_LARGEST_GROWTH_A_DAY = 0.05
_ONE_IN_A_THOUSAND = 7.0
"""Minus its logarithm, about."""

_NORMAL = 1.4826
"""The median absolute deviation of a normal distribution is its standard deviation divided by this."""

Counts = Mapping[str, int]


def spread(values: Sequence[float]) -> float:
    """Return the robust standard deviation of values: 1.4826 times the median absolute deviation."""
    if not values:
        return 0.0
    middle = median(values)
    return _NORMAL * median(abs(value - middle) for value in values)


def median_noise(count: int) -> float:
    """Return how much further than from the true middle a value lies from the median of only ``count`` others.

    The variance of a median of normal numbers is theirs times pi / 2, divided by how many there are.
    """
    return sqrt(1 + pi / 2 / count)


def share_noise(expected: float, rows: int) -> float:
    """Return the standard deviation that chance alone gives to a share of ``rows`` rows."""
    likely = min(max(expected, 1 / max(rows, 1)), 0.5)
    return sqrt(likely * (1 - likely) / max(rows, 1))


def growth_a_day(points: Sequence[tuple[float, float]]) -> float:
    """Return the logarithm by which values grow in a day: the median slope of all pairs (Theil and Sen).

    ``points`` are (day, value). Only pairs that are whole weeks apart count where there are enough of them, so that
    the weekdays' pattern is not taken for growth.
    """
    logs = [(day, log(value)) for day, value in points if value > 0]
    pairs = [(b[0] - a[0], b[1] - a[1]) for a, b in combinations(sorted(logs), 2) if b[0] - a[0] > 0.5]
    weeks = [pair for pair in pairs if abs(pair[0] / 7 - round(pair[0] / 7)) < 0.03 and pair[0] > 3.5]
    chosen = weeks if len(weeks) >= 4 else pairs if len(logs) >= 14 else []
    if not chosen:
        return 0.0
    slope = median(rise / days for days, rise in chosen)
    return max(-_LARGEST_GROWTH_A_DAY, min(_LARGEST_GROWTH_A_DAY, slope))


def grown(value: float, growth: float, days: float) -> float:
    """Return what a value would be ``days`` later."""
    return value * exp(growth * days)


def psi(here: Counts, there: Counts) -> float:
    """Return the population stability index of two distributions over the same bins; 0 is equal, 0.2 is felt."""
    rows_here, rows_there = sum(here.values()), sum(there.values())
    if not rows_here or not rows_there:
        return 0.0
    index = 0.0
    for bin_ in {*here, *there}:
        p = max(here.get(bin_, 0) / rows_here, _NEVER_ZERO)
        q = max(there.get(bin_, 0) / rows_there, _NEVER_ZERO)
        index += (p - q) * log(p / q)
    return index


def psi_noise(bins: int, here: int, there: int) -> float:
    """Return the index that chance alone gives to two samples of one distribution once in about a thousand times.

    Times the rows, the index of equal distributions is a chi-squared number; this is the bound of Laurent and Massart.
    """
    freedom = max(bins - 1, 0)
    bound = freedom + 2 * sqrt(_ONE_IN_A_THOUSAND * freedom) + 2 * _ONE_IN_A_THOUSAND
    return bound * (1 / max(here, 1) + 1 / max(there, 1)) if freedom else 0.0


def pooled(counts: Sequence[Counts]) -> dict[str, int]:
    """Add distributions up."""
    total: dict[str, int] = {}
    for one in counts:
        for bin_, count in one.items():
            total[bin_] = total.get(bin_, 0) + count
    return total


def coarse(fine: Sequence[Mapping[int, int]], parts: int = 10) -> dict[int, int]:
    """Divide an ordered histogram into at most ``parts`` bins of about equal weight: each fine bin's coarse one."""
    total = pooled([{str(bin_): count for bin_, count in one.items()} for one in fine])
    ordered = sorted((int(bin_), count) for bin_, count in total.items())
    rows = sum(count for _, count in ordered)
    bins, seen = {}, 0
    for bin_, count in ordered:
        bins[bin_] = min(parts - 1, seen * parts // max(rows, 1))
        seen += count
    return bins


def regrouped(fine: Mapping[int, int], bins: Mapping[int, int]) -> dict[str, int]:
    """Put a histogram into coarse bins; all that lies where nothing was seen before is one bin of its own."""
    found: dict[str, int] = {}
    for bin_, count in fine.items():
        place = str(bins.get(bin_, "unseen"))
        found[place] = found.get(place, 0) + count
    return found
