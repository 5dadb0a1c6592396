"""Values of MariaDB and SQLite, and of later types over three runs: equal, kept next to it, or refused by column."""

from __future__ import annotations

import itertools
import os
import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from headworks.bronze.ingest import IngestRequest, ingest
from headworks.bronze.readers import TableIngest
from headworks.errors import SchemaChanged, SourceMissing
from headworks.sources.sql.catalogue import SchemaTables, choose_tables
from headworks.sources.sql.dialect import DialectTable
from headworks.storage.store import Lake
from tests.support.dialects import NAME, run, settings, table, take
from tests.support.items import bronze
from tests.support.mariadb import MariaDb

PAIRS = int(os.environ.get("HEADWORKS_TYPE_PAIRS", "24"))


def test_a_float_of_mariadb_comes_with_all_of_its_digits(mariadb: MariaDb, maria: str, lake: Lake) -> None:
    """Alone and in lines, extremes and made-up ones; as the server itself widens them."""
    random = Random(5)
    values = [16777216, 123456.789, 1e-40, 3.4e38, -0.1, *(random.uniform(-1e6, 1e6) for _ in range(40))]
    run(
        maria,
        "CREATE TABLE rows_t (id INTEGER PRIMARY KEY, x FLOAT, v VARCHAR(5))",
        "CREATE TABLE alone (x FLOAT)",
    )
    rows = ", ".join(f"({number}, {value!r}, 'v')" for number, value in enumerate(values))
    run(maria, f"INSERT INTO rows_t VALUES {rows}", "INSERT INTO alone SELECT x FROM rows_t")
    with mariadb.connect(maria.rpartition("/")[2]) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT CAST(x AS DOUBLE) FROM rows_t ORDER BY id")
        wanted = [value for (value,) in cursor.fetchall()]
    take(table(maria), lake)
    assert bronze(lake, NAME).sort("id").get_column("x").to_list() == wanted
    alone = pl.concat(pl.DataFrame(batch.frame) for batch in table(maria, "alone").read(None, None))
    assert sorted(alone.get_column("x")) == sorted(wanted)


def test_names_of_columns_with_any_character_and_unsigned_cursors(maria: str, lake: Lake) -> None:
    run(
        maria,
        "CREATE TABLE rows_t (id BIGINT UNSIGNED PRIMARY KEY, `a``b` INT, `c``````d` FLOAT, `e%%f` TEXT, `g:h` INT)",
        "INSERT INTO rows_t VALUES (18446744073709551614, 1, 0.5, 'x', 2), (3, 4, 5, 'y', 6)",
    )
    source = table(maria, cursor="id")
    assert take(source, lake).landed == 2
    run(maria, "INSERT INTO rows_t VALUES (18446744073709551615, 7, 8, 'z', 9)")
    assert take(table(maria, cursor="id"), lake).landed == 1
    assert take(table(maria, cursor="id"), lake).landed == 0
    rows = bronze(lake, NAME).sort("id").select("a`b", "c```d", "e%f", "g:h").rows()
    assert rows == [(4, 5.0, "y", 6), (1, 0.5, "x", 2), (7, 8.0, "z", 9)]


LOOSE: list[tuple[str, Any, Any, bool]] = [
    # The column's type, a value that SQLite holds in it, what lands, and whether that is the value.
    ("INTEGER", "abc", None, False),
    ("INTEGER", 2.5, None, False),
    ("INTEGER", 2**63 - 1, 2**63 - 1, True),
    ("BOOLEAN", 2, None, False),
    ("BOOLEAN", 1, True, True),
    ("REAL", "abc", None, False),
    ("REAL", 1e308, 1e308, True),
    ("DATE", "24-02-03", None, False),
    ("DATE", "2024-02-30", None, False),
    ("DATE", "2024-02-03", date(2024, 2, 3), True),
    ("DATE", "0024-02-03", date(24, 2, 3), True),
    ("DATE", 20240203, None, False),
    ("DATETIME", "24-02-03 10:00:00", None, False),
    ("DATETIME", "2024-02-03 10:00:00.1234567", None, False),
    ("DATETIME", "2024-02-03 10:00:00.123456", datetime(2024, 2, 3, 10, 0, 0, 123456), True),
    ("DATETIME", 1706954400, None, False),
    ("DECIMAL(6,2)", "1.005", None, False),
    ("DECIMAL(6,2)", "12345.5", None, False),
]


