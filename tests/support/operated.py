"""A stack as it is operated: its Prefect server keeps its data in a Postgres of its own, and looks often."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deployments.local.stack import PREFECT, Stack
from headworks.prefect.local.processes import stop
from shop.world import World
from tests.support.server_database import ServerDatabase


class OperatedStack(Stack):
    """A stack whose Prefect server is on Postgres, and looks at its schedules every second or two."""

    def __init__(self, root: Path, world: World | None = None) -> None:
        super().__init__(root, say=lambda line: None, world=world)
        self.database = ServerDatabase()
        self._is_made = False

    def up(self) -> None:
        """Start the server's Postgres, then all that a stack has."""
        if not self._is_made:
            self.database.start()
            self._is_made = True
        super().up()

    def down(self) -> bool:
        """Stop all that a stack has, then the server's Postgres, for good."""
        try:
            return super().down()
        finally:
            self.database.stop()

    def stop_server(self) -> None:
        """Stop the Prefect server, as a restart begins; ``up`` starts it again at the same address."""
        stop(self._state().processes[PREFECT])

    def _server_settings(self) -> Mapping[str, str]:
        return {
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self.database.url.replace("://", "+asyncpg://"),
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
            "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
        }
