"""Shows an API who we are: credentials put on requests, and a token fetched and renewed."""

from __future__ import annotations

import asyncio
import base64
import importlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import httpx
import msgspec

from headworks.errors import CredentialsRefused, SettingsError
from headworks.ports import Clock
from headworks.redaction import excerpt, know
from headworks.sources.api.auth import (
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    CustomAuth,
    OAuth2Auth,
    secrets_of,
)
from headworks.sources.api.settings import ApiSettings

_EARLY = 0.9
_DEFAULT_EXPIRY_S = 300.0
_LONGEST_EXPIRY_S = 366 * 86_400.0
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SECRET_NAME = re.compile(r"(?i)auth|token|secret|password|cookie|session|signature|api-?key|^x-.*key$")

Post = Callable[[str, dict[str, str], dict[str, str]], Awaitable[bytes]]
"""Posts a form with headers to an address, and returns the answer's body; raises errors of ours."""


@dataclass
class TokenCache:
    """A fetched token, kept for all readings of an API; ``renewals`` counts how often it was fetched."""

    token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    renewals: int = 0


class Signer:
    """Signs the requests of one reading."""

    def __init__(self, settings: ApiSettings, cache: TokenCache, clock: Clock, post: Post) -> None:
        self._auth, self._cache, self._clock, self._post = settings.auth, cache, clock, post
        self._lock = asyncio.Lock()
        self.custom = _custom(settings.auth) if isinstance(settings.auth, CustomAuth) else None

    @property
    def version(self) -> int:
        """A number that changes when the token does."""
        return self._cache.renewals

    async def headers(self) -> dict[str, str]:
        """Return the headers that show who we are, fetching a token where there is none that is good."""
        auth = self._auth
        if isinstance(auth, BearerAuth):
            return {"Authorization": f"Bearer {header_value(auth.token.get_secret_value(), 'The token')}"}
        if isinstance(auth, BasicAuth):
            return {"Authorization": _basic(auth.username, auth.password.get_secret_value())}
        if isinstance(auth, ApiKeyAuth) and auth.send_in == "header":
            return {auth.name: header_value(auth.key.get_secret_value(), "The key")}
        if isinstance(auth, OAuth2Auth):
            return {"Authorization": f"Bearer {await self._token(auth)}"}
        return {}

    async def renew(self, refused: int) -> bool:
        """Fetch a new token in place of the refused version; False where these credentials cannot be renewed."""
        auth = self._auth
        if not isinstance(auth, OAuth2Auth):
            return False
        async with self._lock:
            if self._cache.renewals == refused:
                await self._fetch(auth)
        return True

    async def _token(self, auth: OAuth2Auth) -> str:
        async with self._lock:
            expires = self._cache.expires_at
            if self._cache.token is None or (expires is not None and self._clock() >= expires):
                await self._fetch(auth)
        return str(self._cache.token)

    async def _fetch(self, auth: OAuth2Auth) -> None:
        form = {"grant_type": "client_credentials"}
        form |= {name: value for name in ("scope", "audience") if (value := getattr(auth, name))}
        headers = {"Accept": "application/json"}
        secret = auth.client_secret.get_secret_value()
        if auth.send_in == "basic":
            headers["Authorization"] = _basic(quote_plus(auth.client_id), quote_plus(secret))
        else:
            form |= {"client_id": auth.client_id, "client_secret": secret}
        answer = await self._post(auth.token_url, form, headers)
        token, expires_s = _read_token(answer, auth.token_url)
        know(token)
        self._cache.token = token
        self._cache.expires_at = self._clock() + timedelta(seconds=expires_s * _EARLY)
        self._cache.renewals += 1


