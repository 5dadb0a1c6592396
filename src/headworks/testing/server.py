"""A server in a thread of its own, on a free port of this machine, that answers as a function shows it to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Event, Thread

from headworks.testing.timing import BEGINNING, MovedTime
from headworks.testing.wire import Asked, Reply, read_request, send

Answering = Callable[[Asked], Reply]

_STOP_S = 30


class Server:
    """Answers requests on 127.0.0.1 until it is stopped; ``asked`` holds all of them in order of arrival."""

    def __init__(self, answering: Answering, time: MovedTime | None = None) -> None:
        self._answering = answering
        self._time = time or MovedTime()
        self._ready = Event()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = Thread(target=self._run, name="hostile-api", daemon=True)
        self._number = 0
        self.asked: list[Asked] = []
        self.mistakes: list[Exception] = []
        self.port = 0

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """How many connections clients hold at this moment."""
        return len(self._connections)

    def start(self) -> None:
        """Begin to listen; returns when the port is known."""
        self._thread.start()
        if not self._ready.wait(_STOP_S):
            raise RuntimeError("the server of the conformance kit did not start")

    def stop(self) -> None:
        """End all connections and the thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_STOP_S)
        if self.mistakes:
            raise self.mistakes[0]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=2**20)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        # A client that goes away in the middle is what many tests are about, and stopping cancels what hangs.
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._converse(reader, writer)
        writer.close()
        self._connections.discard(task)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        again = True
        while again:
            asked = await read_request(reader)
            if asked is None:
                return
            again = await send(writer, reader, self._answer(asked))

    def _answer(self, asked: Asked) -> Reply:
        # Counted when the request is complete: a connection that is merely open has asked nothing.
        self._number += 1
        at = (self._time.clock() - BEGINNING).total_seconds()
        counted = replace(asked, number=self._number, at=at)
        self.asked.append(counted)
        try:
            return self._answering(counted)
        except Exception as problem:  # noqa: BLE001  a mistake of the kit must fail the test, not look like an fault
            self.mistakes.append(problem)
            return Reply(status=599)


@contextmanager
def serving(answering: Answering, time: MovedTime | None = None) -> Iterator[Server]:
    """Serve as long as the block runs."""
    server = Server(answering, time)
    server.start()
    try:
        yield server
    finally:
        server.stop()
