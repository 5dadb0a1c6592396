"""The one place that makes HTTP clients, and reads an answer's body with an end to its size.

httpx is the interface, aiohttp the engine below it: four times as many requests a second. What belongs here:
connections, decompression, and the vendors' errors. What does not: what a status or a body means.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from headworks.errors import HeadworksError, PageUnreadable, ResponseTooLarge, SourceUnavailable
from headworks.sources.api.auth import ApiKeyAuth
from headworks.sources.api.settings import ApiSettings
from headworks.sources.api.signing import QuerySigner

_HEADER_BYTES = 64 * 1024
_CHUNK_BYTES = 256 * 1024
_KEEP_ALIVE_S = 30
_ACCEPTED = "gzip, deflate"


def make_client(
    settings: ApiSettings, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """Make a client that follows no redirect by itself; to be made and closed in one running event loop."""
    sending = transport or _aiohttp(settings)
    if isinstance(settings.auth, ApiKeyAuth) and settings.auth.send_in == "query":
        sending = QuerySigner(sending, settings.auth, httpx.URL(settings.base_url).host)
    return httpx.AsyncClient(
        transport=sending,
        headers={"Accept": "application/json", "User-Agent": "headworks", "Accept-Encoding": _ACCEPTED},
        timeout=httpx.Timeout(None, connect=settings.limits.connect_timeout_s),
        follow_redirects=False,
        trust_env=False,
    )


def _aiohttp(settings: ApiSettings) -> AiohttpTransport:
    context = _tls(settings)

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=settings.limits.in_flight + 1, ssl=context, keepalive_timeout=_KEEP_ALIVE_S
        )
        return aiohttp.ClientSession(
            connector=connector,
            # Cookies are httpx's business: two jars would disagree.
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
        )

    return AiohttpTransport(client=session, verify=context, proxy=_proxy(settings.base_url))


def _tls(settings: ApiSettings) -> ssl.SSLContext:
    if isinstance(settings.verify_tls, str):
        return ssl.create_default_context(cafile=settings.verify_tls)
    context = ssl.create_default_context()
    if not settings.verify_tls:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _proxy(base_url: str) -> httpx.Proxy | None:
    """Return the proxy that the environment names for this address, if any."""
    parts = urlsplit(base_url)
    found = getproxies().get(parts.scheme) or getproxies().get("all")
    if not found or proxy_bypass(parts.netloc):
        return None
    return httpx.Proxy(found)


async def read_body(response: httpx.Response, most: int) -> bytes:
    """Return the decompressed body; raises `ResponseTooLarge` as soon as it is larger than ``most`` bytes."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    chunks: list[bytes] = []
    size = 0
    async for chunk in _plain(response, encoding):
        size += len(chunk)
        if size > most:
            raise ResponseTooLarge(
                f"The answer is larger than {most:,} bytes.",
                do="ask for smaller pages, or raise the limit response_bytes in the API's block.",
            )
        chunks.append(chunk)
    return b"".join(chunks)


async def _plain(response: httpx.Response, encoding: str) -> AsyncIterator[bytes]:
    if encoding in ("", "identity"):
        async for chunk in response.aiter_raw():
            yield chunk
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise PageUnreadable(f"The answer is compressed as {encoding!r}, which was not asked for.")
    # 47: gzip or zlib, whichever it is.
    decompressor = zlib.decompressobj(47)
    async for chunk in response.aiter_raw():
        try:
            for plain in _decompressed(decompressor, chunk):
                yield plain
        except zlib.error as problem:
            raise PageUnreadable(f"The answer's compression is damaged: {problem}.") from problem
    if not decompressor.eof:
        raise PageUnreadable("The answer's compression ends in the middle.")


def _decompressed(decompressor: zlib._Decompress, chunk: bytes) -> Iterator[bytes]:
    """Yield what a chunk holds, a bounded number of bytes at a time: a small one can hold a thousand times as much."""
    while chunk:
        plain = decompressor.decompress(chunk, _CHUNK_BYTES)
        chunk = decompressor.unconsumed_tail
        if plain:
            yield plain
        elif not chunk:
            return


@contextmanager
def translated(timeout_s: float) -> Iterator[None]:
    """Turn what the HTTP libraries raise into errors of ours."""
    try:
        yield
    except HeadworksError:
        raise
    except TimeoutError as problem:
        raise SourceUnavailable(
            f"The API did not answer in full within {timeout_s:g} s.",
            do="raise the limit timeout_s in the API's block, or ask for smaller pages.",
        ) from problem
    except (httpx.ProtocolError, httpx.ReadError, aiohttp.ClientPayloadError) as problem:
        raise SourceUnavailable(
            f"The API's answer broke off: {type(problem).__name__}: {problem}."
        ) from problem
    except (
        httpx.HTTPError,
        httpx.InvalidURL,
        aiohttp.ClientError,
        OSError,
        asyncio.IncompleteReadError,
    ) as problem:
        raise SourceUnavailable(
            f"The API does not answer: {type(problem).__name__}: {problem}.",
            do="check that it runs, its address and its port.",
        ) from problem