@pytest.mark.parametrize(("kind", "value", "landed", "held"), LOOSE)
def test_a_value_of_another_type_is_kept_beside_by_name_and_its_neighbours_land(
    tmp_path: Path, lake: Lake, kind: str, value: Any, landed: Any, held: bool
) -> None:
    """In three runs by a cursor; refused, the warning names column and row, and what it advises helps."""
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE rows_t (id INTEGER PRIMARY KEY, x {kind})")
        connection.execute("INSERT INTO rows_t VALUES (1, NULL)")
        connection.execute("INSERT INTO rows_t VALUES (2, ?)", (value,))
        (stored,) = connection.execute("SELECT x FROM rows_t WHERE id = 2").fetchone()
    url = f"sqlite:///{path}"
    aside = isinstance(value, int | float) if kind in {"DATE", "DATETIME"} else value in ("abc", 2.5)
    if aside:
        *batches, last = table(url, cursor="id").read(None, None)
        rows = pl.concat(pl.DataFrame(batch.frame) for batch in batches).select("id", "x", "x_text").rows()
        assert rows == [(1, None, None), (2, None, str(stored))]
        assert "column x has values of another type" in last.warnings[0]
    elif not held:
        *batches, last = table(url, cursor="id").read(None, None)
        assert [(batch.landed, batch.refused) for batch in batches] == [(1, 1)]
        assert any("column x" in each and '"beside"' in each and "id 2" in each for each in last.warnings)
    for number in (3, 4, 5):
        take(table(url, cursor="id", extremes="beside"), lake)
        run(url, f"INSERT INTO rows_t VALUES ({number}, NULL)")
    rows = bronze(lake, NAME).sort("id").select("id", "x", "x_text").rows()
    assert rows[0] == (1, None, None)
    assert rows[1] == ((2, landed, None) if held else (2, None, str(stored)))
    assert [number for number, _, _ in rows] == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["TEXT", "VARCHAR(10)", "JSON", "CLOB", ""])
@pytest.mark.parametrize("onwards", [True, False], ids=["onwards", "whole"])
def test_bytes_in_a_column_of_text_land_as_bytes_next_to_it_and_are_never_read_as_text(
    tmp_path: Path, lake: Lake, kind: str, onwards: bool
) -> None:
    """Also where they could be read as text; over three runs, in one of which the first of them comes."""
    path, cursor = tmp_path / "shop.db", "id" if onwards else None
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE rows_t (id INTEGER PRIMARY KEY, x {kind})")
        connection.execute("INSERT INTO rows_t VALUES (1, 'abc')")
    take(table(f"sqlite:///{path}", cursor=cursor), lake)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO rows_t VALUES (2, ?), (3, ?), (4, 'é')", (b"abc", b"\xff\x00"))
    *batches, last = table(f"sqlite:///{path}", cursor=cursor).read(None, None)
    found = pl.concat(pl.DataFrame(batch.frame) for batch in batches)
    wanted = [("abc", None), (None, "x'616263'"), (None, "x'ff00'"), ("é", None)]
    assert found.sort("id").select("x", "x_text").rows() == wanted
    assert any("column x has values of another type" in each for each in last.warnings)
    if onwards:
        take(table(f"sqlite:///{path}", cursor=cursor), lake)
        assert bronze(lake, NAME).sort("id").select("x", "x_text").rows() == wanted


