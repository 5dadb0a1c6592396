"""Columns of a real Postgres that change from run to run, kept by the database flow's steps in bronze and in silver."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import polars as pl
import psycopg
import pytest

from headworks.bronze.stamping import METADATA
from headworks.errors import SchemaChanged
from headworks.quality.limits import AnomalyLimits
from headworks.settings import DatabaseSettings
from headworks.silver.mirror import mirror
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.support.databases import NAME, comparable, source, take

VALUES: dict[str, list[str]] = {
    "int2": ["32767", "-32768"],
    "int4": ["2147483647", "-2147483648"],
    "int8": ["9223372036854775807", "-9223372036854775808", "9007199254740993"],
    "float4": ["0.1", "3.4028235e38", "NaN", "-Infinity", "1e-45"],
    "float8": ["0.1", "1e300", "NaN", "Infinity", "5e-324"],
    "numeric(6,2)": ["9999.99", "-0.01"],
    "numeric(14,4)": ["9999999999.9999", "30.5678"],
    "numeric(38,10)": ["9999999999999999999999999999.9999999999"],
    "numeric": ["1e-40", "123456789012345678901234567890123456789012345678901"],
    "bool": ["true", "false"],
    "text": ["007", "", "é\t\n\\", "NULL"],
    "varchar(3)": ["007", "abc"],
    "char(5)": ["ab"],
    "date": ["0001-01-01", "9999-12-31"],
    "timestamp": ["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"],
    "timestamptz": ["0001-01-02 00:00:00+00", "9999-12-30 23:59:59.999999+00"],
    "time": ["23:59:59.999999"],
    "interval": ["1 mon 2 days 00:00:00.000001"],
    "bytea": ["\\xff00", "\\x"],
    "uuid": ["0f8fad5b-d9cb-469f-a165-70867728950e"],
    "jsonb": ['{"a": 1.10}'],
    "int4[]": ["{1,NULL}"],
}
PAIRS = sorted(permutations(VALUES, 2))
FLOATS = [("float4", "float8"), ("int4", "float4")]


def kept(lake: Lake) -> None:
    """Keep the newest version of each row, as the flow does."""
    bronze = lake.must_open("bronze", NAME)
    columns = pl.Schema({name: dtype for name, dtype in bronze.schema.items() if name not in METADATA})
    dataset = replace(mirror(NAME, ("id",), columns, "at"), anomalies=AnomalyLimits(enabled=False))
    outcome = refine(Refinement(lake, "run"), dataset)
    assert outcome.report.rejected == 0
    assert outcome.gate is None or outcome.gate.open


def change(connection: psycopg.Connection, kind: str, number: int, *, first: bool) -> dict[int, Any]:
    """Give the column another type and rows of it; returns them as the database shows them."""
    if first:
        connection.execute(f"CREATE TABLE rows (id int PRIMARY KEY, at int NOT NULL, v {kind})".encode())
    else:
        connection.execute(f"ALTER TABLE rows ALTER v TYPE {kind} USING NULL::{kind}".encode())
    for place, value in enumerate([*VALUES[kind], None]):
        here = number * 100 + place
        connection.execute("INSERT INTO rows VALUES (%s, %s, %s)", (here, here, value), prepare=False)
    # The last row is read again by the next run, and has no value that the change of type takes away.
    # A float of four bytes is not its text.
    shown = "v::float8" if kind == "float4" else "v"
    rows = connection.execute(f"SELECT id, {shown} FROM rows WHERE at >= %s".encode(), (number * 100,))
    return dict(rows.fetchall())


def as_text(connection: psycopg.Connection, number: int) -> dict[int, Any]:
    """Return the rows of a run with the column as the database prints it."""
    shown = "CASE WHEN num_nulls(v) = 0 THEN concat(v) END"
    connection.execute("SET intervalstyle = iso_8601")
    rows = connection.execute(
        f"SELECT id, {shown} FROM rows WHERE at >= %s".encode(), (number * 100,)
    ).fetchall()
    connection.execute("RESET intervalstyle")
    return dict(rows)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("pair", [*PAIRS[5::47], *FLOATS], ids=lambda pair: f"{pair[0]} then {pair[1]}")
def test_each_type_of_postgres_and_each_later_one_over_three_further_runs(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, pair: tuple[str, str]
) -> None:
    """Silver shows each value as the database had it, or the run names column and types, and the next is right."""
    notify(lake, database, connection, pair)


def notify(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, pair: tuple[str, str]
) -> bool:
    """Play a pair; return whether the second type was taken."""
    connection.execute("SET timezone = 'UTC'")
    wanted: dict[int, Any] = {}
    refusals: list[tuple[int, str]] = []
    for number in range(4):
        native = change(connection, pair[number % 2], number, first=number == 0)
        try:
            take(lake, source(database, cursor="at"))
        except SchemaChanged as problem:
            refusals.append((number, str(problem)))
            # Never landed, and taken away before the next run reads them with the type that fits.
            connection.execute(b"DELETE FROM rows WHERE at >= %s", (number * 100,))
            continue
        dtype = lake.must_open("bronze", NAME).schema["v"]
        wanted |= as_text(connection, number) if dtype == pl.String() else native
        kept(lake)
        silver = lake.must_open("silver", NAME).scan().select("id", "v").collect()
        shown = {key: _of(value, dtype) for key, value in silver.iter_rows()}
        assert comparable(shown.items()) == comparable(
            (key, _of(value, dtype)) for key, value in wanted.items()
        )
    assert all(number % 2 and "v was" in text and "What to do" in text for number, text in refusals), refusals
    return not refusals


def _of(value: Any, dtype: pl.DataType) -> Any:
    """Return a value of an earlier type as the type of now has it; both are the same number."""
    if value is None or isinstance(value, bool | str | bytes):
        return value
    return pl.Series([value], dtype=dtype, strict=False).to_list()[0] if dtype.is_numeric() else value


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "ways", [["ADD w int"], ["RENAME v TO w"], ["DROP v"], ["ADD w int", "DROP w", "ADD w text"]]
)
def test_columns_that_come_go_and_are_renamed_over_three_further_runs(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, ways: list[str]
) -> None:
    connection.execute("CREATE TABLE rows (id int PRIMARY KEY, at int, v int)")
    connection.execute("INSERT INTO rows VALUES (1, 1, 10)")
    for number, way in enumerate([None, *ways, *[None] * (3 - len(ways))], start=2):
        take(lake, source(database, cursor="at"))
        kept(lake)
        if way is not None:
            connection.execute(f"ALTER TABLE rows {way}".encode())
        connection.execute("INSERT INTO rows (id, at) VALUES (%s, %s)", (number, number))
    if len(ways) == 3:
        with pytest.raises(SchemaChanged, match="w was Int32 and is String"):
            take(lake, source(database, cursor="at"))
        return
    take(lake, source(database, cursor="at"))
    kept(lake)
    silver = lake.must_open("silver", NAME).scan().collect()
    assert sorted(silver["id"]) == [1, 2, 3, 4, 5]
    assert silver.filter(pl.col("id") == 1)["v"].to_list() == [10], "what was there stays"
