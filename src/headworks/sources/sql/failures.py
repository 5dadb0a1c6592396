"""What the drivers of other databases raise, as errors of ours.

Decided by the class of the driver's error, the number that it carries, or its SQLSTATE; never by its words. For
Postgres see ``states.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, NoSuchTableError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from headworks.errors import (
    CredentialsRefused,
    HeadworksError,
    SourceMissing,
    SourceUnavailable,
    StopError,
)
from headworks.redaction import excerpt, redacted_error
from headworks.sources.sql.states import LOOK

_MYSQL = {
    CredentialsRefused: {1044, 1045, 1142, 1143, 1227, 1370, 1698},
    SourceMissing: {1049, 1051, 1054, 1109, 1146},
    # Connections, shutdown, locks, deadlocks, statements that took too long, too many connections.
    SourceUnavailable: {1040, 1053, 1152, 1153, 1158, 1159, 1160, 1161, 1184, 1205, 1213, 1317, 1927, 1969}
    | {2002, 2003, 2006, 2013, 2055, 3024},
}
_SQLITE = {
    SourceUnavailable: {5, 6, 10},
    CredentialsRefused: {3, 23},
    SourceMissing: {14, 26},
}
_ORACLE = {
    CredentialsRefused: {1017, 1031, 1045, 28000, 28001},
    SourceMissing: {904, 942, 4043, 12514},
    SourceUnavailable: {28, 54, 60, 1013, 1033, 1034, 1089, 1555, 3113, 3114, 3135, 8177}
    | {12170, 12537, 12541, 12545, 12547},
}
_STATES = {
    CredentialsRefused: ("28", "42501"),
    SourceMissing: ("42S02", "42S22", "3D", "3F"),
    SourceUnavailable: ("08", "40", "53", "55", "57", "HYT"),
}
_DO = {
    CredentialsRefused: "check user, password and grants in the block.",
    SourceMissing: "correct the name, or create it.",
    SourceUnavailable: "check that it runs and can be reached.",
}
_SAYS = {
    CredentialsRefused: "The database refuses",
    SourceMissing: "The database says",
    SourceUnavailable: "The database does not answer as it should",
}


@contextmanager
def translated_dialect(engine: Engine, where: str) -> Iterator[None]:
    """Turn errors of SQLAlchemy and of the engine's driver into ours; none of them shows the password."""
    driver: Any = engine.dialect.loaded_dbapi
    try:
        yield
    except NoSuchTableError as problem:
        raise SourceMissing(
            f"There is no table {problem}.", where=where, do="correct its name and its schema."
        ) from redacted_error(problem)
    except DBAPIError as problem:
        lost = problem.connection_invalidated
        raise _judged(problem.orig or problem, engine, where, lost=lost) from redacted_error(problem)
    except driver.Error as problem:
        lost = bool(engine.dialect.is_disconnect(problem, None, None))
        raise _judged(problem, engine, where, lost=lost) from redacted_error(problem)
    except PoolTimeout as problem:
        raise SourceUnavailable(
            "All connections to the database are in use.",
            where=where,
            do="nothing, if it heals: it is asked again. Else let fewer runs read it at once.",
        ) from redacted_error(problem)
    except SQLAlchemyError as problem:
        raise StopError(
            f"The database cannot be read: {_text_of(problem)}.", where=where, do=LOOK
        ) from redacted_error(problem)


def _judged(problem: BaseException, engine: Engine, where: str, *, lost: bool) -> HeadworksError:
    kind: type[HeadworksError] | None = SourceUnavailable if lost else _kind(problem, engine.dialect.name)
    text = _text_of(problem)
    if kind is None:
        return StopError(f"The database says: {text}.", where=where, do=LOOK)
    return kind(f"{_SAYS[kind]}: {text}.", where=where, do=_DO[kind])


def _kind(problem: BaseException, dialect: str) -> type[HeadworksError] | None:
    """Return the class of ours, by number or SQLSTATE."""
    first = problem.args[0] if problem.args else None
    if dialect in {"mysql", "mariadb"}:
        return _by_number(_MYSQL, first)
    if dialect == "sqlite":
        code = getattr(problem, "sqlite_errorcode", None)
        # The lower byte is the kind, the rest is detail.
        return _by_number(_SQLITE, code & 0xFF if isinstance(code, int) else None)
    if dialect == "oracle":
        return _by_number(_ORACLE, getattr(first, "code", None))
    state = str(first) if isinstance(first, str) else ""
    return next((kind for kind, states in _STATES.items() if state.startswith(states)), None)


def _by_number(kinds: dict[type[HeadworksError], set[int]], number: Any) -> type[HeadworksError] | None:
    return next((kind for kind, numbers in kinds.items() if number in numbers), None)


def _text_of(problem: BaseException) -> str:
    parts = [str(part) for part in problem.args if isinstance(part, str | int)] or [type(problem).__name__]
    return excerpt(" ".join(parts), 300).rstrip(".")
