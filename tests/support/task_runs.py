"""Task runs as Prefect's server knows them: it learns of them by events, and so some time after a flow has ended."""

from __future__ import annotations

from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun

from tests.support.held import wait_for


def ended_task_runs(flow_run: str, count: int, name: str = "") -> list[TaskRun]:
    """Wait until so many task runs of a flow run, whose names begin so, have ended; return them."""
    chosen = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run)]))

    def ended() -> list[TaskRun] | None:
        with get_client(sync_client=True) as client:
            found = [
                one for one in client.read_task_runs(flow_run_filter=chosen) if one.name.startswith(name)
            ]
        return (
            found
            if len(found) >= count and all(one.state and one.state.is_final() for one in found)
            else None
        )

    found: list[TaskRun] = wait_for(f"{count} task runs {name!r} of {flow_run}", ended)
    return found
