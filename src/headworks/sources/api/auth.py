"""Who we are to an API: the kinds of credentials, as settings."""

from __future__ import annotations

import base64
from typing import Annotated, Literal
from urllib.parse import quote_plus

from pydantic import Field, SecretStr

from headworks.settings import Settings


class NoAuth(Settings):
    """An open API."""

    kind: Literal["none"] = "none"


class BearerAuth(Settings):
    """A token in the Authorization header."""

    kind: Literal["bearer"] = "bearer"
    token: SecretStr = Field(description="The token, without the word Bearer.")


class ApiKeyAuth(Settings):
    """A key in a header or in the query; in the query it is added last, and no log or table shows it."""

    kind: Literal["api_key"] = "api_key"
    key: SecretStr = Field(description="The key.")
    name: str = Field(default="X-Api-Key", description="Name of the header or of the query parameter.")
    send_in: Literal["header", "query"] = Field(default="header", description="Where the key is sent.")


class BasicAuth(Settings):
    """A user and a password."""

    kind: Literal["basic"] = "basic"
    username: str = Field(description="The user.")
    password: SecretStr = Field(default=SecretStr(""), description="The password; empty for none.")


class OAuth2Auth(Settings):
    """OAuth 2 client credentials: a token is fetched, kept until it expires, and renewed once when it is refused."""

    kind: Literal["oauth2"] = "oauth2"
    token_url: str = Field(
        description="Address that tokens are fetched from; it alone gets the client's secret."
    )
    client_id: str = Field(description="Name of the client.")
    client_secret: SecretStr = Field(description="Secret of the client.")
    scope: str | None = Field(default=None, description="Scopes, separated by spaces.")
    audience: str | None = Field(default=None, description="Audience, where the token server wants one.")
    send_in: Literal["basic", "body"] = Field(
        default="basic", description="Whether id and secret are sent as basic authentication or in the form."
    )


class CustomAuth(Settings):
    """An ``httpx.Auth`` of your own, named as ``package.module:Class`` and made with these arguments."""

    kind: Literal["custom"] = "custom"
    reference: str = Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="package.module:Class of an httpx.Auth."
    )
    arguments: dict[str, SecretStr] = Field(
        default_factory=dict, description="Keyword arguments that it is made with."
    )


Auth = Annotated[
    NoAuth | BearerAuth | ApiKeyAuth | BasicAuth | OAuth2Auth | CustomAuth, Field(discriminator="kind")
]


_LONG_NAME = 6
"""Characters from which on a user's name is taken out of messages too."""


def secrets_of(auth: Settings) -> list[str]:
    """Return every secret text of the settings, for taking it out of messages."""
    found: list[str] = []
    for value in (getattr(auth, name) for name in type(auth).model_fields):
        held = value.values() if isinstance(value, dict) else [value]
        found += [text for one in held if isinstance(one, SecretStr) and (text := one.get_secret_value())]
    # A user's name is often the key itself, with an empty password; a short one would make messages unreadable.
    for name in ("username", "client_id"):
        text = getattr(auth, name, "")
        if len(text) >= _LONG_NAME or (name == "username" and text and not found):
            found.append(text)
    found += _pairs(auth)
    return [secret for secret in found if secret]


def _pairs(auth: Settings) -> list[str]:
    """Return user and password as Basic credentials have them, before they are encoded and after."""
    if isinstance(auth, BasicAuth):
        pair = f"{auth.username}:{auth.password.get_secret_value()}"
    elif isinstance(auth, OAuth2Auth):
        pair = f"{quote_plus(auth.client_id)}:{quote_plus(auth.client_secret.get_secret_value())}"
    else:
        return []
    return [pair, base64.b64encode(pair.encode()).decode()]
