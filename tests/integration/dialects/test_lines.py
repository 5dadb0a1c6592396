"""Rows that MariaDB writes as lines are, value for value, the rows that its driver hands out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from headworks.storage.store import Lake
from tests.support.dialects import NAME, run, table, take
from tests.support.items import bronze
from tests.support.mariadb import MariaDb

TABLES = int(os.environ.get("HEADWORKS_TABLES", "25"))
NASTY = "\\N\n\t\r\\\"'%s\0\x1aü😀 \b"
TEXT = st.text(st.sampled_from(NASTY + "ab"), max_size=12) | st.sampled_from(["", "\\N", "NULL", "\\\\N"])
MOMENT = st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1)) | st.sampled_from([datetime(2026, 1, 1)])
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "BIGINT": st.integers(-(2**63), 2**63 - 1),
    "BIGINT UNSIGNED": st.integers(0, 2**64 - 1),
    "TINYINT(1)": st.integers(-128, 127),
    "INT(7) UNSIGNED ZEROFILL": st.integers(0, 2**32 - 1),
    "DECIMAL(15,2)": st.decimals(places=2, min_value=-(10**13) + 1, max_value=10**13 - 1),
    "DECIMAL(38,10)": st.decimals(places=10, min_value=-(10**27), max_value=10**27),
    "DECIMAL(65,0)": st.integers(-(10**65) + 1, 10**65 - 1).map(Decimal),
    "DOUBLE": st.floats(allow_nan=False, allow_infinity=False),
    "DOUBLE(12,3)": st.floats(-1e8, 1e8),
    "FLOAT": st.floats(-(2.0**99), 2.0**99, width=32),
    "DATE": st.dates(date(1, 1, 1)),
    "DATETIME": MOMENT.map(lambda moment: moment.replace(microsecond=0)),
    "DATETIME(6)": st.datetimes(datetime(1, 1, 1)),
    "TIMESTAMP(6) NULL": MOMENT,
    "TIME(3)": st.sampled_from(["-838:59:59.000", "00:00:00.001", "23:59:59.999"]),
    "YEAR": st.integers(1901, 2155),
    "CHAR(20)": TEXT,
    "VARCHAR(20)": TEXT,
    "VARCHAR(20) COLLATE utf8mb4_bin": TEXT,
    "VARCHAR(20) CHARACTER SET latin1": st.text("abü\\\t\n\0", max_size=12),
    "VARCHAR(20) CHARACTER SET utf16": TEXT,
    "TEXT": TEXT,
    "TINYTEXT": TEXT,
    "LONGTEXT": TEXT,
    "JSON": st.just('{"a": "\\t"}'),
    "ENUM('a','\\\\N','ü\\t')": st.sampled_from(["a", "\\N", "ü\t"]),
    "SET('x','y\\\\')": st.sampled_from(["", "x", "x,y\\"]),
    "VARBINARY(9)": st.binary(max_size=9),
    "BLOB": st.binary(max_size=9),
    "BIT(9)": st.integers(0, 511).map(lambda number: number.to_bytes(2, "big")),
    "UUID": st.uuids().map(str),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Make the types of a table's columns, and its rows."""
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=8))
    row = st.tuples(*(KINDS[kind] | st.none() for kind in kinds))
    return kinds, draw(st.lists(row, max_size=6))


@settings(max_examples=TABLES)
@given(made=tables())
def test_any_table_comes_as_the_driver_hands_it_out(
    mariadb: MariaDb, made: tuple[list[str], list[tuple[Any, ...]]]
) -> None:
    kinds, rows = made
    name = mariadb.new_database()
    with mariadb.connect(name) as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00', sql_mode = ''")
        columns = ", ".join(f"c{place} {kind}" for place, kind in enumerate(kinds))
        cursor.execute(f"CREATE TABLE rows_t (id INTEGER PRIMARY KEY, {columns})")
        holes = ", ".join(["%s"] * (len(kinds) + 1))
        for number, row in enumerate(rows):
            cursor.execute(f"INSERT INTO rows_t VALUES ({holes})", (number, *row))
        # Spans are handed out as a number of seconds; as they are written, by a cast. Of a FLOAT six digits are.
        wanted = ", ".join(
            f"CAST(c{place} AS {'DOUBLE' if kind == 'FLOAT' else 'CHAR'})"
            if kind == "FLOAT" or kind.startswith("TIME(")
            else f"c{place}"
            for place, kind in enumerate(kinds)
        )
        cursor.execute(f"SELECT id, {wanted} FROM rows_t ORDER BY id")
        handed = cursor.fetchall()
    frame = read(mariadb.url(name))
    run(mariadb.url(name), f"DROP DATABASE {name}")
    expected = [(key, *map(_as_bronze_has_it, kinds, values)) for key, *values in handed]
    assert frame.sort("id").rows() == expected


