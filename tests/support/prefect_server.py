"""A Prefect server as a process, with a database of its own."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

# Generous: where everything else runs at the same time, a start takes minutes.
_START_S = 300


@contextmanager
def serving(home: Path, **environment: str) -> Iterator[str]:
    """Run a server until the block ends; yields the address of its API."""
    from headworks.prefect.local.processes import start, stop, wait_until

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = home / "server.log"
    url = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = start(
        command,
        {
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            **environment,
        },
        log,
    )
    try:
        wait_until(lambda: _answers(f"{url}/health"), process, "The tests' Prefect server", log, _START_S)
        yield url
    finally:
        stop(process)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False
