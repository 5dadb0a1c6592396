"""A Postgres table passes the conformance suite: by a cursor with ties, and whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from headworks.settings import DatabaseSettings
from headworks.sources.sql.postgres import PostgresTable
from headworks.sources.sql.table import Table
from headworks.testing.suite import Failing, Making, SourceBehaviour, SourceSuite
from tests.conftest import PostgresServer

QUIET_S = 20
PASSWORD = "hunter2-of-the-tests"


class PostgresSuite(SourceSuite):
    """The suite over a table of 35 rows, three of which share each moment."""

    whole = False

    @pytest.fixture
    def table(self, postgres: PostgresServer) -> DatabaseSettings:
        """A database with the table."""
        database = DatabaseSettings(url=SecretStr(postgres.new_database()))
        with psycopg.connect(database.libpq_url(), autocommit=True) as connection:
            connection.execute("CREATE TABLE things (id int PRIMARY KEY, name text, at timestamptz)")
            connection.execute(
                "INSERT INTO things SELECT n, 'thing ' || n, '2026-01-01'::timestamptz + n / 3 * interval '1 min'"
                " FROM generate_series(1, 35) n"
            )
        return database

    @pytest.fixture
    def make_source(self, table: DatabaseSettings) -> Making:
        """Make the source in batches of ten."""
        described = Table(name="things", cursor="at", batch_rows=10)
        return lambda: PostgresTable(table, described, whole=self.whole)

    @pytest.fixture
    def connections(self, table: DatabaseSettings) -> Iterator[Callable[[], int]]:
        """Count the source's sessions in the server, once none is about to end."""
        with psycopg.connect(table.libpq_url(), autocommit=True) as connection:

            def count() -> int:
                deadline = time.monotonic() + QUIET_S
                while True:
                    row = connection.execute(
                        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'headworks%'"
                    ).fetchone()
                    assert row is not None
                    if row[0] == 0 or time.monotonic() > deadline:
                        return int(row[0])

            yield count

    @pytest.fixture
    def failing(self, table: DatabaseSettings) -> Failing:
        """A source with a user that does not exist."""
        address = psycopg.conninfo.conninfo_to_dict(table.libpq_url())
        parts: dict[str, Any] = {name: value for name, value in address.items() if value is not None}
        wrong = psycopg.conninfo.make_conninfo(**{**parts, "user": "nobody", "password": PASSWORD})
        return Failing(
            PostgresTable(DatabaseSettings(url=SecretStr(wrong)), Table(name="things")), [PASSWORD]
        )


class TestTableByCursor(PostgresSuite):
    """Incremental, in the order of a column of moments."""


class TestWholeTable(PostgresSuite):
    """From the beginning to the end each time."""

    behaviour = SourceBehaviour(resumes=False)
    whole = True
