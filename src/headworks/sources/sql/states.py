"""What an SQLSTATE means for a run: the one place where a class of ours is chosen for an error of Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import psycopg

from headworks.errors import (
    CredentialsRefused,
    HeadworksError,
    SourceMissing,
    SourceUnavailable,
    StopError,
)
from headworks.redaction import redacted, redacted_error

_MISSING = {"42P01", "42703", "3F000", "3D000", "42883"}
_CREDENTIALS_CLASS = "28"
_NO_PRIVILEGE = "42501"
# Connection trouble, lack of resources, operator intervention, serialization failures, lock timeouts, a snapshot whose
# exporter is gone: all may heal.
_HEALING_CLASSES = {"08", "53", "57", "40", "55", "58", "72"}
_HEALING = {"22023", "25P03", "25P04"}

LOOK = "look at what the database says; it may want another statement, right or setting."
"""What to do about an answer of a database that no class of ours is for."""


def decide(state: str, what: str, where: str) -> HeadworksError:
    """Return the error of ours for an SQLSTATE."""
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
    if state[:2] in _HEALING_CLASSES or state in _HEALING:
        return SourceUnavailable(f"The database does not answer as it should: {what}.", where=where)
    return StopError(f"The database says: {what} (SQLSTATE {state}).", where=where, do=LOOK)


def first_line(problem: BaseException) -> str:
    """Return the first line of what an error says, without secrets."""
    return redacted((str(problem).strip().splitlines() or [type(problem).__name__])[0])


def translate_asyncpg(problem: Exception, where: str) -> HeadworksError:
    """Return the error of ours for what asyncpg raised."""
    if isinstance(problem, asyncpg.PostgresError) and problem.sqlstate:
        return decide(problem.sqlstate, first_line(problem), where)
    # Without an SQLSTATE nothing came from the server: the connection was lost, or never was.
    what = first_line(problem) or type(problem).__name__
    return SourceUnavailable(f"The connection to the database was lost: {what}.", where=where)


@contextmanager
def translated_copy(where: str) -> Iterator[None]:
    """Turn what asyncpg raises into errors of ours."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as problem:
        raise translate_asyncpg(problem, where) from redacted_error(problem)


def translate_psycopg(problem: psycopg.Error, where: str) -> HeadworksError:
    """Return the error of ours for what psycopg raised on a connection that once was."""
    what = first_line(problem)
    if problem.sqlstate:
        return decide(problem.sqlstate, what, where)
    if isinstance(problem, psycopg.OperationalError):
        return SourceUnavailable(f"The connection to the database was lost: {what}.", where=where)
    return StopError(f"The database's driver says: {what}.", where=where, do=LOOK)
