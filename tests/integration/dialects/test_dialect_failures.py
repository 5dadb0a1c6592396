"""What is wrong with a database without a reader of its own is said by its class, and heals."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from headworks.bronze.landing import Landing, land
from headworks.errors import (
    CredentialsRefused,
    HeadworksError,
    SettingsError,
    SourceMissing,
    SourceUnavailable,
)
from headworks.reports import LandingReport
from headworks.sources.sql.dialect import DialectTable
from headworks.sources.sql.postgres import PostgresTable
from headworks.sources.sql.reader import reader_of
from headworks.sources.sql.table import Table
from headworks.storage.store import Lake
from tests.support.dialects import NAME, SECRET, ids, insert, make, run, settings, table
from tests.support.mariadb import MariaDb


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ({"password": "wrong"}, CredentialsRefused, "reader"),
        ({"database": "nowhere"}, HeadworksError, "nowhere"),
        ({"port": 1}, SourceUnavailable, "127.0.0.1"),
        ({"table": "secrets"}, HeadworksError, "secrets"),
        ({"table": "nothing"}, CredentialsRefused, "nothing"),
        ({"cursor": "when"}, SourceMissing, "when"),
        ({"cursor": "v"}, SettingsError, "cannot be the cursor"),
        ({"driver": "mysql+nonsense"}, SettingsError, "nonsense"),
    ],
)
def test_what_is_wrong_is_said_by_its_class_without_the_password(
    mariadb: MariaDb, changed: dict[str, Any], error: type[HeadworksError], says: str
) -> None:
    database = mariadb.new_database()
    make(mariadb.url(database))
    run(
        mariadb.url(database),
        "CREATE TABLE secrets (id INTEGER PRIMARY KEY)",
        f"CREATE OR REPLACE USER reader IDENTIFIED BY '{SECRET}'",
        f"GRANT SELECT ON {database}.rows_t TO reader",
    )
    password = changed.get("password", SECRET)
    url = mariadb.url(changed.get("database", database), "reader", password)
    url = url.replace(f":{mariadb.port}/", f":{changed.get('port', mariadb.port)}/")
    url = url.replace("mysql+pymysql", changed.get("driver", "mysql+pymysql"))
    source = table(url, changed.get("table", "rows_t"), cursor=changed.get("cursor"))
    with pytest.raises(error) as caught:
        list(source.read(None, None))
    output = f"{caught.value} {caught.value.__cause__}"
    assert says in str(caught.value)
    assert SECRET not in output
    assert "wrong" not in str(caught.value)


def test_a_killed_connection_heals_and_the_next_reading_goes_on(
    mariadb: MariaDb, maria: str, lake: Lake
) -> None:
    make(maria)
    insert(maria, 1, 900)
    killed: list[int] = []

    def kill(report: LandingReport) -> None:
        if killed:
            return
        with mariadb.connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE db = %s AND id <> connection_id()",
                (maria.rpartition("/")[2],),
            )
            for (number,) in cursor.fetchall():
                killed.append(number)
                cursor.execute(f"KILL {number}")

    source = table(maria, cursor="id", batch_rows=10)
    try:
        land(Landing(lake, NAME, NAME, "run"), source, on_batch=kill)
    except SourceUnavailable:
        land(Landing(lake, NAME, NAME, "run"), source)
    assert killed
    assert ids(lake) == list(range(1, 901))


def test_a_file_of_sqlite_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing):
        list(table(f"sqlite:///{tmp_path / 'none.db'}").read(None, None))
    assert list(tmp_path.iterdir()) == []
    sqlite3.connect(tmp_path / "empty.db").close()
    with pytest.raises(SourceMissing, match="rows_t"):
        list(table(f"sqlite:///{tmp_path / 'empty.db'}").read(None, None))
    (tmp_path / "text.db").write_text("this is no database, but long enough to look like one" * 100)
    with pytest.raises(SourceMissing):
        list(table(f"sqlite:///{tmp_path / 'text.db'}").read(None, None))


def test_the_reader_is_chosen_by_the_urls_kind(tmp_path: Path) -> None:
    assert isinstance(reader_of(settings("postgresql://h/d"), Table(name="t")), PostgresTable)
    assert isinstance(reader_of(settings(f"sqlite:///{tmp_path}/t.db"), Table(name="t")), DialectTable)
    with pytest.raises(SettingsError) as caught:
        reader_of(settings(f"{SECRET} is no url"), Table(name="t"))
    assert SECRET not in str(caught.value)
