"""What pagination is made of: a state machine that asks for a page, looks at it, and says which comes next.

A paginator does no I/O. Its state is JSON and is kept in the stream's position, so a reading that was cut short
continues from it. A new kind of pagination is one class with these methods.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, Self

from pydantic import Field, model_validator

from headworks.settings import Settings
from headworks.sources.api.paths import FieldPath

State = dict[str, Any]
"""The position of a scan: JSON, opaque to everything but its paginator."""

Where = Literal["query", "body", "header", "path", "text"]
"""Where a value is put: a query parameter, a path in the body, a header, ``{name}`` in the resource's path, or
``{name}`` in the texts of its parameters and its body, such as a query in a language of its own."""

Evidence = Literal["proven", "consistent", "none"]
"""What shows that a scan was whole: the API said that it ended; its own counts agree throughout; nothing does."""


@dataclass(frozen=True)
class Ask:
    """What the request for a page has in addition to what the resource says.

    ``alone``: and nothing else but this. ``may_be_missing``: the answer 404 is no error, but says that no such page is.
    ``at`` and ``method`` take the place of the resource's own path and method. ``once``: the request moves the API on,
    so that it is never sent a second time. ``part``: of a file, what begins at this byte.
    """

    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    alone: bool = False
    may_be_missing: bool = False
    text: Mapping[str, str] = field(default_factory=dict)
    at: str | None = None
    method: str | None = None
    once: bool = False
    part: int | None = None


@dataclass(frozen=True)
class Page:
    """What a page said about the scan.

    ``records`` counts what it held, ``fresh`` those of them that were not known yet. ``fields`` are the fields of
    its envelope by path, those that are there; ``known`` names those that earlier pages had. ``headers`` have
    lower-case names. ``total`` is the number of records that the API announced, ``last`` holds fields of its last
    record. ``missing``: the API says that there is no such page. ``outline`` has what the body of a first page holds
    alongside its records. ``edges`` are its first and its last record as they came, ``every`` all of them where they
    are at hand, and ``key`` the paths of the key as declared.
    ``logged``: it is of a log of changes, whose tokens are kept from run to run and so are places in it. ``frozen``: it
    is of a result that no longer changes.
    """

    records: int
    fresh: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    last: Mapping[str, Any] = field(default_factory=dict)
    total: int | None = None
    url: str = ""
    missing: bool = False
    known: Collection[str] = ()
    outline: Mapping[str, Any] = field(default_factory=dict)
    edges: tuple[bytes, ...] = ()
    every: Sequence[bytes] = ()
    key: Collection[str] = ()
    logged: bool = False
    frozen: bool = False


@dataclass(frozen=True)
class Step:
    """What follows a page: the next state, or the end (None) with what shows that the scan was whole.

    ``warning`` is for people: something about the API that they should know. ``seen`` names the fields and headers that
    the page had of those that say what follows; ``absent`` those whose absence alone made this the end, which shows
    nothing as long as no page ever had them. ``doubt`` says why the end is none that anything shows, ``gap`` why
    records may be lacking unless as many came as were announced, and ``remedy`` what to declare where the scan is not
    shown to be whole.
    """

    state: State | None
    evidence: Evidence = "none"
    warning: str = ""
    seen: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    doubt: str = ""
    gap: str = ""
    remedy: str = ""


class Paginator(Protocol):
    """Decides which page comes next."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The paths of the envelope's fields that it looks at."""
        ...

    @property
    def record_fields(self) -> tuple[str, ...]:
        """The paths of the last record's fields that it looks at."""
        ...

    @property
    def repeats(self) -> bool:
        """Return whether a page may begin with records that the page before it ended with."""
        ...

    @property
    def guessable(self) -> bool:
        """Return whether states can be guessed without their pages, as where pages are counted."""
        ...

    @property
    def ends_on_repeat(self) -> bool:
        """Return whether the last page again means the end."""
        ...

    @property
    def stateful(self) -> bool:
        """Return whether the API itself keeps the place: the same request brings the next page each time."""
        ...

    def begin(self) -> State:
        """Return the state of the first page."""
        ...

    def rewind(self, state: State) -> State:
        """Return the state to continue from after a scan was cut short: itself, or an earlier one where pages shift."""
        ...

    def ask(self, state: State) -> Ask:
        """Return what the request for the page at ``state`` has to hold."""
        ...

    def after(self, state: State, page: Page) -> Step:
        """Return what comes after ``page``, which was read at ``state``; raises `ReadIncomplete` where it cannot."""
        ...

    def doubt(self, state: State, page: Page) -> str:
        """Say why a page may not be what it seems and should be asked for once more; empty where it is beyond doubt."""
        ...

    def ahead(self, state: State, steps: int) -> State | None:
        """Guess the state so many pages after ``state`` without their pages, or None where that cannot be guessed."""
        ...

    def bounded(self, state: State) -> bool:
        """Return whether the scan's end was announced, so that no guess goes far past it."""
        ...


def as_text(value: Any) -> str:
    """Return a JSON value as a query parameter holds it: texts as they are, all else as compact JSON."""
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def put(where: Where, name: str, value: Any, *, alone: bool = False) -> Ask:
    """Return a request's part that holds one value at its place; a body keeps its type, all else is text."""
    return put_all(where, {name: value}, alone=alone)