@pytest.mark.parametrize("place", ["x", "key"])
def test_a_text_that_is_no_utf_8_refuses_its_row_and_its_neighbours_land(
    tmp_path: Path, lake: Lake, place: str
) -> None:
    path = tmp_path / "shop.db"
    key, x = ("CAST(x'ff' AS TEXT)", "'v'") if place == "key" else ("'b'", "CAST(x'61ff' AS TEXT)")
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE rows_t (key TEXT PRIMARY KEY, x TEXT, n INTEGER)")
        connection.execute(f"INSERT INTO rows_t VALUES ('a', 'v', 1), ({key}, {x}, 2), ('c', 'v', 3)")
    for number in (4, 5, 6):
        report = take(table(f"sqlite:///{path}", cursor="n"), lake)
        if number == 4:
            assert (report.landed, report.refused) == (2, 1)
            assert any(f"column {place}" in each and "hex(" in each for each in report.warnings)
        run(f"sqlite:///{path}", f"INSERT INTO rows_t VALUES ('k{number}', 'v', {number})")
    rows = bronze(lake, NAME)
    assert rows.filter(pl.col("_refused").is_null()).sort("n").get_column("n").to_list() == [1, 3, 4, 5]
    assert rows.filter(pl.col("_refused").is_not_null()).get_column("_refused").to_list() == [
        f"{place}|unreadable"
    ]


def test_a_run_that_only_the_commit_lag_bounds_says_so_once_in_its_account(
    tmp_path: Path, lake: Lake
) -> None:
    """In each of three runs by a moment; a run by a number, and a whole one, have no such bound."""
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE rows_t (id INTEGER PRIMARY KEY, at DATETIME)")
    for number in range(1, 4):
        run(f"sqlite:///{path}", f"INSERT INTO rows_t VALUES ({number}, '2026-01-0{number} 08:00:00')")
        report = take(table(f"sqlite:///{path}", cursor="at"), lake)
        assert report.landed == 1
        assert len([each for each in report.warnings if "commit lag alone" in each]) == 1
    for cursor in ("id", None):
        *_, last = table(f"sqlite:///{path}", cursor=cursor).read(None, None)
        assert not any("commit lag" in each for each in last.warnings)


def test_a_cursor_of_another_type_is_counted_and_not_read_each_time(tmp_path: Path, lake: Lake) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE rows_t (id INTEGER PRIMARY KEY, n INTEGER, at DATETIME)")
        connection.execute(
            "INSERT INTO rows_t VALUES (1, 7, '2026-01-05 08:00:00'), (2, 7.5, 5), (3, 'x', NULL)"
        )
    for cursor in ("n", "at"):
        for _ in range(3):
            batches = list(table(f"sqlite:///{path}", cursor=cursor, extremes="beside").read(None, None))
            assert (sum(batch.height for batch in batches), batches[-1].null_cursor) == (1, 2)


def test_the_tables_of_a_schema_are_chosen_in_any_database(url: str) -> None:
    run(
        url,
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, at DATETIME)",
        "CREATE TABLE parts (id INTEGER PRIMARY KEY)",
        "CREATE TABLE tmp_1 (id INTEGER PRIMARY KEY)",
    )
    own = "main" if url.startswith("sqlite") else url.rpartition("/")[2]
    for schema in (None, own):
        wanted = SchemaTables(schema_name=schema, exclude=("tmp*",), cursor="at")
        chosen = choose_tables(settings(url), wanted, "raw")
        found = [(each.dataset, each.table.cursor) for each in chosen]
        assert found == [("raw.orders", "at"), ("raw.parts", None)]
        for each in chosen:
            batches = list(table(url, **each.table.model_dump(exclude={"columns", "key"})).read(None, None))
            assert batches[-1].read == 0
    with pytest.raises(SourceMissing, match="its tables are: orders, parts, tmp_1"):
        choose_tables(settings(url), SchemaTables(include=("x*",)), "raw")


