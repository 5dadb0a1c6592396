"""Pages that are followed: by a token, by the last key, by several tokens at once, or not at all."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from headworks.errors import ReadIncomplete
from headworks.settings import Settings
from headworks.sources.api.paginate.base import (
    Ask,
    Evidence,
    Flagged,
    Page,
    State,
    Step,
    Where,
    put,
    together,
)
from headworks.sources.api.paginate.shifting import Shifting, more_than_one, tally
from headworks.sources.api.paths import FieldPath

_STRENGTH: tuple[Evidence, ...] = ("none", "consistent", "proven")
_ENDS: tuple[Any, ...] = (None, "", 0, False, [], {})


def is_end(token: Any) -> bool:
    """Return whether a next token means that there is none: absent, null, empty, zero or false."""
    return token in _ENDS


class _Onward(Settings):
    """What these kinds have in common: no guessing, no going back."""

    @property
    def record_fields(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def repeats(self) -> bool:
        """No."""
        return False

    @property
    def guessable(self) -> bool:
        """No: only a page knows the next one."""
        return False

    @property
    def ends_on_repeat(self) -> bool:
        """No."""
        return False

    @property
    def stateful(self) -> bool:
        """No."""
        return False

    def rewind(self, state: State) -> State:
        """Continue at the state itself: a token stays valid where it was."""
        return state

    def doubt(self, state: State, page: Page) -> str:
        """Doubt nothing."""
        return ""

    def ahead(self, state: State, steps: int) -> State | None:
        """Guess nothing: only a page knows the next one."""
        return None

    def bounded(self, state: State) -> bool:
        """No."""
        return False


class FirstToken(Settings):
    """Where the first token is got, for an API that gives it at an address of its own."""

    path: str = Field(description="Path below the API's base URL, such as /changes/startPageToken.")
    method: Literal["GET", "POST"] = Field(default="GET", description="How it is asked for.")
    parameters: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Query parameters of that request."
    )
    body: dict[str, Any] | None = Field(default=None, description="JSON body of that request, with POST.")
    field: FieldPath = Field(description="Path of the token in the answer.")


class Cursor(_Onward, Shifting, Flagged):
    """A token in the body names the next page; none, null, an empty one or a flag ends the scan."""

    kind: Literal["cursor"] = "cursor"
    cursor_parameter: str = Field(
        default="cursor", description="Where the token is sent: a name, or a path in the body."
    )
    cursor_field: FieldPath = Field(
        default="next_cursor", description="Path of the next token in the body, or the header's name."
    )
    cursor_from: Literal["body", "header"] = Field(
        default="body", description="Whether the next token comes in the body or in a header."
    )
    send_in: Where = Field(
        default="query", description="Whether the token goes to query, body, header, path or a text."
    )
    alone: bool = Field(default=False, description="The token is sent without the other parameters.")
    next_path: str | None = Field(
        default=None, description="Path that pages after the first are asked for at; none: the same one."
    )
    next_method: Literal["GET", "POST"] | None = Field(
        default=None, description="Method that pages after the first are asked for with; none: the same one."
    )
    first: Any = Field(
        default=None, description="Token of the first page; none: it is asked for without one."
    )
    first_from: FirstToken | None = Field(
        default=None, description="Where the first token is got, where that is an address of its own."
    )
    same_ends: bool = Field(default=False, description="The same token again means the end.")
    server_side: bool = Field(
        default=False,
        description="The API keeps the place: the same token brings the next page each time, up to an empty one. A "
        "page that is lost then cannot be asked for again, and the scan begins again.",
    )
    size_parameter: str | None = Field(default="limit", description="Parameter with the page's size, if any.")
    size: int = Field(default=100, ge=1, description="Records asked for in a page.")
    size_in: Literal["query", "body"] = Field(
        default="query", description="Whether the size goes to query or body."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.cursor_field in self.flags:
            raise ValueError(
                f"{self.cursor_field} is named as the token and as the flag, and can be one of them"
            )
        if self.first_from is not None and self.first is not None:
            raise ValueError("first and first_from both give the first token: name one of them")
        if self.server_side and self.same_ends:
            raise ValueError(
                "with server_side the same token again is the next page, and with same_ends the end"
            )
        if self.next_path is not None and "{" in self.next_path and self.send_in != "path":
            raise ValueError("a next_path with {} needs send_in path")
        return self

    @property
    def fields(self) -> tuple[str, ...]:
        """The paths of the envelope's fields that it looks at."""
        return (self.cursor_field, *self.flags) if self.cursor_from == "body" else self.flags

    @property
    def stateful(self) -> bool:
        """Yes, where the API keeps the place."""
        return self.server_side

    @property
    def _token(self) -> str:
        """What the next token is called where people read it."""
        return self.cursor_field if self.cursor_from == "body" else f"the header {self.cursor_field}"

    def rewind(self, state: State) -> State:
        """Continue at the state itself; where the API keeps the place, what it gave and nobody kept is gone: begin."""
        return self.begin() if self.server_side else state

    def begin(self) -> State:
        """Return the first page."""
        return {"cursor": self.first}

    def ask(self, state: State) -> Ask:
        """Ask with the token and the page's size; the first page may have no token."""
        token = state["cursor"]
        asks = [put(self.size_in, self.size_parameter, self.size)] if self.size_parameter else []
        if token is None:
            return together(*asks)
        if token == self.first or state.get("first"):
            return together(*asks, put(self.send_in, self.cursor_parameter, token))
        later = Ask(at=self.next_path, method=self.next_method, once=self.server_side)
        if self.alone:
            return together(later, put(self.send_in, self.cursor_parameter, token, alone=True))
        return together(*asks, later, put(self.send_in, self.cursor_parameter, token))

    def after(self, state: State, page: Page) -> Step:
        """Continue with the next token, or end."""
        if self.cursor_from == "body":
            token = page.fields.get(self.cursor_field)
            there = self.cursor_field in page.fields
        else:
            token = page.headers.get(self.cursor_field.lower(), "").strip()
            there = self.cursor_field.lower() in page.headers
        follows, flags = self._follows(page), self._flags_seen(page)
        seen = (self._token, *flags) if there else flags
        if self.server_side and page.records and not there:
            # Given with the first page alone.
            token = None if state.get("first") else state["cursor"]
        if is_end(token):
            if follows:
                raise ReadIncomplete(
                    f"The API says that more follows, and gives no token at {self._token} to follow with."
                )
            return self._ended(state, page, seen=seen, absent=() if seen else (self._token,))
        if follows is False:
            return self._ended(state, page, seen=seen, absent=self._unproven(page))
        if self.server_side and page.records == 0 and not follows:
            return self._ended(state, page, seen=seen)
        if self.same_ends and token == state["cursor"]:
            return self._ended(state, page, seen=seen)
        return Step({**tally(state, page), "cursor": token, **self._numbered(state, page, token)}, seen=seen)


