"""A small shop for the shop's own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import psycopg
import pytest

from shop.database import found
from shop.world import World

SMALL = World(
    history_days=6,
    customers_at_start=40,
    customers_per_day=3,
    moves_per_day=3,
    orders_per_day=12,
    products_at_start=30,
)


class Server(Protocol):
    """What these tests need of the Postgres fixture."""

    dsn: str

    def new_database(self, template: str | None = None) -> str:
        """Create a database; its DSN."""


@pytest.fixture(scope="session")
def small() -> World:
    """A world that is lived in a blink."""
    return SMALL


@pytest.fixture(scope="session")
def founded_dsn(postgres: Server, small: World) -> str:
    """A small shop with its history: for reading only, and no connection stays open, since it is copied."""
    dsn = postgres.new_database()
    with psycopg.connect(dsn) as connection:
        found(connection, small)
    return dsn


@pytest.fixture
def connect(postgres: Server) -> Iterator[Callable[..., psycopg.Connection[Any]]]:
    """Opens a connection to an empty database, or to a copy of the one at a DSN; closed after the test."""
    opened: list[psycopg.Connection[Any]] = []

    def open_one(template: str | None = None) -> psycopg.Connection[Any]:
        opened.append(psycopg.connect(postgres.new_database(template), autocommit=True))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()
