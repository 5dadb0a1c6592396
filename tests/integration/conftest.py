"""Fixtures of the integration suite: a fresh lake, a fresh database, and an object store for the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from headworks.settings import DatabaseSettings, LakeSettings
from headworks.storage.store import Lake
from tests.conftest import PostgresServer


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake in a folder of its own."""
    return Lake(LakeSettings(root=str(tmp_path / "lake")))


@pytest.fixture
def database(postgres: PostgresServer) -> DatabaseSettings:
    """An empty database of its own, as the engine is reported it."""
    return DatabaseSettings(url=SecretStr(postgres.new_database()))


@pytest.fixture
def connection(database: DatabaseSettings) -> Iterator[psycopg.Connection]:
    """A connection to the test's database that commits by itself."""
    with psycopg.connect(database.libpq_url(), autocommit=True) as connection:
        yield connection
