"""The shop's HTTP API: products by page, exchange rates by cursor, behind a bearer token and a rate limit.

The application belongs here; what it reads is in `store`, how much it lets through in `limits`, and running
it as a program in `serve`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from typing import Final

import psycopg
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.limits import Fault, Faults, FaultSource, Limits, TokenBucket
from shop.store import Rate, Store

MAX_PER_PAGE: Final = 100
MAX_RATES: Final = 500

Endpoint = Callable[[Request], Awaitable[Response]]
Answer = Callable[[Store, Request], Response]


class _BadRequestError(Exception):
    """The request cannot be understood; the message shows the caller why."""


class _Gate:
    """What every request passes: token, rate limit, a fault if one is due; then it is answered."""

    def __init__(
        self,
        store: Store,
        token: SecretStr,
        limits: Limits,
        faults: Faults | None,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._token = token
        self._bucket = TokenBucket(limits, clock())
        self._faults = FaultSource(faults) if faults is not None else None
        self._clock = clock

    def guard(self, answer: Answer) -> Endpoint:
        """The endpoint that gives this answer to whoever may pass."""

        async def endpoint(request: Request) -> Response:
            return self._refusal(request) or await self._let_through(answer, request)

        return endpoint

    def _refusal(self, request: Request) -> Response | None:
        if not _authorised(request, self._token):
            return _error(401, "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"})
        if not self._bucket.take(self._clock()):
            return _error(429, "too many requests", {"Retry-After": "1"})
        return None

    async def _let_through(self, answer: Answer, request: Request) -> Response:
        fault = self._faults.next() if self._faults is not None else None
        if fault in (Fault.SERVER_ERROR, Fault.UNAVAILABLE):
            return _error(int(fault), "something broke; it may work the next time")
        response = await run_in_threadpool(_answer, answer, self._store, request)
        return _cut(response) if fault is Fault.TRUNCATED else response


def make_app(
    dsn: SecretStr,
    token: SecretStr,
    limits: Limits | None = None,
    faults: Faults | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The API as an ASGI application; it connects to the database at the first request."""
    store = Store(dsn)
    gate = _Gate(store, token, limits or Limits(), faults, clock)

    async def health(request: Request) -> Response:
        return await run_in_threadpool(_answer, _health, store, request)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        store.close()

    routes = [
        Route("/v1/products", gate.guard(_products)),
        Route("/v1/rates", gate.guard(_rates)),
        Route("/healthz", health),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def _answer(answer: Answer, store: Store, request: Request) -> Response:
    try:
        return answer(store, request)
    except _BadRequestError as error:
        return _error(400, str(error))
    except psycopg.Error:
        # What the database says may show callers more than they should know.
        return _error(503, "the database does not answer")


def _health(store: Store, _: Request) -> Response:
    store.ping()
    return JSONResponse({"status": "ok"})


def _products(store: Store, request: Request) -> Response:
    page = _number(request, "page", 1)
    per_page = min(_number(request, "per_page", MAX_PER_PAGE), MAX_PER_PAGE)
    found = store.products(offset=(page - 1) * per_page, limit=per_page)
    # Its number is that of records: the copies on its pages, a known dirt of the catalogue, are counted once.
    meta = json.dumps(
        {"page": page, "pages": -(-found.listed // per_page), "total": found.different},
        separators=(",", ":"),
    )
    # The records are put in as the text they are: parsing and writing them again would change their bytes.
    body = f'{{"data":{{"items":[{",".join(found.payloads)}]}},"meta":{meta}}}'
    return Response(body, media_type="application/json")


def _rates(store: Store, request: Request) -> Response:
    limit = min(_number(request, "limit", 50), MAX_RATES)
    cursor = request.query_params.get("cursor")
    # One more than asked for says whether there is more.
    found = store.rates(_since(request), None if cursor is None else _read_cursor(cursor), limit + 1)
    shown = found[:limit]
    rates = [
        {"day": r.day.isoformat(), "currency": r.currency, "eur_per_unit": r.eur_per_unit} for r in shown
    ]
    return JSONResponse({"rates": rates, "next_cursor": _cursor(shown[-1]) if len(found) > limit else None})


def _cursor(rate: Rate) -> str:
    return base64.urlsafe_b64encode(f"{rate.day.isoformat()}/{rate.currency}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[date, str]:
    try:
        day, currency = base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii").split("/")
        if not currency.isalpha():
            raise ValueError(currency)
        return date.fromisoformat(day), currency
    except (binascii.Error, ValueError) as error:
        raise _BadRequestError("cursor: not one that this API gave out") from error


def _since(request: Request) -> date | None:
    text = request.query_params.get("since")
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise _BadRequestError("since: must be a day such as 2026-01-05") from error


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) >= 1):
        raise _BadRequestError(f"{name}: must be a whole number from 1 on")
    return int(text)


def _authorised(request: Request, token: SecretStr) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    expected = token.get_secret_value().encode()
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), expected)


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"status": status, "message": message}}, status, headers)


def _cut(response: Response) -> Response:
    """A whole HTTP answer with half a body: only the JSON is broken."""
    body = bytes(response.body)
    return Response(body[: len(body) // 2], response.status_code, media_type="application/json")


if __name__ == "__main__":
    import sys

    from shop.serve import main

    sys.exit(main())
