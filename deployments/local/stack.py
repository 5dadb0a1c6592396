"""The stack as a whole: up, serving, down, and what is running.

All of it lies in one folder: data, logs, ports, processes, and the passwords it made up for itself.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
from pydantic import BaseModel, ConfigDict, SecretStr

from headworks.errors import SettingsError
from headworks.prefect.local.postgres import ANALYTICS, SHOP, Postgres
from headworks.prefect.local.processes import Process, answers, free_port, start, stop, wait_until
from shop.database import found, lived_days
from shop.database import live as live_on
from shop.receipts import put_receipts
from shop.world import World

POSTGRES, API, PREFECT, WORKER = "postgres", "shop-api", "prefect-server", "worker"
POOL = "headworks-local"
"""The work pool that the stack's worker serves."""

_PREFERRED_PORTS = {POSTGRES: 5433, API: 8420, PREFECT: 4200}
# Long, since a busy machine is no failure; a process that ends is noticed at once.
_START_S = 300
# Somebody who presses a button waits for it; a server on this machine bears the question.
_ASK_S = "2"
_SERVING = "started!"
# A worker that is ended waits for its runs.
_RUNS_S = 60


class Secrets(BaseModel):
    """What the stack made up for itself the first time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    postgres_password: SecretStr
    api_token: SecretStr


class State(BaseModel):
    """What runs, and on which ports."""

    model_config = ConfigDict(extra="forbid")

    ports: dict[str, int] = {}
    processes: dict[str, Process] = {}


class Stack:
    """A Postgres, the shop's API, a Prefect server and a worker on this machine, all kept below one folder."""

    def __init__(self, root: Path, say: Callable[[str], None] = print, world: World | None = None) -> None:
        self.root = root.absolute()
        self._world = world or World()
        self._say = say
        self._saving = threading.Lock()

    @property
    def api_url(self) -> str:
        """The address of the Prefect server's API."""
        return f"http://127.0.0.1:{self._state().ports[PREFECT]}/api"

    @property
    def ui_url(self) -> str:
        """The address of the Prefect server's pages."""
        return self.api_url.removesuffix("/api")

    def up(self) -> None:
        """Start what does not run yet, and found the shop; the parts that do not need each other start together."""
        with self._locked():
            state = self._state()
            self._choose_ports(state)
            with ThreadPoolExecutor(2) as pool:
                server = pool.submit(self._start_prefect, state)
                data = pool.submit(self._start_shop, state)
                problems = [future.exception() for future in (server, data)]
            for problem in problems:
                if problem is not None:
                    raise problem
            self._write_environment()

    def serve(self) -> None:
        """Start a worker that runs what is asked for in the pool, unless it runs; `wait_served` waits for it.

        The pool has to be there. Where the flows find things is in their blocks, whatever this shell's variables say.
        """
        with self._locked():
            state = self._state()
            if self._runs(state, WORKER):
                return
            self._worker_log.unlink(missing_ok=True)
            command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL]
            process = start(
                [*command, "--install-policy", "never"],
                {
                    **self.environment(),
                    "HEADWORKS_PYTHON": sys.executable,
                    "PREFECT_WORKER_QUERY_SECONDS": _ASK_S,
                },
                self._worker_log,
                without=("HEADWORKS", "PREFECT"),
            )
            self._started(state, WORKER, process)

    def wait_served(self) -> None:
        """Wait until the worker takes runs; raises `SettingsError` with the end of its log where it ended."""
        process = self._state().processes[WORKER]
        wait_until(self._worker_is_ready, process, "The worker", self._worker_log, _START_S)

    @property
    def _worker_log(self) -> Path:
        return self.root / "logs" / "worker.log"

    def _worker_is_ready(self) -> bool:
        return self._worker_log.exists() and _SERVING in self._worker_log.read_text(errors="replace")

    def down(self) -> bool:
        """Stop everything that was started, in the opposite order; return whether anything ran."""
        if not self.root.exists():
            return False
        with self._locked():
            state = self._state()
            running = [name for name, process in state.processes.items() if process.is_running()]
            # The worker first: what it has to end is noted by a server that still runs.
            for name in (WORKER, PREFECT, API):
                if name in running:
                    stop(state.processes[name], patience_s=_RUNS_S if name == WORKER else None)
            if POSTGRES in running:
                Postgres.stop(state.processes[POSTGRES])
            self._save(State(ports=state.ports))
            (self.root / "env").unlink(missing_ok=True)
        for name in running:
            self._say(f"stopped {name}")
        return bool(running)

    def status(self) -> dict[str, str]:
        """Return, for each part, where it listens or what it serves, or that it does not run."""
        state = self._state()
        places = {name: f"127.0.0.1:{state.ports.get(name)}" for name in (POSTGRES, API, PREFECT)}
        places[WORKER] = f"serves the pool {POOL}"
        return {name: where if self._runs(state, name) else "not running" for name, where in places.items()}

    def live(self, days: int) -> str:
        """Let the shop live on for some days; returns what it lived through, in words."""
        with psycopg.connect(self._postgres(self._state()).admin_url(SHOP)) as connection:
            lived = live_on(connection, self._world, days)
        put_receipts(self._receipts, self._world, lived)
        return f"the shop lived {len(lived)} more days, from {lived[0]} to {lived[-1]}" if lived else ""

    def variables(self) -> dict[str, str]:
        """Return the variables that the flows' blocks are filled from; they hold passwords."""
        state = self._state()
        postgres = self._postgres(state)
        return {
            "HEADWORKS_LAKE_ROOT": str(self.root / "lake"),
            "HEADWORKS_SHOP_API_BASE_URL": f"http://127.0.0.1:{state.ports[API]}",
            "HEADWORKS_SHOP_API_TOKEN": self._secrets().api_token.get_secret_value(),
            "HEADWORKS_SHOP_DATABASE_URL": postgres.url(SHOP),
            "HEADWORKS_ANALYTICS_DATABASE_URL": postgres.url(ANALYTICS),
            "HEADWORKS_RECEIPTS_FILES_ROOT": str(self._receipts),
        }

    @property
    def _receipts(self) -> Path:
        return self.root / "receipts"

    def environment(self) -> dict[str, str]:
        """Return the variables that lead to the stack's Prefect server; they hold no secret."""
        return {
            "PREFECT_API_URL": self.api_url,
            "PREFECT_HOME": str(self.root / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }

    def _choose_ports(self, state: State) -> None:
        for name, preferred in _PREFERRED_PORTS.items():
            if self._runs(state, name):
                continue
            wanted = state.ports.get(name, preferred)
            state.ports[name] = free_port(wanted)
            if state.ports[name] != wanted:
                self._say(f"port {wanted} is busy, so {name} takes {state.ports[name]}")

    def _start_prefect(self, state: State) -> None:
        if self._runs(state, PREFECT):
            return
        port, log = state.ports[PREFECT], self.root / "logs" / "prefect-server.log"
        url = f"http://127.0.0.1:{port}/api"
        command = [sys.executable, "-m", "prefect", "server", "start"]
        process = start(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            {
                "PREFECT_HOME": str(self.root / "prefect"),
                "PREFECT_API_URL": url,
                "PREFECT_UI_API_URL": url,
                "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
                **self._server_settings(),
            },
            log,
        )
        self._started(state, PREFECT, process)
        # Who answers may be another stack's server, that took the port a moment earlier.
        ready = partial(_answers_itself, process, port, f"{url}/health")
        wait_until(ready, process, "The Prefect server", log, _START_S)

    def _server_settings(self) -> Mapping[str, str]:
        """Return further settings of the Prefect server: another stack may keep its data elsewhere."""
        return {}

    def _start_shop(self, state: State) -> None:
        postgres = self._postgres(state)
        if not self._runs(state, POSTGRES):
            self._started(state, POSTGRES, postgres.start())
        with psycopg.connect(postgres.admin_url(SHOP)) as connection:
            history = found(connection, self._world)
            days = lived_days(connection)
        put_receipts(self._receipts, self._world, (self._world.day(number) for number in range(days)))
        if history:
            postgres.grant_reading()
            self._say(f"founded the shop with {len(history)} days of history")
        else:
            self._say(f"the shop is {days} days old")
        if not self._runs(state, API):
            self._start_api(state, postgres)

    def _start_api(self, state: State, postgres: Postgres) -> None:
        port, log = state.ports[API], self.root / "logs" / "shop-api.log"
        process = start(
            [sys.executable, "-m", "shop.api", "--port", str(port)],
            {
                "SHOP_API_TOKEN": self._secrets().api_token.get_secret_value(),
                "SHOP_API_DSN": postgres.admin_url(SHOP),
            },
            log,
        )
        self._started(state, API, process)
        url = f"http://127.0.0.1:{port}/healthz"
        ready = partial(_answers_itself, process, port, url)
        wait_until(ready, process, "The shop's API", log, _START_S)

    def _started(self, state: State, name: str, process: Process) -> None:
        """Note a process at once, so that it can be stopped whatever happens next."""
        with self._saving:
            state.processes[name] = process
            self._save(state)

    def _postgres(self, state: State) -> Postgres:
        if POSTGRES not in state.ports:
            raise SettingsError(
                "The local stack was never started.", where=str(self.root), do="run make demo."
            )
        password = self._secrets().postgres_password.get_secret_value()
        return Postgres(self.root / "postgres", state.ports[POSTGRES], password)

    def _runs(self, state: State, name: str) -> bool:
        return name in state.processes and state.processes[name].is_running()

    def _secrets(self) -> Secrets:
        path = self.root / "secrets.json"
        if path.exists():
            return Secrets.model_validate_json(path.read_text())
        made = {"postgres_password": secrets.token_urlsafe(18), "api_token": secrets.token_urlsafe(18)}
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(made, file)
        return Secrets.model_validate(made)

    def _state(self) -> State:
        path = self.root / "stack.json"
        return State.model_validate_json(path.read_text()) if path.exists() else State()

    def _save(self, state: State) -> None:
        temporary = self.root / "stack.json.new"
        temporary.write_text(state.model_dump_json(indent=2) + "\n")
        temporary.replace(self.root / "stack.json")

    def _write_environment(self) -> None:
        lines = [f"{name}={value}" for name, value in self.environment().items()]
        (self.root / "env").write_text("\n".join(lines) + "\n")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one command at a time change the stack."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "stack.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say("another command is at work on the local stack; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _answers_itself(process: Process, port: int, url: str) -> bool:
    return process.listens_on(port) and answers(url)
