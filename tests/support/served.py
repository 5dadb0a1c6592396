"""A small HTTP server whose every answer is decided by the test: pages, refusals, delays and broken connections."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

LONGEST_HOLD_S = 30


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = b""
    method: str = "GET"

    def number(self, name: str, default: int) -> int:
        """Return a query parameter that is a number."""
        return int(self.query.get(name, default))


@dataclass(frozen=True)
class Answer:
    """One answer. ``hold`` keeps it back until the event is set, ``cut`` closes the connection before the end.

    ``reason`` is the phrase after the status, in place of the usual one.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: Event | None = None
    cut: bool = False
    reason: str | None = None


Answering = Callable[[Asked], Answer]


@dataclass
class Upstream:
    """A running server: where it is, and what it was asked so far."""

    url: str
    asked: list[Asked] = field(default_factory=list)

    def queries(self) -> list[dict[str, str]]:
        """Return the query parameters of each request."""
        return [dict(request.query) for request in self.asked]


@contextmanager
def served(answering: Answering) -> Iterator[Upstream]:
    """Serve on a free port as long as the block runs."""
    upstream = Upstream("")
    with running(_handler(upstream, answering)) as upstream.url:
        yield upstream


@contextmanager
def running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve by a handler on a free port as long as the block runs, and give the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(LONGEST_HOLD_S)
        server.server_close()


def in_turn(*answers: Answer) -> Answering:
    """Give these answers one after another, and the last one for ever."""
    numbers = iter(range(1_000_000))
    return lambda asked: answers[min(next(numbers), len(answers) - 1)]


def numbered(records: Sequence[bytes], asked: Answering | None = None) -> Answering:
    """Serve records by page number under ``data.items`` with the numbers of pages and records under ``meta``.

    ``records`` may change between requests, as a table behind an API does. What ``asked`` answers goes first, unless
    its status is 0.
    """

    def answer(request: Asked) -> Answer:
        first = asked(request) if asked else Answer(status=0)
        if first.status:
            return first
        page, size = request.number("page", 1), request.number("per_page", 100)
        shown = records[(page - 1) * size : page * size]
        meta = json.dumps({"pages": -(-len(records) // size), "total": len(records)})
        return Answer(b'{"data":{"items":[' + b",".join(shown) + b']},"meta":' + meta.encode() + b"}")

    return answer


def cursored(records: Sequence[tuple[str, bytes]], asked: Answering | None = None) -> Answering:
    """Serve (cursor value, record) pairs, in order, by opaque tokens and from a first value on."""

    def answer(request: Asked) -> Answer:
        first = asked(request) if asked else Answer(status=0)
        if first.status:
            return first
        since, size = request.query.get("since", ""), request.number("limit", 100)
        found = [record for value, record in records if value >= since]
        at = int(request.query.get("cursor", "c0")[1:])
        token = json.dumps(f"c{at + size}" if at + size < len(found) else None)
        shown = b",".join(found[at : at + size])
        return Answer(b'{"rows":[' + shown + b'],"next_cursor":' + token.encode() + b"}")

    return answer


def _handler(upstream: Upstream, answering: Answering) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body are two writes: with Nagle each answer would wait for an acknowledgement, 40 ms.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            asked = Asked(parts.path, query, headers, body, self.command)
            upstream.asked.append(asked)
            answer = answering(asked)
            if answer.hold is not None:
                answer.hold.wait(LONGEST_HOLD_S)
            self._send(answer)

        def do_POST(self) -> None:
            self.do_GET()

        def do_PATCH(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            self.do_GET()

        def do_DELETE(self) -> None:
            self.do_GET()

        def _send(self, answer: Answer) -> None:
            self.close_connection = answer.cut or answer.hold is not None
            try:
                self.send_response(answer.status, answer.reason)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body) + (1 if answer.cut else 0)))
                self.end_headers()
                self.wfile.write(answer.body)
            except OSError:
                # Who asked is gone, as after a timeout; that is what such a test is about.
                self.close_connection = True

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    return Handler
