"""The alert flow: people are notified of a run that could not report them itself. The server starts it, by an event."""

from __future__ import annotations

import sys
from uuid import UUID

from prefect import flow

from headworks.prefect.console import run_as_program
from headworks.prefect.steps.alerting import alert_flow_run


@flow(name="alert", flow_run_name="alert about {flow_run}", result_serializer="json", persist_result=True)
def alert(flow_run: UUID) -> str:
    """Notify people of a run that crashed, failed or is late, unless they know of it.

    Args:
        flow_run: The id of the flow run.
    """
    return alert_flow_run(flow_run)


if __name__ == "__main__":
    sys.exit(run_as_program(alert))
