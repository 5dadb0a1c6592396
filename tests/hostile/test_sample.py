"""A sample of the hostile campaign: one seed of every fault, the styles in turn, and the campaign itself judged.

The whole of it is ``make hostile``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from headworks.errors import HeadworksError, ReadIncomplete
from headworks.sources.base import Source
from headworks.testing.faults.catalogue import case
from headworks.testing.hostile import HostileApi
from headworks.testing.reading import source_of
from headworks.testing.trial import Allowed, play
from tests.hostile.campaign import Tally, play_all
from tests.hostile.cases import Played, played
from tests.hostile.killing import apis, kill

ROWS = {row.name: row for row in played()}
SAMPLED = [row for row in played() if not row.costly]


def turn(row: Played) -> str:
    """Return one of the row's styles, so that all of them have their turn."""
    return row.styles[SAMPLED.index(row) % len(row.styles)]


@pytest.mark.sampled(18)
@pytest.mark.parametrize("row", SAMPLED, ids=lambda row: row.name)
def test_the_promise_of_each_affliction_is_kept(row: Played, tmp_path: Path) -> None:
    found = row.play(turn(row), 1, tmp_path / "lake")
    assert not found.faults


@pytest.mark.parametrize("name", ["gzip bomb", "huge page"])
def test_a_page_that_is_far_too_big_is_refused_in_little_memory(name: str, tmp_path: Path) -> None:
    found = ROWS[name].play("cursor", 1, tmp_path / "lake")
    assert not found.faults


@pytest.mark.parametrize("style", ["cursor", "page"])
def test_killed_in_the_middle_of_a_thousand_pages_nothing_is_lost_or_doubled(
    style: str, tmp_path: Path
) -> None:
    with apis() as served:
        killed = kill(served[style], 1, tmp_path)
    assert killed.dead
    assert killed.exact, killed


def test_the_same_seed_strikes_the_same_requests(tmp_path: Path) -> None:
    row = ROWS["500/502/503/504 at 12 %"]
    first, second = (row.play("cursor", 2, tmp_path / name) for name in ("one", "two"))
    assert first == second
    assert first.injected > 0


def test_a_broken_promise_is_found(tmp_path: Path) -> None:
    """A reader that takes an error for the end of everything would keep few promises."""

    def gives_up(api: HostileApi) -> Source:
        return source_of(api, pagination={"kind": "single"}, completeness={})

    found = play(case("reset"), "cursor", 1, gives_up, tmp_path / "lake", Allowed())
    assert any("the truth is 118 records" in fault for fault in found.faults)
    found = play(case("cursor loop"), "cursor", 1, gives_up, tmp_path / "loop", Allowed())
    assert found.faults


def test_a_tally_counts_what_was_kept_and_tells_how_it_failed(tmp_path: Path) -> None:
    (tally,) = play_all([ROWS["403"]], [1, 2], ["cursor"])
    assert isinstance(tally, Tally)
    assert "| 2/2 |" in tally.line()
    assert tally.line().endswith("| CredentialsRefused |")
    assert issubclass(ReadIncomplete, HeadworksError)
