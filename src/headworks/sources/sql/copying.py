"""COPY out of Postgres as blocks of whole lines, received in a thread of its own while others work on them.

asyncpg joins the server's messages in C, which costs a fifth of receiving them one by one. All connections read from
one exported snapshot; each takes the next statement when it is done with one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import asyncpg

from headworks.errors import SourceUnavailable
from headworks.settings import DatabaseSettings
from headworks.sources import eventloop
from headworks.sources.prefetch import Channel
from headworks.sources.sql.address import describe
from headworks.sources.sql.connect import as_libpq_finds_it
from headworks.sources.sql.gathering import GatheringConnection
from headworks.sources.sql.states import translated_copy

# Large enough that Python's share of the work vanishes, small enough that a few of them fit in the processor's cache.
BLOCK_BYTES = 4 * 2**20
_DEPTH = 3
# The server ends a statement itself when its time is over; only a network that swallows everything takes longer.
_GRACE_S = 15
_CLOSE_S = 2.0


@dataclass(frozen=True)
class Copy:
    """SELECTs to copy out of one snapshot, by how many connections at once."""

    database: DatabaseSettings
    snapshot: str
    queries: Sequence[str]
    connections: int = 1
    application: str = "headworks"


def copied(copy: Copy) -> Iterator[bytes]:
    """Yield the rows of all queries as blocks of whole lines; in order where one connection reads.

    Raises the errors of `translated_copy`, and `SourceUnavailable` where the server falls silent. Closing the iterator
    ends the connections.
    """
    where = describe(copy.database)
    silence_s = copy.database.statement_timeout_s + _GRACE_S
    channel: Channel[bytes] = Channel(
        _DEPTH,
        silence_s,
        lambda: SourceUnavailable(f"The database sent nothing for {silence_s} s.", where=where),
    )
    receiver = _Receiver(copy, channel)
    thread = threading.Thread(target=channel.run, args=(receiver.run,), name="headworks-copy", daemon=True)
    thread.start()
    try:
        with translated_copy(where):
            yield from channel.items()
    finally:
        channel.stop()
        receiver.cancel()
        thread.join()


@dataclass
class _Receiver:
    """The event loop in which the connections of one `Copy` live, in a thread of its own."""

    copy: Copy
    channel: Channel[bytes]
    _loop: asyncio.AbstractEventLoop | None = None
    _task: asyncio.Task[None] | None = None
    _waiting: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Receive everything; called in the thread."""
        self._waiting = list(reversed(self.copy.queries))
        with suppress(asyncio.CancelledError):
            eventloop.run(self._receive())

    def cancel(self) -> None:
        """End the receiving, from another thread, if it still continues."""
        loop, task = self._loop, self._task
        if loop is None or task is None or task.done():
            return
        with suppress(RuntimeError):  # the loop closed in this moment
            loop.call_soon_threadsafe(task.cancel)

    async def _receive(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self.channel.stopped:
            return
        count = min(self.copy.connections, len(self._waiting))
        workers = [asyncio.ensure_future(self._work()) for _ in range(count)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self) -> None:
        arguments = await asyncio.to_thread(as_libpq_finds_it, self.copy.database, self.copy.application)
        connection = await asyncpg.connect(**arguments, connection_class=GatheringConnection)
        try:
            await connection.execute(_begin(self.copy))
            while self._waiting:
                await self._copy_one(connection, self._waiting.pop())
            await connection.execute("COMMIT")
            await connection.close(timeout=_CLOSE_S)
        finally:
            connection.terminate()

    async def _copy_one(self, connection: GatheringConnection, query: str) -> None:
        parts: list[bytes] = []
        size = 0

        async def take(data: bytes) -> None:
            nonlocal size
            came()
            parts.append(data)
            size += len(data)
            if size >= BLOCK_BYTES:
                block, rest = _whole_lines(parts)
                parts[:] = [rest] if rest else []
                size = len(rest)
                if block:
                    self.channel.put(block)

        with connection.gathering() as came:
            await connection.copy_from_query(query, output=take)
        if parts:
            self.channel.put(b"".join(parts))


def _whole_lines(parts: list[bytes]) -> tuple[bytes, bytes]:
    """Join ``parts``, and return the whole lines and the beginning of the next."""
    if parts[-1].endswith(b"\n"):
        return b"".join(parts), b""
    joined = b"".join(parts)
    cut = joined.rfind(b"\n") + 1
    return joined[:cut], joined[cut:]


def _begin(copy: Copy) -> str:
    """Return the statements that begin a transaction which reads what the snapshot shows, and prints it our way."""
    settings = copy.database
    return (
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
        f"SET TRANSACTION SNAPSHOT '{copy.snapshot}';"
        f"SET LOCAL statement_timeout = {settings.statement_timeout_s * 1000};"
        f"SET LOCAL lock_timeout = {settings.lock_timeout_s * 1000};"
        "SET LOCAL idle_in_transaction_session_timeout = 0;"
        "SET LOCAL datestyle = 'ISO';"
        "SET LOCAL intervalstyle = 'iso_8601';"
        "SET LOCAL timezone = 'UTC';"
        "SET LOCAL extra_float_digits = 1;"
        "SET LOCAL bytea_output = 'hex';"
        "SET LOCAL client_encoding = 'UTF8'"
    )
