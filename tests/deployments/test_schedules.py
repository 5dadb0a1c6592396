"""The server of the locked packages makes the runs of a schedule: versions that do not fit each other did not."""

from __future__ import annotations

import time
from datetime import timedelta
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.deployments.runner import RunnerDeployment

pytestmark = pytest.mark.server

_PATIENCE_S = 150


def test_the_server_makes_the_runs_of_a_schedule_by_itself(prefect_server: str) -> None:
    """Nobody asks for them, and none was asked for by deploying: the server's own loop makes them."""
    deployment = RunnerDeployment.from_entrypoint(
        "flows.freshness.freshness", name="by-schedule", interval=timedelta(hours=1)
    )
    made = deployment.apply()
    assert isinstance(made, UUID)
    only = DeploymentFilter(id=DeploymentFilterId(any_=[made]))
    deadline = time.monotonic() + _PATIENCE_S
    with get_client(sync_client=True) as client:
        while not (runs := client.read_flow_runs(deployment_filter=only)):
            assert time.monotonic() < deadline, "the schedule made no run"
            time.sleep(0.5)
    assert all(run.auto_scheduled for run in runs)
