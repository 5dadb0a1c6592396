"""Several workers in one pool share its runs, and what is urgent is started before what came earlier."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from tests.deployments.conftest import Demo
from tests.support.pools import Operator

pytestmark = pytest.mark.server

_POOL = "headworks-shared"
_DEPLOYMENT = "ingest-api/ingest-shop-rates"


@pytest.fixture(scope="module")
def operator(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """An operator with a pool of two queues, and a deployment of which several runs may run at once."""
    operator = Operator(demo.stack, tmp_path_factory.mktemp("operator"))
    operator.prefect("work-pool", "create", _POOL, "--type", "process")
    operator.prefect("work-queue", "create", "urgent", "--pool", _POOL, "--priority", "1")
    operator.prefect("work-queue", "create", "background", "--pool", _POOL, "--priority", "9")
    operator.prefect(
        "--no-prompt", "deploy", "--name", "ingest-shop-rates", "--pool", _POOL, "--concurrency-limit", "9"
    )
    return operator


def ask(operator: Operator, queue: str, number: int) -> str:
    """Ask for a run by a queue, into a dataset of its own; returns its id."""
    deployment = operator.read(f"deployments/name/{_DEPLOYMENT}")
    wanted = {"work_queue_name": queue, "parameters": {"dataset": f"raw.{queue}_{number}"}}
    run: dict[str, Any] = operator.post(f"deployments/{deployment['id']}/create_flow_run", wanted)
    return str(run["id"])


@pytest.mark.campaign
def test_what_is_urgent_goes_first_though_it_came_last_and_two_workers_share_the_rest(
    operator: Operator,
) -> None:
    background = [ask(operator, "background", number) for number in range(4)]
    urgent = ask(operator, "urgent", 1)
    with ExitStack() as workers:
        # Each does one run at a time, so that the runs' order is the queues', and one worker alone is not enough.
        for name in ("first", "second"):
            workers.enter_context(operator.working(_POOL, "--limit", "1", "--name", name))
        runs = {each: operator.watch(each, "COMPLETED") for each in (urgent, *background)}
    begun = sorted(runs.values(), key=lambda run: run["start_time"])
    assert urgent in {run["id"] for run in begun[:2]}, "it was not among the first two, of two workers"
    said = operator.workers_said(_POOL)
    for name in ("first", "second"):
        assert f"Worker '{name}' started!" in said
    hosts = {run["infrastructure_pid"] for run in runs.values()}
    assert len(hosts) == len(runs), "two runs shared a process"
    done = {name: taken(operator, runs, name) for name in ("first", "second")}
    assert all(done.values()), f"one of the workers did nothing: {done}"


def taken(operator: Operator, runs: dict[str, Any], worker: str) -> int:
    """Return how many of the runs a worker took, by what it noted in their logs."""
    return sum(f"Worker '{worker}' submitting flow run" in operator.output(run) for run in runs)
