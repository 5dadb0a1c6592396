"""An empty database of each kind: SQLite, and MariaDB where it is installed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mariadb import MariaDb, running_mariadb


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """A MariaDB server for the session; tests that need it are skipped where there is none."""
    program = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("MariaDB is absent: apt-get install mariadb-server")
    with running_mariadb(program) as server:
        yield server


@pytest.fixture
def maria(mariadb: MariaDb) -> str:
    """The URL of an empty database of MariaDB."""
    return mariadb.url(mariadb.new_database())


@pytest.fixture(params=["sqlite", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        sqlite3.connect(tmp_path / "shop.db").close()
        return f"sqlite:///{tmp_path / 'shop.db'}"
    found: str = request.getfixturevalue("maria")
    return found
