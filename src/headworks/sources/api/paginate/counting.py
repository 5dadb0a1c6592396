"""Pages that are counted: by number, and by offset. They can be asked for out of order, and rows may shift under them.

An API that lets pages be counted gives no stable scan: a row that is deleted meanwhile moves another one out of
sight. So the end of such a scan is never proven, unless one page is all there is. It is consistent where the API
announces the number of records, that number never shrinks meanwhile, and at least as many came as were announced
at the beginning: rows that are added meanwhile push others back, and what comes twice is counted once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from headworks.errors import ReadIncomplete
from headworks.sources.api.paginate.base import (
    Ask,
    Evidence,
    Flagged,
    Page,
    Sparse,
    State,
    Step,
    lengths,
    put_all,
)
from headworks.sources.api.paths import FieldPath

_EMPTY_PAGES = 2
_MOST_EMPTY = 100
_COUNTS_ALL = "a total of more than its page"


class _Counting(Sparse, Flagged):
    """What both kinds have in common: their state counts what was seen, and compares it with what was announced."""

    size: int = Field(default=100, ge=1, description="Records asked for in a page.")
    send_in: Literal["query", "body", "path", "text"] = Field(
        default="query",
        description="Whether numbers are sent in the query, in the body, as {name} in the path, or as {name} in the "
        "texts of parameters and body.",
    )
    short_page_ends: bool = Field(
        default=False,
        description="A page with fewer records than the largest one is the last: the API promises so.",
    )
    past_end_statuses: tuple[int, ...] = Field(
        default=(404, 410),
        description="Statuses that say that there is no such page, where the API answers so past the last one.",
    )

    @property
    def stateful(self) -> bool:
        """No."""
        return False

    @property
    def record_fields(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def repeats(self) -> bool:
        """No: a page begins where the one before it ended, unless rows shift."""
        return False

    @property
    def guessable(self) -> bool:
        """Yes."""
        return True

    @property
    def ends_on_repeat(self) -> bool:
        """No."""
        return False

    def bounded(self, state: State) -> bool:
        """Yes, where a number of records or pages was announced."""
        return state["total"] is not None or state.get("announced") is not None

    def _seen(self, state: State, page: Page) -> State:
        """Return the counters after a page."""
        total, before = page.total, state["total"]
        shrank = state["shrank"] or (total is not None and before is not None and total < before)
        led: State = {"held": page.records} if page.records else {}
        if page.records and "held" in state:
            # Of the page before, which this one shows not to be the last.
            led |= lengths(state, state["held"])
        if page.records and state["empty"]:
            led["hollow"] = True
        return {
            **state,
            **led,
            "seen": state["seen"] + page.fresh,
            "last": page.fresh,
            "size": max(state["size"], page.records),
            "begun": state["begun"] if state["begun"] is not None else total,
            "total": total if total is not None else before,
            "shrank": shrank,
            "empty": state["empty"] + 1 if page.records == 0 else 0,
            "pages": state["pages"] + 1,
        }

    def _end(self, state: State) -> Step:
        """End a scan with what its counters show."""
        evidence: Evidence = "none"
        if state["total"] is not None:
            own = self._may_be_own(state) and state["seen"] > state["total"]
            whole = not state["shrank"] and state["seen"] >= state["begun"] and not own
            evidence = "consistent" if whole else "none"
        elif state["pages"] == 1 and state["empty"] == 0:
            evidence = "proven"
        return Step(None, evidence, gap=self._gap(state))

    def _may_be_past(self, state: State) -> bool:
        """Return whether a status may say that the pages have ended; 400 on the first page is an error."""
        return state["pages"] > 0 or set(self.past_end_statuses) <= {404, 410}

    def _by_flag(self, state: State, page: Page) -> Step | None:
        """End where a flag says that nothing follows; None where it says that more does, or nothing."""
        if self._follows(page) is not False or page.missing:
            return None
        return replace(self._end(state), seen=self._flags_seen(page), absent=self._unproven(page))

    def _is_whole(self, state: State) -> bool:
        return state["total"] is not None and state["seen"] >= state["total"]

    def _may_be_own(self, state: State) -> bool:
        """Return whether a total may be the number of a page's own records: one page could hold it, and more came."""
        return state["pages"] > 1 and state["begun"] is not None and state["begun"] <= state["size"]

    def _is_shown(self, state: State, page: Page) -> bool:
        """Return whether all came that was announced, beyond doubt: of nothing at all there is some."""
        after = self._seen(state, page)
        return state["pages"] > 0 and self._is_whole(after) and not self._may_be_own(after)

    def _is_end(self, state: State, page: Page) -> bool:
        """Return whether all that was announced has come; after a full page only an empty one shows that."""
        full = state["size"] if state["pages"] > 1 else self.size
        return self._is_whole(state) and page.records < full and not self._counts_pages(state, page)

    def _counts_pages(self, state: State, page: Page) -> bool:
        """Return whether what is taken for a total may be the number of a page's own records, as ``count`` often is."""
        if page.total is None or page.records == 0 or _COUNTS_ALL in page.known:
            return False
        return state["seen"] > page.total or (state["pages"] == 1 and page.total == page.records > 0)

    def _total_seen(self, page: Page) -> tuple[str, ...]:
        """Return that a total was larger than its page, once it was: it counts more than that page."""
        return (_COUNTS_ALL,) if page.total is not None and page.total > page.records else ()

    def _is_short(self, state: State, page: Page) -> bool:
        """Return whether a page is the last by its length; the first page may be short because the API cut its size."""
        short = self.short_page_ends and 0 < page.records < state["size"]
        return short and (state["pages"] > 1 or page.records < self.size)

    def _warning(self, before: State, after: State) -> str:
        """Say, after the first page that is followed by another, that the API cut the size that was asked for."""
        if before["pages"] == 1 and 0 < before["size"] < self.size and after["empty"] == 0:
            return f"The API cut the page size of {self.size} to {before['size']}."
        return ""


