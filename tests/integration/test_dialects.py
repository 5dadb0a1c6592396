"""Tables of SQLite and MariaDB through the reader for any database: types, increments, errors, one pool a run."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, event
from sqlalchemy.pool import Pool

from headworks.errors import (
    CredentialsRefused,
    HeadworksError,
    SettingsError,
    SourceMissing,
    SourceUnavailable,
    ValueRefused,
)
from headworks.lake.landing import Landing, land
from headworks.lake.store import Lake
from headworks.names import Window
from headworks.observe.report import LandingReport
from headworks.settings import DatabaseSettings
from headworks.sources.sql.dialect import DialectTable
from headworks.sources.sql.engines import shared_engine
from headworks.sources.sql.postgres import PostgresTable
from headworks.sources.sql.reader import reader_of
from headworks.sources.sql.table import Table
from tests.support.items import bronze
from tests.support.mariadb import MariaDb, running_mariadb

NAME = "t.rows"
SECRET = "maria-secret-never-shown"


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


def run(url: str, *statements: str) -> None:
    """Run statements as somebody else."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def settings(url: str, **changed: Any) -> DatabaseSettings:
    return DatabaseSettings(url=SecretStr(url), **changed)


def table(url: str, name: str = "rows_t", **changed: Any) -> DialectTable:
    options = {key: changed.pop(key) for key in ("window", "whole", "run_id") if key in changed}
    return DialectTable(settings(url), Table(name=name, **changed), **options)


def take(source: DialectTable, lake: Lake) -> LandingReport:
    return land(Landing(lake, NAME, NAME, "run"), source)


def ids(lake: Lake) -> list[int]:
    return sorted(bronze(lake, NAME).get_column("id").to_list())


def make(url: str) -> None:
    run(url, "CREATE TABLE rows_t (id INTEGER PRIMARY KEY, v VARCHAR(20), at DATETIME)")


def insert(url: str, first: int, last: int, at: str = "2026-01-05 08:00:00") -> None:
    values = ", ".join(f"({n}, 'v{n}', '{at}')" for n in range(first, last + 1))
    run(url, f"INSERT INTO rows_t VALUES {values}")


MARIA_TYPES = """
CREATE TABLE torture (
  id BIGINT PRIMARY KEY, tiny TINYINT, tinyu TINYINT UNSIGNED, big BIGINT, bigu BIGINT UNSIGNED,
  d DECIMAL(10,2), dd DECIMAL(38,10), wide DECIMAL(60,5), f FLOAT, dbl DOUBLE, ok BOOLEAN,
  day DATE, moment DATETIME(6), stamp TIMESTAMP(6) NULL, span TIME(3), y YEAR,
  c CHAR(4), t LONGTEXT, e ENUM('a','b'), s SET('x','y'), j JSON, u UUID, ip INET6,
  b VARBINARY(10), bl BLOB, bits BIT(9), `odd %s name` VARCHAR(20)
)"""
MARIA_ROWS = [
    "(1, -128, 255, -9223372036854775808, 18446744073709551615, -99999999.99, "
    "1234567890123456789012345678.0123456789, 1234567890123456789012345678901234567890123456789012345.12345, "
    "1.5, -1.7976931348623157e308, TRUE, '1000-01-01', '9999-12-31 23:59:59.999999', "
    "'2026-03-29 02:30:00.123456', '-838:59:59.000', 1901, 'ab', 'ünï😀\\n\\t\\\\', 'b', 'x,y', '{\"a\": [1]}', "
    "'123e4567-e89b-12d3-a456-426614174000', '2001:db8::ff00:42:8329', X'00FF', X'', b'100000001', '50% off')",
    "(2" + ", NULL" * 26 + ")",
    "(3, 0, 0, 0, 0, 0, 0, 0, 0, 0, FALSE, '2026-02-28', '2026-02-28 00:00:00', '2026-02-28 00:00:00', "
    "'00:00:00', 2026, '', '', 'a', '', '0', '123e4567-e89b-12d3-a456-426614174001', '::', X'', X'00', b'0', '%')",
]


