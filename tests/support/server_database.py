"""A Postgres for a Prefect server's own data: Debian's, since Prefect needs pg_trgm, which wheels leave out."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

from headworks.prefect.local.processes import free_port

_PREFERRED_PORT = 5533
_COMMAND_S = 120


class ServerDatabase:
    """A database that runs as long as it is needed, and leaves nothing behind."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="headworks-server-pg-", dir=_reached_by_others()))
        self._port = free_port(_PREFERRED_PORT)
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Make and start it; skips the test where Debian's Postgres is not installed."""
        if _programs() is None:
            pytest.skip("Postgres with pg_trgm, for Prefect's server, is absent: apt-get install postgresql")
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres", "postgres")
        self._run("initdb", "--pgdata", f"{self._folder}/data", "--auth", "trust", "--username", "postgres")
        self.resume()

    def crash(self) -> None:
        """End it at once, as when its machine loses power; its data stays."""
        self._run("pg_ctl", "-w", "-D", f"{self._folder}/data", "-m", "immediate", "stop")

    def resume(self) -> None:
        """Start it on the data that it has."""
        settings = f"-h 127.0.0.1 -p {self._port} -k '' -c fsync=off"
        self._run(
            "pg_ctl", "-w", "-D", f"{self._folder}/data", "-l", f"{self._folder}/log", "-o", settings, "start"
        )

    def stop(self) -> None:
        """Stop it and remove its data."""
        if (self._folder / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "-w", "-D", f"{self._folder}/data", "-m", "immediate", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert row is not None
        return int(row[0])

    def _run(self, program: str, *arguments: str) -> None:
        found = _programs()
        assert found is not None
        # Postgres refuses to be run by root.
        as_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*as_postgres, str(found / program), *arguments],
            cwd="/",
            stdin=subprocess.DEVNULL,
            # Not a pipe: the server inherits it, and who reads would wait for its end.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=_COMMAND_S,
        )
        assert done.returncode == 0, f"{program} failed; see {self._folder}/log"


def _reached_by_others() -> str:
    """Return a folder for what another user than this one writes: the temporary one may lie in a private one."""
    # Made by mkdtemp, so for its owner alone.
    folders = (tempfile.gettempdir(), "/tmp", "/var/tmp")
    return next(
        (
            one
            for one in folders
            if all(each.stat().st_mode & 0o1 for each in (Path(one), *Path(one).parents))
        ),
        folders[0],
    )


def _programs() -> Path | None:
    """Return the folder of the newest version's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None
