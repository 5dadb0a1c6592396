"""Pages whose whole address comes from the page before: in the body, in a Link header, or in a header of its own.

An address is followed only on the API's own origin, which the client sees to; what it holds of our credentials is taken
out before it is kept.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from headworks.errors import ReadIncomplete
from headworks.sources.api.addresses import joined
from headworks.sources.api.paginate.base import Ask, Flagged, Page, State, Step, put, together
from headworks.sources.api.paginate.shifting import Shifting, tally
from headworks.sources.api.paginate.tokens import _Onward, is_end
from headworks.sources.api.paths import FieldPath

_LINK = re.compile(r"<([^>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:\"(?:[^\"\\]|\\.)*\"|'[^',;]*'|[^\s;,]*))?)*)")
_LINK_HEADER = "the header Link"
_RELATION = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s;,]+))", re.IGNORECASE)
_NEXT_LINK = re.compile(r";\s*rel\s*=\s*[\"']?(?:[^\"';,]*\s)?next\b", re.IGNORECASE)
_NO_RESULTS = re.compile(r";\s*results\s*=\s*\"?false\b", re.IGNORECASE)


def next_link(header: str) -> str | None:
    """Return the address with the relation ``next`` in a Link header, or None where there is none.

    One with ``results="false"`` leads to an empty page, as Sentry says it.
    """
    for address, attributes in _LINK.findall(header):
        if _NO_RESULTS.search(attributes):
            continue
        for written in _RELATION.findall(attributes):
            if "next" in "".join(written).lower().split():
                return str(address).strip()
    return None


class _Followed(_Onward, Shifting, Flagged):
    """What the kinds have in common: the first page is asked for with a size, each further one by its address."""

    size_parameter: str | None = Field(
        default=None, description="Query parameter of the first page with the page's size, if any."
    )
    size: int = Field(default=100, ge=1, description="Records asked for in a page.")
    empty_ends: bool = Field(
        default=False,
        description="An empty page is the end, also where it has the address of a next one, which some always give.",
    )
    next_method: Literal["GET", "POST"] | None = Field(
        default=None, description="Method that addresses are asked for with; none: the first page's."
    )

    @property
    def fields(self) -> tuple[str, ...]:
        """The flags."""
        return self.flags

    def begin(self) -> State:
        """Return the first page."""
        return {"url": None}

    def doubt(self, state: State, page: Page) -> str:
        """Doubt an empty page where that is the end."""
        return "it is empty" if self.empty_ends and page.records == 0 else ""

    def ask(self, state: State) -> Ask:
        """Ask for the address, or for the first page."""
        if state["url"] is not None:
            return Ask(url=state["url"], alone=True, method=self.next_method)
        return put("query", self.size_parameter, self.size) if self.size_parameter else Ask()

    def _onward(self, state: State, page: Page, url: str, seen: tuple[str, ...]) -> Step:
        """Continue to an address, or to a token of a header, unless a flag says that this page is the last."""
        seen = (*seen, *self._flags_seen(page))
        if self._follows(page) is False:
            return self._ended(state, page, seen=seen, absent=self._unproven(page))
        if self.empty_ends and page.records == 0:
            return self._ended(state, page, seen=seen)
        return Step({**tally(state, page), "url": url, **self._numbered(state, page, url)}, seen=seen)

    def _end(self, state: State, page: Page, seen: tuple[str, ...], name: str) -> Step:
        """End, since nothing leads on; ``name`` is what would."""
        if self._follows(page):
            raise ReadIncomplete(f"The API says that more follows, and has nothing at {name} to follow.")
        seen = (*seen, *self._flags_seen(page))
        return self._ended(state, page, seen=seen, absent=() if seen else (name,))


class NextUrl(_Followed):
    """The body holds the next page's address, absolute or relative; none, null or an empty one ends the scan."""

    kind: Literal["next_url"] = "next_url"
    url_field: FieldPath = Field(default="next", description="Path of the next page's address in the body.")

    @property
    def fields(self) -> tuple[str, ...]:
        """The path of the address, and the flags."""
        return (self.url_field, *self.flags)

    def after(self, state: State, page: Page) -> Step:
        """Continue to the address, or end."""
        url = page.fields.get(self.url_field)
        seen = (self.url_field,) if self.url_field in page.fields else ()
        if is_end(url):
            return self._end(state, page, seen, self.url_field)
        if not isinstance(url, str):
            raise ReadIncomplete(f"The next page's address is {url!r}, which is no address.")
        return self._onward(state, page, joined(page.url, url), seen)


class LinkHeader(_Followed):
    """A Link header holds the next page's address under the relation ``next``; none ends the scan."""

    kind: Literal["link_header"] = "link_header"

    def after(self, state: State, page: Page) -> Step:
        """Continue to the address, or end."""
        header = page.headers.get("link", "")
        url = next_link(header)
        if not url and _NEXT_LINK.search(header) and not _NO_RESULTS.search(header):
            raise ReadIncomplete(
                f"The Link header names a next page in a way that cannot be read: {header[:200]}",
                do="ask the API's owner; as next_header such an address can be followed.",
            )
        seen = (_LINK_HEADER,) if "link" in page.headers else ()
        if not url:
            return self._end(state, page, seen, _LINK_HEADER)
        return self._onward(state, page, joined(page.url, url), seen)


class NextHeader(_Followed):
    """A header of its own holds the next page's address, or a token for it; none or an empty one ends the scan."""

    kind: Literal["next_header"] = "next_header"
    header: str = Field(description="Name of the header, such as Next-Page.")
    cursor_parameter: str | None = Field(
        default=None,
        description="Query parameter with the header's token; none: the header holds an address.",
    )

    def ask(self, state: State) -> Ask:
        """Ask for the address, or for the first page with the token."""
        if state["url"] is None or self.cursor_parameter is None:
            return super().ask(state)
        return together(super().ask({"url": None}), put("query", self.cursor_parameter, state["url"]))

    def after(self, state: State, page: Page) -> Step:
        """Continue to the address or token, or end."""
        value = page.headers.get(self.header.lower(), "").strip()
        # Some write the word, such as Salesforce.
        value = "" if value.lower() == "null" else value
        name = f"the header {self.header}"
        seen = (name,) if self.header.lower() in page.headers else ()
        if not value:
            return self._end(state, page, seen, name)
        return self._onward(state, page, value if self.cursor_parameter else joined(page.url, value), seen)


NEXT_PART = "\0part"
"""What a part of a file has in the place of a field: where the next one begins."""


class Files(_Onward):
    """Files whose addresses are known: one after the other, up to the last, as a whole or in parts.

    The state has a file's number and the part's beginning alone, since addresses of files are signed, and soon out of
    date.
    """

    kind: Literal["files"] = "files"
    urls: tuple[str, ...] = Field(default=(), repr=False)
    parts: bool = Field(default=False, description="Files are read in parts.")

    @property
    def fields(self) -> tuple[str, ...]:
        """None."""
        return ()

    def begin(self) -> State:
        """Return the first file."""
        return {"file": 0}

    def ask(self, state: State) -> Ask:
        """Ask for a file."""
        part = state.get("at", 0) if self.parts else None
        return Ask(url=self.urls[state["file"]], alone=True, part=part)

    def after(self, state: State, page: Page) -> Step:
        """Continue to the next part or file, or end."""
        if (part := page.fields.get(NEXT_PART)) is not None:
            return Step({"file": state["file"], "at": part})
        following = state["file"] + 1
        return Step({"file": following}) if following < len(self.urls) else Step(None, "proven")
