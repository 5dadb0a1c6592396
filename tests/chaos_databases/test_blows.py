"""A few blows of the campaign, on a seed: kills of the reader and restarts of Postgres lose and double nothing."""

from __future__ import annotations

import warnings

from tests.chaos_databases.campaign import play


def test_a_reader_killed_and_a_postgres_restarted_land_every_row_exactly_once() -> None:
    with warnings.catch_warnings():
        # The embedded Postgres warns where XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        outcome = play(blows=3, seed="suite")
    assert outcome.faults == []
    assert outcome.kills + outcome.restarts >= 1
    assert outcome.checks == 1
