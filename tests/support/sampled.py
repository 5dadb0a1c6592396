"""A seeded sample of a costly matrix: ``@pytest.mark.sampled(6)`` plays six of a test's cases.

A pytest plugin. ``HEADWORKS_SAMPLE`` is the seed, 1 where nothing is set, and ``all`` plays every case (``make
test-full``); a test that is named on the command line is played whole too. The cases are chosen so that as many values
of each axis as possible come: six of a matrix of 3 x 2 x 20 have all of the first two axes. In addition, these are
played with every seed: each case that a rule of ``tests/rules`` names (``FILE::TEST[CASE]``), and what the marker says
with ``sampled(6, always="a part of the case's id")``, which must be in the id of one case at least.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Generator, Sequence
from random import Random
from typing import TypeVar

import pytest

T = TypeVar("T")

_Made = pytest.Item | pytest.Collector | list[pytest.Item | pytest.Collector] | None

VARIABLE = "HEADWORKS_SAMPLE"
ALL = "all"


def examples(count: int) -> int:
    """Return how many of hypothesis' examples a costly test makes: ``count`` where all is played, else a third."""
    return count if os.environ.get(VARIABLE) == ALL else -(-count // 3)


def some(values: Sequence[T], count: int) -> tuple[T, ...]:
    """Return ``count`` of what a costly test plays in one go, by the seed, in their order; all where all is played."""
    seed = os.environ.get(VARIABLE) or "1"
    chosen = range(len(values)) if seed == ALL else Random(seed).sample(range(len(values)), count)
    return tuple(values[at] for at in sorted(chosen))


def cases_of_rules() -> set[str]:
    """Return the cases, as pytest names them, that rules of ``tests/rules`` name: without one its rule is not held."""
    from tests.rules import all_rules

    return {test for rule in all_rules() for test in rule.tests if "[" in test}


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", f"sampled(cases): so many of its cases, by the seed {VARIABLE}")


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(collector: pytest.Collector) -> Generator[None, _Made, _Made]:
    """Refuse a matrix of which no case is what it always plays: here it is whole, whatever is chosen of it later."""
    made = yield
    cases = [item for item in made if isinstance(item, pytest.Function)] if isinstance(made, list) else []
    mark = cases[0].get_closest_marker("sampled") if cases else None
    always = mark and mark.kwargs.get("always")
    if always and not any(_is_always(case, always) for case in cases):
        raise collector.CollectError(
            f"sampled: always={always!r} is in the id of no case of {cases[0].originalname}"
        )
    return made


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not in the sample."""
    named = any("::" in argument for argument in config.args)
    seed = os.environ.get(VARIABLE) or (ALL if named else "1")
    if seed == ALL:
        return
    left_out = set(_left_out(items, seed))
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]


def _left_out(items: Sequence[pytest.Item], seed: str) -> list[pytest.Item]:
    """Return the items of sampled tests that the seed does not choose."""
    matrices: dict[str, list[pytest.Function]] = defaultdict(list)
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("sampled"):
            matrices[item.nodeid.partition("[")[0]].append(item)
    left_out: list[pytest.Item] = []
    needed = cases_of_rules() if matrices else set()
    for name, cases in matrices.items():
        mark = cases[0].get_closest_marker("sampled")
        assert mark is not None
        axes = [dict(case.callspec.indices) if hasattr(case, "callspec") else {} for case in cases]
        chosen = sample(axes, *mark.args, seed=f"{seed} {name}")
        always = mark.kwargs.get("always")
        left_out += [
            case
            for at, case in enumerate(cases)
            if at not in chosen and case.nodeid not in needed and not (always and _is_always(case, always))
        ]
    return left_out


def _is_always(case: pytest.Function, always: str) -> bool:
    return always in case.nodeid.partition("[")[2]


def sample(cases: Sequence[dict[str, int]], count: int, *, seed: str) -> set[int]:
    """Return the places of ``count`` cases, each the one with the most values that no earlier one has."""
    left = list(range(len(cases)))
    Random(seed).shuffle(left)
    chosen, seen = set[int](), set[tuple[str, int]]()
    while left and len(chosen) < count:
        best = max(left, key=lambda at: len(cases[at].items() - seen))
        left.remove(best)
        chosen.add(best)
        seen |= cases[best].items()
    return chosen
