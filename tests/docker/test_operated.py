"""The sales flow as it is operated: a server on Postgres, a worker at its pool, and runs in containers.

By its schedule, by the command line with other parameters, and from the form in the browser.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from headworks.prefect.local.processes import Process
from tests.docker.conftest import DEPLOYMENT, POOL, Pool
from tests.support.pools import assert_published_equals_truth
from tests.support.screens import Screen

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.docker, pytest.mark.server]

_DUE_S = 120


@pytest.fixture(scope="module")
def worker(pool: Pool) -> Iterator[Process]:
    """A worker who looks after the Docker pool."""
    with pool.operator.working(POOL) as process:
        yield process


def test_by_its_schedule(pool: Pool, deployment: dict[str, Any], worker: Process) -> None:
    """Nobody asks for the run: the server makes it when it is due, and the worker finds it."""
    pool.stack.live(1)
    soon = datetime.now(UTC) + timedelta(seconds=3)
    schedule = {"interval": 24 * 3600, "anchor_date": soon.isoformat()}
    schedules = f"deployments/{deployment['id']}/schedules"
    (made,) = pool.operator.post(schedules, [{"schedule": schedule, "active": True}])
    try:
        due = _due(pool, deployment["id"], soon)
        run = pool.operator.watch(due["id"], "COMPLETED")
    finally:
        pool.operator.delete(f"{schedules}/{made['id']}")
    assert run["auto_scheduled"]
    assert run["infrastructure_pid"], "it did not run in a container"
    assert assert_published_equals_truth(pool.stack) > 1000


def _due(pool: Pool, deployment: str, when: datetime) -> dict[str, Any]:
    """Return the run that the server makes for a moment of the schedule."""
    wanted = {
        "deployments": {"id": {"any_": [deployment]}},
        "flow_runs": {
            "expected_start_time": {
                "after_": (when - timedelta(seconds=2)).isoformat(),
                "before_": (when + timedelta(seconds=2)).isoformat(),
            }
        },
    }
    deadline = time.monotonic() + _DUE_S
    while not (found := pool.operator.post("flow_runs/filter", wanted)):
        assert time.monotonic() < deadline, "the schedule made no run"
        time.sleep(0.2)
    run: dict[str, Any] = found[0]
    return run


def test_by_the_command_line_with_other_parameters(
    pool: Pool, deployment: dict[str, Any], worker: Process
) -> None:
    pool.stack.live(1)
    asked = pool.operator.ask(DEPLOYMENT, "--param", 'mode="full"', "--param", 'on_conflict="wait"')
    run = pool.operator.watch(asked, "COMPLETED")
    assert run["name"] == "sales full"
    assert run["parameters"]["on_conflict"] == "wait"
    assert assert_published_equals_truth(pool.stack) > 1000


@pytest.mark.browser
def test_from_the_form_in_a_browser_and_watched_to_its_end(
    pool: Pool, deployment: dict[str, Any], worker: Process, page: Page, screen: Screen
) -> None:
    """A person fills in the form, submits it, and watches the run complete; then looks at its account."""
    pool.stack.live(1)
    ui = pool.stack.ui_url
    page.set_viewport_size({"width": 1366, "height": 1900})
    before = _runs(pool, deployment)
    page.goto(f"{ui}/v2/deployments/deployment/{deployment['id']}/run")
    page.get_by_role("button", name="Select mode").click()
    page.get_by_role("option", name="full").click()
    page.get_by_role("button", name="Select mode").filter(has_text="full").wait_for()
    screen(page, "docker-1-form")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_function("() => !location.pathname.endsWith('/run')")
    (asked,) = _runs(pool, deployment) - before
    page.goto(f"{ui}/v2/runs/flow-run/{asked}")
    page.get_by_text("Completed", exact=True).first.wait_for(timeout=600_000)
    screen(page, "docker-2-run-completed")
    run = pool.operator.watch(asked, "COMPLETED")
    assert (run["name"], run["parameters"]["mode"]) == ("sales full", "full")
    assert assert_published_equals_truth(pool.stack) > 1000

    page.goto(f"{ui}/v2/runs/flow-run/{asked}?tab=Artifacts")
    page.get_by_text("sales-account").first.wait_for()
    screen(page, "docker-3-artifacts")
    page.set_viewport_size({"width": 1366, "height": 2600})
    page.goto(f"{ui}/artifacts/key/sales-account")
    page.locator("a[href*='/artifacts/artifact/']").first.click()
    page.get_by_role("heading", name=re.compile("Bronze")).wait_for()
    screen(page, "docker-4-account")


def _runs(pool: Pool, deployment: dict[str, Any]) -> set[str]:
    """Return the runs of a deployment that a schedule did not make."""
    found = pool.operator.post("flow_runs/filter", {"deployments": {"id": {"any_": [deployment["id"]]}}})
    return {run["id"] for run in found if not run["auto_scheduled"]}


def test_the_server_keeps_all_of_it_in_postgres(pool: Pool, worker: Process) -> None:
    runs = pool.operator.post("flow_runs/count", {})
    assert pool.stack.database.count("flow_run") == runs > 0