class QuerySigner(httpx.AsyncBaseTransport):
    """Adds a key to the query on the last step before the wire, below httpx's own log of addresses."""

    def __init__(self, inner: httpx.AsyncBaseTransport, auth: ApiKeyAuth, host: str) -> None:
        self._inner, self._auth, self._host = inner, auth, host

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request with the key."""
        if request.url.host != self._host:
            return await self._inner.handle_async_request(request)
        url = request.url.copy_add_param(self._auth.name, self._auth.key.get_secret_value())
        signed = httpx.Request(
            request.method,
            url,
            headers=request.headers,
            content=request.content,
            extensions=request.extensions,
        )
        response = await self._inner.handle_async_request(signed)
        response.request = request
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def know_secrets(settings: ApiSettings, cache: TokenCache) -> None:
    """Remember what no message may hold: credentials, the token at hand, and headers that look like credentials."""
    know(*secrets_of(settings.auth), *([cache.token] if cache.token else []))
    know(*(value for name, value in settings.headers.items() if _SECRET_NAME.search(name)))


def header_value(text: str, what: str) -> str:
    """Return a credential as a header can hold it; raises `SettingsError` where it has a line break within."""
    text = text.strip()
    if _CONTROL.search(text):
        raise SettingsError(
            f"{what} holds a line break or another character that no header can hold.",
            where="the API's block",
            do="copy it again, as one line.",
        )
    return text


def _read_token(body: bytes, url: str) -> tuple[str, float]:
    """Return the token of an answer and for how many seconds it is good."""
    answer = _token_answer(body)
    token = answer.get("access_token")
    if not isinstance(token, str) or not token.strip():
        said = said_by(body)
        raise CredentialsRefused(
            f"The token server's answer holds no access_token{said or '.'}",
            where=url,
            do="check token_url, and what the client is allowed.",
        )
    if _CONTROL.search(token.strip()):
        raise CredentialsRefused(
            "The token server's access_token holds a line break or another character that no header can hold.",
            where=url,
            do="ask the token server's owner.",
        )
    return token.strip(), _expiry_s(answer.get("expires_in"))


def said_by(body: bytes) -> str:
    """Return what a token server says of a refusal: its error and description, else the beginning of its answer."""
    answer = _token_answer(body)
    parts = [answer.get(name) for name in ("error", "error_description", "message", "error_uri")]
    said = ", ".join(part for part in parts if isinstance(part, str) and part)
    if not said and answer.keys() <= {"access_token", "token_type", "expires_in", "scope"}:
        return "." if answer else _beginning(body)
    return f": {excerpt(said)}" if said else _beginning(body)


def _beginning(body: bytes) -> str:
    text = excerpt(body.decode("utf-8", "replace"))
    return "." if not text or text.startswith("<") else f": {text}"


def _token_answer(body: bytes) -> dict[str, Any]:
    """Read a token server's answer: JSON, or a form as some still send it; empty where it is neither."""
    text = body.removeprefix(b"\xef\xbb\xbf").strip()
    try:
        answer = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        form = parse_qsl(text.decode("utf-8", "replace"))
        return dict(form) if text[:1] not in (b"<", b"{", b"[") else {}
    return answer if isinstance(answer, dict) else {}


def _expiry_s(given: Any) -> float:
    try:
        seconds = float(given)
    except (TypeError, ValueError):
        return _DEFAULT_EXPIRY_S
    return min(seconds, _LONGEST_EXPIRY_S) if seconds > 0 else _DEFAULT_EXPIRY_S


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _custom(auth: CustomAuth) -> httpx.Auth:
    module, _, name = auth.reference.partition(":")
    try:
        made: Any = getattr(importlib.import_module(module), name)(
            **{key: value.get_secret_value() for key, value in auth.arguments.items()}
        )
    except (ImportError, AttributeError, TypeError) as problem:
        raise SettingsError(
            f"The authentication {auth.reference} cannot be made: {type(problem).__name__}.",
            where="auth.reference",
            do="name an importable class as package.module:Class, and the arguments that it takes.",
        ) from problem
    if not isinstance(made, httpx.Auth):
        raise SettingsError(
            f"{auth.reference} is no httpx.Auth.",
            where="auth.reference",
            do="name a class or a function that makes one.",
        )
    return made
