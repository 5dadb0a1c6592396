"""A paginated API that misbehaves on purpose, and remembers what it was asked.

It has rows, one style of paging, who may read it, and one fault. All its chance comes from the fault's seed,
all its time from the clock that it shares with the client.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from headworks.testing.access import Access, Open
from headworks.testing.server import Server, serving
from headworks.testing.styles import Shown, Style, Token, Wanted
from headworks.testing.timing import BEGINNING, MovedTime
from headworks.testing.truth import Row
from headworks.testing.wire import Asked, Reply


class Fault:
    """What can be wrong with an API; this one is nothing. ``injected`` counts how often it showed itself.

    ``answer`` may answer in place of a page. ``change`` may change a page before it is written, ``spoil`` after. With
    ``heal`` it ends for good, as when somebody has fixed the API.
    """

    def __init__(self) -> None:
        self.injected = 0
        self.healed = False

    def answer(self, api: HostileApi, asked: Asked) -> Reply | None:
        """Answer in place of the API, or leave it to it."""
        return None

    def change(self, api: HostileApi, asked: Asked, shown: Shown) -> Shown:
        """Return the page that is written in place of ``shown``."""
        return shown

    def spoil(self, api: HostileApi, asked: Asked, reply: Reply) -> Reply:
        """Return the answer that is sent in place of ``reply``."""
        return reply

    def heal(self) -> None:
        """Be nothing from now on."""
        self.healed = True


@dataclass
class HostileApi:
    """The API's state. ``rows`` may be changed between and during readings, as the table behind an API is."""

    style: Style
    rows: list[Row]
    fault: Fault = field(default_factory=Fault)
    access: Access = field(default_factory=Open)
    time: MovedTime = field(default_factory=MovedTime)
    pages: Counter[str] = field(default_factory=Counter)
    """How often each page was served whole."""
    requests: int = 0
    """How many requests for pages came, the refused ones included."""
    early: list[Asked] = field(default_factory=list)
    """Requests that came before the moment that a refusal had named."""
    not_before: float = 0.0
    largest_page: int = 1000
    epoch: str = ""
    """Part of every token; tokens of an earlier epoch are gone."""
    server: Server | None = None
    served_at: str = ""
    """Address of the API where another process serves it."""

    @property
    def url(self) -> str:
        """The API's address."""
        if self.served_at:
            return self.served_at
        assert self.server is not None, "the API is not served"
        return self.server.url

    @property
    def now(self) -> float:
        """The server's time, in seconds from its beginning."""
        return (self.time.clock() - BEGINNING).total_seconds()

    def answer(self, asked: Asked) -> Reply:
        """Answer a request."""
        granted = self.access.grant(asked, self.now)
        if granted is not None:
            return granted
        if asked.path != self.style.path or asked.method != self.style.method:
            return Reply.of({"error": f"no {asked.method} {asked.path} here"}, 404)
        self.requests += 1
        if asked.at < self.not_before:
            self.early.append(asked)
        refused = self.access.refuse(asked, self.now)
        if refused is not None:
            return refused
        if self.fault.healed:
            return self._page(asked, Fault())
        return self._page(asked, self.fault)

    def _page(self, asked: Asked, fault: Fault) -> Reply:
        instead = fault.answer(self, asked)
        if instead is not None:
            return instead
        try:
            shown = self.show(self.style.reads(asked))
        except GoneToken:
            return Reply.of({"error": "this cursor is gone"}, 410)
        except ValueError:
            return Reply.of({"error": "this is no cursor or number of ours"}, 400)
        written = self.style.writes(fault.change(self, asked, shown), self.url)
        # A session cookie with every page: it must stay with this host like any other credential.
        dressed = replace(written, headers={**written.headers, **self.access.headers()})
        sent = fault.spoil(self, asked, dressed)
        if sent is dressed:
            self.pages[asked.target] += 1
        return sent

    def show(self, wanted: Wanted) -> Shown:
        """Return the page that is meant, as an honest API would show it."""
        size = max(1, min(wanted.size, self.largest_page))
        wanted = replace(wanted, size=size)
        # A page's number counts pages of the size that is really given.
        index = wanted.index if wanted.number is None else wanted.number * size
        if index is not None:
            # By key, so that a change of a row does not shift the others.
            rows = sorted(self.rows, key=lambda row: row.key)
            part = rows[index : index + size]
            more = index + size < len(rows)
            return Shown(_records(part), "more" if more else None, len(rows), wanted)
        return self._after(wanted, size)

    def _after(self, wanted: Wanted, size: int) -> Shown:
        token = Token(None, wanted.since, self.epoch) if wanted.token is None else Token.read(wanted.token)
        if self.style.has_token and token.epoch != self.epoch:
            raise GoneToken
        by_key = not self.style.has_token

        def order(row: Row) -> tuple[str, int]:
            return ("", row.key) if by_key else row.order

        rows = sorted(
            (row for row in self.rows if token.since is None or row.stamp >= token.since), key=order
        )
        start = 0 if token.after is None else bisect_right(rows, token.after, key=order)
        part = rows[start : start + size]
        more = start + size < len(rows)
        following = str(replace(token, after=order(part[-1]), salt="")) if more else None
        return Shown(_records(part), following, len(rows), wanted)


class GoneToken(Exception):
    """A token of an earlier epoch."""


@contextmanager
def hostile(api: HostileApi) -> Iterator[HostileApi]:
    """Serve an API as long as the block runs."""
    with serving(api.answer, api.time) as server:
        api.server = server
        yield api


def _records(rows: list[Row]) -> tuple[bytes, ...]:
    return tuple(row.record for row in rows)
