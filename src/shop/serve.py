"""Running the shop's API: as a program, and in a thread alongside a test or a demo.

Sockets, signals and start-up messages belong here; the application itself is in `api`. `python -m shop.api`
starts it.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread

import psycopg
import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette

from shop.api import make_app
from shop.errors import ShopError
from shop.limits import Faults, Limits
from shop.store import Store

_DSN_VARIABLE = "SHOP_API_DSN"


class _Server(uvicorn.Server):
    """A server that shows when it listens."""

    def __init__(self, app: Starlette, on_listening: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=5)
        )
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_listening()


@contextmanager
def serving(app: Starlette, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve in a thread as long as the block runs; gives the base URL."""
    listener = bind(host, port)
    listening = Event()
    server = _Server(app, listening.set)
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, name="shop-api", daemon=True)
    thread.start()
    try:
        if not listening.wait(timeout=20):
            raise ShopError("The shop's API did not start within 20 s; see the log above.")
        yield _url(listener)
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listener.close()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one."""
    # asyncio turns Nagle's delay off only for sockets that say they are TCP; else each answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ShopError(
            f"The shop's API cannot listen on {host}:{port}: {error.strerror}. "
            "Choose another --port, or 0 for any free one."
        ) from error
    return listener


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until asked to stop by SIGTERM or SIGINT; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        _serve(options)
    except ShopError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _serve(options: argparse.Namespace) -> None:
    token = os.environ.get(options.token_env, "")
    if not token:
        raise ShopError(f"The shop's API needs its token: set the environment variable {options.token_env}.")
    dsn = SecretStr(options.dsn or os.environ.get(_DSN_VARIABLE, ""))
    if not dsn.get_secret_value():
        raise ShopError(f"The shop's API needs its database: give --dsn, or set {_DSN_VARIABLE}.")
    _check_database(dsn)
    limits = Limits(burst=options.burst, per_second=options.per_second)
    faults = None if options.faults is None else Faults(seed=options.faults)
    with bind(options.host, options.port) as listener:
        url = _url(listener)
        server = _Server(make_app(dsn, SecretStr(token), limits, faults), lambda: _say(f"listening on {url}"))
        # uvicorn stops on a signal and then raises it again: being asked to stop is no failure.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        server.run(sockets=[listener])


def _check_database(dsn: SecretStr) -> None:
    store = Store(dsn)
    try:
        store.products(0, 1)
    except psycopg.Error as error:
        raise ShopError(
            f"The shop's API cannot read the catalogue: {str(error).splitlines()[0]}. "
            "Check --dsn, and that the shop was founded there: python -m shop.live --dsn … --days 0"
        ) from error
    finally:
        store.close()


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shop.api", description="Serve the shop's catalogue.")
    parser.add_argument(
        "--dsn", help=f"the shop's Postgres, as libpq understands it; {_DSN_VARIABLE} keeps it out of sight"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one (the default)")
    parser.add_argument(
        "--token-env", default="SHOP_API_TOKEN", help="the environment variable with the token"
    )
    parser.add_argument("--burst", type=int, default=Limits().burst, help="requests let through at once")
    parser.add_argument(
        "--per-second", type=float, default=Limits().per_second, help="requests let through a second"
    )
    parser.add_argument("--faults", type=int, metavar="SEED", help="break some answers, seeded")
    return parser
