"""Where a Postgres is, as each of its two drivers needs it, and as people may see it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from psycopg import ProgrammingError, conninfo

from headworks.errors import SettingsError
from headworks.redaction import redacted_error
from headworks.settings import DatabaseSettings

# What libpq reads from a URL itself, and asyncpg under the same names.
SSL_OPTIONS = (
    "sslmode",
    "sslcert",
    "sslkey",
    "sslrootcert",
    "sslcrl",
    "sslpassword",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "target_session_attrs",
    "passfile",
    "service",
    "krbsrvname",
)


NO_FILE = "/nonexistent/pgpass"
"""What asyncpg is given for a password file, so that it reads none by rules of its own."""


def parameters(settings: DatabaseSettings) -> dict[str, Any]:
    """Return the parts of a database's URL by libpq's names; raises `SettingsError` where it is not one."""
    try:
        return dict(conninfo.conninfo_to_dict(settings.libpq_url()))
    except ProgrammingError as problem:
        raise SettingsError(
            "The database's URL has a parameter that libpq does not know.",
            do=f"correct or leave out one of {', '.join(sorted(settings.parts().query))}.",
        ) from redacted_error(problem)


def describe(settings: DatabaseSettings) -> str:
    """Say where a database is, without credentials."""
    parts = parameters(settings)
    host = parts.get("host") or (f"service {parts['service']}" if parts.get("service") else "localhost")
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{parts.get('user', '')}@{host}{port}/{parts.get('dbname', '')}"


def asyncpg_arguments(settings: DatabaseSettings, application: str) -> dict[str, Any]:
    """Return what ``asyncpg.connect`` is called with for the same database."""
    parts = parameters(settings)
    query = urlencode({name: parts[name] for name in SSL_OPTIONS if parts.get(name)}, quote_via=quote)
    server = {"application_name": application}
    if parts.get("options"):
        server["options"] = str(parts["options"])
    arguments = {
        "dsn": f"postgresql://?{query}",
        "host": _listed(parts.get("host") or parts.get("hostaddr")),
        "port": _listed(parts.get("port"), int),
        "user": parts.get("user"),
        "password": parts.get("password"),
        "database": parts.get("dbname"),
    }
    given = {name: value for name, value in arguments.items() if value not in (None, "")}
    return {
        **given,
        "timeout": settings.connect_timeout_s,
        "server_settings": server,
        # Nothing is prepared: one statement is sent, and a pooler in between need not know it.
        "statement_cache_size": 0,
    }


def _listed(value: Any, kind: type = str) -> Any:
    """Return a value, or the list that libpq writes with commas."""
    if value is None:
        return None
    found = [kind(part) for part in str(value).split(",") if part]
    return found[0] if len(found) == 1 else found
