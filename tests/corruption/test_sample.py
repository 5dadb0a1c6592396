"""A sample of the corruption campaign: kinds of each severity, and clean days, on a short history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headworks.quality import anomalies
from tests.corruption.campaign import History, Results, history, output, run
from tests.corruption.kinds import KINDS
from tests.corruption.playing import copied
from tests.support.sampled import some

SAMPLE = (
    "null customer", "rows lost", "yesterday again", "price × 100", "columns shifted", "names as mojibake",
    "catalogue × 100", "rates × 100",
)  # fmt: skip
SEED, WARM_UP, CLEAN = 2, 23, 2


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Three weeks of clean days; to be copied, not to be changed."""
    return history(tmp_path_factory.mktemp("history"), SEED, CLEAN, WARM_UP)


def sampled(folder: Path, past: History, clean: int, names: tuple[str, ...]) -> Results:
    own = replace(past, lake=copied(past.lake, folder / "lake"))
    kinds = [kind for kind in KINDS if kind.name in names]
    return run(folder, own, SEED, clean, kinds, strengths=1)


def test_the_sample_is_caught_before_gold_and_clean_days_are_quiet(tmp_path: Path, past: History) -> None:
    names = some(SAMPLE, 4)
    results = sampled(tmp_path, past, CLEAN, names)
    assert len(results.verdicts) == len(names)
    assert results.succeeded(), output(results)


def test_without_the_comparison_with_good_runs_the_campaign_fails(
    tmp_path: Path, past: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What rules on rows cannot see gets out, and the campaign says so."""
    monkeypatch.setattr(anomalies, "_COMPARED", {})
    results = sampled(tmp_path, past, clean=0, names=("rates × 100", "rows lost"))
    assert not results.succeeded()
    assert "not safe: rates × 100" in output(results)


def test_few_prices_out_of_all_proportion_are_held_back_row_by_row(tmp_path: Path, past: History) -> None:
    """No distribution distinguishes them: a hundredfold cheap thing costs what a dear one does. Its list price does."""
    own = replace(past, lake=copied(past.lake, tmp_path / "lake"))
    weakest = [replace(kind, strengths=(0.05,)) for kind in KINDS if kind.name == "price × 100"]
    results = run(tmp_path, own, SEED, 0, weakest)
    assert [one.end for one in results.verdicts] == ["held back"], output(results)


def test_every_kind_has_a_name_of_its_own_and_there_are_forty_at_least() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 40
    assert {kind.severity for kind in KINDS} == {"critical", "warning"}
