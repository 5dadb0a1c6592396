"""The position of a reading, as it is kept in the stream's position, and a page with the position after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from headworks.errors import HeadworksError
from headworks.names import Window
from headworks.sources.api.memory import Held, digest
from headworks.sources.api.paginate import Paginator, State
from headworks.sources.api.paginate.shifting import Shifting
from headworks.sources.api.resource import Resource
from headworks.sources.api.values import SECOND, Value, Values, kept, moment_us, restored
from headworks.sources.base import Position

_VERSION = 2


@dataclass(frozen=True)
class Span:
    """What one scan asks for: values from ``since`` on, before ``until_us``; None where there is no bound."""

    since: Value | None = None
    until_us: int | None = None

    def cut(self, window_s: float | None) -> tuple[Span, ...]:
        """Return it as the first part of so many seconds and the rest, or as it is."""
        if window_s is None or not isinstance(self.since, int) or self.until_us is None:
            return (self,)
        end = self.since + round(window_s * SECOND)
        if end >= self.until_us:
            return (self,)
        return Span(self.since, end), Span(end, self.until_us)

    def halves(self) -> tuple[Span, Span] | None:
        """Return it as two, or None where it cannot be divided any more."""
        if not isinstance(self.since, int) or self.until_us is None or self.until_us - self.since < 2:
            return None
        middle = (self.since + self.until_us) // 2
        return Span(self.since, middle), Span(middle, self.until_us)


@dataclass(frozen=True)
class Progress:
    """The position of a reading.

    ``spans`` are the scans that are left, the first of them at ``state`` (None: at its beginning) after ``count``
    records. ``mark`` is the watermark that this pass began with, ``high`` the largest value that it saw,
    ``expected`` digests of records that will come again, ``anchors`` represent requests made long ago. ``done``:
    the pass has ended. ``known`` names the described fields that a page or a record has had; ``described`` represents
    what is asked for and for how pages follow each other, and ``warning`` says that these have changed. ``token`` is
    that of an earlier pass with which this one asks for what has changed since, ``following`` that for the next one;
    ``lapsed``: the API no longer knew the token, and this pass reads all. ``doubted``: a scan of this pass was not
    shown to be complete; ``stays``: nor may the next pass begin later than this one. ``missed``: an earlier pass was
    not shown to be complete, and this one began later, so that what was missed does not come.

    ``extent`` is that of the scan in hand (``watermark.py``). ``most`` has the largest numbers of records and
    of pages that a query has given so far, and ``reach`` how far into its span one has reached, forwards and backwards:
    a query with less than that was not cut off. ``begun`` is the value that the pass began with.

    ``job`` is the id of the export whose result is read. ``held`` are the versions that landed last, where all comes
    again.
    """

    spans: tuple[Span, ...] = (Span(),)
    state: State | None = None
    count: int = 0
    pages: int = 0
    mark: Value | None = None
    high: Value | None = None
    expected: tuple[str, ...] = ()
    overlap: tuple[bytes, ...] = ()
    anchors: tuple[str, ...] = ()
    validators: Mapping[str, str] = field(default_factory=dict)
    done: bool = False
    known: tuple[str, ...] = ()
    described: tuple[str, str] = ("", "")
    warning: str = ""
    token: str | int | None = None
    following: str | int | None = None
    lapsed: bool = False
    doubted: bool = False
    stays: bool = False
    missed: bool = False
    job: str | None = None
    held: Held | None = None
    extent: tuple[int, int, int] | None = None
    most: tuple[int, int] = (0, 0)
    reach: tuple[int, int] = (0, 0)
    begun: Value | None = None

    def to_position(self) -> Position:
        """Return it as JSON."""
        position: dict[str, Any] = {"v": _VERSION, "done": self.done, "mark": kept(self.mark)}
        expected = [*self.expected, *map(digest, self.overlap)]
        if expected:
            position["expected"] = expected
        if self.validators:
            position["validators"] = dict(self.validators)
        if self.known:
            position["known"] = list(self.known)
        for name in ("token", "following", "job"):
            if getattr(self, name) is not None:
                position[name] = getattr(self, name)
        if self.held is not None:
            position["held"], met = self.held.settled()
            if not self.done:
                position["met"] = sorted(met)
        for name in ("lapsed", "doubted", "stays", "missed"):
            if getattr(self, name):
                position[name] = True
        for name in ("most", "reach"):
            if any(getattr(self, name)):
                position[name] = list(getattr(self, name))
        position["described"] = list(self.described)
        if not self.done:
            position |= {
                "spans": [[kept(span.since), span.until_us] for span in self.spans],
                "state": self.state,
                "count": self.count,
                "pages": self.pages,
                "high": kept(self.high),
                "anchors": list(self.anchors),
                "begun": kept(self.begun),
                "extent": None if self.extent is None else list(self.extent),
            }
        return position

    def ended(self, mark: Value | None, expected: list[str]) -> Progress:
        """Return it at the end of the pass."""
        return Progress(
            mark=mark,
            expected=tuple(expected),
            validators=self.validators,
            done=True,
            known=self.known,
            described=self.described,
            token=self.token,
            held=self.held,
            most=self.most,
            reach=self.reach,
            missed=mark is not None and (self.missed or (self.doubted and not self.stays)),
        )

    def at_next_span(self) -> Progress:
        """Return it at the beginning of the next scan."""
        return replace(self.restarted(), spans=self.spans[1:], job=None)

    def restarted(self) -> Progress:
        """Return it at the beginning of its scan."""
        return replace(
            self, state=None, count=0, pages=0, overlap=(), anchors=(), following=None, extent=None
        )

    def all_again(self) -> Progress:
        """Return it at the beginning of a scan of everything, since the API no longer knows its token."""
        return replace(self.restarted(), token=None, lapsed=True)


def begin(
    position: Position | None,
    resource: Resource,
    paginator: Paginator,
    now: datetime,
    *,
    window: Window | None = None,
    until: datetime | None = None,
    base_url: str = "",
) -> Progress:
    """Return where to begin, given where the last reading stopped: in the middle of a scan, or with a new pass.

    A position of another layout counts as none: all is read again, and what is known already changes nothing. So does
    that of a resource which was described as another one; where only the pages are described differently, a scan that
    was cut short is begun again from its beginning.
    """
    described = described_as(resource, base_url)
    empty = Held({}) if comes_again(resource) else None
    span = _span(resource, None, now, window, until)
    first = Progress(spans=(span,), described=described, held=empty, begun=span.since)
    if position is None or position.get("v") != _VERSION:
        return first
    asked, paged = position.get("described") or described
    if asked != described[0]:
        return replace(
            first,
            expected=tuple(position.get("expected", ())),
            warning="What is asked for is described differently than when this stream was last read: all of it is read "
            "again.",
        )
    known = tuple(position.get("known", ()))
    mark = restored(position["mark"])
    expected, validators = tuple(position.get("expected", ())), position.get("validators", {})
    token = position.get("token") if resource.delta is not None else None
    given: dict[str, Any] = {"missed": bool(position.get("missed")) and window is None}
    if paged == described[1]:
        given |= {name: tuple(position.get(name, (0, 0))) for name in ("most", "reach")}
    if position["done"]:
        span = _span(resource, mark, now, window, until)
        return replace(
            first,
            **given,
            token=token,
            held=Held(position.get("held", {})) if all_comes_again(resource) else empty,
            spans=(span,),
            begun=span.since,
            mark=mark,
            expected=expected,
            validators=validators,
            known=known if paged == described[1] else (),
        )
    progress = Progress(
        spans=tuple(Span(restored(since), end) for since, end in position["spans"]),
        mark=mark,
        high=restored(position["high"]),
        expected=expected,
        validators=validators,
        known=known,
        described=described,
        token=token,
        lapsed=bool(position.get("lapsed")),
        doubted=bool(position.get("doubted")),
        stays=bool(position.get("stays")),
        job=position.get("job") if resource.export is not None else None,
        held=Held(position["held"], position.get("met", ())) if empty and "held" in position else None,
        begun=restored(position.get("begun", position["spans"][0][0])),
        **given,
    )
    if paged != described[1]:
        return replace(
            progress,
            known=(),
            warning="How pages follow each other, or the base URL, is described differently than when this scan was "
            "cut short: it is begun again from its beginning.",
        )
    return _resumed(progress, position, paginator)


def _resumed(progress: Progress, position: Position, paginator: Paginator) -> Progress:
    state, count = position["state"], position["count"]
    if paginator.stateful:
        # What the API gave and nobody kept cannot be asked for again.
        return progress
    try:
        rewound = None if state is None else paginator.rewind(state)
        # What is read again is counted again.
        count -= state["seen"] - rewound["seen"] if rewound and "seen" in rewound else 0
    except KeyError:
        # Kept before positions said how their pages were described, and these have changed since.
        return progress
    return replace(
        progress,
        state=rewound,
        count=max(0, count),
        pages=position["pages"],
        anchors=tuple(position["anchors"]),
        following=position.get("following"),
        extent=tuple(position["extent"]) if position.get("extent") else None,
    )


def all_comes_again(resource: Resource) -> bool:
    """Return whether every run is given everything, so that what has not changed is to be recognised."""
    return bool(resource.key) and resource.incremental is None and resource.delta is None


def comes_again(resource: Resource) -> bool:
    """Return whether a run that resumes another one's pass may be given again what that has landed."""
    paging = resource.pagination
    incremental = resource.incremental
    # Pages that may shift are scanned twice, and a span with an end is divided where its parts have more than it.
    may_shift = paging.guessable or (isinstance(paging, Shifting) and not paging.stable)
    again = incremental is not None and (may_shift or incremental.until_parameter is not None)
    return all_comes_again(resource) or (bool(resource.key) and (paging.stateful or again))


