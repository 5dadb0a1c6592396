"""The ground of the campaign: a stack as it is operated, runs in containers, a listener for alerts, the truth."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from deployments.local.stack import API, POSTGRES
from headworks.ops.breakers import LakeBreakers
from headworks.ops.leases import Leasing
from headworks.prefect.local.postgres import ANALYTICS, SHOP, Postgres
from headworks.prefect.local.processes import stop
from shop import datasets, gold
from tests.docker.conftest import DEPLOYMENT, POOL, docker
from tests.support.operated import OperatedStack
from tests.support.pools import Operator
from tests.support.sales import Place

# Generous, since a test waits only as long as it has to; an alert comes from a container of its own.
_PATIENCE_S = 300
_POLL_S = 0.1
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"


@dataclass(frozen=True)
class Begun:
    """A flow run that was asked for, and how its container is called."""

    id: str
    container: str


@dataclass(frozen=True)
class Ground:
    """Where faults are made: the stack, the folder that containers write to, and what was heard of them."""

    operator: Operator
    data: Path
    heard: list[str] = field(repr=False)

    @property
    def stack(self) -> OperatedStack:
        """The stack whose parts are broken."""
        assert isinstance(self.operator.stack, OperatedStack)
        return self.operator.stack

    @property
    def place(self) -> Place:
        """The lake and the two databases, as the engine's tests look at them."""
        postgres = self._postgres()
        return Place(self.data / "lake", postgres.admin_url(SHOP), postgres.admin_url(ANALYTICS), api="")

    def begin(self, *arguments: str, deployment: str = DEPLOYMENT, **variables: Any) -> Begun:
        """Ask for a run in a container of a known name, with these job variables over the deployment's."""
        name = f"headworks-test-{uuid.uuid4().hex[:8]}"
        given = {"volumes": [f"{self.data}:/data"], "auto_remove": False, "name": name, **variables}
        chosen = [
            word for key, value in given.items() for word in ("--job-variable", f"{key}={json.dumps(value)}")
        ]
        return Begun(self.operator.ask(deployment, *chosen, *arguments), name)

    def run(self, *arguments: str, **variables: Any) -> dict[str, Any]:
        """Let a run complete; returns it."""
        return self.operator.watch(self.begin(*arguments, **variables).id, "COMPLETED")

    def working(self) -> Any:
        """Let a worker look after the pool, as a context."""
        return self.operator.working(POOL)

    @contextmanager
    def held(self, database: str = SHOP, table: str = "shop.orders") -> Iterator[Callable[[], None]]:
        """Lock a table, so that a run stops where it needs it; gives what waits until one does."""
        connection = psycopg.connect(self._postgres().admin_url(database))
        try:
            connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield lambda: self.until(lambda: self._waiting(database), f"no run came to {table}")
        finally:
            # Closed, and not committed: a Postgres that was restarted meanwhile has let go of the lock itself.
            connection.close()

    def until(self, true: Callable[[], Any], otherwise: str, seconds: float = _PATIENCE_S) -> None:
        """Wait until something is true; fails where it is not in time, with what was heard by then."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"{otherwise}; heard: {self.heard}"
            time.sleep(_POLL_S)

    def until_heard(self, *words: str) -> None:
        """Wait until an alert with all of these words arrives."""
        self.until(
            lambda: any(all(word in output for word in words) for output in self.heard),
            f"nobody was notified of {words}",
        )

    def exit_code(self, begun: Begun) -> int:
        """Return how a run's container ended."""
        return int(docker("inspect", "--format", "{{.State.ExitCode}}", begun.container))

    def is_running(self, begun: Begun) -> bool:
        """Return whether a run's container still runs."""
        return docker("inspect", "--format", "{{.State.Running}}", begun.container) == "true"

    def assert_exact(self) -> None:
        """Compare all that consumers see with the shop's own truth, and insist that silver has each key once."""
        self.place.assert_true()
        for group in datasets.IN_ORDER:
            for dataset in group:
                silver = self.place.lake.must_open("silver", dataset.name).scan().select(dataset.key)
                keys = silver.collect()
                assert keys.n_unique() == keys.height, f"duplicate keys in silver.{dataset.name}"

    def assert_lease_is_free(self) -> None:
        """Insist that nobody holds the lease of the sales."""
        _, term = Leasing(self.place.lake).newest(gold.PRODUCT)
        assert term is not None
        assert term.released, f"still held by {term.what}"

    def cancel(self, begun: Begun) -> None:
        """Cancel a run as the button in the UI does."""
        self.set_state(begun, {"type": "CANCELLING", "name": "Cancelling"})

    def set_state(self, begun: Begun, state: dict[str, Any]) -> None:
        """Ask the server to set a run's state."""
        self.operator.post(f"flow_runs/{begun.id}/set_state", {"state": state, "force": False})

    @contextmanager
    def without_api(self) -> Iterator[None]:
        """Let the shop's API be away as long as the block lasts; afterwards a person says that it is recovered."""
        stop(self.stack._state().processes[API])
        try:
            yield
        finally:
            self.stack.up()
            LakeBreakers(self.place.lake).reset("shop-api")

    @contextmanager
    def without_postgres(self) -> Iterator[None]:
        """Let the shop's Postgres be away as long as the block lasts."""
        Postgres.stop(self.stack._state().processes[POSTGRES])
        try:
            yield
        finally:
            self.stack.up()

    def _waiting(self, database: str) -> bool:
        with psycopg.connect(self._postgres().admin_url("postgres")) as connection:
            row = connection.execute(_WAITING, (database,)).fetchone()
        return row is not None and int(row[0]) > 0

    def _postgres(self) -> Postgres:
        return self.stack._postgres(self.stack._state())