_COUNTERS: State = {
    "seen": 0,
    "last": 0,
    "size": 0,
    "begun": None,
    "total": None,
    "shrank": False,
    "empty": 0,
    "pages": 0,
}


class PageNumbers(_Counting):
    """Pages counted from ``first``.

    The scan ends where the announced number of records came, after the announced number of pages, where there is
    no next number in the body, or at empty pages. A scan that was cut short goes back one page, since rows may
    have shifted.
    """

    kind: Literal["page_numbers"] = "page_numbers"
    page_parameter: str = Field(default="page", description="Parameter with the page's number.")
    size_parameter: str | None = Field(
        default="per_page", description="Parameter with the page's size, if any."
    )
    first: int = Field(default=1, ge=0, description="Number of the first page.")
    pages_field: FieldPath | None = Field(default=None, description="Path of the number of pages.")
    next_field: FieldPath | None = Field(default=None, description="Path of the next page's number.")
    past_end: Literal["empty", "missing", "last_page"] = Field(
        default="empty",
        description="What the API answers past the last page: an empty page, 404, or the last page again.",
    )

    @property
    def fields(self) -> tuple[str, ...]:
        """The paths of the envelope's fields that it looks at."""
        return tuple(field for field in (self.pages_field, self.next_field, *self.flags) if field)

    @property
    def ends_on_repeat(self) -> bool:
        """Yes, where the API gives its last page past the end."""
        return self.past_end == "last_page"

    def begin(self) -> State:
        """Return the first page."""
        return {"page": self.first, "announced": None, **_COUNTERS}

    def rewind(self, state: State) -> State:
        """Go back one page."""
        if state["page"] <= self.first:
            return self.begin()
        return {
            **state,
            "page": state["page"] - 1,
            "seen": state["seen"] - state["last"],
            "last": 0,
            "empty": 0,
        }

    def ask(self, state: State) -> Ask:
        """Ask for the page's number and size."""
        missing = bool(state.get("past")) or (self.past_end == "missing" and self._may_be_past(state))
        values = {self.page_parameter: state["page"]}
        if self.size_parameter:
            values[self.size_parameter] = self.size
        return put_all(self.send_in, values, may_be_missing=missing)

    def after(self, state: State, page: Page) -> Step:
        """Continue to the next number, or end."""
        counted = self._seen(state, page)
        index, pages = state["page"] - self.first + 1, page.fields.get(self.pages_field or "")
        if page.missing:
            return self._end(counted)
        if self.next_field:
            return self._by_next(state, counted, page)
        onward = {**counted, "page": state["page"] + 1}
        ended = self._by_flag(counted, page)
        if ended is not None:
            return ended
        if self._follows(page):
            if counted["empty"] >= _MOST_EMPTY:
                raise ReadIncomplete(
                    f"The API says that more follows, and gave {_MOST_EMPTY} pages of nothing."
                )
            return Step(onward, warning=self._warning(state, counted), seen=self._flags_seen(page))
        if isinstance(pages, int) and not isinstance(pages, bool):
            onward["announced"] = self.first - 1 + pages
            if index < pages:
                return Step(onward, warning=self._warning(state, counted))
            if self._is_end(counted, page) or page.records == 0 or self.past_end == "last_page":
                return self._end(counted)
            # Past what was announced: only an empty or missing page shows that it was no lie.
            return Step({**onward, "past": True})
        if self._is_end(counted, page) or self._is_short(counted, page) or counted["empty"] >= _EMPTY_PAGES:
            return self._end(counted)
        if self._is_whole(counted):
            if self.past_end == "last_page" and not self._counts_pages(counted, page):
                return self._end(counted)
            onward["past"] = counted["seen"] <= counted["total"]
        return Step(onward, warning=self._warning(state, counted))

    def doubt(self, state: State, page: Page) -> str:
        """Doubt an empty page where more was announced, or where nothing is."""
        if page.records or self.next_field or (page.missing and state["total"] is None):
            return ""
        if self._follows(page) is not None and not page.missing and state["pages"]:
            return ""
        pages = page.fields.get(self.pages_field or "")
        if isinstance(pages, int):
            return (
                "it is empty, and more pages were announced"
                if state["page"] - self.first + 1 <= pages
                else ""
            )
        return "" if self._is_shown(state, page) or state["empty"] else "it is empty"

    def ahead(self, state: State, steps: int) -> State | None:
        """Guess the number after so many steps, up to what was announced."""
        if self.next_field or not state["pages"]:
            return None
        number, last, past = state["page"] + steps, state["announced"], False
        if state["total"] is not None:
            size = state["size"] or self.size
            # Where the last page is full, the one after it is asked for too.
            last = self.first + state["total"] // size
            past = (number - self.first) * size >= state["total"]
        if last is not None and number > last:
            return None
        return {**state, "page": number, "past": past}

    def _by_next(self, state: State, counted: State, page: Page) -> Step:
        name = self.next_field or ""
        following = page.fields.get(name)
        if following is None or following is False or following == "":
            return replace(
                self._end(counted), absent=() if name in page.fields else (name,), seen=self._has(page)
            )
        try:
            number = int(following)
        except (TypeError, ValueError) as problem:
            raise ReadIncomplete(f"The next page's number is {following!r}, which is no number.") from problem
        if number <= state["page"]:
            if number == state["page"] or number == 0:
                return self._end(counted)
            raise ReadIncomplete(f"The API sends back from page {state['page']} to page {number}.")
        return Step({**counted, "page": number}, warning=self._warning(state, counted), seen=self._has(page))

    def _has(self, page: Page) -> tuple[str, ...]:
        return tuple(name for name in self.fields if name in page.fields)


