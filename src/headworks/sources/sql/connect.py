"""Connections to Postgres through psycopg, which asks the small questions; rows are received by ``copying.py``.

What belongs here: connecting with deadlines, and errors translated on the way. What does not: queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from headworks.settings import DatabaseSettings
from headworks.sources.sql.address import describe
from headworks.sources.sql.diagnosis import why_not
from headworks.sources.sql.states import translate_psycopg

Connection = psycopg.Connection[tuple[Any, ...]]


@contextmanager
def connected(
    settings: DatabaseSettings,
    *,
    application: str,
    read_only: bool = False,
    timezone: str | None = "UTC",
) -> Iterator[Connection]:
    """Connect, hand out the connection, and close it; commits only where the caller does.

    Without a ``timezone`` the session has the one that the database gives it.

    Raises errors of ours alone; none of them holds the password.
    """
    where = describe(settings)
    connection = _connect(settings, application, timezone)
    try:
        with translated_database(where):
            connection.read_only = read_only
            yield connection
    finally:
        connection.close()


@contextmanager
def translated_database(where: str) -> Iterator[None]:
    """Turn psycopg's errors into ours."""
    try:
        yield
    except psycopg.Error as problem:
        raise translate_psycopg(problem, where) from problem


def _connect(settings: DatabaseSettings, application: str, timezone: str | None) -> Connection:
    try:
        return psycopg.connect(
            settings.libpq_url(),
            connect_timeout=settings.connect_timeout_s,
            application_name=application,
            # Else psycopg hands out bytes where the database does not know its own encoding.
            client_encoding="UTF8",
            options=f"-c statement_timeout={settings.statement_timeout_s * 1000} "
            f"-c lock_timeout={settings.lock_timeout_s * 1000}"
            + (f" -c timezone={timezone}" if timezone else ""),
        )
    except psycopg.Error as problem:
        raise why_not(settings, problem) from problem
