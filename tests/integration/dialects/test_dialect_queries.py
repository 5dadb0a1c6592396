"""Queries in place of tables, on SQLite and MariaDB: types are declared, and what does not fit is named."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from headworks.errors import HeadworksError, SettingsError, SourceMissing, ValueRefused
from headworks.settings import DatabaseSettings
from headworks.sources.sql.dialect import DialectTable
from headworks.sources.sql.reader import reader_of
from headworks.sources.sql.table import Table
from headworks.storage.store import Lake
from tests.support.dialects import ids, insert, make, run, settings, take
from tests.support.items import bronze

ORDERS = """SELECT o.id, c.name AS who, ROUND(SUM(l.price), 2) AS total, COUNT(*) AS parts, MAX(o.at) AS at,
'12:30 :x 5%' AS note FROM orders o JOIN customers c ON c.id = o.customer JOIN parts l ON l.ord = o.id
GROUP BY o.id, c.name -- the end"""
COLUMNS = {
    "id": "int64",
    "who": "text",
    "total": "decimal(12,2)",
    "parts": "int64",
    "at": "datetime",
    "note": "text",
}


def query(url: str, text: str, columns: dict[str, str], **changed: Any) -> DialectTable:
    return DialectTable(settings(url), Table(query=text, columns=columns, **changed))


def make_orders(url: str) -> None:
    run(
        url,
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(20))",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, at DATETIME)",
        "CREATE TABLE parts (ord INTEGER, price DECIMAL(10,2))",
        "INSERT INTO customers VALUES (1, 'Zoë\t'), (2, NULL)",
        "INSERT INTO orders VALUES (1, 1, '2026-01-05 08:00:00'), (2, 2, '2026-01-05 09:00:00')",
        "INSERT INTO parts VALUES (1, 0.10), (1, 0.20), (2, 19.99)",
    )


def test_a_joined_and_summed_query_lands_with_the_types_that_are_declared(url: str, lake: Lake) -> None:
    make_orders(url)
    source = query(url, ORDERS, COLUMNS, key=["id"])
    assert source.key == ("id",)
    assert take(source, lake).landed == 2
    landed = bronze(lake, "t.rows").select(list(COLUMNS)).sort("id")
    assert landed.schema["total"] == pl.Decimal(12, 2)
    first, second = (datetime(2026, 1, 5, hour, tzinfo=UTC) for hour in (8, 9))
    assert landed.rows() == [
        (1, "Zoë\t", Decimal("0.30"), 2, first, "12:30 :x 5%"),
        (2, None, Decimal("19.99"), 1, second, "12:30 :x 5%"),
    ]


def test_a_query_is_read_onwards_from_where_it_stood(url: str, lake: Lake) -> None:
    make(url)
    insert(url, 1, 5)
    source = query(
        url,
        "SELECT id, v, at FROM rows_t WHERE v <> 'v3'",
        {"id": "int64", "v": "text", "at": "naive_datetime"},
        key=["id"],
        cursor="at",
        batch_rows=2,
    )
    assert take(source, lake).landed == 4
    insert(url, 6, 7)
    insert(url, 8, 9, "2026-01-06 08:00:00")
    assert take(source, lake).landed == 4
    assert take(source, lake).landed == 0
    assert ids(lake) == [1, 2, 4, 5, 6, 7, 8, 9]
    keys = pl.concat(pl.DataFrame(each.frame) for each in source.read_keys())
    assert sorted(keys.get_column("id")) == ids(lake)


@pytest.mark.parametrize(
    ("text", "columns", "error", "output"),
    [
        ("SELECT 1 AS one", {}, SettingsError, '"columns"'),
        ("SELECT 1 AS one, 2 AS two", {"one": "int64"}, SettingsError, "gives the columns one, two"),
        ("SELECT 1 AS one", {"one": "int64", "two": "text"}, SettingsError, "declared are one, two"),
        ("SELECT 1 AS a, 2 AS a", {"a": "int64"}, HeadworksError, "'?a"),
        ("SELECT nothing FROM rows_t", {"nothing": "int64"}, HeadworksError, "nothing"),
        ("SELECT 1 FROM nowhere", {"one": "int64"}, HeadworksError, "nowhere"),
        ("SELEC 1", {"one": "int64"}, HeadworksError, "syntax"),
    ],
)
def test_a_wrong_query_or_declaration_is_named(
    url: str, text: str, columns: dict[str, str], error: type[HeadworksError], output: str
) -> None:
    make(url)
    with pytest.raises(error, match=output):
        _ = query(url, text, columns).schema


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("'x'", "int64"),
        ("1.5", "int64"),
        ("'x'", "float64"),
        ("'x'", "decimal(4,2)"),
        ("1.005", "decimal(4,2)"),
        ("100.5", "decimal(4,2)"),
        ("'x'", "date"),
        ("'x'", "datetime"),
        ("2", "boolean"),
    ],
)
def test_a_value_that_is_not_of_the_declared_type_is_refused_by_its_column(
    url: str, value: str, word: str
) -> None:
    """Alone, and with others that fit: the row is refused, and where each of the first hundred is, the run stops."""
    for columns in ({"one": "int64", "odd": word}, {"odd": word}):
        names = ", ".join(f"{'1' if name == 'one' else value} AS {name}" for name in columns)
        first, last = query(url, f"SELECT {names}", columns).read(None, None)
        assert (first.refused, first.landed, last.refused) == (1, 0, 0)
        (warning,) = last.warnings
        assert "column odd" in warning
        assert value.strip("'") in warning
        many = " UNION ALL ".join([f"SELECT {names}"] * 100)
        with pytest.raises(ValueRefused, match="odd of the query"):
            list(query(url, many, columns).read(None, None))


def test_a_column_that_the_query_does_not_declare_is_neither_key_nor_cursor(url: str) -> None:
    make(url)
    for wrong in ({"key": ["number"]}, {"cursor": "number"}):
        with pytest.raises(SourceMissing, match=r"no column 'number'.*choose among id"):
            _ = query(url, "SELECT id FROM rows_t", {"id": "int64"}, **wrong).schema


def test_types_are_declared_of_queries_alone_and_in_known_words() -> None:
    with pytest.raises(ValidationError, match="leave them out"):
        Table(name="t", columns={"id": "int64"})
    with pytest.raises(SettingsError, match="naive_datetime"):
        Table(query="SELECT 1 AS one", columns={"one": "int"})


def test_postgres_tells_the_types_itself(database: DatabaseSettings) -> None:
    source = reader_of(database, Table(query="SELECT 1 AS one", columns={"one": "int64"}))
    with pytest.raises(SettingsError, match="leave `columns` out"):
        _ = source.schema