def test_every_type_of_mariadb_comes_value_for_value(mariadb: MariaDb, maria: str, lake: Lake) -> None:
    with mariadb.connect(maria.rpartition("/")[2]) as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute(MARIA_TYPES)
        cursor.execute(f"INSERT INTO torture VALUES {', '.join(MARIA_ROWS)}")
    take(table(maria, "torture"), lake)
    first, empty, zero = bronze(lake, NAME).sort("id").rows(named=True)
    assert {name: first[name] for name in first if not name.startswith("_")} == {
        "id": 1,
        "tiny": -128,
        "tinyu": 255,
        "big": -(2**63),
        "bigu": 2**64 - 1,
        "d": Decimal("-99999999.99"),
        "dd": Decimal("1234567890123456789012345678.0123456789"),
        "wide": "1234567890123456789012345678901234567890123456789012345.12345",
        "f": 1.5,
        "dbl": -1.7976931348623157e308,
        "ok": 1,
        "day": date(1000, 1, 1),
        "moment": datetime(9999, 12, 31, 23, 59, 59, 999999),
        "stamp": datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=UTC),
        "span": "-838:59:59.000",
        "y": 1901,
        "c": "ab",
        "t": "ünï😀\n\t\\",
        "e": "b",
        "s": "x,y",
        "j": '{"a": [1]}',
        "u": "123e4567-e89b-12d3-a456-426614174000",
        "ip": "2001:db8::ff00:42:8329",
        "b": b"\x00\xff",
        "bl": b"",
        "bits": b"\x01\x01",
        "odd %s name": "50% off",
    }
    assert {empty[name] for name in empty if not name.startswith("_")} == {2, None}
    assert (zero["c"], zero["t"], zero["s"], zero["bl"], zero["d"]) == ("", "", "", b"\x00", Decimal("0.00"))


def test_every_type_of_sqlite_comes_value_for_value(tmp_path: Path, lake: Lake) -> None:
    path = tmp_path / "t.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE torture (id INTEGER PRIMARY KEY, n BIGINT, d DECIMAL(12,2), f REAL, ok BOOLEAN, "
            "day DATE, moment DATETIME, t TEXT, b BLOB, u UUID, x)"
        )
        connection.executemany(
            "INSERT INTO torture VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            [
                (
                    1,
                    2**63 - 1,
                    "0.10",
                    0.1,
                    1,
                    "2026-02-28",
                    "2026-02-28T10:00:00.5",
                    "ü\n",
                    b"\0",
                    "u-1",
                    "x",
                ),
                (2, *[None] * 10),
                (3, -(2**63), 12, -0.0, 0, "0001-01-01", "9999-12-31 23:59:59.999999", "", b"", "", 5),
            ],
        )
    connection.close()
    take(table(f"sqlite:///{path}", "torture"), lake)
    first, empty, third = bronze(lake, NAME).sort("id").rows(named=True)
    assert (first["n"], first["d"], first["f"], first["ok"]) == (2**63 - 1, Decimal("0.10"), 0.1, True)
    assert (first["day"], first["moment"]) == (date(2026, 2, 28), datetime(2026, 2, 28, 10, 0, 0, 500000))
    assert (first["t"], first["b"], first["x"]) == ("ü\n", b"\0", "x")
    assert (third["d"], third["ok"], third["moment"].microsecond) == (Decimal(12), False, 999999)
    assert {empty[name] for name in empty if not name.startswith("_")} == {2, None}


