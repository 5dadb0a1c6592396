"""Databases are reached through prefect-sqlalchemy's own connector; this is the way from it to the engine.

The connector is always made from components: made from a URL it shows the password in its repr. A password that a URL
has among its parameters becomes a component as well.
"""

from __future__ import annotations

from dataclasses import replace

from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector
from pydantic import SecretStr, ValidationError

from headworks.database_urls import DatabaseUrl, read_url
from headworks.errors import SettingsError
from headworks.settings import DatabaseSettings

_DRIVER = "postgresql+psycopg"


def database_connector(url: SecretStr, *, where: str = "", sslmode: str | None = None) -> SqlAlchemyConnector:
    """Make a connector from a database's URL, with the password kept as a secret.

    ``sslmode`` holds where the URL names none. Any database can be read; publishing, which needs a Postgres, checks for
    itself (``database_settings``).
    """
    parts = read_url(url.get_secret_value(), where)
    if parts.secret_options():
        raise SettingsError(
            f"The URL's {', '.join(parts.secret_options())} would be readable in the block.",
            where=where,
            do="keep it where the library finds it by itself: a key without a passphrase in a file that only its user "
            "may read, or libpq's PGPASSFILE and service file.",
        )
    query = dict(parts.query)
    if sslmode and parts.is_postgres:
        query.setdefault("sslmode", sslmode)
    port = parts.port
    if port is not None and not port.isdigit():
        # Several hosts, of which each has its own.
        query["port"], port = port, None
    database = parts.database
    if database is None and parts.is_postgres and "service" not in query:
        database = "postgres"
    try:
        components = ConnectionComponents(
            driver=_DRIVER if parts.is_postgres else parts.scheme,
            database=database,
            username=parts.user,
            password=SecretStr(parts.password) if parts.password is not None else None,
            host=parts.host,
            port=int(port) if port else None,
            query=query or None,
        )
    except ValidationError:
        raise SettingsError(
            "The database's URL cannot be read.",
            where=where,
            do="write it as dialect://user:password@host:port/database.",
        ) from None
    return SqlAlchemyConnector(connection_info=components)


def database_settings(connector: SqlAlchemyConnector, *, postgres: bool = False) -> DatabaseSettings:
    """Return the engine's settings for a connector; ``postgres`` insists on one, which alone is published to."""
    parts = _parts(connector)
    if postgres and not parts.is_postgres:
        raise SettingsError(
            f"The database is a {parts.scheme.partition('+')[0]}, and only to Postgres can be published.",
            do="name the block of a Postgres.",
        )
    return DatabaseSettings(url=SecretStr(parts.written()))


def _parts(connector: SqlAlchemyConnector) -> DatabaseUrl:
    """Return what a connector holds, whether it was made here, in the UI, or from a URL."""
    made = connector.connection_info
    if not isinstance(made, ConnectionComponents):
        found = read_url(str(made))
    else:
        url = made.create_url()
        # Through the text, so that parameters which represent components are put in their places.
        found = read_url(
            DatabaseUrl(
                url.drivername,
                url.username,
                made.password.get_secret_value() if made.password is not None else None,
                url.host,
                str(url.port) if url.port is not None else None,
                url.database,
                dict(made.query or {}),
            ).written()
        )
    given = {name: str(value) for name, value in (connector.connect_args or {}).items()}
    if not found.is_postgres or not given:
        return found
    return read_url(replace(found, query={**found.query, **given}).written())