def read(url: str) -> pl.DataFrame:
    """Read the whole table without landing it."""
    frames = [pl.DataFrame(batch.frame) for batch in table(url).read(None, None)]
    return pl.concat(frames)


def _as_bronze_has_it(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == "BIGINT UNSIGNED":
        return Decimal(value)
    if kind == "DECIMAL(65,0)":
        return str(value)
    if kind.startswith("TIMESTAMP"):
        return value.replace(tzinfo=UTC)
    return value


def test_days_that_no_calendar_has_are_kept_beside_and_the_rest_of_the_block_is_exact(
    maria: str, lake: Lake
) -> None:
    run(
        maria,
        "SET sql_mode = ''",
        "CREATE TABLE rows_t (id INTEGER PRIMARY KEY, day DATE, at DATETIME(6), d DECIMAL(6,2), v VARCHAR(9))",
        "INSERT INTO rows_t VALUES (1, '0000-00-00', '2026-01-05 08:00:00.5', 1.25, 'a\\tb'), "
        "(2, '0000-01-01', '0000-00-00 00:00:00', -0.01, '\\\\N'), (3, '2026-02-00', NULL, NULL, NULL), "
        "(4, '0001-01-01', '9999-12-31 23:59:59.999999', 9999.99, '')",
    )
    take(table(maria, extremes="beside"), lake)
    rows = bronze(lake, NAME).sort("id").select("day", "day_text", "at", "at_text", "d", "v").rows()
    assert rows == [
        (None, "0000-00-00", datetime(2026, 1, 5, 8, 0, 0, 500000), None, Decimal("1.25"), "a\tb"),
        (None, "0000-01-01", None, "0000-00-00 00:00:00.000000", Decimal("-0.01"), "\\N"),
        (None, "2026-02-00", None, None, None, None),
        (date(1, 1, 1), None, datetime(9999, 12, 31, 23, 59, 59, 999999), None, Decimal("9999.99"), ""),
    ]


@contextmanager
def set_globally(mariadb: MariaDb, name: str, value: str) -> Iterator[None]:
    """Have new connections see another setting of the server."""
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT @@GLOBAL.{name}")
        before = cursor.fetchone()[0]
        cursor.execute(f"SET GLOBAL {name} = {value}")
        try:
            yield
        finally:
            cursor.execute(f"SET GLOBAL {name} = %s", (before,))


def test_a_server_without_backslash_escapes_changes_nothing(mariadb: MariaDb, maria: str, lake: Lake) -> None:
    run(maria, "CREATE TABLE rows_t (id INTEGER PRIMARY KEY, v VARCHAR(20), n INTEGER)")
    run(maria, "INSERT INTO rows_t VALUES (1, 'a\\\\n\\tb\\nc', 5), (2, '\\\\N', NULL), (3, NULL, 7)")
    with set_globally(mariadb, "sql_mode", "CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')"):
        take(table(maria), lake)
    rows = bronze(lake, NAME).sort("id").select("v", "n").rows()
    assert rows == [("a\\n\tb\nc", 5), ("\\N", None), (None, 7)]


def test_texts_near_to_what_the_server_can_make_are_whole(mariadb: MariaDb, maria: str, lake: Lake) -> None:
    long, escaped = "ü" * 30_000, "\t" * 60_000
    with mariadb.connect(maria.rpartition("/")[2]) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE rows_t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, c LONGTEXT, n INTEGER)")
        cursor.execute("INSERT INTO rows_t VALUES (1, %s, %s, %s, 5)", (long, escaped, escaped * 3))
    with set_globally(mariadb, "max_allowed_packet", "65536"):
        take(table(maria), lake)
    for frame in (bronze(lake, NAME), read(maria)):
        assert frame.select("a", "b", "c", "n").rows() == [(long, escaped, escaped * 3, 5)]
