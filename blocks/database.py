"""Databases are reached through prefect-sqlalchemy's own connector; this is the way from it to the engine.

The connector is always made from components: made from a URL it shows the password in its repr.
"""

from __future__ import annotations

from typing import cast

from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector
from pydantic import SecretStr
from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from headworks.errors import SettingsError
from headworks.settings import DatabaseSettings

_DRIVER = "postgresql+psycopg"


def database_connector(url: SecretStr, *, where: str = "") -> SqlAlchemyConnector:
    """Make a connector from a database's URL, with the password kept as a secret.

    Any database can be read; publishing, which needs a Postgres, checks for itself (``database_settings``).
    """
    try:
        parts = make_url(url.get_secret_value())
    except ArgumentError as problem:
        raise SettingsError(
            "The database's URL cannot be read.",
            where=where,
            do="write it as postgresql://user:password@host:port/database, with special characters percent-encoded.",
        ) from problem
    is_postgres = parts.get_backend_name() == "postgresql"
    query = {
        name: value if isinstance(value, str) else ",".join(value) for name, value in parts.query.items()
    }
    components = ConnectionComponents(
        driver=_DRIVER if is_postgres else parts.drivername,
        database=parts.database or ("postgres" if is_postgres else ""),
        username=parts.username,
        password=SecretStr(parts.password) if parts.password is not None else None,
        host=parts.host,
        port=str(parts.port) if parts.port is not None else None,
        query=query or None,
    )
    return SqlAlchemyConnector(connection_info=components)


def database_settings(connector: SqlAlchemyConnector, *, postgres: bool = False) -> DatabaseSettings:
    """Return the engine's settings for a connector; ``postgres`` insists on one, which alone is published to."""
    url = cast(URL, connector._rendered_url)
    if postgres and url.get_backend_name() != "postgresql":
        raise SettingsError(
            f"The database is a {url.get_backend_name()}, and only to Postgres can be published.",
            do="name the block of a Postgres.",
        )
    return DatabaseSettings(url=SecretStr(url.render_as_string(hide_password=False)))
