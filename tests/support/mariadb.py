"""A MariaDB server in a folder of its own, for the time of the tests."""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql

_START_S = 60


@dataclass
class MariaDb:
    """A running server: its port, and fresh databases on request."""

    port: int
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    def connect(self, database: str | None = None) -> Any:
        """Return a connection of the superuser that commits by itself."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            database=database,
            autocommit=True,
            charset="utf8mb4",
        )

    def new_database(self) -> str:
        """Make an empty database; its name."""
        name = f"test_{next(self._numbers)}"
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return name

    def url(self, database: str, user: str = "root", password: str = "") -> str:
        """Return the URL of a database."""
        login = f"{user}:{password}" if password else user
        return f"mysql+pymysql://{login}@127.0.0.1:{self.port}/{database}"


@contextmanager
def running_mariadb(program: str) -> Iterator[MariaDb]:
    """Start the server, wait until it answers, and stop it at the end."""
    home = Path(tempfile.mkdtemp(prefix="headworks-maria-"))
    port = _free_port()
    data = home / "data"
    install = shutil.which("mariadb-install-db") or str(Path(program).with_name("mariadb-install-db"))
    subprocess.run(
        [
            install,
            "--no-defaults",
            "--user=root",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        check=True,
        capture_output=True,
        timeout=_START_S,
    )
    server = subprocess.Popen(
        [
            program,
            "--no-defaults",
            "--user=root",
            f"--datadir={data}",
            f"--socket={home}/socket",
            f"--pid-file={home}/pid",
            "--bind-address=127.0.0.1",
            f"--port={port}",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=64M",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        found = MariaDb(port)
        _wait_for(found, server)
        yield found
    finally:
        server.terminate()
        server.wait(timeout=_START_S)
        shutil.rmtree(home, ignore_errors=True)


def _wait_for(server: MariaDb, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + _START_S
    while True:
        try:
            server.connect().close()
            return
        except pymysql.err.OperationalError:
            if process.poll() is not None or time.monotonic() > ends:
                raise
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
