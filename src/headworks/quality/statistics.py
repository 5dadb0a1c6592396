"""The few statistics that profiles are compared by: pure functions of numbers, all robust against single odd runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import exp, log, pi, sqrt
from statistics import NormalDist, median

_NEVER_ZERO = 1e-3
_LARGEST_GROWTH_A_DAY = 0.05
_BY_CHANCE = 10.0
"""Minus the logarithm of once in twenty thousand times."""

_MOST_SIGMAS = 8.0

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


def sigmas_for(chance: float, runs: int) -> float:
    """Return how many standard deviations a number of ``runs`` others exceeds with this chance, on either side.

    The quantile of Student's t, by the expansion of Cornish and Fisher (1937) around the normal one: of few runs the
    deviation itself is not known well.
    """
    z = NormalDist().inv_cdf(1 - min(max(chance, 1e-12), 0.9) / 2)
    freedom = max(runs - 1, 3)
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return min(t, _MOST_SIGMAS)


def cusum(deviations: Sequence[float], slack: float = 0.5) -> tuple[float, int]:
    """Return the largest of the two cumulative sums (Page 1954) at the last deviation, with its sign, and since when.

    ``deviations`` are in standard deviations. What is within ``slack`` of nothing counts as nothing, so that only a
    lasting shift adds up. The second number is how many of the last deviations the sum was collected from.
    """
    up = down = 0.0
    since_up = since_down = 0
    for one in deviations:
        up, since_up = (up + one - slack, since_up + 1) if up + one > slack else (0.0, 0)
        down, since_down = (down - one - slack, since_down + 1) if down - one > slack else (0.0, 0)
    return (up, since_up) if up >= down else (-down, since_down)


def cusum_limit(chance: float, length: int, slack: float = 0.5) -> float:
    """Return the limit that a cumulative sum over ``length`` deviations exceeds by chance with this probability.

    From the mean time between false alarms of Siegmund (1985): (exp(2kb) - 2kb - 1) / (2k²), b = limit + 1.166.
    """
    wanted = length / max(chance, 1e-12)
    low, high = 1.0, 60.0
    for _ in range(40):
        middle = (low + high) / 2
        b = middle + 1.166
        between = (exp(2 * slack * b) - 2 * slack * b - 1) / (2 * slack**2)
        low, high = (middle, high) if between < wanted else (low, middle)
    return high


def share_noise(expected: float, rows: int) -> float:
    """Return the standard deviation that chance alone gives to a share of ``rows`` rows."""
    likely = min(max(expected, 1 / max(rows, 1)), 0.5)
    return sqrt(likely * (1 - likely) / max(rows, 1))


def growth_a_day(points: Sequence[tuple[float, float]], *, weekdays: bool = True) -> float:
    """Return the logarithm by which values grow in a day: the median slope of all pairs (Theil and Sen).

    ``points`` are (day, value). Only pairs that are whole weeks apart count where there are enough of them, so that
    the weekdays' pattern is not taken for growth; where there are no ``weekdays``, all pairs do.
    """
    logs = [(day, log(value)) for day, value in points if value > 0]
    pairs = [(b[0] - a[0], b[1] - a[1]) for a, b in combinations(sorted(logs), 2) if b[0] - a[0] > 0.5]
    weeks = [pair for pair in pairs if abs(pair[0] / 7 - round(pair[0] / 7)) < 0.03 and pair[0] > 3.5]
    enough = 14 if weekdays else 6
    chosen = weeks if weekdays and len(weeks) >= 4 else pairs if len(logs) >= enough else []
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
    """Return the index that chance alone gives to two samples of one distribution once in about twenty thousand times.

    Times the rows, the index of equal distributions is a chi-squared number; this is the bound of Laurent and Massart.
    """
    freedom = max(bins - 1, 0)
    bound = freedom + 2 * sqrt(_BY_CHANCE * freedom) + 2 * _BY_CHANCE
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
