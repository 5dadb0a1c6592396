"""The sales flow through a process pool, by the commands that prefect.yaml names, on the demo's stack."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployments.local.stack import WORKER
from headworks.prefect.local.processes import stop
from tests.deployments.conftest import Demo
from tests.support.pools import CHECKOUT, Operator, assert_published_equals_truth

pytestmark = pytest.mark.server

_LOOK_EVERY_S = 0.05


@contextmanager
def watched(folder: Path) -> Iterator[set[str]]:
    """Note the names of all that is below a folder at any time while the block lasts."""
    seen: set[str] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_EVERY_S):
            # Folders go while they are listed.
            for _, folders, files in os.walk(folder, onerror=lambda problem: None):
                seen.update(folders, files)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


DEPLOYMENT = "sales/sales-daily"


@pytest.fixture(scope="module")
def operator(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """An operator who has deployed the flow to a process pool, which nobody else serves."""
    stop(demo.stack._state().processes[WORKER])
    operator = Operator(demo.stack, tmp_path_factory.mktemp("operator"))
    template = str(CHECKOUT / "deployments" / "pools" / "process.json")
    operator.prefect(
        "work-pool", "create", "headworks-local", "--type", "process", "--overwrite",
        "--base-job-template", template,
    )  # fmt: skip
    operator.prefect("--no-prompt", "deploy", "--name", "sales-daily")
    return operator


def test_a_custom_run_is_done_by_a_worker_and_publishes_the_truth(demo: Demo, operator: Operator) -> None:
    """Two more days of the shop have to come from this run, and parameters from the command line reach it."""
    demo.stack.live(2)
    temporary = operator.home / "temporary"
    temporary.mkdir()
    flow_run = operator.ask(DEPLOYMENT, "--param", 'mode="full"')
    with watched(temporary) as seen:
        log = operator.work_once("headworks-local", TMPDIR=str(temporary))
    run = operator.assert_completed(flow_run, log)
    # A copy of the checkout would bring its .env and whatever else lies in it.
    copied = {Path(name).name for name in seen} & {each.name for each in CHECKOUT.iterdir()}
    assert copied == set()
    assert any("prefect" in name for name in seen), "the run's folder was not seen, so nothing was looked at"
    assert run["name"] == "sales full"
    assert run["parameters"]["mode"] == "full"
    assert assert_published_equals_truth(demo.stack) > 1000


def test_a_parameter_that_the_flow_does_not_take_is_refused_before_anything_runs(operator: Operator) -> None:
    with pytest.raises(AssertionError, match="sometimes"):
        operator.ask(DEPLOYMENT, "--param", 'mode="sometimes"')


def test_deploying_again_keeps_a_schedule_paused_that_was_paused_by_hand(operator: Operator) -> None:
    deployment = operator.read(f"deployments/name/{DEPLOYMENT}")
    (schedule,) = deployment["schedules"]
    assert not schedule["active"], "the demo lets nothing start by itself"
    for active in (True, False):
        operator.patch(f"deployments/{deployment['id']}/schedules/{schedule['id']}", {"active": active})
        operator.prefect("--no-prompt", "deploy", "--name", "sales-daily")
        (kept,) = operator.read(f"deployments/name/{DEPLOYMENT}")["schedules"]
        assert (kept["slug"], kept["active"]) == (schedule["slug"], active)


def test_the_server_holds_no_secret_of_ours_but_in_its_blocks(demo: Demo, operator: Operator) -> None:
    pool = operator.read("work_pools/headworks-local")
    deployment = operator.read(f"deployments/name/{DEPLOYMENT}")
    for secret in demo.secrets():
        assert secret not in json.dumps([pool, deployment])
