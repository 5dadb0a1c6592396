"""The database flow, run as a person runs it: a table, a schema, its keys, and what is wrong in one message."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import polars as pl
import psycopg
import pytest
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_RESULTS_LOCAL_STORAGE_PATH,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

from flows.ingest_database import ingest_database
from headworks.errors import GateClosed, SchemaChanged, SettingsError, SourceMissing
from headworks.reports import RunReport
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.conftest import PostgresServer

pytestmark = pytest.mark.server


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Prefect server of the module's own, with results in a folder of their own."""
    updates: dict[Any, Any] = {
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        PREFECT_RESULTS_LOCAL_STORAGE_PATH: tmp_path_factory.mktemp("results"),
    }
    with temporary_settings(updates), prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """An empty lake, known to the flow by its variable."""
    monkeypatch.setenv("HEADWORKS_LAKE_ROOT", str(tmp_path / "lake"))
    return Lake(LakeSettings(root=str(tmp_path / "lake")))


@pytest.fixture
def connection(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """A database with three tables, known to the flow by its variable."""
    dsn = postgres.new_database()
    monkeypatch.setenv("HEADWORKS_SHOP_DATABASE_URL", dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE orders (id int PRIMARY KEY, at timestamptz DEFAULT now() - interval '1 hour', "
            "total numeric(9,2));"
            'CREATE TABLE "Order Lines" (id int, line int, PRIMARY KEY (id, line));'
            "CREATE TABLE scratch_1 (x int);"
            "INSERT INTO orders (id, total) SELECT n, n FROM generate_series(1, 20) n;"
            'INSERT INTO "Order Lines" SELECT n, 1 FROM generate_series(1, 30) n'
        )
        yield connection


def silver(lake: Lake, dataset: str) -> int:
    """Count the rows that silver shows."""
    rows = lake.must_open("silver", dataset).scan().filter(~pl.col("_deleted"))
    return int(rows.select(pl.len()).collect().item())


def test_a_schema_lands_table_by_table_and_stays_current(lake: Lake, connection: psycopg.Connection) -> None:
    tables = {"include": ["*"], "exclude": ["scratch*"], "cursor": "at"}
    asked: dict[str, Any] = {"database": "shop-database", "dataset": "raw", "tables": tables, "silver": True}
    report = ingest_database(**asked)
    assert report.status == "landed"
    assert {landing.dataset: landing.landed for landing in report.landings} == {
        "raw.orders": 20,
        "raw.order_lines": 30,
    }
    assert (silver(lake, "raw.orders"), silver(lake, "raw.order_lines")) == (20, 30)
    connection.execute("INSERT INTO orders VALUES (21, now() - interval '30 minutes', 1)")
    connection.execute('DELETE FROM "Order Lines" WHERE id = 1')
    again = ingest_database(**asked)
    by_stream = {landing.stream: landing.landed for landing in again.landings}
    assert by_stream["raw.orders"] == 1
    assert (silver(lake, "raw.orders"), silver(lake, "raw.order_lines")) == (21, 29)


def test_each_landing_is_one_line_of_the_log(
    lake: Lake, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """However many batches it has, in an incremental run, a full one with its catch-up, and one of keys."""
    table = {"name": "orders", "cursor": "at", "batch_rows": 3}
    basis: dict[str, Any] = {"database": "shop-database", "dataset": "raw.orders", "table": table}
    changes: tuple[dict[str, Any], ...] = ({}, {"mode": "full"}, {"compare_keys": True}, {"dry_run": True})
    for asked in changes:
        caplog.clear()
        with caplog.at_level(logging.INFO):
            report = cast(RunReport, ingest_database(**{**basis, **asked}))
        lines = [
            one.getMessage()
            for one in caplog.records
            if re.search(r"\d landed|rows landed", one.getMessage())
        ]
        streams = sorted(line.partition(": ")[0] for line in lines)
        assert streams == sorted(landing.stream for landing in report.landings), lines
        assert report.landings


def test_columns_that_change_are_followed_by_silver_over_three_further_runs(
    lake: Lake, connection: psycopg.Connection
) -> None:
    """Wider, new and renamed columns: silver shows each row as the database does, and a change of kind is named."""
    table = {"name": "orders", "cursor": "at"}
    asked: dict[str, Any] = {
        "database": "shop-database",
        "dataset": "raw.orders",
        "silver": True,
        "table": table,
    }
    ingest_database(**asked)
    for change, row in (
        ("ALTER total TYPE numeric(14,4)", "(2147483647, now() - interval '50 minutes', 30.5678)"),
        (
            "ALTER id TYPE bigint, ADD note text",
            "(1099511627776, now() - interval '40 minutes', 0.0001, 'new')",
        ),
        (
            "RENAME note TO warning",
            "(1099511627777, now() - interval '30 minutes', 9999999999.9999, 'renamed')",
        ),
    ):
        connection.execute(f"ALTER TABLE orders {change.replace(', ADD', ', ADD COLUMN')}".encode())
        connection.execute(f"INSERT INTO orders VALUES {row}".encode())
        assert ingest_database(**asked).status == "landed"
        found = lake.must_open("silver", "raw.orders").scan().sort("id").select("id", "total").collect()
        assert found.rows() == connection.execute("SELECT id, total FROM orders ORDER BY id").fetchall()
    last = (
        lake.must_open("silver", "raw.orders").scan().sort("id").select("note", "warning").tail(2).collect()
    )
    assert last.rows() == [("new", None), (None, "renamed")]
    connection.execute("ALTER TABLE orders ALTER total TYPE text")
    connection.execute("INSERT INTO orders VALUES (5000, now() - interval '20 minutes', 'much')")
    with pytest.raises(
        SchemaChanged, match=r"total was Decimal\(precision=14, scale=4\) and is String.*What to do"
    ):
        ingest_database(**asked)


def test_keys_are_compared_and_a_table_that_was_emptied_closes_the_gate(
    lake: Lake, connection: psycopg.Connection
) -> None:
    table = {"name": "orders", "cursor": "at"}
    asked: dict[str, Any] = {"database": "shop-database", "dataset": "raw.orders", "silver": True}
    ingest_database(**asked, table=table)
    connection.execute("DELETE FROM orders WHERE id <= 2")
    report = cast(RunReport, ingest_database(**asked, table=table, compare_keys=True))
    assert report.refinements[0].deleted == 2
    connection.execute("TRUNCATE orders")
    with pytest.raises(GateClosed, match="18 of 18 keys vanished"):
        ingest_database(**asked, table=table, compare_keys=True)
    assert silver(lake, "raw.orders") == 18
    ingest_database(**asked, table={**table, "largest_vanishing_share": 1}, compare_keys=True)
    assert silver(lake, "raw.orders") == 0


def test_a_dry_run_counts_and_lands_nothing(lake: Lake, connection: psycopg.Connection) -> None:
    report = ingest_database("shop-database", "raw.orders", table={"name": "orders"}, dry_run=True)  # type: ignore[call-overload]
    assert report.landings[0].would_land == 20
    assert lake.open("bronze", "raw.orders") is None


def test_what_is_wrong_is_said_in_one_message(lake: Lake, connection: psycopg.Connection) -> None:
    with pytest.raises(SourceMissing, match='relation "no_such" does not exist'):
        ingest_database("shop-database", "raw.orders", table={"name": "no_such"})  # type: ignore[call-overload]
    with pytest.raises(
        SourceMissing, match=r"No table is chosen.*its tables are: Order Lines, orders, scratch_1"
    ):
        ingest_database("shop-database", "raw", tables={"include": ["x*"]})  # type: ignore[call-overload]
    with pytest.raises(SettingsError, match="either a table, or tables"):
        ingest_database("shop-database", "raw")
