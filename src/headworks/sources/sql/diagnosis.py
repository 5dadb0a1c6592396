"""Why a connection to Postgres could not be made.

libpq shows it in words alone, and words are no ground for a decision. asyncpg shows it by classes, so it is asked once
more.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from pathlib import Path

import asyncpg
import psycopg

from headworks.errors import CredentialsRefused, HeadworksError, SettingsError, SourceUnavailable
from headworks.settings import DatabaseSettings
from headworks.sources.sql.address import NO_FILE, asyncpg_arguments, describe, parameters
from headworks.sources.sql.states import decide, first_line

_LONGEST_S = 4.0
_SSL = "check sslmode and sslrootcert in the database's URL, and whether the server has SSL switched on."


def why_not(settings: DatabaseSettings, problem: psycopg.Error) -> HeadworksError:
    """Return the error of ours for a connection that psycopg could not make."""
    where = describe(settings)
    if problem.sqlstate:
        return decide(problem.sqlstate, first_line(problem), where)
    if isinstance(problem, psycopg.errors.ConnectionTimeout):
        return _unreachable(f"no answer within {settings.connect_timeout_s} s", where)
    absent = _absent_files(settings)
    if absent:
        return SettingsError(f"There is no file {', '.join(absent)}.", where=where, do=_SSL)
    found = _tried(settings)
    judged = _judged(found, where) if found is not None else _unreachable(first_line(problem), where)
    file = _password_file(settings)
    if isinstance(judged, CredentialsRefused) and file is not None and file.stat().st_mode & 0o077:
        return CredentialsRefused(
            f"The database asks for a password, and others may read the file {file}, so libpq passes it by.",
            where=where,
            do=f"let nobody else read it: chmod 600 {file}",
        )
    return judged


def _password_file(settings: DatabaseSettings) -> Path | None:
    """Return the file that libpq looks for a password in, where there is one and the URL has none."""
    named = parameters(settings)
    if named.get("password"):
        return None
    file = named.get("passfile") or os.environ.get("PGPASSFILE") or Path.home() / ".pgpass"
    return Path(file) if Path(file).is_file() else None


def _absent_files(settings: DatabaseSettings) -> list[str]:
    """Return the files that the URL names for SSL and that are not there."""
    named = parameters(settings)
    files = [str(named[name]) for name in ("sslrootcert", "sslcert", "sslkey") if named.get(name)]
    return [file for file in files if file != "system" and not Path(file).exists()]


def _tried(settings: DatabaseSettings) -> BaseException | None:
    """Try to connect with asyncpg, in a thread since the caller may have an event loop; return what it raised."""
    raised: list[BaseException] = []

    async def connect() -> None:
        arguments = {**asyncpg_arguments(settings, "headworks"), "timeout": _LONGEST_S}
        if not parameters(settings).get("password"):
            # libpq has read its password file already, by rules that asyncpg does not have.
            arguments["passfile"] = NO_FILE
        connection = await asyncpg.connect(**arguments)
        connection.terminate()

    def attempt() -> None:
        try:
            asyncio.run(connect())
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is what we want to know
            raised.append(problem)

    thread = threading.Thread(target=attempt, name="headworks-diagnosis", daemon=True)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def _judged(found: BaseException, where: str) -> HeadworksError:
    if isinstance(found, asyncpg.PostgresError) and found.sqlstate:
        return decide(found.sqlstate, first_line(found), where)
    if isinstance(found, ssl.SSLError):
        return SettingsError(
            f"The server's SSL is not accepted: {found.reason or found}.", where=where, do=_SSL
        )
    if isinstance(found, asyncpg.ClientConfigurationError):
        return SettingsError(f"The connection is set up wrongly: {first_line(found)}.", where=where, do=_SSL)
    if isinstance(found, asyncpg.InterfaceError):
        return CredentialsRefused(
            f"The database asks for what was not given: {first_line(found)}.",
            where=where,
            do="check user and password in the block.",
        )
    if isinstance(found, socket.gaierror) and found.errno in {socket.EAI_NONAME, socket.EAI_NODATA}:
        return SettingsError(
            "There is no host of this name.", where=where, do="correct the host in the database's URL."
        )
    if isinstance(found, TimeoutError):
        return _unreachable(f"no answer within {_LONGEST_S:.0f} s", where)
    if type(found) is ConnectionError:
        # asyncpg's own, for a server that answers but offers no SSL where the URL requires it.
        return SettingsError(f"The server offers no SSL: {first_line(found)}.", where=where, do=_SSL)
    return _unreachable(first_line(found), where)


def _unreachable(what: str, where: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"The database cannot be reached: {what}.",
        where=where,
        do="check that it runs, its host and its port.",
    )
