"""Every fault with the styles that can have it, and what must hold of a reading all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from headworks import errors
from headworks.testing.access import CredentialLeakProbe
from headworks.testing.faults import paging, records, rows, security, transport
from headworks.testing.hostile import Fault
from headworks.testing.styles import STYLES
from headworks.testing.wire import Sending

Ends = Literal["exact", "repaired", "fails"]
Making = Callable[[Random, CredentialLeakProbe], Fault]

ALL = tuple(STYLES)
PAGED = tuple(name for name in ALL if name != "single")
INDEXED = tuple(name for name, style in STYLES.items() if style.by_index and name != "single")
COUNTED = tuple(name for name, style in STYLES.items() if style.counted)
TOKENED = tuple(name for name, style in STYLES.items() if style.has_token)
DEADLINES = ("page", "cursor")
"""Where each strike costs a real deadline, two styles are enough."""
ELSEWHERE = ("next_url", "link")


@dataclass(frozen=True)
class Promise:
    """What must hold.

    ``exact``: the reading ends, and the table is the truth. ``repaired``: it ends or fails clearly; a reading that
    ends short of the truth says that nothing shows it to be whole, and the next one repairs it. ``fails``: it fails
    with one of ``errors``, and once the API is fixed the next reading continues and the table is the truth.

    ``most_requests`` bounds the requests, in multiples of the pages. ``most_after`` bounds the requests from the first
    one that the fault hit. ``duplicated``: bronze may hold a record more than once, silver never.
    """

    ends: Ends
    errors: tuple[type[errors.HeadworksError], ...] = ()
    most_requests: float = 4.0
    most_after: int | None = None
    duplicated: bool = False


@dataclass(frozen=True)
class Case:
    """One fault: how it is made, which styles can have it, and the promise. ``access`` is who may read."""

    name: str
    make: Making = field(repr=False)
    styles: tuple[str, ...]
    promise: Promise
    access: str = "bearer"


EXACT = Promise("exact")
SHIFTS = Promise("repaired", duplicated=True)
_GIVES_UP = (errors.RetryError, errors.ReadIncomplete)


def _spoils(name: str, spoiling: transport.Spoiling, promise: Promise = EXACT) -> Case:
    return Case(name, lambda dice, leak_probe: transport.Spoils(dice, spoiling), ALL, promise)


def _slow(name: str, way: Sending) -> Case:
    return Case(
        name, lambda dice, leak_probe: transport.SpoilsTwice(dice, transport.sent(way)), DEADLINES, EXACT
    )


def _limit(form: str) -> Case:
    return Case(f"429, {form}", lambda dice, leak_probe: transport.RateLimit(dice, form), PAGED, EXACT)


def _endless(name: str, how: str, styles: tuple[str, ...]) -> Case:
    # One request may be needed to see that it repeats itself, one more to be sure.
    promise = Promise("fails", (errors.ReadIncomplete,), duplicated=True)
    return Case(name, lambda dice, leak_probe: paging.Endless(dice, how), styles, promise)


_TRANSPORT = (
    _limit("seconds"),
    _limit("date"),
    _limit("reset"),
    Case(
        "429 for a day",
        lambda dice, leak_probe: transport.DayLimit(dice),
        PAGED,
        Promise("fails", (errors.WaitTooLong,), most_after=1),
    ),
    _spoils("500/502/503/504 at 12 %", transport.server_error, Promise("exact", most_requests=1.3)),
    _spoils("reset", transport.sent(Sending.RESET)),
    _spoils("cut body", transport.sent(Sending.CUT)),
    _spoils("broken chunk", transport.sent(Sending.BROKEN_CHUNK)),
    _spoils("truncated JSON", transport.truncated),
    _spoils("HTML 200", transport.html),
    _spoils("error object 200", transport.error_object),
    Case("null page", lambda dice, leak_probe: transport.NullPages(dice), ALL, EXACT),
    _slow("hang", Sending.HANG),
    _slow("slow drip", Sending.DRIP),
    Case("6 s outage", lambda dice, leak_probe: transport.Outage(dice), ALL, EXACT),
    Case(
        "a page that always fails",
        lambda dice, leak_probe: transport.AlwaysFails(dice),
        PAGED,
        Promise("fails", _GIVES_UP, most_after=10),
    ),
)

_PAGING = (
    Case("empty page, with a token", lambda dice, leak_probe: paging.EmptyPages(dice), TOKENED, EXACT),
    Case("empty page, counted", lambda dice, leak_probe: paging.EmptyPages(dice), INDEXED, SHIFTS),
    Case(
        "repeated page, with a token",
        lambda dice, leak_probe: paging.RepeatedPage(dice),
        TOKENED,
        Promise("exact", duplicated=True),
    ),
    Case("repeated page, counted", lambda dice, leak_probe: paging.RepeatedPage(dice), INDEXED, SHIFTS),
    _endless("cursor loop", "same", TOKENED),
    _endless("cursor cycle", "cycle", TOKENED),
    _endless("endless fresh tokens", "fresh", TOKENED),
    _endless("the last page for ever", "page", INDEXED),
    Case("total too high", lambda dice, leak_probe: paging.LyingTotal(dice, high=True), COUNTED, SHIFTS),
    Case("total too low", lambda dice, leak_probe: paging.LyingTotal(dice, high=False), COUNTED, SHIFTS),
    Case("page size cut", lambda dice, leak_probe: paging.CappedSize(dice), PAGED, EXACT),
    Case(
        "410 gone cursor",
        lambda dice, leak_probe: paging.GoneCursor(dice),
        TOKENED,
        Promise("exact", duplicated=True),
    ),
)

_ROWS = (
    Case("rows inserted while reading", lambda dice, leak_probe: rows.Inserts(dice), PAGED, SHIFTS),
    Case("rows deleted while reading", lambda dice, leak_probe: rows.Deletes(dice), PAGED, SHIFTS),
    Case("rows updated while reading", lambda dice, leak_probe: rows.Updates(dice), PAGED, SHIFTS),
)

_SECURITY = (
    Case(
        "401",
        lambda dice, leak_probe: security.Refuses(dice, 401),
        PAGED,
        Promise("fails", (errors.CredentialsRefused,), most_after=3),
    ),
    Case(
        "403",
        lambda dice, leak_probe: security.Refuses(dice, 403),
        PAGED,
        Promise("fails", (errors.CredentialsRefused,), most_after=3),
    ),
    *(
        Case(
            f"redirect to another host, {access}",
            lambda dice, leak_probe: security.Redirects(dice, leak_probe),
            ("page", "cursor", "graphql"),
            Promise("fails", (errors.StopError,), most_after=3),
            access,
        )
        for access in ("bearer", "basic", "header", "query")
    ),
    *(
        Case(
            f"next page on another host, {access}",
            lambda dice, leak_probe: security.NextElsewhere(dice, leak_probe),
            ELSEWHERE,
            Promise("fails", (errors.StopError,), most_after=1),
            access,
        )
        for access in ("bearer", "basic", "header", "query")
    ),
    Case("token expires in mid-read", lambda dice, leak_probe: Fault(), PAGED, EXACT, "oauth"),
)

CASES = (*_TRANSPORT, *_PAGING, *_ROWS, *_SECURITY)
"""All that can be known by one reading and the next; memory, increments and odd records are cases of their own."""

BOMBS: tuple[tuple[str, bool], ...] = (("gzip bomb", True), ("huge page", False))
ODDITIES = tuple(records.ODDITIES)


def case(name: str) -> Case:
    """Return the case with this name."""
    return next(each for each in CASES if each.name == name)
