"""The lift curve: by growing shares of the rows, how much more often the target happens, and its part."""

from __future__ import annotations

import numpy as np
import pytest

from headworks.models.measures import lift, lift_curve


@pytest.mark.parametrize("seed", range(20))
def test_a_lift_curve_ends_at_all_rows_and_agrees_with_the_lift_of_the_highest_tenth(seed: int) -> None:
    chance = np.random.default_rng(seed)
    count = int(chance.integers(15, 400))
    scores = chance.random(count).round(1)
    labels = (chance.random(count) < scores).astype(np.float64)
    labels[0] = 1.0
    curve = lift_curve(labels, scores)
    shares, lifts, found = (np.asarray([each[name] for each in curve]) for name in ("share", "lift", "found"))
    assert (shares[-1], found[-1]) == (1.0, 1.0)
    assert lifts[-1] == pytest.approx(1.0)
    assert (np.diff(shares) >= 0).all()
    assert (np.diff(found) >= 0).all()
    assert found == pytest.approx(lifts * shares)
    assert lifts[1] == pytest.approx(lift(labels, scores))


def test_perfect_scores_find_all_in_the_first_rows_and_none_without_an_outcome() -> None:
    labels = np.asarray([1.0] * 10 + [0.0] * 90)
    assert lift_curve(labels, np.arange(100)[::-1].astype(np.float64))[1] == {
        "share": 0.1,
        "lift": 10.0,
        "found": 1.0,
    }
    assert lift_curve(np.zeros(10), np.zeros(10)) == []
