"""A sampled matrix: the same cases for a seed, as many values of each axis as can be, all where it is asked for."""

from __future__ import annotations

import subprocess
from itertools import product
from pathlib import Path

import pytest

from tests.support.distribution import place
from tests.support.sampled import cases_of_rules, examples, sample, some
from tests.support.suites import run_suite

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
NOWHERE = """
import pytest

pytest_plugins = ("tests.support.sampled",)

@pytest.mark.sampled(1, always="RESTORE")
@pytest.mark.parametrize("way", ["restore", "cut"])
def test_a_matrix(way):
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
    done = _pytest(tmp_path, f"test_matrix.py{named}", variable=variable)
    assert done.returncode == 0, done.stdout
    assert f"{passed} passed" in done.stdout


@pytest.mark.parametrize(("variable", "named"), [(None, ""), ("all", "::test_a_matrix[cut]")])
def test_what_is_always_played_and_no_case_has_is_an_error(
    tmp_path: Path, variable: str | None, named: str
) -> None:
    (tmp_path / "test_matrix.py").write_text(NOWHERE)
    done = _pytest(tmp_path, f"test_matrix.py{named}", variable=variable)
    assert done.returncode not in {0, 1}, done.stdout
    assert "always='RESTORE' is in the id of no case of test_a_matrix" in done.stdout
    (tmp_path / "test_matrix.py").write_text(NOWHERE.replace("RESTORE", "cut"))
    assert _pytest(tmp_path, f"test_matrix.py{named}", variable=variable).returncode == 0


@pytest.mark.parametrize("variable", [None, "7"])
def test_each_case_that_a_rule_names_is_in_the_sample(variable: str | None) -> None:
    files = sorted({case.partition("::")[0] for case in cases_of_rules()})
    assert files
    done = _pytest(CHECKOUT, "--collect-only", *files, variable=variable)
    assert done.returncode == 0, done.stdout
    assert cases_of_rules() <= {*done.stdout.splitlines()}


def _pytest(folder: Path, *arguments: str, variable: str | None) -> subprocess.CompletedProcess[str]:
    return run_suite(folder, "-q", *arguments, variables={"HEADWORKS_SAMPLE": variable})


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
