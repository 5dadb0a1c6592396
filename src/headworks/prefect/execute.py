"""Executes one flow run where its code is installed: the command of our containers.

It does what ``prefect flow-run execute`` does, cancellations and SIGTERM included, but for one thing: that prepares a
workspace for code that is pulled, in two processes of their own that each take a second or two to import Prefect. Our
deployments pull nothing, so the engine is started at once.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.cli import flow_run as command
from prefect.flows import load_flow_from_flow_run
from prefect.runner._hook_runner import HookRunner
from prefect.runner._starter_engine import EngineCommandStarter

if TYPE_CHECKING:
    from prefect.runner._control_channel import ControlChannel


class InstalledCodeStarter(EngineCommandStarter):
    """Starts Prefect's engine where the flow's code is installed: in the place of what prepares a workspace first."""

    def __init__(self, *, workspace_root: Path, control_channel: ControlChannel) -> None:
        super().__init__(control_channel=control_channel)
        self.hook_runner = HookRunner(resolve_flow=load_flow_from_flow_run)

    def close(self) -> None:
        """Nothing was prepared."""


def main() -> None:
    """Execute the flow run that the worker names in the environment."""
    command.WorkspaceResolvingEngineCommandStarter = InstalledCodeStarter  # type: ignore[attr-defined, assignment]
    asyncio.run(command.execute(UUID(os.environ["PREFECT__FLOW_RUN_ID"])))


if __name__ == "__main__":
    main()