def test_a_value_that_does_not_fit_is_refused_by_name_or_kept_beside(tmp_path: Path, lake: Lake) -> None:
    url = f"sqlite:///{tmp_path / 't.db'}"
    sqlite3.connect(tmp_path / "t.db").close()
    run(url, "CREATE TABLE rows_t (id INTEGER PRIMARY KEY, day DATE, d DECIMAL(6,2))")
    run(url, "INSERT INTO rows_t VALUES (1, '0000-00-00', 1.005), (2, '2026-01-05', 1.5)")
    with pytest.raises(ValueRefused, match="0000-00-00") as caught:
        take(table(url), lake)
    assert "day of rows_t" in caught.value.where
    take(table(url, extremes="beside"), lake)
    rows = bronze(lake, NAME).sort("id").select("day", "day_text", "d", "d_text").rows()
    assert rows == [
        (None, "0000-00-00", None, "1.005"),
        (date(2026, 1, 5), None, Decimal("1.50"), None),
    ]


def test_a_zero_date_of_mariadb_is_refused_by_name(maria: str, lake: Lake) -> None:
    run(
        maria,
        "SET sql_mode = ''",
        "CREATE TABLE rows_t (id INTEGER PRIMARY KEY, day DATE)",
        "INSERT INTO rows_t VALUES (1, '0000-00-00')",
    )
    with pytest.raises(ValueRefused, match="0000-00-00"):
        take(table(maria), lake)


def test_an_incremental_reading_takes_each_row_once_though_many_share_a_moment(url: str, lake: Lake) -> None:
    make(url)
    insert(url, 1, 5)
    source = table(url, cursor="at", batch_rows=2)
    assert take(source, lake).landed == 5
    insert(url, 6, 7)
    insert(url, 8, 9, "2026-01-05 08:00:00.500000")
    report = take(table(url, cursor="at"), lake)
    assert (report.landed, ids(lake)) == (4, list(range(1, 10)))
    assert take(table(url, cursor="at"), lake).landed == 0


def test_a_changed_row_comes_again_and_one_without_a_cursor_is_counted(url: str, lake: Lake) -> None:
    make(url)
    insert(url, 1, 3)
    run(url, "INSERT INTO rows_t VALUES (4, 'x', NULL)")
    assert take(table(url, cursor="at"), lake).unplaced == 1
    run(url, "UPDATE rows_t SET v = 'new', at = '2026-01-06 08:00:00' WHERE id = 2")
    assert take(table(url, cursor="at"), lake).landed == 1
    assert ids(lake) == [1, 2, 2, 3]


def test_a_reading_that_is_cut_off_goes_on_at_its_last_batch(url: str, lake: Lake) -> None:
    make(url)
    insert(url, 1, 9)

    class Stopped(Exception):
        pass

    def stop(report: LandingReport) -> None:
        if report.batches:
            raise Stopped

    for _ in range(4):
        with pytest.raises(Stopped):
            land(Landing(lake, NAME, NAME, "run"), table(url, cursor="id", batch_rows=2), on_batch=stop)
    take(table(url, cursor="id", batch_rows=2), lake)
    assert ids(lake) == list(range(1, 10))


def test_rows_that_commit_late_are_within_the_commit_lag(url: str, lake: Lake) -> None:
    """What is younger than the lag, by the database's own clock, is left for the next run."""
    make(url)
    insert(url, 1, 1)
    now = "datetime('now')" if url.startswith("sqlite") else "NOW()"
    run(url, f"INSERT INTO rows_t VALUES (2, 'x', {now})")
    take(table(url, cursor="at", commit_lag_s=3600), lake)
    assert ids(lake) == [1]


def test_a_window_and_keys(url: str, lake: Lake) -> None:
    make(url)
    for number in range(1, 5):
        insert(url, number, number, f"2026-01-0{number} 08:00:00")
    window = Window(start=datetime(2026, 1, 2, 8, tzinfo=UTC), end=datetime(2026, 1, 4, 8, tzinfo=UTC))
    take(table(url, cursor="at", window=window), lake)
    assert ids(lake) == [2, 3]
    keys = pl.concat(pl.DataFrame(rows) for rows in table(url).read_keys())
    assert keys.schema == {"id": pl.Int64()}
    assert sorted(keys.get_column("id")) == [1, 2, 3, 4]


