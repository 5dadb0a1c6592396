"""A sample of kills of processes that learn a model, and the proof that a mixture would be found.

``python -m tests.chaos.models --kills 50`` is the long version.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.chaos.model_steps import STEPS, begins, ends
from tests.chaos.models import FIRST, LATER, Outcome, Played, found, play
from tests.conftest import PostgresServer
from tests.support.shipments import shipments

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with a first champion; not to be changed, only copied."""
    root = tmp_path_factory.mktemp("late") / "lake"
    found(root, shipments(FIRST + LATER))
    return root


@pytest.fixture
def root(founded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(founded, tmp_path / "lake"))


def test_after_kills_in_every_step_there_is_one_champion_with_whole_scores(
    postgres: PostgresServer, root: Path, tmp_path: Path
) -> None:
    """SIGKILL in train, evaluate, score, promote and publish; never a mixture, in gold or in Postgres."""
    outcome = Outcome()
    play(Played(root, postgres.new_database(), "7", tmp_path), len(STEPS), outcome)
    assert outcome.problems == []
    assert outcome.kills == dict.fromkeys(STEPS, 1)
    assert outcome.finished


@pytest.mark.parametrize(
    ("break_", "kill_at", "mixed"),
    [(None, begins("publish"), False), (None, ends("promote"), False), ("two-halves", "half", True)],
)
def test_a_publication_in_two_halves_is_found(
    postgres: PostgresServer, root: Path, tmp_path: Path, break_: str | None, kill_at: str, mixed: bool
) -> None:
    played = Played(root, postgres.new_database(), "broken", tmp_path)
    assert not played.run()
    assert played.look() == []
    played.break_ = break_
    assert played.run(kill_at=kill_at)
    assert any("scores of champions" in problem for problem in played.look()) is mixed
