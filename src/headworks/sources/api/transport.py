"""The one place that talks HTTP: connections, an answer's body with an end to its size, and the vendors' errors.

Two doors to one pool of aiohttp's connections. httpx's is for whoever brings an ``httpx.Auth`` or a transport; all else
goes straight to aiohttp, since httpx's requests and responses cost twice what the page itself does.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from headworks.redaction import know
from headworks.sources.api.auth import ApiKeyAuth, CustomAuth
from headworks.sources.api.encodings import read_body
from headworks.sources.api.judging import Reply
from headworks.sources.api.settings import ApiSettings
from headworks.sources.api.signing import QuerySigner
from headworks.sources.api.spool import Spool

_HEADER_BYTES = 64 * 1024
_KEEP_ALIVE_S = 30
_SECRET_LENGTH = 12
"""Characters from which on a value that somebody signed with, or a cookie's, is looked for in messages."""
_UNSIGNED = frozenset(
    {"accept", "accept-encoding", "user-agent", "host", "connection", "content-length", "content-type"}
)
_COOKIE = re.compile(r"(?:^|, *)[^=;, ]+=\"?([^;,\" ]+)")
_QUOTED = re.compile(r"=\"?([A-Za-z0-9+/=_.-]{16,})")
_OURS = {"Accept": "application/json", "User-Agent": "headworks", "Accept-Encoding": "gzip, deflate"}


class Wire:
    """Sends requests and follows no redirect by itself; to be made and closed in one running event loop."""

    def __init__(self, settings: ApiSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._most = settings.limits.response_bytes
        self._door: _Httpx | _Aiohttp
        if transport is not None or isinstance(settings.auth, CustomAuth):
            self._door = _Httpx(settings, transport)
        else:
            self._door = _Aiohttp(settings)

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None = None,
        auth: httpx.Auth | None = None,
        sink: Spool | None = None,
    ) -> Reply:
        """Send a request and return the answer whole; raises what the libraries do, and `ResponseTooLarge`.

        With a ``sink`` the body of one that is fine goes there, and the answer has its beginning.
        """
        given = {name.lower() for name in headers}
        ours = {name: value for name, value in _OURS.items() if name.lower() not in given}
        return await self._door.send(method, url, {**ours, **headers}, content, auth, self._most, sink)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._door.aclose()


class _Aiohttp:
    """The short way, for credentials that are a header or a parameter."""

    def __init__(self, settings: ApiSettings) -> None:
        self._session = _session(settings, aiohttp.CookieJar(unsafe=True))
        self._proxy = _proxy(settings.base_url)
        auth = settings.auth
        self._key = auth if isinstance(auth, ApiKeyAuth) and auth.send_in == "query" else None
        self._host = urlsplit(settings.base_url).hostname

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        auth: httpx.Auth | None,
        most: int,
        sink: Spool | None,
    ) -> Reply:
        assert auth is None
        if self._key is not None and urlsplit(url).hostname == self._host:
            url = str(httpx.URL(url).copy_add_param(self._key.name, self._key.key.get_secret_value()))
        sending = self._session.request(
            method, url, headers=headers, data=content, allow_redirects=False, proxy=self._proxy
        )
        async with sending as response:
            found = _lowered(response.raw_headers)
            _know_cookies(found)
            body = await _body(response.content.iter_any(), found, most, response.status, sink)
            return Reply(response.status, response.reason or "", found, body)

    async def aclose(self) -> None:
        await self._session.close()


class _Httpx:
    """The way through httpx's client."""

    def __init__(self, settings: ApiSettings, transport: httpx.AsyncBaseTransport | None) -> None:
        proxy = _proxy(settings.base_url)
        sending = transport or AiohttpTransport(
            # Cookies are httpx's business: two jars would disagree.
            client=lambda: _session(settings, aiohttp.DummyCookieJar()),
            # Only the session connects; a context of the transport's own would never be used.
            verify=False,
            proxy=httpx.Proxy(proxy) if proxy else None,
        )
        if isinstance(settings.auth, ApiKeyAuth) and settings.auth.send_in == "query":
            sending = QuerySigner(sending, settings.auth, httpx.URL(settings.base_url).host)
        self._client = httpx.AsyncClient(
            transport=sending,
            timeout=httpx.Timeout(None, connect=settings.limits.connect_timeout_s),
            follow_redirects=False,
            trust_env=False,
        )

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        auth: httpx.Auth | None,
        most: int,
        sink: Spool | None,
    ) -> Reply:
        made = self._client.build_request(method, url, headers=dict(headers), content=content)
        response = await self._client.send(made, stream=True, auth=auth)
        try:
            if auth is not None:
                _know_signed(response.request, made.url)
            found = _lowered(response.headers.raw)
            _know_cookies(found)
            # An auth may have wanted to see the body: then httpx has read and decompressed it.
            read = response.is_stream_consumed
            chunks = _once(response.content) if read else response.aiter_raw()
            body = await _body(chunks, {} if read else found, most, response.status_code, sink)
        finally:
            await response.aclose()
        return Reply(response.status_code, response.reason_phrase, found, body)

    async def aclose(self) -> None:
        await self._client.aclose()


async def _body(
    chunks: AsyncIterator[bytes], headers: Mapping[str, str], most: int, status: int, sink: Spool | None
) -> bytes:
    if sink is None or status != HTTPStatus.OK:
        return await read_body(chunks, headers, most)
    return await sink.take(chunks, headers)


def _session(settings: ApiSettings, cookies: aiohttp.abc.AbstractCookieJar) -> aiohttp.ClientSession:
    limits = settings.limits
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=limits.in_flight + 1, ssl=_tls(settings), keepalive_timeout=_KEEP_ALIVE_S
        ),
        cookie_jar=cookies,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_timeout_s),
        auto_decompress=False,
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
    )


def _tls(settings: ApiSettings) -> ssl.SSLContext | bool:
    """Return how certificates are checked; True is aiohttp's own context, which trusts whom the system trusts."""
    if isinstance(settings.verify_tls, str):
        return ssl.create_default_context(cafile=settings.verify_tls)
    return settings.verify_tls


def _proxy(base_url: str) -> str | None:
    """Return the proxy that the environment names for this address, if any."""
    parts = urlsplit(base_url)
    found = getproxies().get(parts.scheme) or getproxies().get("all")
    return None if not found or proxy_bypass(parts.netloc) else found


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _know_signed(signed: httpx.Request, plain: httpx.URL) -> None:
    """Remember what an auth of the user's own put on a request: the values of its headers and parameters."""
    for name, value in signed.headers.items():
        if name not in _UNSIGNED:
            know(*filter(_is_long_enough, (value, value.rpartition(" ")[2], *_QUOTED.findall(value))))
    if signed.url != plain:
        before = set(plain.params.multi_items())
        know(*(v for k, v in signed.url.params.multi_items() if (k, v) not in before and _is_long_enough(v)))


def _know_cookies(headers: Mapping[str, str]) -> None:
    """Remember the values of an API's cookies, which are credentials like any other."""
    if "set-cookie" in headers:
        know(*filter(_is_long_enough, _COOKIE.findall(headers["set-cookie"])))


def _is_long_enough(value: str) -> bool:
    return len(value) >= _SECRET_LENGTH and not value.isdigit()


def _lowered(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by lower-case name; of a name that comes twice both values, joined by a comma."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
