"""Counts the pages that were asked for and are not yet committed: what a killed run has to read again."""

from __future__ import annotations

import asyncio


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
