"""Engines for databases that have no reader of their own: one pool of connections for all that a run reads of one."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import NoSuchModuleError

from headworks.errors import SettingsError, SourceMissing
from headworks.settings import DatabaseSettings

_MOST_CONNECTIONS = 8

_shared: dict[tuple[str, str], tuple[Engine, int]] = {}
_sharing = threading.Lock()


@contextmanager
def shared_engine(settings: DatabaseSettings, run_id: str) -> Iterator[Engine]:
    """Hand out the engine that all readings of a run share while any of them continues; the last one closes it."""
    name = (settings.url.get_secret_value(), run_id)
    with _sharing:
        engine, users = _shared.get(name) or (_engine(settings), 0)
        _shared[name] = (engine, users + 1)
    try:
        yield engine
    finally:
        with _sharing:
            engine, users = _shared[name]
            if users > 1:
                _shared[name] = (engine, users - 1)
            else:
                del _shared[name]
                engine.dispose()


def address(settings: DatabaseSettings) -> URL:
    """Return a database's URL; raises `SettingsError`, without showing it, where it is not one."""
    found = settings.parts()
    return URL.create(
        "postgresql" if found.is_postgres else found.scheme,
        found.user,
        found.password,
        found.host,
        int(found.port) if found.port and found.port.isdigit() else None,
        found.database,
        dict(found.query),
    )


def where_is(settings: DatabaseSettings) -> str:
    """Say where a database is, without password and options."""
    return address(settings).set(password=None, query={}).render_as_string()


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Hand out a connection whose statements see one state of the database, as far as its kind can."""
    levels = {"mysql": "REPEATABLE READ", "mariadb": "REPEATABLE READ", "oracle": "SERIALIZABLE"}
    level = levels.get(engine.dialect.name)
    with engine.connect() as connection:
        yield connection.execution_options(isolation_level=level) if level else connection


def streaming_cursor(connection: Connection) -> Any:
    """Return a cursor of the driver whose rows stay on the server until they are fetched."""
    raw = connection.connection.dbapi_connection
    assert raw is not None, "a connection that is checked out has its driver's"
    make = _STREAMING.get(connection.dialect.driver)
    return make(raw) if make else raw.cursor()


def run_on(cursor: Any, connection: Connection, statement: Any) -> None:
    """Run a statement of SQLAlchemy on a driver's own cursor, with its values written into the text."""
    text = str(statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
    if connection.dialect.paramstyle in {"format", "pyformat"}:
        # The text has its percent signs doubled, as for values to come.
        cursor.execute(text, ())
    else:
        cursor.execute(text)


def _engine(settings: DatabaseSettings) -> Engine:
    url = address(settings)
    if url.get_backend_name() == "sqlite":
        url = _existing(url)
    try:
        engine = create_engine(
            url,
            connect_args=_connect_arguments(url.get_driver_name(), settings),
            pool_size=_MOST_CONNECTIONS,
            max_overflow=0,
            pool_pre_ping=True,
        )
        if url.get_backend_name() == "sqlite":
            event.listen(engine, "connect", _reads_any_text)
        return engine
    except (NoSuchModuleError, ImportError) as problem:
        raise SettingsError(
            f"There is no driver for {url.drivername} here: {problem}.",
            where=where_is(settings),
            do="install the driver's package, or name another as dialect+driver.",
        ) from problem


def _connect_arguments(driver: str, settings: DatabaseSettings) -> dict[str, Any]:
    make = _CONNECTING.get(driver)
    return make(settings) if make else {}


def _existing(url: URL) -> URL:
    """Open a file of SQLite for reading alone: it would be made where there is none."""
    if not url.database or url.database == ":memory:" or not Path(url.database).is_file():
        raise SourceMissing(
            "There is no such file of SQLite.", where=f"{url.database}", do="correct the path in the URL."
        )
    path = Path(url.database).absolute().as_uri()
    return url.set(database=path, query={"mode": "ro", "uri": "true"})


def _reads_any_text(connection: Any, _record: object) -> None:
    """Let a connection of SQLite give a text that is no UTF-8 as its bytes: the driver would end the reading there."""
    connection.text_factory = _text_or_bytes


def _text_or_bytes(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _pymysql(settings: DatabaseSettings) -> dict[str, Any]:
    password = settings.parts().password
    return {
        # The driver would write a text in Latin-1, and the server reads UTF-8.
        **({"password": password.encode()} if password is not None else {}),
        "connect_timeout": settings.connect_timeout_s,
        "read_timeout": settings.statement_timeout_s,
        # Moments come in UTC, and the server waits as long for a slow reader as for a statement.
        "init_command": f"SET SESSION time_zone = '+00:00', net_write_timeout = {settings.statement_timeout_s}, "
        f"innodb_lock_wait_timeout = {settings.lock_timeout_s}",
        "charset": "utf8mb4",
    }


_CONNECTING: dict[str, Callable[[DatabaseSettings], dict[str, Any]]] = {
    "pymysql": _pymysql,
    "mysqldb": lambda settings: {
        name: value for name, value in _pymysql(settings).items() if name != "password"
    },
    "pysqlite": lambda settings: {"timeout": settings.lock_timeout_s},
    "pyodbc": lambda settings: {"timeout": settings.connect_timeout_s},
    "oracledb": lambda settings: {"tcp_connect_timeout": settings.connect_timeout_s},
}


def _server_side(module: str) -> Callable[[Any], Any]:
    return lambda raw: raw.cursor(importlib.import_module(module).SSCursor)


_STREAMING: dict[str, Callable[[Any], Any]] = {
    "pymysql": _server_side("pymysql.cursors"),
    "mysqldb": _server_side("MySQLdb.cursors"),
    "mariadbconnector": lambda raw: raw.cursor(buffered=False),
}
"""Drivers that would fetch everything at once unless configured otherwise."""
