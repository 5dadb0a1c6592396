"""What is wrong with a database is said in one message that names it, by the class that decides, without a secret."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import conninfo
from pydantic import SecretStr

from headworks.bronze.ingest import IngestRequest, ingest
from headworks.bronze.readers import TableIngest
from headworks.errors import (
    CredentialsRefused,
    HeadworksError,
    SettingsError,
    SourceMissing,
    SourceUnavailable,
    StopError,
)
from headworks.settings import DatabaseSettings
from headworks.sources.sql.states import decide
from headworks.storage.store import Lake
from tests.support.databases import landed, source, take

SECRET = "hunter2-hunter2"


@contextmanager
def server(answer: bytes | None) -> Iterator[int]:
    """Listen on a port, and answer the first message of each connection, or say nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.recv(1024)
                if answer:
                    connection.sendall(answer)
                    connection.close()
                else:
                    held.append(connection)

        held: list[socket.socket] = []
        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    for connection in held:
        connection.close()


def fails(url: str, kind: type[HeadworksError], match: str, **table: Any) -> None:
    """Expect one error of exactly this class, which names what is wrong and holds no secret."""
    settings = DatabaseSettings(url=SecretStr(url), connect_timeout_s=2)
    with pytest.raises(HeadworksError, match=match) as raised:
        _ = source(settings, **table).schema
    assert type(raised.value) is kind
    assert SECRET not in str(raised.value) + repr(raised.value)


def test_a_host_that_does_not_answer_is_named_as_are_its_port_and_user() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    fails(f"postgresql://me:{SECRET}@127.0.0.1:{port}/x", SourceUnavailable, f"me@127.0.0.1:{port}/x")


def test_a_host_that_swallows_everything_is_given_up_after_the_connect_timeout() -> None:
    with server(None) as port:
        fails(f"postgresql://me:{SECRET}@127.0.0.1:{port}/x", SourceUnavailable, f"127.0.0.1:{port}")


def test_a_server_without_ssl_is_refused_where_the_url_requires_it() -> None:
    with server(b"N") as port:
        url = f"postgresql://me:{SECRET}@127.0.0.1:{port}/x?sslmode=require"
        fails(url, SettingsError, "offers no SSL.*sslmode")


def test_a_certificate_that_is_not_there_is_a_setting() -> None:
    with server(b"S") as port:
        url = f"postgresql://me:{SECRET}@127.0.0.1:{port}/x?sslmode=verify-full&sslrootcert=/nowhere.pem"
        fails(url, SettingsError, "no file /nowhere.pem")


def test_a_url_that_is_none_is_said_without_showing_it() -> None:
    fails(f"postgresql://me:{SECRET}@host:port:5/x%zz", SettingsError, "URL cannot be read")


def test_names_that_are_not_there(database: DatabaseSettings, connection: psycopg.Connection) -> None:
    connection.execute("CREATE TABLE rows (id int)")
    url = database.libpq_url()
    fails(url, SourceMissing, 'relation "orders" does not exist', name="orders")
    fails(url, SourceMissing, 'relation "shop.rows" does not exist', schema_name="shop")
    fails(url, SourceMissing, "no column 'changed'", cursor="changed")
    fails(url, SourceMissing, "no column 'key'", key=["key"])
    fails(url, SourceMissing, 'column "nothing" does not exist', query="SELECT nothing FROM rows")
    name = conninfo.conninfo_to_dict(url)["dbname"]
    fails(url.replace(str(name), "no_such_database"), SourceMissing, 'database "no_such_database" does not')


def test_a_user_that_is_not_there_or_may_not_read(
    database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    connection.execute("CREATE TABLE rows (id int)")
    connection.execute("DROP ROLE IF EXISTS clerk")
    connection.execute("CREATE ROLE clerk LOGIN")
    parts = conninfo.conninfo_to_dict(database.libpq_url())
    url = f"postgresql://{{}}@/{parts['dbname']}?host={parts['host']}"
    try:
        fails(url.format("nobody_here"), CredentialsRefused, 'role "nobody_here" does not exist')
        fails(url.format("clerk"), CredentialsRefused, "permission denied for table rows")
    finally:
        connection.execute("DROP ROLE clerk")


@contextmanager
def with_password(connection: psycopg.Connection, role: str, password: str) -> Iterator[None]:
    """Make a role that the server asks for its password, as no other role of the tests' server."""
    connection.execute(f"DROP ROLE IF EXISTS {role}")
    connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    (where,) = connection.execute("SHOW hba_file").fetchone() or ("",)
    rules = Path(str(where))
    before = rules.read_text()
    try:
        rules.write_text(f"local all {role} scram-sha-256\nhost all {role} all scram-sha-256\n{before}")
        connection.execute("SELECT pg_reload_conf()")
        yield
    finally:
        rules.write_text(before)
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"DROP ROLE {role}")


