"""The statistics under the anomaly checks: what they promise, for any numbers."""

from __future__ import annotations

from math import exp, isclose
from random import Random
from statistics import median, pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headworks.quality.profiles import bin_of
from headworks.quality.statistics import (
    coarse,
    grown,
    growth_a_day,
    median_noise,
    pooled,
    psi,
    regrouped,
    spread,
)

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 1000), min_size=1)
HISTOGRAM = st.dictionaries(st.integers(-50, 50), st.integers(1, 1000), min_size=1)
SIZES = st.floats(0.01, 1e9)


@settings(deadline=None)
@given(COUNTS, COUNTS)
def test_the_index_is_symmetrical_and_never_negative(here: dict[str, int], there: dict[str, int]) -> None:
    assert psi(here, there) >= -1e-12
    assert isclose(psi(here, there), psi(there, here), abs_tol=1e-9)


@settings(deadline=None)
@given(COUNTS, st.integers(2, 9))
def test_the_index_of_equal_shares_is_zero(counts: dict[str, int], times: int) -> None:
    assert isclose(psi(counts, {name: count * times for name, count in counts.items()}), 0, abs_tol=1e-9)


@settings(deadline=None)
@given(st.lists(HISTOGRAM, min_size=1, max_size=5))
def test_coarse_bins_keep_every_row_and_their_order(histograms: list[dict[int, int]]) -> None:
    bins = coarse(histograms, parts=6)
    assert [bins[bin_] for bin_ in sorted(bins)] == sorted(bins.values())
    assert len(set(bins.values())) <= 6
    for one in histograms:
        assert sum(regrouped(one, bins).values()) == sum(one.values())


@settings(deadline=None)
@given(HISTOGRAM)
def test_what_lies_where_nothing_was_seen_is_a_bin_of_its_own(histogram: dict[int, int]) -> None:
    bins = coarse([histogram])
    assert regrouped({-99: 3, 99: 4}, bins) == {"unseen": 7}


@settings(deadline=None)
@given(st.lists(COUNTS, max_size=5))
def test_pooling_adds_up(counts: list[dict[str, int]]) -> None:
    assert sum(pooled(counts).values()) == sum(sum(one.values()) for one in counts)


@settings(deadline=None)
@given(SIZES, SIZES)
def test_bins_follow_the_order_of_numbers(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert bin_of(-high) <= bin_of(-low) < bin_of(0.0) < bin_of(low) <= bin_of(high)


@settings(deadline=None)
@given(SIZES)
def test_a_hundred_times_a_number_is_always_about_as_many_bins_away(number: float) -> None:
    assert bin_of(number * 100) - bin_of(number) in {20, 21}


@settings(deadline=None)
@given(st.floats(-0.04, 0.04), st.floats(10, 1e5), st.lists(st.floats(0.3, 3), min_size=7, max_size=7))
def test_growth_is_found_under_any_pattern_of_the_week(
    growth: float, start: float, week: list[float]
) -> None:
    points = [(float(day), start * week[day % 7] * exp(growth * day)) for day in range(28)]
    assert isclose(growth_a_day(points), growth, abs_tol=1e-6)
    assert isclose(grown(points[0][1], growth, 7), points[7][1], rel_tol=1e-6)


@settings(deadline=None)
@given(st.floats(1, 1e6))
def test_one_odd_run_in_seven_does_not_move_growth_or_spread(odd: float) -> None:
    points = [(float(day), 100.0) for day in range(14)]
    points[5] = (5.0, odd)
    assert growth_a_day(points) == 0
    assert spread([value for _, value in points]) == 0


def test_too_few_points_say_nothing_about_growth() -> None:
    assert growth_a_day([(0.0, 100.0), (1.0, 200.0), (2.0, 400.0)]) == 0


@pytest.mark.parametrize("count", [3, 4, 8, 25])
def test_a_value_lies_as_far_from_a_median_of_few_as_is_told(count: int) -> None:
    chance = Random(count)
    apart = [chance.gauss(0, 1) - median(chance.gauss(0, 1) for _ in range(count)) for _ in range(20_000)]
    assert isclose(pstdev(apart), median_noise(count), rel_tol=0.05)
