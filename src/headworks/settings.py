"""Settings of the engine: frozen models that say where things are and what is allowed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from headworks.database_urls import DatabaseUrl, read_url

_ODD = re.compile(r"%[0-9A-Fa-f]{2}|[\[\]^|=\\\x00-\x1f]")


class Settings(BaseModel):
    """The base of all settings: frozen, and strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PlaceSettings(Settings):
    """A place for files: a local folder or an object store's URI with its storage options."""

    root: str = Field(description="A local path, or a URI such as s3://bucket/folder.")
    storage_options: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Options of the object store, by the names that delta-rs uses.",
    )

    @field_validator("root")
    @classmethod
    def _absolute(cls, root: str) -> str:
        root = root.rstrip("/")
        if not root:
            raise ValueError("the root must not be empty")
        if "://" in root:
            return root
        return str(Path(root).expanduser().absolute())

    @property
    def is_local(self) -> bool:
        """Return whether the place is a folder of this machine."""
        return "://" not in self.root

    def options(self) -> dict[str, str] | None:
        """Return the storage options in clear, for the storage libraries alone."""
        return {name: value.get_secret_value() for name, value in self.storage_options.items()} or None


class LakeSettings(PlaceSettings):
    """Where the lake is."""

    @field_validator("root")
    @classmethod
    def _readable(cls, root: str) -> str:
        """Refuse folders that the table library reads as another one: it takes their names for parts of a URI."""
        odd = _ODD.search(root)
        if odd:
            raise ValueError(
                f"the lake's location has {odd[0]!r} in it, which the table library takes for something else; "
                "choose a folder without % before two hexadecimal digits, brackets, =, ^, |, backslashes and line ends"
            )
        return root


class FilesSettings(PlaceSettings):
    """Where files are that a source reads."""


SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
"""Whether a connection to Postgres is encrypted, and what of the server's certificate is checked."""


class DatabaseSettings(Settings):
    """How to reach a database; the URL holds a password and is never printed."""

    url: SecretStr = Field(description="A SQLAlchemy or libpq URL.")
    sslmode: SslMode | None = Field(
        default=None,
        description="For Postgres, where the URL names none: whether the connection is encrypted. Left empty, libpq's "
        "prefer: encrypted where the server offers it, without checking whose server it is. require: encrypted or not "
        "at all. verify-full: encrypted, and the certificate is that of the host; sslrootcert in the URL says by whom.",
    )
    statement_timeout_s: int = Field(
        default=600, ge=1, description="Longest time of one statement, in seconds."
    )
    lock_timeout_s: int = Field(
        default=60, ge=1, description="Longest time that a statement waits for another's lock, in seconds."
    )
    idle_timeout_s: int = Field(
        default=300,
        ge=1,
        description="Longest time that a publication may be idle in its transaction, in seconds: then the server "
        "ends it and gives back its locks.",
    )
    connect_timeout_s: int = Field(default=8, ge=1, description="Longest time to connect, in seconds.")

    def parts(self) -> DatabaseUrl:
        """Return the parts of the URL; raises `SettingsError`, without showing it, where it cannot be read."""
        found = read_url(self.url.get_secret_value())
        if not found.is_postgres or self.sslmode is None or "sslmode" in found.query:
            return found
        return replace(found, query={**found.query, "sslmode": self.sslmode})

    def libpq_url(self) -> str:
        """Return the URL as libpq reads it: without a driver's name, and with every special character encoded."""
        return self.parts().written("postgresql")


class RejectLimits(Settings):
    """How many rejected rows a batch may have before the gate closes.

    Example:
        >>> RejectLimits(share=0.01).share
        0.01
    """

    share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Largest share of rejected rows in a batch.",
    )
    rows: int = Field(
        default=1_000_000,
        ge=0,
        description="Largest number of rejected rows in a batch.",
    )
    from_rows: int = Field(
        default=50,
        ge=0,
        description="Below this many rows in a batch the share says nothing and is not applied.",
    )
