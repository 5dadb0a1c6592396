"""What is read from, or published to, is away for a while: short outages are sat out, longer ones are reported."""

from __future__ import annotations

import time

import pytest

from tests.faults.ground import Ground

pytestmark = [pytest.mark.docker, pytest.mark.server, pytest.mark.campaign]


def retrying(ground: Ground, run: str) -> bool:
    """Return whether a task of the run waits for its next try."""
    asked = {"task_runs": {"flow_run_id": {"any_": [run]}, "state": {"name": {"any_": ["AwaitingRetry"]}}}}
    return bool(ground.operator.post("task_runs/filter", asked))


def test_postgres_restarted_under_a_run_is_sat_out(ground: Ground) -> None:
    with ground.working():
        with ground.held() as reached:
            begun = ground.begin()
            reached()
            with ground.without_postgres():
                ground.until(lambda: retrying(ground, begun.id), "no task was tried again")
        ground.operator.watch(begun.id, "COMPLETED")
    ground.assert_exact()


def test_postgres_gone_for_a_minute_fails_the_run_is_told_and_heals(ground: Ground) -> None:
    with ground.working():
        began = time.monotonic()
        with ground.without_postgres():
            begun = ground.begin()
            ground.operator.watch(begun.id, "FAILED")
            ground.until_heard("the run failed", "SourceUnavailable")
            ground.until(lambda: time.monotonic() - began >= 60, "a minute never passed")
        ground.heard.clear()
        ground.run()
        ground.until_heard("recovered")
    ground.assert_exact()


def test_an_api_that_stays_away_opens_its_breaker_and_heals(ground: Ground) -> None:
    with ground.working():
        with ground.without_api():
            begun = ground.begin()
            run = ground.operator.watch(begun.id, "FAILED")
            assert "SourceUnavailable" in run["state"]["message"] or "BreakerOpen" in run["state"]["message"]
            ground.until_heard("the run failed")
        ground.heard.clear()
        ground.run()
        ground.until_heard("recovered")
    ground.assert_exact()
