"""Fetches pages before they are asked for, where their requests can be guessed; they are handed out in order.

How many may be under way or not yet committed is bounded: that is what a killed run has to read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from headworks.sources.api.request import Request

F = TypeVar("F")

Guess = Callable[[int], Request | None]
"""Returns the request so many pages ahead, or None where it cannot be guessed."""


_WAITING = 2
"""Pages under way or ready, for each request that may be under way: none is idle while pages are looked at."""

_GROWTH = 4


class Unlanded:
    """Bounds pages between being asked for and being committed to ``most``.

    It belongs to one event loop: every method is called there.
    """

    def __init__(self, most: int) -> None:
        self._most, self._pages = most, 0
        self._freed = asyncio.Event()

    def gathered(self) -> None:
        """Count a page that has come."""
        self._pages += 1

    def landed(self, pages: int) -> None:
        """Take off pages that were committed."""
        self._pages -= pages
        self._freed.set()

    def has_room(self, under_way: int) -> bool:
        """Return whether one more page may be asked for alongside those that are under way."""
        return self._pages + under_way < self._most

    async def room(self) -> None:
        """Wait until a page may be asked for; there must be none under way."""
        while not self.has_room(0):
            self._freed.clear()
            await self._freed.wait()


class Ahead(Generic[F]):
    """Up to ``most`` requests on their way; it begins with one, and widens with each page that was guessed well.

    None is begun where ``unlanded`` has no room for its page.
    """

    def __init__(self, fetch: Callable[[Request], Awaitable[F]], most: int, unlanded: Unlanded) -> None:
        self._fetch, self._most, self._unlanded = fetch, most, unlanded
        self._way = asyncio.Semaphore(most)
        self._tasks: dict[Request, asyncio.Task[F]] = {}
        self._width = 1

    async def get(self, request: Request, guess: Guess) -> F:
        """Return the page of a request, and have the following ones fetched meanwhile."""
        task = self._tasks.pop(request, None)
        if task is None:
            # Guessed wrong, or not at all: what is on its way is of no use.
            await self.drop()
            await self._unlanded.room()
            task = self._begin(request)
        self._fill(guess)
        try:
            return await task
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def drop(self) -> None:
        """Give up all that is on its way."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _fill(self, guess: Guess) -> None:
        # Alongside those that lie ready or are under way there is the page that is being waited for.
        while len(self._tasks) < self._width - 1 and self._unlanded.has_room(len(self._tasks) + 1):
            request = guess(len(self._tasks) + 1)
            if request is None or request in self._tasks:
                break
            self._tasks[request] = self._begin(request)
        self._width = min(self._width * _GROWTH, self._most * _WAITING if self._most > 1 else 1)

    async def _in_turn(self, request: Request) -> F:
        async with self._way:
            return await self._fetch(request)

    def _begin(self, request: Request) -> asyncio.Task[F]:
        task = asyncio.ensure_future(self._in_turn(request))
        # A page past the end may fail and never be asked for; its error then means nothing.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task
