"""Each type of Postgres lands value for value: natively where there is a type for it, else as Postgres prints it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headworks.settings import DatabaseSettings, LakeSettings
from headworks.storage.store import Lake
from tests.support.databases import comparable, landed, shown, source, take

EXAMPLES = int(os.environ.get("HEADWORKS_TABLES", "12"))
"""How many made-up tables are ingested; ``make test-tables`` takes in 300."""

_CONTROLS = "".join(chr(code) for code in range(1, 32)) + "\x7f\x85\u2028\u2029\ufeff\U0001f30a"

TORTURE: dict[str, list[str | None]] = {
    "bool": ["t", "f"],
    "int2": ["-32768", "32767"],
    "int4": ["-2147483648", "2147483647"],
    "int8": ["-9223372036854775808", "9223372036854775807"],
    "oid": ["0", "4294967295"],
    "float4": ["NaN", "Infinity", "-Infinity", "3.4028235e+38", "1e-45", "-0", "0.1"],
    "float8": ["NaN", "Infinity", "-Infinity", "1.7976931348623157e+308", "5e-324", "-0", "0.1"],
    "numeric(15,2)": ["0", "-9999999999999.99", "9999999999999.99", "0.01"],
    "numeric(38,18)": ["12345678901234567890.123456789012345678", "-0.000000000000000001"],
    "numeric(38,0)": ["9" * 38, "-" + "9" * 38],
    "numeric(3,5)": ["0.00999", "-0.00001"],
    "numeric(5,-2)": ["1234500", "-100"],
    "numeric": ["NaN", "Infinity", "-Infinity", "1e1000", "0.1", "1.10", "9" * 50],
    "numeric(60,20)": ["9" * 40 + "." + "1" * 20, "NaN"],
    "text": ["", "\\N", "\\", "\\\\n", "a\tb", "\r\n", _CONTROLS, "NULL", " padded ", '"quoted","', "ß漢"],
    "varchar(7)": ["", "seven 7"],
    "char(5)": ["a", "", "12345"],
    '"char"': ["a", "\\"],
    "name": ["a name"],
    "bytea": ["\\x", "\\x00", "\\xdeadbeef5c5c0a09"],
    "date": ["0001-01-01", "9999-12-31", "1970-01-01", "2024-02-29"],
    "timestamp": ["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "2024-02-29 12:00:00.1"],
    "timestamptz": ["0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00", "2024-03-31 02:30:00+02"],
    "time": ["00:00:00", "24:00:00", "23:59:59.999999"],
    "timetz": ["00:00:00+14", "23:59:59.999999-12"],
    "interval": ["0", "-1 year 2 mons -3 days 04:05:06.789", "178000000 years"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "json": ['{"a":  "\\\\ \\n", "a": 1}', "null", '"\\u0041"'],
    "jsonb": ['{"a": "\\\\ \\n\\t"}', "null", "[1e3, 0.10]"],
    "int4[]": ["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[5:6]={7,8}"],
    "text[]": ["{}", '{"a,b","\\"","\\\\",NULL,"NULL",""}', "{a\tb}"],
    "mood": ["sad", "o k", "it's \\ fine"],
    "inet": ["192.168.0.1", "::1/64"],
    "cidr": ["10.0.0.0/8"],
    "macaddr": ["08:00:2b:01:02:03"],
    "bit(3)": ["101"],
    "varbit": ["", "10101"],
    "money": ["-92233720368547758.08", "0.01"],
    "int4range": ["empty", "[1,5)", "(,)"],
    "point": ["(1.5,-2)"],
    "tsvector": ["'a':1 'b\\\\':2"],
    "pair": ['(1,"a\\tb")', "(,)"],
    "positive": ["1", "99"],
    "short": ["", "abc"],
    "hstorelike": ["x"],
}
_MADE = """
CREATE TYPE mood AS ENUM ('sad', 'o k', 'it''s \\ fine');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS numeric(10,3) CHECK (VALUE > 0);
CREATE DOMAIN short AS varchar(3);
CREATE DOMAIN hstorelike AS text;
"""


def test_every_type_lands_value_for_value_with_its_extremes_and_nulls(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    connection.execute(_MADE)
    columns = ", ".join(f'"Column {place} ü" {kind}' for place, kind in enumerate(TORTURE))
    connection.execute(f"CREATE TABLE rows ({columns})")
    depth = max(len(values) for values in TORTURE.values()) + 1
    slots = ", ".join(f"%s::{kind}" for kind in TORTURE)
    for row in range(depth):
        values = [(found[row] if row < len(found) else None) for found in TORTURE.values()]
        connection.execute(f"INSERT INTO rows VALUES ({slots})", values)
    (report,) = take(lake, source(database))
    frame = landed(lake)
    assert (report.read, report.landed) == (depth, depth)
    assert comparable(frame.rows()) == shown(database, frame)
    types = dict(zip(TORTURE, frame.dtypes, strict=True))
    assert types["numeric(38,18)"] == pl.Decimal(38, 18)
    assert types["positive"] == pl.Decimal(10, 3)
    assert types["numeric(5,-2)"] == pl.Decimal(7, 0)
    assert types["numeric"] == types["numeric(60,20)"] == types["time"] == types["int4[]"] == pl.String
    assert types["timestamptz"] == pl.Datetime("us", "UTC")
    assert types["bytea"] == pl.Binary


EXTREMES = {
    "date": ["infinity", "-infinity", "0044-03-15 BC", "5874897-12-31"],
    "timestamp": ["infinity", "-infinity", "0044-03-15 12:00:00 BC", "294276-12-31 23:59:59.999999"],
    "timestamptz": ["infinity", "-infinity", "4713-01-01 00:00:00+00 BC", "10000-01-01 00:00:00+00"],
    "numeric(10,2)": ["NaN"],
}


@pytest.mark.parametrize("kind", EXTREMES)
def test_a_value_that_no_type_holds_lands_as_text_beside_its_column(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, kind: str
) -> None:
    connection.execute(f"CREATE TABLE rows (id int, v {kind})")
    plain = {"numeric(10,2)": "1.10"}.get(kind, "2024-01-02")
    values = [None, plain, *EXTREMES[kind]]
    for number, value in enumerate(values):
        connection.execute("INSERT INTO rows VALUES (%s, %s)", [number, value])
    take(lake, source(database, extremes="beside"))
    frame = landed(lake).sort("id")
    assert frame.get_column("v_text").to_list() == [None, None, *EXTREMES[kind]]
    typed = frame.get_column("v")
    assert typed.null_count() == len(values) - 1
    assert str(typed[1]).startswith(plain)


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int2": st.integers(-(2**15), 2**15 - 1),
    "int4": st.integers(-(2**31), 2**31 - 1),
    "int8": st.integers(-(2**63), 2**63 - 1),
    "float4": st.floats(width=32),
    "float8": st.floats(),
    "numeric": st.decimals(allow_nan=False) | st.just(Decimal("NaN")),
    "numeric(12,3)": st.decimals(-(10**9) + 1, 10**9 - 1, places=3),
    "numeric(38,10)": st.decimals(-(10**27), 10**27, places=10),
    "text": _TEXT,
    "char(8)": _TEXT,
    "bytea": st.binary(max_size=8),
    "date": st.dates(),
    "timestamp": st.datetimes(),
    "timestamptz": st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),
    "interval": st.timedeltas(),
    "uuid": st.uuids(),
    "text[]": st.lists(_TEXT | st.none(), max_size=3),
    "int8[]": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
}


@st.composite
def made_tables(draw: st.DrawFn) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Make a table's types and rows."""
    kinds = draw(st.lists(st.sampled_from(sorted(_VALUES)), min_size=1, max_size=8))
    row = st.tuples(*(st.none() | _VALUES[kind] for kind in kinds))
    return kinds, draw(st.lists(row, max_size=12))


