"""Five queries of TPC-H as transforms of silver give what the same SQL gives in Postgres, to the last cent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import psycopg
import pytest
from pydantic import SecretStr

from headworks.bronze.stamping import METADATA
from headworks.settings import DatabaseSettings, LakeSettings
from headworks.silver.mirror import mirror
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.conftest import PostgresServer
from tests.support.databases import source, take
from tests.support.tpch import DDL, QUERIES, load

SCALE = 0.01


@pytest.fixture(scope="module")
def dsn(postgres: PostgresServer) -> str:
    """A database with TPC-H's tables."""
    found = postgres.new_database()
    load(found, SCALE)
    return found


@pytest.fixture(scope="module")
def silver(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, pl.LazyFrame]:
    """The tables as silver has them, by the way through bronze."""
    root: Path = tmp_path_factory.mktemp("lake")
    lake = Lake(LakeSettings(root=str(root)))
    frames = {}
    for table in DDL:
        reading = source(DatabaseSettings(url=SecretStr(dsn)), name=table, ranges=2)
        name = f"tpch.{table}"
        take(lake, reading, "full", dataset=name)
        bronze = lake.must_open("bronze", name).schema
        columns = pl.Schema({column: dtype for column, dtype in bronze.items() if column not in METADATA})
        assert refine(Refinement(lake, "run"), mirror(name, reading.key, columns, None)).report.committed
        frames[table] = lake.must_open("silver", name).scan().select(list(columns))
    return frames


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_over_silver_equals_the_sql(name: str, silver: Mapping[str, pl.LazyFrame], dsn: str) -> None:
    transform, query = QUERIES[name]
    with psycopg.connect(dsn) as connection:
        expected = connection.execute(query).fetchall()
    found = transform(silver).collect().rows()
    assert found == expected
    assert found
