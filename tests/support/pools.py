"""Work pools as an operator meets them: the ``prefect`` command line against a stack's server, and what came of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row
from pydantic import BaseModel

from deployments.local.stack import Stack
from headworks.prefect.local.postgres import ANALYTICS, SHOP
from headworks.prefect.local.processes import Process, start, stop, wait_until
from shop.truth import CustomerValueRow, DailyRow, truth
from tests.support.held import Operated

CHECKOUT = Path(__file__).parents[2]
_COMMAND_S = 600
_RUN_S = 600
_POLL_S = 0.2
FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
"""The types of states in which a flow run ends."""


def run_command(
    command: Sequence[str], environment: Mapping[str, str], *, timeout_s: float = _COMMAND_S
) -> str:
    """Run a command in the checkout, with no variables of Prefect or ours but those that are given.

    Returns what it printed, and fails with it where it failed.
    """
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "HEADWORKS"))
    }
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env={**clean, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


R = TypeVar("R", bound=BaseModel)
_UUID = re.compile(r"UUID: ([0-9a-f-]{36})")


@dataclass(frozen=True)
class Operator:
    """Somebody in a checkout who works with one stack's Prefect server."""

    stack: Stack
    home: Path

    def run(
        self, *arguments: str, timeout_s: float = _COMMAND_S, environment: Mapping[str, str] | None = None
    ) -> str:
        """Run ``python -m`` something; returns what it printed, and fails with it where it failed."""
        return run_command(
            [sys.executable, "-m", *arguments],
            {**self.environment(), **(environment or {})},
            timeout_s=timeout_s,
        )

    def environment(self) -> Mapping[str, str]:
        """Return the variables that lead to the server, with a home that is not the server's."""
        return {
            **self.stack.environment(),
            "PREFECT_HOME": str(self.home),
            # Workers of a process pool start their runs with it; a person has it first in the PATH.
            "HEADWORKS_PYTHON": sys.executable,
            # Wide enough that nothing which is looked for is broken over two lines.
            "COLUMNS": "400",
        }

    def prefect(self, *arguments: str) -> str:
        """Run a ``prefect`` command."""
        return self.run("prefect", *arguments)

    def register_blocks(self, **changed: str) -> str:
        """Write the flows' blocks to the server, from the stack's variables and those that are given."""
        return self.run(
            "headworks.prefect.deploying.register_blocks", environment={**self.stack.variables(), **changed}
        )

    def ask(self, deployment: str, *arguments: str) -> str:
        """Ask for a run of a deployment; returns the flow run's id."""
        printed = self.prefect("deployment", "run", deployment, *arguments)
        found = _UUID.search(printed)
        assert found is not None, f"no id of a flow run in:\n{printed}"
        return found[1]

    def work_once(self, pool: str, **environment: str) -> str:
        """Let a worker do what is due in a pool; returns its log."""
        command = ["prefect", "worker", "start", "--pool", pool, "--run-once", "--install-policy", "never"]
        return self.run(*command, timeout_s=_RUN_S, environment=environment)

    @contextmanager
    def working(self, pool: str, *arguments: str) -> Iterator[Process]:
        """Let a worker look after a pool as long as the block lasts, asking every second; its process."""
        log = self.home / f"worker-{pool}-{len(self._worker_logs(pool)) + 1}.log"
        clean = {name: "" for name in os.environ if name.startswith("HEADWORKS")}
        settings = {**clean, **self.environment(), "PREFECT_WORKER_QUERY_SECONDS": "1"}
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool]
        process = start([*command, "--install-policy", "never", *arguments], settings, log)
        try:
            wait_until(lambda: "started!" in log.read_text(), process, "The worker", log, _COMMAND_S)
            yield process
        finally:
            stop(process)

    def workers_said(self, pool: str) -> str:
        """Return what the workers of a pool wrote."""
        return "\n".join(log.read_text() for log in self._worker_logs(pool))

    def _worker_logs(self, pool: str) -> list[Path]:
        return sorted(self.home.glob(f"worker-{pool}-*.log"))

    def watch(self, flow_run_id: str, *ends: str, seconds: float = _RUN_S) -> dict[str, Any]:
        """Return a flow run once it is in a state of one of these types, such as COMPLETED; any final one without.

        Fails where it ends otherwise, or is not there in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            run: dict[str, Any] = self.read(f"flow_runs/{flow_run_id}")
            if run["state_type"] in (ends or FINAL):
                return run
            assert run["state_type"] not in FINAL, f"{run['state']}\n{self.output(flow_run_id)}"
            assert time.monotonic() < deadline, f"{run['state']}\n{self.output(flow_run_id)}"
            time.sleep(_POLL_S)

    def output(self, flow_run_id: str) -> str:
        """Return the log of a flow run."""
        asked = {"logs": {"flow_run_id": {"any_": [flow_run_id]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        return "\n".join(line["message"] for line in self.post("logs/filter", asked))

    def read(self, path: str) -> Any:
        """Read something from the server's API."""
        return self._server.get(path)

    def post(self, path: str, content: object) -> Any:
        """Ask the server's API something that is asked in a body."""
        return self._server.post(path, content)

    def patch(self, path: str, content: Mapping[str, Any]) -> None:
        """Change something, as a person does in the UI."""
        self._server.patch(path, content)

    def delete(self, path: str) -> None:
        """Delete something that the server's API knows."""
        self._server.delete(path)

    @property
    def _server(self) -> Operated:
        return Operated(self.stack.api_url)

    def assert_completed(self, flow_run_id: str, worker_log: str) -> dict[str, Any]:
        """Return the flow run; fails with its log where it did not end well."""
        run: dict[str, Any] = self.read(f"flow_runs/{flow_run_id}")
        assert run["state_type"] == "COMPLETED", f"{run['state']}\n{worker_log}"
        return run


def assert_published_equals_truth(stack: Stack) -> int:
    """Compare each row that Postgres shows with what the shop computes for itself in SQL; returns their number."""
    postgres = stack._postgres(stack._state())
    with psycopg.connect(postgres.admin_url(SHOP)) as connection:
        expected = truth(connection)
    with psycopg.connect(postgres.admin_url(ANALYTICS)) as connection:
        daily = _shown(connection, "sales_daily", DailyRow)
        value = _shown(connection, "sales_customer_value", CustomerValueRow)
    assert len(daily) == len(expected.daily) > 0
    assert set(daily) == set(expected.daily)
    assert len(value) == len(expected.customer_value) > 0
    assert set(value) == set(expected.customer_value)
    return len(daily) + len(value)


def _shown(connection: psycopg.Connection[Any], table: str, row: type[R]) -> list[R]:
    columns = ", ".join(row.model_fields)
    with connection.cursor(row_factory=class_row(row)) as cursor:
        return cursor.execute(f"SELECT {columns} FROM analytics.{table}").fetchall()