def test_very_many_rows_of_one_moment_are_passed_by_their_key(
    maria: str, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that marks do not fill the checkpoint; where the key is text with odd characters, too."""
    monkeypatch.setattr("headworks.sources.sql.marks.MOST_MARKS", 3)
    run(
        maria,
        "CREATE TABLE rows_t (k VARCHAR(20) COLLATE utf8mb4_bin, n INTEGER, at DATETIME, PRIMARY KEY (k, n))",
        "INSERT INTO rows_t VALUES "
        + ", ".join(f"('k%%''\\\\{n % 3}', {n}, '2026-01-05 08:00:00')" for n in range(20)),
    )
    source = table(maria, cursor="at", batch_rows=5)

    class Stopped(Exception):
        pass

    def stop(report: LandingReport) -> None:
        if report.batches:
            raise Stopped

    for _ in range(3):
        with pytest.raises(Stopped):
            land(Landing(lake, NAME, NAME, "run"), source, on_batch=stop)
    take(source, lake)
    assert sorted(bronze(lake, NAME).get_column("n").to_list()) == list(range(20))


def test_mariadb_streams_one_snapshot_while_others_write(mariadb: MariaDb, maria: str) -> None:
    make(maria)
    insert(maria, 1, 1000)
    batches = table(maria, batch_rows=100).read(None, None)
    first = next(batches)
    run(maria, "DELETE FROM rows_t")
    assert first.read + sum(batch.read for batch in batches) == 1000


def test_all_readings_of_a_run_share_one_pool(url: str) -> None:
    make(url)
    insert(url, 1, 3)
    made = 0

    def count(*_: Any) -> None:
        nonlocal made
        made += 1

    event.listen(Pool, "connect", count)
    try:
        with shared_engine(settings(url), "run-1") as engine:
            for _ in range(5):
                assert sum(batch.read for batch in table(url, run_id="run-1").read(None, None)) == 3
            with shared_engine(settings(url), "run-1") as other:
                assert other is engine
    finally:
        event.remove(Pool, "connect", count)
    assert made == 1


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ({"password": "wrong"}, CredentialsRefused, "reader"),
        ({"database": "nowhere"}, HeadworksError, "nowhere"),
        ({"port": 1}, SourceUnavailable, "127.0.0.1"),
        ({"table": "secrets"}, HeadworksError, "secrets"),
        ({"table": "nothing"}, CredentialsRefused, "nothing"),
        ({"cursor": "when"}, SourceMissing, "when"),
        ({"cursor": "v"}, SettingsError, "cannot be read by"),
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
    told = f"{caught.value} {caught.value.__cause__}"
    assert says in str(caught.value)
    assert SECRET not in told
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


def test_a_query_is_refused_where_only_tables_can_be_described(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "t.db").close()
    source = DialectTable(settings(f"sqlite:///{tmp_path / 't.db'}"), Table(query="SELECT 1 AS one"))
    with pytest.raises(SettingsError, match="view"):
        list(source.read(None, None))


def test_the_reader_is_chosen_by_the_urls_kind(tmp_path: Path) -> None:
    assert isinstance(reader_of(settings("postgresql://h/d"), Table(name="t")), PostgresTable)
    assert isinstance(reader_of(settings(f"sqlite:///{tmp_path}/t.db"), Table(name="t")), DialectTable)
    with pytest.raises(SettingsError) as caught:
        reader_of(settings(f"{SECRET} is no url"), Table(name="t"))
    assert SECRET not in str(caught.value)


def test_a_lookback_finds_rows_that_were_written_late(url: str, lake: Lake) -> None:
    make(url)
    insert(url, 1, 3)
    take(table(url, cursor="at", lookback_s=60), lake)
    late = datetime(2026, 1, 5, 8) - timedelta(seconds=30)
    insert(url, 4, 4, late.isoformat(" "))
    assert take(table(url, cursor="at", lookback_s=60), lake).landed == 1
    assert ids(lake) == [1, 2, 3, 4]
