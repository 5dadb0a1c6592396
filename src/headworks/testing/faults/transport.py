"""Answers that do not arrive, or are not the answer: errors of the server, of the network, and refusals for a while."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from random import Random

from headworks.testing.faults.chance import Deck, Moments
from headworks.testing.hostile import Fault, HostileApi
from headworks.testing.styles import Shown
from headworks.testing.timing import BEGINNING
from headworks.testing.wire import Asked, Reply, Sending

Spoiling = Callable[[Random, Reply], Reply]

_HTML = b"<!doctype html><html><head><title>Please wait</title></head><body>Busy.</body></html>"


class Spoils(Fault):
    """Spoils 12 % of the answers in one way."""

    def __init__(self, dice: Random, spoiling: Spoiling) -> None:
        super().__init__()
        self._dice, self._spoiling, self._deck = dice, spoiling, Deck(dice)

    def spoil(self, api: HostileApi, asked: Asked, reply: Reply) -> Reply:
        """Spoil the answer, or not."""
        if not self._deck.draw():
            return reply
        self.injected += 1
        return self._spoiling(self._dice, reply)


class SpoilsTwice(Spoils):
    """Spoils two answers: for what costs the client a real deadline."""

    def __init__(self, dice: Random, spoiling: Spoiling) -> None:
        super().__init__(dice, spoiling)
        self._moments = Moments(dice, 2, 12)

    def spoil(self, api: HostileApi, asked: Asked, reply: Reply) -> Reply:
        """Spoil the answer, or not."""
        if not self._moments.draw():
            return reply
        self.injected += 1
        return self._spoiling(self._dice, reply)


def server_error(dice: Random, reply: Reply) -> Reply:
    """Answer 500, 502, 503 or 504, as a page of HTML or as an object."""
    status = dice.choice((500, 502, 503, 504))
    if dice.random() < 0.5:
        return Reply(_HTML, status, {"Content-Type": "text/html"})
    return Reply.of({"error": {"code": status, "message": "try again"}}, status)


def sent(*ways: Sending) -> Spoiling:
    """Send the right answer in one of the wrong ways."""
    return lambda dice, reply: replace(reply, sending=dice.choice(ways))


def truncated(dice: Random, reply: Reply) -> Reply:
    """Send the first part of the JSON, with a length to match: the transport sees nothing wrong."""
    return replace(reply, body=reply.body[: dice.randrange(1, max(2, len(reply.body) - 1))])


def html(dice: Random, reply: Reply) -> Reply:
    """Send a page of HTML with status 200, now and then called JSON."""
    kind = dice.choice(("text/html; charset=utf-8", "application/json"))
    return Reply(_HTML, 200, {"Content-Type": kind})


def error_object(dice: Random, reply: Reply) -> Reply:
    """Send an error with status 200."""
    message = {"message": "internal error", "code": "E_INTERNAL"}
    return Reply.of(dice.choice(({"error": message}, {"errors": [message]}, {"status": "error", **message})))


class NullPages(Fault):
    """Gives no records where a page should be, with no way on: null in their place, or null altogether."""

    def __init__(self, dice: Random) -> None:
        super().__init__()
        self._dice, self._deck = dice, Deck(dice)
        self._now = False

    def change(self, api: HostileApi, asked: Asked, shown: Shown) -> Shown:
        """Take the records and the way on away."""
        self._now = self._deck.draw()
        return replace(shown, records=(), following=None) if self._now else shown

    def spoil(self, api: HostileApi, asked: Asked, reply: Reply) -> Reply:
        """Write null where the empty list is."""
        if not self._now:
            return reply
        self.injected += 1
        whole = self._dice.random() < 0.3
        return replace(reply, body=b"null" if whole else reply.body.replace(b"[]", b"null", 1))


class Outage(Fault):
    """Is gone for six seconds of its own time: connections are reset, or a gateway answers for it."""

    def __init__(self, dice: Random, seconds: float = 6.0) -> None:
        super().__init__()
        self._dice, self._seconds, self._moments = dice, seconds, Moments(dice, 1, 12)
        self._until: float | None = None

    def answer(self, api: HostileApi, asked: Asked) -> Reply | None:
        """Refuse while the outage lasts."""
        if self._until is None and self._moments.draw():
            self._until = api.now + self._seconds
        if self._until is None or api.now >= self._until:
            return None
        self.injected += 1
        if self._dice.random() < 0.5:
            return Reply(sending=Sending.RESET)
        return Reply(_HTML, self._dice.choice((502, 503)), {"Content-Type": "text/html"})


class RateLimit(Fault):
    """Refuses now and then and says for how long, in one of the forms in use; who comes too early is written down.

    ``seconds`` and ``date`` are Retry-After, ``reset`` is one of the headers that say when the budget is full again.
    The API's clock may be an hour wrong, which its Date header then shows.
    """

    def __init__(self, dice: Random, form: str, longest_s: int = 30) -> None:
        super().__init__()
        self._dice, self._form, self._longest_s = dice, form, longest_s
        self._moments = Moments(dice, 3, 15)
        self._wrong = timedelta(hours=dice.choice((0, 0, 1, -1)))

    def answer(self, api: HostileApi, asked: Asked) -> Reply | None:
        """Refuse at some moments, and everything before the moment that was named."""
        if asked.at < api.not_before:
            return self._refusal(api)
        if not self._moments.draw():
            return None
        self.injected += 1
        # Whole seconds of the server's time, since dates have no fractions.
        api.not_before = math.ceil(api.now) + self._dice.randint(1, self._longest_s)
        return self._refusal(api)

    def _refusal(self, api: HostileApi) -> Reply:
        left_s = math.ceil(api.not_before - api.now)
        moment = BEGINNING + timedelta(seconds=api.not_before) + self._wrong
        present = format_datetime(
            BEGINNING + timedelta(seconds=math.floor(api.now)) + self._wrong, usegmt=True
        )
        forms = {
            "seconds": [{"Retry-After": str(left_s)}],
            "date": [{"Retry-After": format_datetime(moment, usegmt=True)}],
            "reset": [
                {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(moment.timestamp()))},
                {"RateLimit-Remaining": "0", "RateLimit-Reset": str(left_s)},
            ],
        }[self._form]
        return Reply.of({"error": "too many requests"}, 429, **self._dice.choice(forms), Date=present)


class DayLimit(Fault):
    """Refuses from a page on, for a whole day."""

    def __init__(self, dice: Random) -> None:
        super().__init__()
        self._from = dice.randint(2, 8)

    def answer(self, api: HostileApi, asked: Asked) -> Reply | None:
        """Refuse, and name tomorrow."""
        if api.requests < self._from:
            return None
        self.injected += 1
        api.not_before = api.now + 86_400
        return Reply.of({"error": "the day's quota is used up"}, 429, **{"Retry-After": "86400"})

    def heal(self) -> None:
        """Let the day pass."""
        super().heal()


class AlwaysFails(Fault):
    """Fails for one page, always: its requests get an error each, until somebody fixes it."""

    def __init__(self, dice: Random) -> None:
        super().__init__()
        self._dice, self._from, self._target = dice, dice.randint(2, 8), ""

    def answer(self, api: HostileApi, asked: Asked) -> Reply | None:
        """Fail for the page that came at the chosen moment."""
        if not self._target and api.requests >= self._from:
            self._target = asked.target
        if asked.target != self._target:
            return None
        self.injected += 1
        return Reply(_HTML, 500, {"Content-Type": "text/html"})
