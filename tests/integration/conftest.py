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
from tests.support import shipments


@pytest.fixture(scope="session")
def late_champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of shipments with one champion, made at the end of their history; not to be changed, only copied."""
    from crm.timelapse import learn_week

    root = tmp_path_factory.mktemp("late") / "lake"
    there = Lake(LakeSettings(root=str(root)))
    now = shipments.receive(there, shipments.shipments(shipments.LIVED), range(1, shipments.FIRST), "history")
    first = learn_week(there, lambda: now, "first", of=shipments.LATE)
    assert first.product is not None, first.reasons
    return root


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
