"""Real data: the 336,776 flights from New York in 2013 land in bronze and silver with every value unharmed."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import psycopg
import pytest
from pydantic import SecretStr

from headworks.bronze.landing import Landing, land
from headworks.reports import RefineReport
from headworks.settings import DatabaseSettings, LakeSettings
from headworks.silver.refinement import Refinement, refine
from headworks.sources.sql.postgres import PostgresTable
from headworks.sources.sql.table import Table
from headworks.storage.store import Lake
from tests.conftest import PostgresServer
from tests.support import flights

FLIGHTS = 336_776
COUNTS = {"flights": FLIGHTS, "weather": 26_115, "planes": 3_322, "airports": 1_458, "airlines": 16}
CURSORS = {"flights": "updated_at", "weather": "time_hour"}


def reader(database: DatabaseSettings, name: str) -> PostgresTable:
    """Return the reader of one table."""
    return PostgresTable(database, Table(schema_name="nyc", name=name, cursor=CURSORS.get(name)))


class Loaded:
    """The five tables in a Postgres, and a lake that they were landed and refined into, once for all tests here."""

    def __init__(self, database: DatabaseSettings, connection: psycopg.Connection, lake: Lake) -> None:
        self.database, self.connection, self.lake = database, connection, lake
        self.counts = flights.load(connection)
        self.reports: dict[str, RefineReport] = {}

    def ingest(self, name: str) -> None:
        """Land and refine one table."""
        source = reader(self.database, name)
        dataset = flights.dataset(name, source.schema, CURSORS.get(name))
        landed = land(Landing(self.lake, dataset.name, dataset.name, "run"), source)
        assert (landed.read, landed.landed) == (COUNTS[name], COUNTS[name])
        outcome = refine(Refinement(self.lake, "run"), dataset)
        assert outcome.gate is not None
        assert outcome.gate.open, outcome.gate.reasons
        self.reports[name] = outcome.report

    def layer(self, layer: str, name: str) -> pl.LazyFrame:
        """Return a table of the lake."""
        return self.lake.must_open("silver" if layer == "silver" else "bronze", f"nyc.{name}").scan()


@pytest.fixture(scope="module")
def loaded(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    dsn = postgres.new_database()
    lake = Lake(LakeSettings(root=str(tmp_path_factory.mktemp("flights") / "lake")))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        made = Loaded(DatabaseSettings(url=SecretStr(dsn)), connection, lake)
        for name in COUNTS:
            made.ingest(name)
        yield made


def test_all_five_tables_land_and_become_silver_with_exact_counts(loaded: Loaded) -> None:
    assert loaded.counts == COUNTS
    for name, rows in COUNTS.items():
        report = loaded.reports[name]
        assert (report.landed, report.inserted, report.rejected, report.superseded) == (rows, rows, 0, 0)
        for layer in ("bronze", "silver"):
            ids = loaded.layer(layer, name).select(pl.len(), pl.col("id").n_unique().alias("keys")).collect()
            assert ids.row(0) == (rows, rows), f"{layer}.nyc.{name}"


@pytest.mark.parametrize("layer", ["bronze", "silver"])
def test_sums_over_all_flights_are_those_of_postgres(loaded: Loaded, layer: str) -> None:
    wide = pl.Decimal(38, 4)
    row = loaded.connection.execute(
        "SELECT count(*), sum(fare)::text, sum(distance), count(dep_delay), sum(dep_delay), count(tailnum),"
        " count(DISTINCT tailnum), sum((extract(epoch FROM updated_at) * 1000000)::numeric(38,0))::text"
        " FROM nyc.flights"
    ).fetchone()
    found = (
        loaded.layer(layer, "flights")
        .select(
            pl.len(),
            fare=pl.col("fare").cast(wide).sum().cast(pl.String),
            distance=pl.col("distance").sum(),
            delays=pl.col("dep_delay").count(),
            delay=pl.col("dep_delay").sum(),
            tails=pl.col("tailnum").count(),
            tail=pl.col("tailnum").drop_nulls().n_unique(),
            moments=pl.col("updated_at").to_physical().cast(pl.Decimal(38, 0)).sum().cast(pl.String),
        )
        .collect()
        .row(0)
    )
    assert found == row


def test_each_decimal_and_each_moment_is_the_one_in_postgres(loaded: Loaded) -> None:
    """Not sums, which errors can hide from: all 336,776 fares and moments, as Postgres itself writes them."""
    there = flights.in_postgres(loaded.connection, "flights", iter(["id", "fare", "updated_at"]))
    silver = (
        loaded.layer("silver", "flights")
        .sort("id")
        .select(
            pl.col("id").cast(pl.String),
            pl.col("fare").cast(pl.String),
            pl.col("updated_at").dt.strftime("%Y-%m-%d %H:%M:%S%.6f"),
        )
        .collect()
    )
    expected = pl.DataFrame(there, schema=silver.schema, orient="row")
    # Postgres leaves out zeros at the end of a second's fraction, and writes its zone.
    moments = pl.col("updated_at").str.to_datetime("%Y-%m-%d %H:%M:%S%.f+00", time_unit="us")
    assert silver.equals(expected.with_columns(moments.dt.strftime("%Y-%m-%d %H:%M:%S%.6f")))


@pytest.mark.parametrize("name", ["weather", "planes", "airports", "airlines"])
def test_every_value_of_the_other_tables_is_the_one_in_postgres(loaded: Loaded, name: str) -> None:
    source = reader(loaded.database, name)
    rows = loaded.connection.execute(f"SELECT * FROM nyc.{name} ORDER BY id".encode()).fetchall()
    expected = pl.DataFrame(rows, schema=source.schema, orient="row")
    silver = loaded.layer("silver", name).sort("id").select(list(source.schema)).collect()
    assert silver.schema == source.schema
    assert silver.equals(expected)


def test_landing_again_finds_nothing_new(loaded: Loaded) -> None:
    source = reader(loaded.database, "flights")
    report = land(Landing(loaded.lake, "nyc.flights", "nyc.flights", "again"), source)
    assert report.landed == 0
    assert loaded.layer("bronze", "flights").select(pl.len()).collect().item() == FLIGHTS