def put_all(
    where: Where, values: Mapping[str, Any], *, alone: bool = False, may_be_missing: bool = False
) -> Ask:
    """Return a request's part that holds values at their place; a body keeps their types, all else is text."""
    if where == "body":
        return Ask(body=values, alone=alone, may_be_missing=may_be_missing)
    texts = {name: as_text(value) for name, value in values.items()}
    if where == "header":
        return Ask(headers=texts, alone=alone, may_be_missing=may_be_missing)
    if where == "path":
        return Ask(path=texts, alone=alone, may_be_missing=may_be_missing)
    if where == "text":
        return Ask(text=texts, alone=alone, may_be_missing=may_be_missing)
    return Ask(query=texts, alone=alone, may_be_missing=may_be_missing)


def together(*asks: Ask) -> Ask:
    """Return several parts of a request as one; of two that say the same the later one counts."""
    if len(asks) == 1:
        return asks[0]
    query: dict[str, str] = {}
    body: dict[str, Any] = {}
    headers: dict[str, str] = {}
    path: dict[str, str] = {}
    text: dict[str, str] = {}
    made = Ask()
    for ask in asks:
        query.update(ask.query)
        body.update(ask.body)
        headers.update(ask.headers)
        path.update(ask.path)
        text.update(ask.text)
        made = Ask(
            url=ask.url or made.url,
            alone=ask.alone or made.alone,
            may_be_missing=ask.may_be_missing or made.may_be_missing,
            at=ask.at or made.at,
            method=ask.method or made.method,
            once=ask.once or made.once,
            part=made.part if ask.part is None else ask.part,
        )
    return replace(made, query=query, body=body, headers=headers, path=path, text=text)


class Sparse(Settings):
    """What kinds have in common whose pages may be empty and lead on."""

    sparse: bool = Field(
        default=False,
        description="Pages that lead on may be empty, as where the API filters records after it has cut its pages.",
    )

    def _gap(self, state: State) -> str:
        """Say that a page in the middle was empty where all others are equally long; empty where none was."""
        if self.sparse or not state.get("hollow") or state.get("least", 0) < state.get("largest", 0):
            return ""
        return (
            "A page in the middle of the scan was empty and led on, and no other page shows that the API leaves "
            "records out of its pages: this reading is not shown to be complete. If it filters records after it has "
            "cut its pages, set pagination.sparse to true."
        )


def lengths(state: State, records: int) -> State:
    """Return how long pages that led on were: whether one was empty, and the shortest and the longest of the others."""
    found: State = {name: state[name] for name in ("hollow", "least", "largest") if name in state}
    if records == 0:
        return {**found, "hollow": True}
    least, largest = state.get("least", records), state.get("largest", 0)
    return {**found, "least": min(least, records), "largest": max(largest, records)}


class Flagged(Settings):
    """What kinds have in common that may have a flag alongside their way on.

    A flag is believed that it means the end once it was seen to say the opposite too: described the wrong way round,
    or found by chance, it would end every scan after its first page.
    """

    more_field: FieldPath | None = Field(
        default=None, description="Path of a flag that says whether more follows."
    )
    end_field: FieldPath | None = Field(
        default=None, description="Path of a flag that says that this page is the last, such as isLast."
    )

    @model_validator(mode="after")
    def _one_flag(self) -> Self:
        if self.more_field and self.end_field:
            raise ValueError("more_field and end_field say the same: name the one that the API has")
        own = [getattr(self, name, None) for name in _WAYS]
        size = getattr(self, "size_parameter", None) or getattr(self, "limit_parameter", None)
        place = getattr(self, "send_in", "query")
        if size is not None and size in own and getattr(self, "size_in", place) == place:
            raise ValueError(f"{size} cannot be both the page's size and what leads to the next page")
        return self

    @property
    def flags(self) -> tuple[str, ...]:
        """The paths of the flags."""
        return tuple(filter(None, (self.more_field, self.end_field)))

    def _follows(self, page: Page) -> bool | None:
        """Return what a page's flag says: that more follows, that nothing does, None where it says nothing.

        A flag of more that earlier pages had, and this one has not, says that nothing follows.
        """
        name = self.more_field or self.end_field
        if name is None:
            return None
        if name in page.fields:
            return _is_set(page.fields[name]) is bool(self.more_field)
        known = name in page.known or page.records == 0
        return False if self.more_field and known else None

    def _flags_seen(self, page: Page) -> tuple[str, ...]:
        """Return the flags that a page has, and that one of them says that more follows."""
        there = tuple(name for name in self.flags if name in page.fields)
        return (*there, self._marker) if there and self._follows(page) else there

    def _unproven(self, page: Page) -> tuple[str, ...]:
        """Return what is lacking for believing a flag that means the end."""
        return () if page.records == 0 else (self._marker,)

    @property
    def _marker(self) -> str:
        return f"{self.more_field or self.end_field} {SAYS_MORE}"


_WAYS = ("page_parameter", "offset_parameter", "cursor_parameter", "key_parameter")
SAYS_MORE = "saying that more follows"
_NOT_SET = frozenset({"", "0", "false", "no", "n", "none", "null"})


def _is_set(flag: Any) -> bool:
    return flag.strip().lower() not in _NOT_SET if isinstance(flag, str) else bool(flag)
