"""The CRM's HTTP API: OAuth 2 client credentials, cursor pages, ``updated_since``, a rate limit, deleted contacts.

Its clock is given, so that a year can pass in a minute. As a program: ``python -m crm.serve``.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hmac
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from threading import Lock
from typing import Any, Final
from urllib.parse import parse_qs, unquote_plus

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from crm.world import KEYS, RESOURCES, WEEK, Record, World, monday_before
from headworks.prefect.local.serving import AppServer, bind, url_of

MOST_PER_PAGE: Final = 500
_TOKEN_S: Final = 3600
_DIRTY: Final = 400
"""Of so many records one is dirty."""


class Crm:
    """The CRM as its API shows it: a world, a clock, one client, and a rate limit."""

    def __init__(
        self,
        world: World,
        client: tuple[str, str],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        per_second: float = 50.0,
        burst: int = 50,
        dirty: bool = True,
    ) -> None:
        self.world, self.client, self.clock, self.dirty = world, client, clock, dirty
        self._tokens: dict[str, float] = {}
        self._bucket, self._filled_at = float(burst), time.monotonic()
        self._per_second, self._burst = per_second, float(burst)
        self._lock = Lock()
        self._seen: dict[tuple[str, datetime], list[Record]] = {}

    def app(self) -> Starlette:
        """Return the API as an ASGI application."""
        return Starlette(
            routes=[
                Route("/oauth/token", self._token, methods=["POST"]),
                Route("/v1/{resource}", self._list),
                Route("/healthz", self._health),
            ]
        )

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _token(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        given = _client_of(request, form)
        if form.get("grant_type") != ["client_credentials"] or not _same(given, self.client):
            return JSONResponse({"error": "invalid_client"}, 401)
        token = base64.urlsafe_b64encode(os.urandom(24)).decode()
        with self._lock:
            self._tokens[token] = time.monotonic() + _TOKEN_S
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": _TOKEN_S})

    async def _list(self, request: Request) -> Response:
        refused = self._refusal(request)
        if refused is not None:
            return refused
        return await run_in_threadpool(self._page, request)

    def _refusal(self, request: Request) -> Response | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        with self._lock:
            if scheme.lower() != "bearer" or self._tokens.get(token, 0.0) < time.monotonic():
                return JSONResponse({"error": "invalid_token"}, 401, {"WWW-Authenticate": "Bearer"})
            now = time.monotonic()
            self._bucket = min(self._burst, self._bucket + (now - self._filled_at) * self._per_second)
            self._filled_at = now
            if self._bucket < 1:
                return JSONResponse({"error": "too many requests"}, 429, {"Retry-After": "1"})
            self._bucket -= 1
        return None

    def _page(self, request: Request) -> Response:
        resource = request.path_params["resource"]
        if resource not in RESOURCES:
            return JSONResponse({"error": f"no resource {resource}"}, 404)
        try:
            limit = min(MOST_PER_PAGE, max(1, int(request.query_params.get("limit", "100"))))
            since = _moment(request.query_params.get("updated_since"))
            until, start = _read_cursor(request.query_params.get("after")) or (self.clock(), 0)
        except ValueError as problem:
            return JSONResponse({"error": str(problem)}, 400)
        shown = [
            record
            for record in self._records(resource, until)
            if since is None or record["updated_at"] >= since
        ]
        page = shown[start : start + limit]
        more = start + limit < len(shown)
        body = {
            "results": [_written(self._soiled(resource, record)) for record in page],
            "paging": {"next": _cursor(until, start + limit) if more else None},
        }
        return Response(json.dumps(body, separators=(",", ":")), media_type="application/json")

    def _records(self, resource: str, until: datetime) -> list[Record]:
        with self._lock:
            if (resource, until) not in self._seen:
                if len(self._seen) > 16:
                    self._seen.clear()
                self._seen[resource, until] = self.world.as_of(resource, until)
            return self._seen[resource, until]

    def _soiled(self, resource: str, record: Record) -> Record:
        """Return a record as people typed it: by its own number, so that it is the same each time."""
        if not self.dirty:
            return record
        name = f"{resource} {record[KEYS[resource]]} {record['updated_at']}"
        drawn = int.from_bytes(blake2b(name.encode(), digest_size=4).digest())
        if drawn % _DIRTY:
            return record
        soil: dict[str, dict[str, Any]] = {
            "contacts": {"country": "Germany", "name": f"  {record.get('name', '')} "},
            "subscriptions": {"plan": "Basic (old)"},
            "tickets": {"severity": "?"},
            "usage": {"minutes": -1},
        }
        return {**record, **soil[resource]}


def _written(record: Record) -> Record:
    return {
        name: value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value
        for name, value in record.items()
    }


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _cursor(until: datetime, start: int) -> str:
    return base64.urlsafe_b64encode(f"{until.isoformat()}/{start}".encode()).decode()


def _read_cursor(text: str | None) -> tuple[datetime, int] | None:
    if text is None:
        return None
    try:
        until, start = base64.b64decode(text, altchars=b"-_", validate=True).decode("ascii").split("/")
        return datetime.fromisoformat(until), int(start)
    except (binascii.Error, UnicodeDecodeError) as problem:
        raise ValueError("after: not a cursor that this API gave out") from problem


def _client_of(request: Request, form: dict[str, list[str]]) -> tuple[str, str]:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(given).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return unquote_plus(name), unquote_plus(secret)
    return form.get("client_id", [""])[0], form.get("client_secret", [""])[0]


def _same(given: tuple[str, str], wanted: tuple[str, str]) -> bool:
    return all(
        hmac.compare_digest(one.encode(), other.encode()) for one, other in zip(given, wanted, strict=True)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until asked to stop; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m crm.serve", description="Serve the CRM.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one (the default)")
    parser.add_argument("--weeks", type=int, default=40, help="how many weeks the CRM has lived by now")
    parser.add_argument("--customers", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--client-env", default="CRM_CLIENT", help="the variable with the client as id:secret"
    )
    options = parser.parse_args(arguments)
    name, _, secret = os.environ.get(options.client_env, "").partition(":")
    if not secret:
        print(f"The CRM's API needs its client: set {options.client_env} to id:secret.", file=sys.stderr)
        return 2
    start = monday_before(datetime.now(UTC)) - options.weeks * WEEK
    # Two weeks more than have passed, so that it lives on while it is served.
    world = World(start, options.weeks + 2, customers=options.customers, seed=options.seed)
    with bind(options.host, options.port) as listener:
        url = url_of(listener)
        server = AppServer(Crm(world, (name, secret)).app(), lambda: print(f"listening on {url}", flush=True))
        server.run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
