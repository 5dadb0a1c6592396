"""A sampled matrix: the same cases for a seed, as many values of each axis as can be, all where it is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from tests.support.distribution import place
from tests.support.sampled import examples, sample, some

CHECKOUT = Path(__file__).parents[2]
MATRIX = [
    {"kind": kind, "seed": seed, "way": way} for kind, seed, way in product(range(4), range(9), range(3))
]
SUITE = """
import pytest

pytest_plugins = ("tests.support.sampled",)

@pytest.mark.sampled(3)
@pytest.mark.parametrize("one", range(3))
@pytest.mark.parametrize("other", range(4))
def test_a_matrix(one, other):
    pass

def test_another():
    pass
"""


@pytest.mark.parametrize("count", [1, 4, 9, 20])
def test_a_sample_has_as_many_values_of_each_axis_as_its_size_allows(count: int) -> None:
    for seed in map(str, range(20)):
        chosen = [MATRIX[at] for at in sample(MATRIX, count, seed=seed)]
        assert len(chosen) == count
        for axis, values in (("kind", 4), ("seed", 9), ("way", 3)):
            assert len({case[axis] for case in chosen}) == min(values, count), (seed, axis)


def test_a_sample_depends_on_the_seed_alone_and_over_seeds_every_case_comes() -> None:
    samples = [sample(MATRIX, 12, seed=str(seed)) for seed in range(80)]
    assert samples == [sample(MATRIX, 12, seed=str(seed)) for seed in range(80)]
    assert set().union(*samples) == set(range(len(MATRIX)))
    assert sample(MATRIX[:2], 12, seed="1") == {0, 1}


@pytest.mark.parametrize(
    ("variable", "named", "passed"),
    [
        (None, "", 4),
        ("2", "", 4),
        ("all", "", 13),
        (None, "::test_a_matrix", 12),
        ("2", "::test_a_matrix", 3),
    ],
)
def test_all_cases_are_played_where_it_is_asked_for_or_the_test_is_named(
    tmp_path: Path, variable: str | None, named: str, passed: int
) -> None:
    (tmp_path / "test_matrix.py").write_text(SUITE)
    clean = {name: value for name, value in os.environ.items() if name != "HEADWORKS_SAMPLE"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"test_matrix.py{named}"],
        cwd=tmp_path,
        env={
            **clean,
            "PYTHONPATH": str(CHECKOUT),
            **({"HEADWORKS_SAMPLE": variable} if variable is not None else {}),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    assert f"{passed} passed" in done.stdout


def test_what_takes_long_is_begun_first() -> None:
    tests = CHECKOUT / "tests"
    files = [
        tests / "unit" / "test_names.py",
        tests / "flows" / "test_gate.py",
        tests / "deployments" / "test_demo.py",
    ]
    assert sorted(files, key=place) == files[::-1]


def test_what_a_test_plays_in_one_go_is_sampled_by_the_same_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWORKS_SAMPLE", "5")
    assert some("abcdefgh", 3) == some("abcdefgh", 3)
    assert len(some("abcdefgh", 3)) == 3
    assert examples(25) == 9
    monkeypatch.setenv("HEADWORKS_SAMPLE", "all")
    assert some("abcdefgh", 3) == tuple("abcdefgh")
    assert examples(25) == 25
