"""A Prefect server as a process, with a database of its own."""

from __future__ import annotations

import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

# Generous: where everything else runs at the same time, a start takes minutes.
_START_S = 300
# An empty database as the first server of this process made it: its migrations take half of a start, 4 s of a core.
_EMPTY: list[bytes] = []
_DATABASE = "prefect.db"


@contextmanager
def serving(home: Path, **environment: str) -> Iterator[str]:
    """Run a server until the block ends; yields the address of its API."""
    from headworks.prefect.local.processes import answers, start, stop, wait_until

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = home / "server.log"
    url = f"http://127.0.0.1:{port}/api"
    fresh = "PREFECT_SERVER_DATABASE_CONNECTION_URL" not in environment and not (home / _DATABASE).exists()
    if fresh and _EMPTY:
        (home / _DATABASE).write_bytes(_EMPTY[0])
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
        wait_until(lambda: answers(f"{url}/health"), process, "The tests' Prefect server", log, _START_S)
        if fresh and not _EMPTY and (home / _DATABASE).exists():
            _EMPTY.append(_copy(home / _DATABASE))
        yield url
    finally:
        stop(process)


def _copy(database: Path) -> bytes:
    """Return a database that a server is using."""
    with closing(sqlite3.connect(database)) as used, closing(sqlite3.connect(":memory:")) as copy:
        used.backup(copy)
        return copy.serialize()
