"""An asynchronous iterator as a plain one: it runs in a thread of its own, one item ahead of whoever takes them.

So fetching continues while the last batch is decoded and committed. Closing the plain iterator cancels what is on
its way, closes the asynchronous one, and ends the thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from headworks.sources import eventloop

T = TypeVar("T")

_AHEAD = 0
"""Items that may lie ready alongside the one being made: more would be read again after a kill, and held in memory."""


@dataclass(frozen=True)
class _End:
    """The last thing that comes: with the exception that ended it, if any."""

    problem: BaseException | None = None


def iterate(
    make: Callable[[], AsyncIterator[T]], *, name: str, used: Callable[[T], None] | None = None
) -> Generator[T, None, None]:
    """Iterate over what ``make`` returns, in a thread called ``name``; what it raises is raised here.

    ``used`` is called there with an item as soon as the one after it is asked for here.
    """
    made: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
    running = _Running(make, made)
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(running.run,), name=name, daemon=True)
    thread.start()
    try:
        while True:
            item = made.get()
            if isinstance(item, _End):
                if item.problem is not None:
                    raise item.problem
                return
            running.taken()
            yield item
            if used is not None:
                running.call(partial(used, item))
            del item
    finally:
        running.stop()
        thread.join()


class _Running:
    """The side of the thread."""

    def __init__(self, make: Callable[[], AsyncIterator[Any]], made: queue.SimpleQueue[Any]) -> None:
        self._make, self._made = make, made
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._room = asyncio.Semaphore(_AHEAD)
        self._lock = threading.Lock()
        self._stopped = False

    def run(self) -> None:
        """Run the iterator to its end."""
        problem: BaseException | None = None
        try:
            eventloop.run(self._pump())
        except asyncio.CancelledError:
            pass
        except BaseException as raised:  # noqa: BLE001 - whatever it is, it is raised in the other thread
            problem = raised
        self._made.put(_End(problem))

    def taken(self) -> None:
        """Make room for another item."""
        self.call(self._room.release)

    def stop(self) -> None:
        """End it, wherever it is."""
        with self._lock:
            self._stopped = True
        if self._task is not None:
            self.call(self._task.cancel)

    async def _pump(self) -> None:
        with self._lock:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            if self._stopped:
                return
        items: Any = self._make()
        async with aclosing(items):
            async for item in items:
                self._made.put(item)
                del item
                await self._room.acquire()

    def call(self, act: Callable[[], object]) -> None:
        """Have something called in the thread, unless it has ended."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        try:
            loop.call_soon_threadsafe(act)
        except RuntimeError:
            # It was closed between the question and the call.
            return
