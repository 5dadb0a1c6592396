"""Each type of SQLite and MariaDB lands value for value through the reader for any database."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headworks.bronze.landing import Landing, land
from headworks.storage.store import Lake
from tests.support.dialects import NAME, run, table, take
from tests.support.items import bronze
from tests.support.mariadb import MariaDb

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
    report = take(table(url), lake)
    assert (report.read, report.landed, report.refused) == (2, 1, 1)
    assert any("column day" in each and "0000-00-00 in the row of id 1" in each for each in report.warnings)
    land(Landing(lake, "t.beside", "t.beside", "run"), table(url, extremes="beside"))
    rows = bronze(lake, "t.beside").sort("id").select("day", "day_text", "d", "d_text").rows()
    assert rows == [
        (None, "0000-00-00", None, "1.005"),
        (date(2026, 1, 5), None, Decimal("1.50"), None),
    ]


@given(
    scale=st.integers(0, 10),
    numbers=st.lists(st.integers(-(10**15) + 1, 10**15 - 1) | st.none(), min_size=1, max_size=20),
)
def test_decimals_of_fifteen_digits_that_sqlite_keeps_as_floats_come_exactly(
    tmp_path_factory: pytest.TempPathFactory, scale: int, numbers: list[int | None]
) -> None:
    wanted = [None if number is None else Decimal(number).scaleb(-scale) for number in numbers]
    path = tmp_path_factory.mktemp("floats") / "t.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE rows_t (id INTEGER PRIMARY KEY, d DECIMAL(15,{scale}))")
        connection.executemany(
            "INSERT INTO rows_t VALUES (?, ?)",
            [(place, None if value is None else float(value)) for place, value in enumerate(wanted)],
        )
    connection.close()
    frames = [pl.DataFrame(batch.frame) for batch in table(f"sqlite:///{path}").read(None, None)]
    assert pl.concat(frames).sort("id").get_column("d").to_list() == wanted


def test_a_zero_date_of_mariadb_is_refused_by_name(maria: str, lake: Lake) -> None:
    run(
        maria,
        "SET sql_mode = ''",
        "CREATE TABLE rows_t (id INTEGER PRIMARY KEY, day DATE)",
        "INSERT INTO rows_t VALUES (1, '0000-00-00')",
    )
    report = take(table(maria), lake)
    assert (report.landed, report.refused) == (0, 1)
    assert "0000-00-00" in report.warnings[0]
