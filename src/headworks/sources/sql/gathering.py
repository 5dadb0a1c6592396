"""Postgres' answers gathered by the kernel: a reader is woken for a good deal of them, and not for each piece of 8 kB.

The server hands over what fits into its buffer, whatever a reader asks for. A low-water mark on the socket
(``SO_RCVLOWAT``) lets the kernel keep the pieces until there is enough; it is lifted as soon as nothing came for a
moment, since the last pieces of an answer are fewer than that.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import asyncpg

_ENOUGH = 2**19
_ROOM = 2**22
_MOMENT_S = 0.02


class GatheringConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection of asyncpg that knows what it came by."""

    def __init__(self, protocol: Any, transport: asyncio.Transport, *rest: Any, **named: Any) -> None:
        """Take the transport of the connection that was made."""
        super().__init__(protocol, transport, *rest, **named)
        self._connected = transport

    @contextmanager
    def gathering(self) -> Iterator[Callable[[], None]]:
        """Have what comes gathered; what is given here must be called whenever something came."""
        mark = _LowWaterMark(self._connected)
        try:
            yield mark.came
        finally:
            mark.lift()


class _LowWaterMark:
    """How much must have come before a socket's reader is woken; lifted while nothing comes."""

    def __init__(self, connected: asyncio.Transport) -> None:
        self._connected = connected
        self._since = False
        self._timer: asyncio.TimerHandle | None = None

    def came(self) -> None:
        """Say that something came: more will."""
        self._since = True
        if self._timer is None:
            # The kernel makes as much room as a mark asks for: with no more than that, the server would be idle
            # from the moment when there is enough until its reader has taken it.
            self._put(_ROOM)
            self._put(_ENOUGH)
            self._timer = asyncio.get_running_loop().call_later(_MOMENT_S, self._look)

    def lift(self) -> None:
        """Have the reader woken for whatever comes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._put(1)

    def _look(self) -> None:
        if not self._since:
            self.lift()
            return
        self._since = False
        self._timer = asyncio.get_running_loop().call_later(_MOMENT_S, self._look)

    def _put(self, size: int) -> None:
        if self._connected.is_closing():
            return
        # Where a system has no such mark the pieces come as they are sent.
        with suppress(OSError, AttributeError):
            connected = self._connected.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
