"""An ASGI application served by this process: in a thread alongside a demo or a test, or until it is asked to stop."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import uvicorn

from headworks.errors import SettingsError

_PATIENCE_S = 20


class AppServer(uvicorn.Server):
    """A server that shows when it listens."""

    def __init__(self, app: Any, on_listening: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=5)
        )
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_listening()


@contextmanager
def serving(app: Any, host: str = "127.0.0.1", port: int = 0, name: str = "api") -> Iterator[str]:
    """Serve in a thread as long as the block runs; gives the base URL."""
    with bind(host, port) as listener:
        listening = Event()
        server = AppServer(app, listening.set)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]}, name=name, daemon=True)
        thread.start()
        try:
            if not listening.wait(timeout=_PATIENCE_S):
                raise SettingsError(
                    f"The API did not start within {_PATIENCE_S} s.", where=name, do="see the log above."
                )
            yield url_of(listener)
        finally:
            server.should_exit = True
            thread.join(timeout=_PATIENCE_S)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 picks a free one. Raises `SettingsError` where the address is taken."""
    # asyncio turns Nagle's delay off only for sockets that say they are TCP; else each answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as problem:
        listener.close()
        raise SettingsError(
            f"It cannot listen there: {problem.strerror}.",
            where=f"{host}:{port}",
            do="choose another --port, or 0 for any free one.",
        ) from problem
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the base URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"
