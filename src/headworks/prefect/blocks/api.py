"""The block that holds an API's address, credentials and limits.

Its fields are flat, so that each is one field of the form in the UI and one variable of the environment.
"""

from __future__ import annotations

from typing import Any, Literal

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, SecretStr

from headworks.errors import SettingsError
from headworks.sources.api.settings import ApiSettings

AuthKind = Literal["none", "bearer", "api_key", "basic", "oauth2", "custom"]

_NEEDED: dict[str, tuple[str, ...]] = {
    "none": (),
    "bearer": ("token",),
    "api_key": ("api_key",),
    "basic": ("username",),
    "oauth2": ("token_url", "client_id", "client_secret"),
    "custom": ("auth_class",),
}


class ApiCredentials(Block):
    """How to reach an API: its address, who we are to it, and how hard and how patiently it is asked."""

    _block_type_name = "Headworks API"
    _block_type_slug = "headworks-api"
    _description = "An API that data is read from."
    _documentation_url = HttpUrl("https://github.com/headworks/headworks/blob/main/docs/api.md#credentials")
    _code_example = """
    ```python
    from headworks.prefect.blocks import ApiCredentials

    ApiCredentials(base_url="https://api.example.com", token="a token that reads").save("example-api", overwrite=True)
    settings = ApiCredentials.load("example-api").to_settings()
    ```
    """

    base_url: str = Field(
        description="The address that every path is appended to, such as https://api.example.com."
    )
    auth: AuthKind | None = Field(
        default=None,
        description="Who we are: none, bearer, api_key, basic, oauth2 or custom. Empty: bearer where there is a token.",
    )
    token: SecretStr | None = Field(default=None, description="bearer: a token with read rights.")
    api_key: SecretStr | None = Field(default=None, description="api_key: the key.")
    api_key_name: str = Field(
        default="X-Api-Key", description="api_key: name of the header or of the query parameter."
    )
    api_key_in: Literal["header", "query"] = Field(
        default="header", description="api_key: where the key is sent."
    )
    username: str | None = Field(default=None, description="basic: the user.")
    password: SecretStr | None = Field(default=None, description="basic: the password.")
    token_url: str | None = Field(default=None, description="oauth2: address that tokens are fetched from.")
    client_id: str | None = Field(default=None, description="oauth2: name of the client.")
    client_secret: SecretStr | None = Field(default=None, description="oauth2: secret of the client.")
    client_secret_in: Literal["basic", "body"] = Field(
        default="basic",
        description="oauth2: whether id and secret are sent as basic authentication or in the form.",
    )
    scope: str | None = Field(default=None, description="oauth2: scopes, separated by spaces.")
    audience: str | None = Field(
        default=None, description="oauth2: audience, where the token server wants one."
    )
    auth_class: str | None = Field(default=None, description="custom: an httpx.Auth as package.module:Class.")
    auth_arguments: dict[str, SecretStr] = Field(
        default_factory=dict, description="custom: the arguments that it is made with."
    )
    headers: dict[str, str] = Field(
        default_factory=dict, description="Headers of every request, such as an API version; no secrets."
    )
    requests_per_s: float | None = Field(
        default=None,
        gt=0,
        description="Budget of requests in a second, shared by all runs; empty: as fast as it answers.",
    )
    in_flight: int = Field(
        default=8, ge=1, le=256, description="Requests at the same time, where the pagination allows it."
    )
    timeout_s: float = Field(default=30.0, gt=0, description="Longest time of one request, in seconds.")
    response_megabytes: int = Field(default=64, ge=1, description="Largest answer once decompressed, in MB.")
    attempts: int = Field(
        default=3, ge=1, description="How often one page is asked for before the run stops."
    )
    longest_wait_s: float = Field(
        default=60.0,
        gt=0,
        description="The longest Retry-After that is waited out instead of stopping, in seconds.",
    )
    breaker_failures: int = Field(
        default=10,
        ge=1,
        description="Failures one after another before the circuit breaker opens for a while.",
    )
    rewrite_links: bool = Field(
        default=False,
        description="Next pages are asked for at the base URL, whichever host the API names: for one behind a proxy.",
    )
    ca_bundle: str | None = Field(
        default=None, description="Path of a bundle of certificate authorities; empty: those of the system."
    )

    def to_settings(self) -> ApiSettings:
        """Return the engine's settings; raises `SettingsError` where the credentials are not complete."""
        return ApiSettings.model_validate(
            {
                "base_url": self.base_url,
                "auth": self._auth(),
                "headers": self.headers,
                "rewrite_links": self.rewrite_links,
                "verify_tls": self.ca_bundle or True,
                "breaker": {"failures": self.breaker_failures},
                "limits": {
                    "requests_per_s": self.requests_per_s,
                    "in_flight": self.in_flight,
                    "timeout_s": self.timeout_s,
                    "response_bytes": self.response_megabytes * 1024 * 1024,
                    "attempts": self.attempts,
                    "longest_wait_s": self.longest_wait_s,
                },
            }
        )

    def _auth(self) -> dict[str, Any]:
        kind = self.auth or ("bearer" if self.token is not None else "none")
        absent = [name for name in _NEEDED[kind] if not getattr(self, name)]
        if absent:
            raise SettingsError(
                f"Authentication of the kind {kind} needs {', '.join(absent)}.",
                where=f"the block of {self.base_url}",
                do="fill it in, or choose another kind.",
            )
        filled: dict[str, dict[str, Any]] = {
            "none": {},
            "bearer": {"token": self.token},
            "api_key": {"key": self.api_key, "name": self.api_key_name, "send_in": self.api_key_in},
            "basic": {"username": self.username, "password": self.password or SecretStr("")},
            "oauth2": {
                "token_url": self.token_url,
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "send_in": self.client_secret_in,
                "scope": self.scope,
                "audience": self.audience,
            },
            "custom": {"reference": self.auth_class, "arguments": self.auth_arguments},
        }
        return {"kind": kind, **filled[kind]}