# The type, and values of it as the database is given them.
TYPES: dict[str, dict[str, list[str]]] = {
    "mariadb": {
        "INT": ["-2147483648", "2147483647"],
        "INT UNSIGNED": ["4294967295"],
        "BIGINT": ["9223372036854775807", "9007199254740993"],
        "BIGINT UNSIGNED": ["18446744073709551615"],
        "FLOAT": ["0.1", "16777216"],
        "DOUBLE": ["0.1", "1e300"],
        "DECIMAL(10,2)": ["30.57", "-99999999.99"],
        "DECIMAL(14,4)": ["30.5678", "9999999999.9999"],
        "VARCHAR(40)": ["'007'", "'2.75'"],
        "DATE": ["'2024-02-03'"],
        "DATETIME(6)": ["'2024-02-03 10:00:00.123456'"],
        "TIMESTAMP(6)": ["'2024-02-03 10:00:00.123456'"],
        "TIME(6)": ["'10:00:00.123456'"],
        "BIT(8)": ["b'101'"],
        "VARBINARY(9)": ["x'00ff'"],
    },
    "sqlite": {
        "INTEGER": ["-9223372036854775808", "9223372036854775807"],
        "REAL": ["0.1", "1e300"],
        "DECIMAL(10,2)": ["30.57"],
        "DECIMAL(14,4)": ["30.5678"],
        "VARCHAR(40)": ["'007'"],
        "BOOLEAN": ["1", "0"],
        "DATE": ["'2024-02-03'"],
        "DATETIME": ["'2024-02-03 10:00:00.123456'"],
        "BLOB": ["x'00ff'"],
    },
}
CASES = [
    (engine, before, after)
    for engine, kinds in TYPES.items()
    for before, after in Random(3).sample(
        list(itertools.permutations(kinds, 2)), min(PAIRS // 2, len(kinds) * (len(kinds) - 1))
    )
]


def refused(lake: Lake, source: DialectTable, number: int) -> str | None:
    """Read a table whole into bronze; returns why that was refused, None where it was not."""
    try:
        ingest(IngestRequest(lake, NAME, f"run {number}", mode="full"), TableIngest(source))
    except SchemaChanged as problem:
        return str(problem)
    return None


@pytest.mark.sampled(10)
@pytest.mark.parametrize(("engine", "before", "after"), CASES)
def test_a_column_of_another_type_in_a_later_run_widens_or_is_refused_and_nothing_is_cast(
    engine: str, before: str, after: str, tmp_path: Path, lake: Lake, request: pytest.FixtureRequest
) -> None:
    """One run of the first type, two of the second: what landed of each is what a first run of that type lands."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    if engine == "mariadb":
        server: MariaDb = request.getfixturevalue("mariadb")
        url = server.url(server.new_database())
    kinds = TYPES[engine]
    expected: list[Any] = []
    for number, kind in enumerate([before, after, after]):
        run(url, "DROP TABLE IF EXISTS rows_t", f"CREATE TABLE rows_t (id INTEGER PRIMARY KEY, x {kind})")
        rows = ", ".join(f"({number * 10 + place}, {value})" for place, value in enumerate(kinds[kind]))
        run(url, f"INSERT INTO rows_t VALUES {rows}")
        alone = pl.concat(pl.DataFrame(batch.frame) for batch in table(url).read(None, None))
        refusal = refused(lake, table(url), number)
        if refusal:
            dtypes = [str(bronze(lake, NAME).schema["x"]), str(alone.schema["x"])]
            assert all(word in refusal for word in ("x was", *dtypes, "What to do"))
            break
        expected += alone.sort("id").get_column("x").to_list()
    found = bronze(lake, NAME).sort("id").get_column("x").to_list()
    assert found == expected


def test_a_moment_within_an_hour_of_the_present_is_no_reason_to_wait(url: str) -> None:
    """A clock without a zone and a date: nothing that is older than the lag waits."""
    run(url, "CREATE TABLE rows_t (id INTEGER PRIMARY KEY, at DATETIME, day DATE)")
    now = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=2)
    run(url, f"INSERT INTO rows_t VALUES (1, '{now.isoformat(' ', 'seconds')}', '2026-01-01')")
    for cursor in ("at", "day"):
        assert sum(batch.height for batch in table(url, cursor=cursor).read(None, None)) == 1