def described_as(resource: Resource, base_url: str) -> tuple[str, str]:
    """Return what represents what a resource asks for, and for how its pages follow each other and where."""
    # Fields that a description leaves as they are do not count, so that one which is added changes nothing.
    asked = resource.model_dump(
        mode="json",
        include={"path", "method", "parameters", "body", "body_format", "delta", "export"},
        exclude_defaults=True,
    )
    incremental = resource.incremental
    if incremental is not None:
        asked["incremental"] = incremental.model_dump(
            mode="json",
            exclude={
                "lookback_s",
                "clamp_future",
                "until_parameter",
                "until_inclusive",
                "inclusive",
                "window_s",
            },
            exclude_defaults=True,
        )
    paging = {
        **resource.pagination.model_dump(mode="json", exclude_defaults=True),
        "kind": resource.pagination.kind,
    }
    shaped = resource.model_dump(
        mode="json",
        include={"format", "delimiter", "columns", "header_row", "arrays", "sideloads"},
        exclude_defaults=True,
    )
    paged = [base_url, resource.records, paging, *([shaped] if shaped else [])]
    return _fingerprint(asked), _fingerprint(paged)


def _fingerprint(value: Any) -> str:
    return digest(json.dumps(value, sort_keys=True, default=str).encode())


def _span(
    resource: Resource, mark: Value | None, now: datetime, window: Window | None, until: datetime | None
) -> Span:
    incremental = resource.incremental
    if incremental is None:
        return Span()
    if window is not None:
        return Span(moment_us(window.start), moment_us(window.end))
    bounded = incremental.until_parameter is not None
    if mark is None and (resource.cap is not None or incremental.window_s is not None):
        # Only a span that has a beginning can be cut.
        mark = Values(incremental).start()
    return Span(mark, moment_us(until or now) if bounded else None)


class Kept(Protocol):
    """A position as it is kept."""

    @property
    def done(self) -> bool:
        """Return whether the pass has ended."""
        ...

    def to_position(self) -> Position:
        """Return it as JSON."""
        ...


@dataclass(frozen=True)
class PageToLand:
    """A page as it is to be landed: its new records, the position after it, and what to report about it."""

    records: list[bytes]
    deleted: list[bool] | None
    read: int
    number: int
    url: str
    progress: Kept
    warning: str = ""
    shown: bool | None = None
    expected: int | None = None
    refused: tuple[tuple[str, bytes], ...] = ()
    problem: HeadworksError | None = None
    flush: bool = False
