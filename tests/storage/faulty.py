"""An object store that fails on purpose: a proxy in front of a real one, which breaks a chosen call in a chosen way."""

from __future__ import annotations

import http.client
import json
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import httpx

from headworks.prefect.local.processes import start, stop, wait_until

Call = Literal["get", "head", "list", "put", "delete", "multipart"]
Way = Literal["500", "503", "429", "reset", "cut", "hang", "unheard", "403", "404"]

CALLS: tuple[Call, ...] = ("get", "head", "list", "put", "delete", "multipart")
HEALING: tuple[Way, ...] = ("500", "503", "429", "reset", "cut", "hang", "unheard")
"""What heals by itself. ``unheard``: the store does what it was asked, and its answer never arrives."""
LASTING: tuple[Way, ...] = ("403", "404")
"""What stays until a person has changed something: no rights, and no such bucket."""

_ERRORS = {
    "500": (500, "InternalError", "We encountered an internal error. Please try again."),
    "503": (503, "SlowDown", "Please reduce your request rate."),
    "429": (429, "TooManyRequests", "Please reduce your request rate."),
    "403": (403, "AccessDenied", "Access Denied"),
    "404": (404, "NoSuchBucket", "The specified bucket does not exist"),
}
_LONGEST_S = 30
_CONTROL = "/-control"
_OF_A_CONNECTION = {"connection", "transfer-encoding", "keep-alive", "content-length"}


@dataclass(frozen=True)
class Fault:
    """What goes wrong: calls of a kind, from the ``first`` on, so many of them."""

    call: Call
    first: int
    way: Way
    times: int = 1


@dataclass(frozen=True)
class FaultyStore:
    """A running proxy in a process of its own: some calls of delta-rs hold Python's lock until they are answered."""

    url: str

    def begin(self, fault: Fault | None) -> None:
        """Count from now on, and make a fault."""
        given = json.dumps(asdict(fault) if fault else None)
        httpx.post(f"{self.url}{_CONTROL}", content=given).raise_for_status()

    def end(self) -> tuple[Counter[str], int]:
        """Make no fault any more; returns how often each kind of call was made since `begin`, and how many failed."""
        output = httpx.get(f"{self.url}{_CONTROL}").raise_for_status().json()
        return Counter(output["seen"]), int(output["made"])


@contextmanager
def faulty(url: str, folder: Path) -> Iterator[FaultyStore]:
    """Run a proxy in front of the store at ``url`` as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = folder / "faulty.log"
    process = start([sys.executable, "-m", "tests.storage.faulty", str(port), url], {}, log)
    try:
        store = FaultyStore(f"http://127.0.0.1:{port}")
        wait_until(lambda: _answers(store), process, "The faulty store", log, 60)
        yield store
    finally:
        stop(process)


def _answers(store: FaultyStore) -> bool:
    try:
        store.end()
    except httpx.HTTPError:
        return False
    return True


@dataclass
class _State:
    """In the proxy's process: the fault that it makes at present, and what was asked of it."""

    fault: Fault | None = None
    seen: Counter[str] = field(default_factory=Counter)
    made: int = 0
    lock: Lock = field(default_factory=Lock)
    quiet: Event = field(default_factory=Event)

    def begin(self, fault: Fault | None) -> None:
        with self.lock:
            self.fault, self.seen, self.made, self.quiet = fault, Counter(), 0, Event()

    def end(self) -> dict[str, Any]:
        with self.lock:
            self.fault = None
            self.quiet.set()
            return {"seen": self.seen, "made": self.made}

    def way_of(self, call: Call) -> Way | None:
        """Count a call, and say how it goes wrong if it does."""
        with self.lock:
            self.seen[call] += 1
            fault = self.fault
            if fault is None or fault.call != call:
                return None
            if not fault.first <= self.seen[call] < fault.first + fault.times:
                return None
            self.made += 1
            return fault.way


def kind_of(method: str, path: str) -> Call:
    """Return what kind of a call a request is."""
    asked = parse_qs(urlsplit(path).query, keep_blank_values=True)
    if method == "DELETE" or "delete" in asked:
        return "multipart" if "uploadId" in asked else "delete"
    if method == "POST" or {"uploadId", "partNumber", "uploads"} & set(asked):
        return "multipart"
    if method == "GET":
        return "list" if {"list-type", "prefix"} & set(asked) else "get"
    return "head" if method == "HEAD" else "put"


def _handler(state: _State, upstream: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def finish(self) -> None:
            with suppress(OSError):
                super().finish()

        def relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == _CONTROL:
                self._control(body)
                return
            way = state.way_of(kind_of(self.command, self.path))
            if way in _ERRORS:
                self._refuse(*_ERRORS[way])
                return
            if way in {"reset", "hang"}:
                if way == "hang":
                    state.quiet.wait(_LONGEST_S)
                self.close_connection = True
                return
            asked = http.client.HTTPConnection(upstream, timeout=_LONGEST_S)
            asked.request(self.command, self.path, body, {**self.headers, "Connection": "close"})
            answer = asked.getresponse()
            data = answer.read()
            asked.close()
            if way == "unheard":
                self.close_connection = True
                return
            self._answer(answer.status, answer.getheaders(), data, cut=way == "cut")

        def _control(self, body: bytes) -> None:
            if self.command == "POST":
                given = json.loads(body)
                state.begin(None if given is None else Fault(**given))
            output = state.end() if self.command == "GET" else {}
            self._answer(200, [("Content-Type", "application/json")], json.dumps(output).encode(), cut=False)

        def _refuse(self, status: int, code: str, message: str) -> None:
            xml = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
            self._answer(status, [("Content-Type", "application/xml")], xml.encode(), cut=False)

        def _answer(self, status: int, headers: Any, data: bytes, *, cut: bool) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in _OF_A_CONNECTION:
                    self.send_header(name, value)
            length = len(data)
            if self.command == "HEAD":
                length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command == "HEAD":
                return
            self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection = self.close_connection or cut

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = relay

        def log_message(self, format: str, *arguments: Any) -> None:
            """Print nothing."""

    return Handler


def main() -> None:
    """Serve until the process is stopped: the port, and the address of the store behind it."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", int(sys.argv[1])), _handler(_State(), urlsplit(sys.argv[2]).netloc)
    )
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