def test_made_up_tables_land_value_for_value(
    database: DatabaseSettings, connection: psycopg.Connection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Hypothesis makes the tables; their batches are small, so that rows are cut apart too."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(made_tables())
    def land_and_compare(table: tuple[list[str], list[tuple[Any, ...]]]) -> None:
        kinds, rows = table
        lake = Lake(LakeSettings(root=str(tmp_path_factory.mktemp("lake"))))
        columns = ", ".join(f'"{place}" {kind}' for place, kind in enumerate(kinds))
        connection.execute("DROP TABLE IF EXISTS rows")
        connection.execute(f"CREATE TABLE rows ({columns})")
        slots = ", ".join(f"%s::{kind}" for kind in kinds)
        with connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO rows VALUES ({slots})", [_written(row) for row in rows])
        (report,) = take(lake, source(database, batch_rows=5))
        frame = landed(lake)
        assert report.landed == len(rows)
        assert comparable(frame.rows()) == shown(database, frame)

    land_and_compare()


def _written(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(str(value) if isinstance(value, Decimal) else value for value in row)


_READING = """
import sys
from pydantic import SecretStr
from headworks.bronze.ingest import IngestRequest, ingest
from headworks.storage.store import Lake
from headworks.settings import DatabaseSettings, LakeSettings
from headworks.bronze.readers import TableIngest
from headworks.sources.sql.postgres import PostgresTable
from headworks.sources.sql.table import Table

ingestion = TableIngest(PostgresTable(DatabaseSettings(url=SecretStr(sys.argv[1])), Table(name="rows")))
ingest(IngestRequest(Lake(LakeSettings(root=sys.argv[2])), "t.rows", "run", mode="full"), ingestion)
print("pandas" in sys.modules)
"""


def test_a_table_is_taken_in_without_pandas_which_others_import_in_passing(
    database: DatabaseSettings, connection: psycopg.Connection, tmp_path: Path
) -> None:
    """It would be half a second and 50 MB in every container that only copies a table."""
    pytest.importorskip("pandas")
    connection.execute(
        "CREATE TABLE rows AS SELECT id, nullif(id, 7)::numeric(12,2) AS price, now() AS at, 'ü' AS text "
        "FROM generate_series(1, 1000) id"
    )
    command = [sys.executable, "-c", _READING, database.libpq_url(), str(tmp_path / "lake")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert landed(Lake(LakeSettings(root=str(tmp_path / "lake")))).height == 1000
