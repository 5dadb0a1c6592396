"""Connections to Postgres through psycopg, which asks the small questions; rows are received by ``copying.py``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import psycopg

from headworks.redaction import redacted_error
from headworks.settings import DatabaseSettings
from headworks.sources.sql.address import NO_FILE, SSL_OPTIONS, asyncpg_arguments, describe, parameters
from headworks.sources.sql.diagnosis import why_not
from headworks.sources.sql.states import translate_psycopg

Connection = psycopg.Connection[tuple[Any, ...]]
_KEPT_ALIVE = " -c tcp_keepalives_idle=60 -c tcp_keepalives_interval=15 -c tcp_keepalives_count=4"


@contextmanager
def connected(
    settings: DatabaseSettings,
    *,
    application: str,
    read_only: bool = False,
    timezone: str | None = "UTC",
    idle_timeout_s: int | None = None,
) -> Iterator[Connection]:
    """Connect, hand out the connection, and close it; commits only where the caller does.

    Without a ``timezone`` the session has the one that the database gives it. With ``idle_timeout_s`` the server ends a
    transaction in which nothing was asked for that long. Raises errors of ours alone; none of them holds the password.
    """
    where = describe(settings)
    connection = _connect(settings, application, timezone, idle_timeout_s)
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
        raise translate_psycopg(problem, where) from redacted_error(problem)


def as_libpq_finds_it(settings: DatabaseSettings, application: str) -> dict[str, Any]:
    """Return what ``asyncpg.connect`` is called with, for what libpq alone reads right: a service, a password file.

    asyncpg reads both too, but leaves a password's escapes as they are and takes ``%`` in a service file for its own.
    """
    arguments, parts = asyncpg_arguments(settings, application), parameters(settings)
    if parts.get("password") and not parts.get("service"):
        return arguments
    with closing(_connect(settings, application, "UTC", None)) as connection:
        found = connection.info
        given = {
            "host": found.host,
            "port": found.port,
            "user": found.user,
            "password": found.password,
            "database": found.dbname,
        }
    query = {name: parts[name] for name in SSL_OPTIONS if parts.get(name)}
    without_files = {name: value for name, value in query.items() if name not in {"service", "passfile"}}
    return {
        **arguments,
        **{name: value for name, value in given.items() if value},
        "passfile": NO_FILE,
        "dsn": f"postgresql://?{urlencode(without_files, quote_via=quote)}",
    }


def _connect(
    settings: DatabaseSettings, application: str, timezone: str | None, idle_timeout_s: int | None
) -> Connection:
    idle = idle_timeout_s and f" -c idle_in_transaction_session_timeout={idle_timeout_s * 1000}"
    try:
        return psycopg.connect(
            settings.libpq_url(),
            connect_timeout=settings.connect_timeout_s,
            application_name=application,
            # Else psycopg hands out bytes where the database does not know its own encoding.
            client_encoding="UTF8",
            options=f"-c statement_timeout={settings.statement_timeout_s * 1000} "
            f"-c lock_timeout={settings.lock_timeout_s * 1000}"
            + (f" -c timezone={timezone}" if timezone else "")
            + (idle or "")
            + _KEPT_ALIVE,
            # A machine that is gone is noticed by both sides within two minutes, and its locks are given back.
            keepalives_idle=60,
            keepalives_interval=15,
            keepalives_count=4,
        )
    except psycopg.Error as problem:
        raise why_not(settings, problem) from redacted_error(problem)