class Keyset(_Onward, Flagged):
    """The next page begins after the last record's key; an empty page or a false flag ends the scan.

    Where the API counts the key itself in (``inclusive``), what the page before held already is left out, and a page
    that holds nothing else ends the scan.
    """

    kind: Literal["keyset"] = "keyset"
    key_parameter: str = Field(description="Parameter with the last key, such as starting_after.")
    key_field: FieldPath = Field(default="id", description="Path of the key in a record.")
    send_in: Where = Field(
        default="query", description="Whether the key goes to query, body, header, path or a text."
    )
    first: Any = Field(default=None, description="Key of the first page; none: it is asked for without one.")
    inclusive: bool = Field(default=False, description="The API gives the record with the key again.")
    short_page_ends: bool = Field(
        default=False, description="A page with fewer records than the largest one is the last."
    )
    size_parameter: str | None = Field(default="limit", description="Parameter with the page's size, if any.")
    size: int = Field(default=100, ge=1, description="Records asked for in a page.")
    size_in: Literal["query", "body"] = Field(
        default="query", description="Whether the size goes to query or body."
    )

    @property
    def fields(self) -> tuple[str, ...]:
        """The paths of the envelope's fields that it looks at."""
        return self.flags

    @property
    def record_fields(self) -> tuple[str, ...]:
        """The path of the key."""
        return (self.key_field,)

    @property
    def repeats(self) -> bool:
        """Yes, where the API counts the key in."""
        return self.inclusive

    def begin(self) -> State:
        """Return the first page."""
        return {"key": self.first, "largest": 0}

    def ask(self, state: State) -> Ask:
        """Ask with the last key and the page's size."""
        asks = [put(self.size_in, self.size_parameter, self.size)] if self.size_parameter else []
        if state["key"] is not None:
            asks.append(put(self.send_in, self.key_parameter, state["key"]))
        return together(*asks)

    def after(self, state: State, page: Page) -> Step:
        """Continue after the last record's key, or end."""
        # A flag that no page had so far says nothing: the page after the last one will be empty.
        follows, seen = self._follows(page), self._flags_seen(page)
        if page.records == 0:
            if follows:
                raise ReadIncomplete("The API says that more follows, and gave no record to follow from.")
            return Step(None, "proven", seen=seen)
        if follows is False:
            return Step(None, "proven", seen=seen, absent=self._unproven(page))
        if self.short_page_ends and page.records < state["largest"]:
            return Step(None, "proven")
        key = page.last.get(self.key_field)
        if key is None:
            raise ReadIncomplete(f"The last record of a page has no {self.key_field} to continue from.")
        if key == state["key"]:
            return self._stuck(page)
        return Step({"key": key, "largest": max(state["largest"], page.records)}, seen=seen)

    def doubt(self, state: State, page: Page) -> str:
        """Doubt an empty page."""
        return "it is empty" if page.records == 0 else ""

    def _stuck(self, page: Page) -> Step:
        if self.inclusive and page.fresh == 0 and page.records < self.size:
            return Step(None, "proven")
        raise ReadIncomplete(
            "A whole page has one and the same key, so the records after it cannot be reached.",
            do="ask for larger pages, or for a key that is unique.",
        )


