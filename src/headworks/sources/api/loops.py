"""Notices that a scan goes round in circles: a request made before, or a page with the records of one before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from headworks.sources.api.memory import digest
from headworks.sources.api.request import Request


class LoopGuard:
    """What one scan asked for and got so far.

    Requests at the powers of two are kept in the position, so that a circle is noticed by a later run too.
    """

    def __init__(self, anchors: Iterable[str], *, identical_pages: bool) -> None:
        self.anchors = list(anchors)
        self._anchored = set(self.anchors)
        self._identical = identical_pages
        self._asked: set[int] = set()
        self._pages: set[int] = set()
        self._last: int | None = None

    def asked(self, request: Request, number: int) -> None:
        """Remember a request, which was the scan's so-and-so-many-th."""
        self._asked.add(hash(request))
        if number & (number - 1) == 0:
            self.anchors.append(_anchor(request))

    def got(self, records: Sequence[bytes]) -> None:
        """Remember a page."""
        if records:
            self._last = hash(tuple(records))
            self._pages.add(self._last)

    def was_asked(self, request: Request) -> bool:
        """Return whether a request was made before, by this run."""
        return hash(request) in self._asked

    def was_anchored(self, request: Request) -> bool:
        """Return whether a request was made before, by an earlier run in the same scan."""
        return bool(self._anchored) and _anchor(request) in self._anchored

    def is_last(self, records: Sequence[bytes]) -> bool:
        """Return whether a page has the records of the one before it."""
        return bool(records) and hash(tuple(records)) == self._last

    def seen_page(self, records: Sequence[bytes]) -> bool:
        """Return whether a page has the records of one before, where that means a circle."""
        return not self._identical and bool(records) and hash(tuple(records)) in self._pages


def _anchor(request: Request) -> str:
    part = () if request.part is None else (request.part,)
    return digest(repr((request.method, request.url, request.headers, request.content, *part)).encode())