class Offset(_Counting):
    """Pages counted by the records before them; the next offset is where the records that came end.

    So a page size that the API cuts loses nothing. A scan that was cut short goes back by the last page.
    """

    kind: Literal["offset"] = "offset"
    offset_parameter: str = Field(
        default="offset", description="Parameter with the number of records to skip."
    )
    limit_parameter: str | None = Field(
        default="limit", description="Parameter with the page's size, if any."
    )
    first: int = Field(default=0, ge=0, description="Offset of the first record.")

    @property
    def fields(self) -> tuple[str, ...]:
        """The flags."""
        return self.flags

    def begin(self) -> State:
        """Return the first page."""
        return {"offset": self.first, "step": 0, **_COUNTERS}

    def rewind(self, state: State) -> State:
        """Go back by the last page's records."""
        back = max(self.first, state["offset"] - state["step"])
        return {
            **state,
            "offset": back,
            "seen": state["seen"] - state["last"],
            "last": 0,
            "step": 0,
            "empty": 0,
        }

    def ask(self, state: State) -> Ask:
        """Ask for the offset and the page's size."""
        past = state["total"] is not None and state["offset"] - self.first >= state["total"] >= state["seen"]
        past = past or (self.past_end_statuses != (404, 410) and state["pages"] > 0)
        values = {self.offset_parameter: state["offset"]}
        if self.limit_parameter:
            values[self.limit_parameter] = self.size
        return put_all(self.send_in, values, may_be_missing=past)

    def after(self, state: State, page: Page) -> Step:
        """Continue after the records that came, or end."""
        counted = self._seen(state, page)
        ended, follows = self._by_flag(counted, page), self._follows(page)
        if ended is not None:
            return ended
        if follows and not page.records:
            raise ReadIncomplete("The API says that more follows, and gave no record.")
        if page.missing or page.records == 0:
            return self._end(counted)
        if not follows and (self._is_end(counted, page) or self._is_short(counted, page)):
            return self._end(counted)
        # A page may hold more than was asked for, such as rows that are pinned to its top: they take no place.
        step = min(page.records, self.size) if self.limit_parameter else page.records
        onward = {**counted, "offset": state["offset"] + step, "step": step}
        return Step(onward, warning=self._warning(state, counted), seen=self._flags_seen(page))

    def doubt(self, state: State, page: Page) -> str:
        """Doubt an empty page unless all that was announced has come."""
        if page.records or self._is_shown(state, page) or (page.missing and not state["total"]):
            return ""
        ended = self._follows(page) is False and self.flags[0] in page.fields
        return "" if ended and state["pages"] else "it is empty"

    def ahead(self, state: State, steps: int) -> State | None:
        """Guess the offset after so many steps of the largest page seen, up to what was announced."""
        step = min(state["size"], self.size) if self.limit_parameter else state["size"]
        following = state["offset"] + step * steps
        if not step or (state["total"] is not None and following - self.first > state["total"]):
            return None
        return {**state, "offset": following}
