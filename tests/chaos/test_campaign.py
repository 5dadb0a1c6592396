"""A sample of the campaign, and the proof that it can fail.

Only what the campaign claims is tested here; its parts have no tests of their own, since a defect in them shows here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign, run, succeeded
from tests.chaos.outcome import told
from tests.chaos.rounds import stage
from tests.chaos.steps import Place, begins, ends
from tests.conftest import PostgresServer

pytestmark = pytest.mark.chaos

# Nothing refers to lines: lost rows of other tables would close the gate before anything could be compared.
LINES = "shop.order_lines"
COMMIT = Place("bronze", "commit", LINES)


def test_no_row_is_missing_or_doubled_after_kills_in_every_step_and_of_the_flow(tmp_path: Path) -> None:
    """SIGKILL at seeded moments in every kind of step, and every table still has exactly its rows."""
    campaign = Campaign(kills=20, flow_kills=2, seed=7)

    outcome = run(campaign, tmp_path)

    assert (outcome.missing, outcome.doubled) == (0, 0), told(outcome)
    assert not outcome.unhit(), told(outcome)
    assert succeeded(campaign, outcome), told(outcome)
    assert sum(outcome.reruns.values()) == len(outcome.kills) + len(outcome.flow_kills)


@pytest.mark.parametrize(
    ("engine", "killed_at", "missing", "doubled"),
    [
        ("real", ends(COMMIT), False, False),
        ("real", begins(COMMIT), False, False),
        ("position-after", ends(COMMIT), False, True),
        ("position-before", begins(COMMIT), True, False),
    ],
)
def test_an_engine_that_keeps_its_progress_beside_the_data_is_caught(
    postgres: PostgresServer, tmp_path: Path, engine: str, killed_at: str, missing: bool, doubled: bool
) -> None:
    """Killed between rows and position, the wrong engine doubles or loses rows, and the comparison says so."""
    broken = None if engine == "real" else engine
    with stage(postgres.new_database(), tmp_path, "broken", break_=broken) as played:
        assert played.run_held("incremental", killed_at).killed
        assert not played.run("incremental").killed
        lines = next(found for found in played.compare() if found.table == f"bronze.{LINES}")

    assert (lines.missing > 0, lines.doubled > 0) == (missing, doubled), lines
