"""What became of a delivery decides whether later ones are compared with it: what silver does not have never is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from headworks.quality.baselines import Baseline, baseline, keep_profile, vouch
from headworks.quality.deliveries import deliveries, holds
from headworks.silver.decisions import discard, release, undo
from headworks.silver.refinement import Refinement
from headworks.storage.store import Lake
from tests.integration.test_screening import NAME, SALES, SCOPE, Life, day, sales

ODD, LATER = 5, 7
SIGNED: Any = {"by": "Ada", "note": "it was so"}
Decision = Callable[[Refinement, str], object]


def odd_day(lake: Lake, factor: float) -> tuple[Life, str]:
    """Live four good days and one whose prices have a factor; the odd one's delivery."""
    life = Life(lake)
    for number in range(5):
        life.lives(number, sales(number))
    life.lives(ODD, sales(ODD, factor=factor), "gate closed" if factor > 1 else "published")
    return life, deliveries(lake, NAME)[-1].id


def decided(*names: str, **more: bool) -> tuple[Decision, ...]:
    """Return decisions about one delivery, the last with more arguments."""
    acts: dict[str, Callable[..., object]] = {"release": release, "discard": discard, "undo": undo}

    def one(name: str, named: dict[str, bool]) -> Decision:
        return lambda work, number: acts[name](work, SALES, number, **SIGNED, **named)

    return tuple(one(name, more if place == len(names) - 1 else {}) for place, name in enumerate(names))


def by_hand(lake: Lake, number: int) -> Refinement:
    """Return what a person works with, some hours after the odd day."""
    moment = day(ODD) + timedelta(hours=1 + number)
    return Refinement(lake, f"by-hand-{number}", clock=lambda: moment)


def compared(lake: Lake) -> tuple[bool, bool]:
    """Return whether the odd day is among the good ones, and whether it is known at all."""
    without = {one.id for one in holds(lake, lake.open("silver", NAME))}
    found: Baseline = baseline(lake, SCOPE, ["live"], "another", day(LATER), SALES.anomalies, without)
    odd = deliveries(lake, NAME)[-1].id
    return any(one.delivery == odd for one in found.profiles), any(
        one.delivery == odd for one in found.recent
    )


WAYS: dict[str, tuple[float, tuple[Decision, ...], tuple[bool, bool]]] = {
    "accepted": (1.0, (), (True, True)),
    "taken back": (1.0, decided("discard"), (False, False)),
    "taken back, and brought back": (1.0, decided("discard", "undo"), (True, True)),
    "held": (100.0, (), (False, False)),
    "held, and discarded": (100.0, decided("discard"), (False, False)),
    "released": (100.0, decided("release"), (False, True)),
    "released as a baseline": (100.0, decided("release", as_baseline=True), (True, True)),
    "released, and vouched for later": (100.0, decided("release", "release", as_baseline=True), (True, True)),
    "released as a baseline, and taken back": (
        100.0,
        (*decided("release", as_baseline=True), *decided("discard")),
        (False, False),
    ),
    "released, and held again": (100.0, decided("release", "undo"), (False, False)),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("way", WAYS)
def test_what_became_of_a_delivery_decides_whether_it_is_a_measure(lake: Lake, way: str) -> None:
    factor, decisions, wanted = WAYS[way]
    _, odd = odd_day(lake, factor)
    for number, decision in enumerate(decisions):
        decision(by_hand(lake, number), odd)
    assert compared(lake) == wanted


def test_several_deliveries_that_one_run_judges_are_each_a_measure(lake: Lake) -> None:
    life, _ = odd_day(lake, 1.0)
    for number in (6, 7):
        life.left(number, sales(number))
    life.lives(8, sales(8))
    found = baseline(lake, SCOPE, ["live"], "another", day(9), SALES.anomalies)
    assert [one.run_id for one in found.recent[-3:]] == ["run-8"] * 3
    assert len({one.delivery for one in found.recent}) == len(found.recent) == 8


def test_a_delivery_that_left_no_profile_is_vouched_for_by_nobody(lake: Lake) -> None:
    _, odd = odd_day(lake, 1.0)
    table = lake.must_open("ops", "profiles")
    others = table.scan().filter(pl.col("delivery") != odd).collect()
    there = Lake(lake.settings.model_copy(update={"root": f"{lake.settings.root}-without"}))
    there.ensure("ops", "profiles", others.schema, partition_by="scope").append(others, {})
    assert release(Refinement(lake, "vouch"), SALES, odd, **SIGNED, as_baseline=True).vouched
    assert not vouch(there, SCOPE, odd)


def test_with_profiles_of_before_deliveries_were_kept_it_is_compared_as_ever(lake: Lake) -> None:
    life, _ = odd_day(lake, 1.0)
    rows = lake.must_open("ops", "profiles").scan().collect().drop("delivery", "outcome")
    there = Lake(lake.settings.model_copy(update={"root": f"{lake.settings.root}-old"}))
    there.ensure("ops", "profiles", rows.schema, partition_by="scope").append(rows, {})
    runs = lake.must_open("ops", "runs").scan().collect()
    there.ensure("ops", "runs", runs.schema).append(runs, {})
    found = baseline(there, SCOPE, ["live"], "another", day(9), SALES.anomalies)
    assert [one.run_id for one in found.profiles] == life.baseline(9)
    keep_profile(there, found.profiles[-1].model_copy(update={"delivery": "ab12cd34"}), gate_open=True)
    again = baseline(there, SCOPE, ["live"], "another", day(9), SALES.anomalies)
    assert len(again.profiles) == len(found.profiles) + 1