class Composite(_Onward):
    """Several tokens move together; the scan ends when none of them has a next one."""

    kind: Literal["composite"] = "composite"
    cursors: tuple[Cursor, ...] = Field(min_length=2, description="The tokens, each as a cursor of its own.")

    @property
    def fields(self) -> tuple[str, ...]:
        """The paths of the envelope's fields that it looks at."""
        return tuple(field for cursor in self.cursors for field in cursor.fields)

    def begin(self) -> State:
        """Return the first page."""
        return {"cursors": [cursor.begin() for cursor in self.cursors]}

    def ask(self, state: State) -> Ask:
        """Ask with every token that there is."""
        pairs = zip(self.cursors, state["cursors"], strict=True)
        return together(*(cursor.ask(part) for cursor, part in pairs if part is not None))

    def after(self, state: State, page: Page) -> Step:
        """Continue with the next tokens, or end when none has one; what one has ended with counts at the end of all."""
        ended: dict[str, Any] = dict(state.get("ended", {}))
        steps, seen, absent = [], list[str](), list[str]()
        for at, (cursor, part) in enumerate(zip(self.cursors, state["cursors"], strict=True)):
            step = cursor.after(part or cursor.begin(), page)
            seen += step.seen
            absent += step.absent
            steps.append(step.state)
            if part is not None and step.state is None:
                ended[str(at)] = [step.evidence, step.gap, step.remedy]
        if any(step is not None for step in steps):
            return Step({"cursors": steps, "ended": ended}, seen=tuple(seen))
        weakest = min((evidence for evidence, _, _ in ended.values()), key=_STRENGTH.index)
        return Step(
            None,
            weakest,
            seen=tuple(seen),
            absent=tuple(absent),
            gap=next((gap for _, gap, _ in ended.values() if gap), ""),
            remedy=next((remedy for _, _, remedy in ended.values() if remedy), ""),
        )


class Single(_Onward):
    """One page is all there is."""

    kind: Literal["single"] = "single"
    whole: bool = Field(
        default=False,
        description="The API promises all records in one answer, also where their number looks like a page's size.",
    )

    @property
    def fields(self) -> tuple[str, ...]:
        """None."""
        return ()

    def begin(self) -> State:
        """Return the page."""
        return {}

    def ask(self, state: State) -> Ask:
        """Ask for the resource as it is."""
        return Ask()

    def after(self, state: State, page: Page) -> Step:
        """End; a page that says of itself that more follows, or looks full, is not shown to be all."""
        why = "" if self.whole else more_than_one(page)
        if not why:
            return Step(None, "proven")
        return Step(
            None,
            doubt=f"The description says that there is one page, and {why}: this reading is not shown to be complete. "
            "Describe how pages follow each other (headworks probe proposes it), or set whole: true.",
        )
