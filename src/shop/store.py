"""Reading what the API serves out of Postgres.

Only reading belongs here: the tables are written by `database`. Records are handed on as the text they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from threading import Lock
from typing import Any, NamedTuple

import psycopg
from pydantic import SecretStr


class ProductPage(NamedTuple):
    """Some records, as stored; how many there are in all, and how many different ones."""

    payloads: list[str]
    listed: int
    different: int


class Rate(NamedTuple):
    """One exchange rate; the value is text, so that no digit is lost."""

    day: date
    currency: str
    eur_per_unit: str


class Store:
    """One connection, opened when needed, shared by the API's threads and opened again after it broke."""

    def __init__(self, dsn: SecretStr) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[Any] | None = None
        self._lock = Lock()

    def ping(self) -> None:
        """Ask the database for a sign of life."""
        with self._open() as connection:
            connection.execute("SELECT 1")

    def products(self, offset: int, limit: int) -> ProductPage:
        """Records in their stable order, and their numbers, of one moment; a few are listed twice."""
        with self._open() as connection:
            rows = connection.execute(
                "WITH page AS (SELECT payload, ord FROM catalogue.products ORDER BY ord OFFSET %s LIMIT %s) "
                "SELECT listed, different, payload FROM (SELECT count(*) AS listed, "
                "count(DISTINCT payload) AS different FROM catalogue.products) AS counted "
                "LEFT JOIN page ON true ORDER BY ord",
                (offset, limit),
            ).fetchall()
        listed, different, _ = rows[0]
        return ProductPage([payload for *_, payload in rows if payload is not None], listed, different)

    def rates(self, since: date | None, after: tuple[date, str] | None, limit: int) -> list[Rate]:
        """Rates from a day on, behind a (day, currency), in that order."""
        after_day, after_currency = after if after is not None else (date.min, "")
        with self._open() as connection:
            rows = connection.execute(
                "SELECT day, currency, eur_per_unit::text FROM catalogue.rates WHERE day >= %s "
                'AND (day, currency COLLATE "C") > (%s, %s) ORDER BY day, currency COLLATE "C" LIMIT %s',
                (since or date.min, after_day, after_currency, limit),
            ).fetchall()
        return [Rate(*row) for row in rows]

    def close(self) -> None:
        """Close the connection, if there is one."""
        with self._lock:
            self._drop()

    @contextmanager
    def _open(self) -> Iterator[psycopg.Connection[Any]]:
        with self._lock:
            if self._connection is None:
                self._connection = psycopg.connect(
                    self._dsn.get_secret_value(),
                    autocommit=True,
                    connect_timeout=5,
                    application_name="shop.api",
                )
            try:
                yield self._connection
            except psycopg.OperationalError:
                self._drop()
                raise

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