def test_a_wrong_password_is_said_with_its_user_and_without_itself(
    database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    parts = conninfo.conninfo_to_dict(database.libpq_url())
    url = f"postgresql://auditor:{{}}@/{parts['dbname']}?host={parts['host']}"
    refused = 'password authentication failed for user "auditor"'
    connection.execute("CREATE TABLE rows (id int)")
    with with_password(connection, "auditor", "the right one"):
        connection.execute("GRANT SELECT ON rows TO auditor")
        try:
            _until_refused(url.format(SECRET))
            fails(url.format(SECRET), CredentialsRefused, refused)
            right = DatabaseSettings(url=SecretStr(url.format("the%20right%20one")))
            assert list(source(right).schema) == ["id"]
        finally:
            connection.execute("REVOKE ALL ON rows FROM auditor")


def _until_refused(url: str) -> None:
    """The server takes its new rules up in its own time; until then it lets everybody in."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            return
    raise AssertionError("the server did not take up its new rules")


DECISIONS = {
    "28P01": CredentialsRefused,
    "42501": CredentialsRefused,
    "42P01": SourceMissing,
    "42703": SourceMissing,
    "3D000": SourceMissing,
    "08006": SourceUnavailable,
    "57P01": SourceUnavailable,
    "57014": SourceUnavailable,
    "55P03": SourceUnavailable,
    "40001": SourceUnavailable,
    "53300": SourceUnavailable,
    "22012": StopError,
}


@pytest.mark.parametrize("state", DECISIONS)
def test_an_sqlstate_decides(state: str) -> None:
    assert type(decide(state, "words that decide nothing", "here")) is DECISIONS[state]


def test_a_lock_that_is_not_released_and_a_statement_that_takes_too_long_can_be_repeated(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    connection.execute("CREATE TABLE rows (id int)")
    impatient = database.model_copy(update={"lock_timeout_s": 1, "statement_timeout_s": 1})
    with psycopg.connect(database.libpq_url()) as other:
        other.execute("LOCK TABLE rows")
        with pytest.raises(SourceUnavailable, match=r"lock timeout|statement timeout"):
            _ = source(impatient).schema
    endless = source(impatient, query="SELECT id FROM generate_series(1, 3) id WHERE pg_sleep(9) IS NULL")
    with pytest.raises(SourceUnavailable, match="statement timeout"):
        take(lake, endless)


def test_a_connection_that_is_cut_in_the_middle_is_an_error_and_the_next_run_goes_on(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    connection.execute(
        "CREATE TABLE rows AS SELECT id, repeat('x', 2000) AS wide FROM generate_series(1, 40000) id"
    )
    reading = source(database, cursor="id", batch_rows=1000)
    cut = iter([True])

    def end_all(*_: object) -> None:
        if next(cut, False):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    with pytest.raises(SourceUnavailable):
        ingest(IngestRequest(lake, "t.rows", "another run"), TableIngest(reading), end_all)
    committed = len(landed(lake))
    assert 0 < committed < 40000
    (rest,) = take(lake, reading)
    assert rest.landed == 40000 - committed
    assert sorted(landed(lake).get_column("id").to_list()) == list(range(1, 40001))


def test_nothing_is_left_open_by_a_reading_that_is_given_up(
    database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    connection.execute(
        "CREATE TABLE rows AS SELECT id, repeat('x', 2000) w FROM generate_series(1, 20000) id"
    )
    batches = source(database, batch_rows=100, ranges=2).read(None, None)
    next(iter(batches))
    batches.close()  # type: ignore[attr-defined]
    for _ in range(1000):
        open_ = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'headworks%'"
        ).fetchone()
        if open_ == (0,):
            return
    raise AssertionError(f"{open_} connections are still open")


def test_a_database_that_does_not_know_its_encoding_is_read_as_long_as_it_holds_utf_8(
    lake: Lake, database: DatabaseSettings, connection: psycopg.Connection
) -> None:
    """It hands out whatever was put in; bytes that are no text are refused, and nothing of them is landed."""
    connection.execute("CREATE DATABASE unknown_encoding ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    address = urlsplit(database.libpq_url())._replace(path="/unknown_encoding").geturl()
    reading = source(DatabaseSettings(url=SecretStr(address)))
    with psycopg.connect(address, autocommit=True) as other:
        other.execute("SET client_encoding = 'SQL_ASCII'")
        other.execute("CREATE TABLE rows AS SELECT 1 AS id, 'Köln'::text AS name".encode())
        take(lake, reading)
        assert landed(lake).get_column("name").to_list() == ["Köln"]
        other.execute(b"INSERT INTO rows VALUES (2, E'K\\xf6ln')")
    with pytest.raises(StopError, match='invalid byte sequence for encoding "UTF8": 0xf6'):
        take(lake, reading)
    assert landed(lake).height == 1
