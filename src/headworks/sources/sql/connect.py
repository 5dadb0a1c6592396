"""Connections to Postgres, and the translation of what its driver raises.

What belongs here: connecting with deadlines, and deciding by SQLSTATE what an error means. What does not: queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import conninfo

from headworks.errors import (
    CredentialsRefused,
    HeadworksError,
    SettingsError,
    SourceMissing,
    SourceUnavailable,
    StopError,
)
from headworks.settings import DatabaseSettings

Connection = psycopg.Connection[tuple[Any, ...]]

_MISSING = {"42P01", "42703", "3F000", "3D000", "42883"}
_CREDENTIALS_CLASS = "28"
_NO_PRIVILEGE = "42501"
# Connection trouble, lack of resources, operator intervention, serialization failures, lock timeouts: all may heal.
_HEALING_CLASSES = {"08", "53", "57", "40", "55", "58"}


@contextmanager
def connected(
    settings: DatabaseSettings, *, application: str, read_only: bool = False
) -> Iterator[Connection]:
    """Connect, hand out the connection, and close it; commits only where the caller does.

    Raises the errors of `translated_database`; none of them holds the password.
    """
    where = describe(settings)
    with translated_database(where):
        connection = psycopg.connect(
            settings.libpq_url(),
            connect_timeout=settings.connect_timeout_s,
            application_name=application,
            options=f"-c statement_timeout={settings.statement_timeout_s * 1000} -c timezone=UTC",
        )
        try:
            connection.read_only = read_only
            yield connection
        finally:
            connection.close()


@contextmanager
def translated_database(where: str) -> Iterator[None]:
    """Turn the driver's errors into ours, by SQLSTATE and by what the connection knows of itself."""
    try:
        yield
    except psycopg.Error as problem:
        raise _translate(problem, where) from problem


def describe(settings: DatabaseSettings) -> str:
    """Say where a database is, without credentials."""
    try:
        parts = conninfo.conninfo_to_dict(settings.libpq_url())
    except psycopg.ProgrammingError as problem:
        raise SettingsError(
            "The database's URL cannot be read.",
            do="write it as postgresql://user:password@host:port/database, with special characters percent-encoded.",
        ) from problem
    host = parts.get("host", "localhost")
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{parts.get('user', '')}@{host}{port}/{parts.get('dbname', '')}"


def _translate(problem: psycopg.Error, where: str) -> HeadworksError:
    state = problem.sqlstate or ""
    what = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
    if not state:
        return _without_state(problem, what, where)
    if state in _MISSING:
        return SourceMissing(
            f"The database says: {what}.",
            where=where,
            do="correct the name, or create it.",
        )
    if state.startswith(_CREDENTIALS_CLASS) or state == _NO_PRIVILEGE:
        return CredentialsRefused(
            f"The database refuses: {what}.",
            where=where,
            do="check user, password and grants in the block.",
        )
    if state[:2] in _HEALING_CLASSES:
        return SourceUnavailable(f"The database does not answer as it should: {what}.", where=where)
    return StopError(f"The database says: {what} (SQLSTATE {state}).", where=where)


def _without_state(problem: psycopg.Error, what: str, where: str) -> HeadworksError:
    """Judge an error that has no SQLSTATE, as those of a failed connection have none."""
    connection = problem.pgconn
    asked_for_password = connection is not None and (connection.needs_password or connection.used_password)
    if isinstance(problem, psycopg.OperationalError) and not asked_for_password:
        return SourceUnavailable(
            f"The database cannot be reached: {what}.",
            where=where,
            do="check that it runs, its host and its port.",
        )
    if asked_for_password:
        return CredentialsRefused(
            f"The database refuses: {what}.",
            where=where,
            do="check user and password in the block.",
        )
    return StopError(f"The database's driver says: {what}.", where=where)
