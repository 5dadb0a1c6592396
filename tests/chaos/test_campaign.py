"""A sample of the campaign, and the proof that it can fail.

Only what the campaign claims is tested here; its parts have no tests of their own, since a defect in them shows here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from shop import gold
from tests.chaos.campaign import Campaign, run, succeeded
from tests.chaos.outcome import Outcome, output
from tests.chaos.rounds import stage
from tests.chaos.steps import Place, begins, ends
from tests.conftest import PostgresServer

pytestmark = pytest.mark.chaos

# Nothing refers to lines: lost rows of other tables would close the gate before anything could be compared.
LINES = "shop.order_lines"
BRONZE = Place("bronze", "commit", LINES)
SILVER = Place("silver", "commit", LINES)
POSTGRES = Place("postgres", "commit", gold.PRODUCT)


def test_no_row_is_missing_or_doubled_after_kills_in_every_step_and_of_the_flow(tmp_path: Path) -> None:
    """SIGKILL at seeded moments in every kind of step, and every table still has exactly its rows."""
    campaign, outcome = Campaign(kills=14, flow_kills=2, seed=7), Outcome()

    run(campaign, tmp_path, outcome)

    assert (outcome.missing, outcome.duplicated) == (0, 0), output(outcome)
    assert not outcome.unhit(), output(outcome)
    assert succeeded(campaign, outcome), output(outcome)
    assert sum(outcome.reruns.values()) == len(outcome.kills) + len(outcome.flow_kills)


@pytest.mark.parametrize(
    ("engine", "killed_at", "table", "missing", "duplicated"),
    [
        (None, ends(BRONZE), f"bronze.{LINES}", False, False),
        (None, begins(BRONZE), f"bronze.{LINES}", False, False),
        ("position-after", ends(BRONZE), f"bronze.{LINES}", False, True),
        ("position-before", begins(BRONZE), f"bronze.{LINES}", True, False),
        ("quarantine-last", ends(SILVER), f"quarantine.{LINES}", True, False),
        # The day before is still shown: rows that are missing as they should be, and there as they should not.
        ("ledger-first", ends(POSTGRES), "postgres.sales_daily", True, True),
    ],
)
def test_an_engine_that_does_in_two_steps_what_must_be_one_is_caught(
    postgres: PostgresServer,
    tmp_path: Path,
    engine: str | None,
    killed_at: str,
    table: str,
    missing: bool,
    duplicated: bool,
) -> None:
    """Killed between the two steps, the wrong engine doubles or loses rows, and the comparison says so."""
    with stage(postgres.new_database(), tmp_path, "broken", break_=engine) as played:
        if engine == "ledger-first":
            # Where even the tables are still to be made, the next pass would fail before anything is compared.
            assert not played.run("incremental").killed
            played.shop.live_on()
        assert played.run_held("incremental", killed_at).killed
        assert not played.run("incremental").killed
        compared = next(found for found in played.compare() if found.table == table)

    assert (compared.missing > 0, compared.duplicated > 0) == (missing, duplicated), compared
