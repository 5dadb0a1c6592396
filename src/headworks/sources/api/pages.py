"""Pagination as small state machines without I/O.

Each kind tells the query parameters of the next request from a position, and the position after a page from what the
page said. Sources drive them; properties test them.

What belongs here: page numbers and cursors. What does not: requests, records, commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import Field

from headworks.errors import ReadIncomplete
from headworks.settings import Settings
from headworks.sources.base import Position


@dataclass(frozen=True)
class Page:
    """What a page said about the reading: how many records, and the fields of its envelope by dotted path."""

    records: int
    envelope: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """The position after a page, and whether the reading ends with it."""

    position: Position
    ended: bool


class Paginator(Protocol):
    """Decides which page comes next."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The dotted paths of the envelope's fields that it looks at."""
        ...

    def resume(self, position: Position | None) -> Position:
        """Return where to begin a reading, given where the last one stopped."""
        ...

    def parameters(self, position: Position) -> dict[str, str]:
        """Return the query parameters of the request at ``position``."""
        ...

    def after(self, position: Position, page: Page) -> Step:
        """Return what comes after ``page``, which was read at ``position``."""
        ...


class PageNumbers(Settings):
    """Pages counted from ``first``; the API says how many there are, or an empty page ends the reading.

    Rows may shift under a reader that counts pages, so a resumed reading goes back one page; records that come twice
    are told apart by their key later.
    """

    kind: Literal["page_numbers"] = "page_numbers"
    page_parameter: str = Field(default="page", description="Query parameter with the page's number.")
    size_parameter: str | None = Field(
        default="per_page", description="Query parameter with the page's size."
    )
    size: int = Field(default=100, ge=1, description="Records a page.")
    first: int = Field(default=1, ge=0, description="Number of the first page.")
    pages_field: str | None = Field(default=None, description="Dotted path of the number of pages.")
    total_field: str | None = Field(default=None, description="Dotted path of the number of records.")
    most_pages: int = Field(default=100_000, ge=1, description="An endless reading is stopped here.")

    @property
    def fields(self) -> tuple[str, ...]:
        """The dotted paths of the envelope's fields that it looks at."""
        return tuple(field for field in (self.pages_field, self.total_field) if field)

    def resume(self, position: Position | None) -> Position:
        """Begin a new pass, or go back one page in one that was cut short."""
        if position is None or position["page"] is None:
            return {
                "page": self.first,
                "pass": (position or {}).get("pass", 0) + 1,
                "seen": 0,
            }
        return {
            "page": max(self.first, position["page"] - 1),
            "pass": position["pass"],
            "seen": None,
        }

    def parameters(self, position: Position) -> dict[str, str]:
        """Return the page's number and size."""
        parameters = {self.page_parameter: str(position["page"])}
        if self.size_parameter:
            parameters[self.size_parameter] = str(self.size)
        return parameters

    def after(self, position: Position, page: Page) -> Step:
        """Go on to the next number, or end; raises `ReadIncomplete` where fewer records came than were announced."""
        number = position["page"]
        seen = None if position["seen"] is None else position["seen"] + page.records
        pages = page.envelope.get(self.pages_field or "")
        last = number - self.first + 1 >= pages if isinstance(pages, int) else page.records == 0
        if not last and number - self.first + 1 >= self.most_pages:
            raise ReadIncomplete(f"The reading did not end within {self.most_pages} pages.")
        if not last:
            return Step(
                {"page": number + 1, "pass": position["pass"], "seen": seen},
                ended=False,
            )
        total = page.envelope.get(self.total_field or "")
        if isinstance(total, int) and seen is not None and seen < total:
            raise ReadIncomplete(
                f"The API announced {total} records and gave {seen}.",
                do="run again; if it stays so, ask the API's owner which number is right.",
            )
        return Step({"page": None, "pass": position["pass"], "seen": seen}, ended=True)


class Cursors(Settings):
    """A token in the body names the next page; none, null or an empty one ends the reading.

    With ``since_parameter`` the reading is incremental: the next one begins with the largest value of the source's
    cursor field that was seen, inclusively.
    """

    kind: Literal["cursors"] = "cursors"
    cursor_parameter: str = Field(default="cursor", description="Query parameter with the token.")
    cursor_field: str = Field(default="next_cursor", description="Dotted path of the next token.")
    size_parameter: str | None = Field(default="limit", description="Query parameter with the page's size.")
    size: int = Field(default=100, ge=1, description="Records a page.")
    since_parameter: str | None = Field(
        default=None, description="Query parameter with the first value to read."
    )
    since: str | None = Field(default=None, description="First value of the very first reading.")
    most_pages: int = Field(default=100_000, ge=1, description="An endless reading is stopped here.")

    @property
    def fields(self) -> tuple[str, ...]:
        """The dotted paths of the envelope's fields that it looks at."""
        return (self.cursor_field,)

    def resume(self, position: Position | None) -> Position:
        """Go on at the token of a reading that was cut short, or begin at the watermark."""
        if position is not None and position["cursor"]:
            return position
        watermark = (position or {}).get("watermark") or self.since
        return {"cursor": None, "since": watermark, "watermark": watermark, "pages": 0}

    def parameters(self, position: Position) -> dict[str, str]:
        """Return the token, the page's size, and where the reading began."""
        parameters: dict[str, str] = {}
        if self.size_parameter:
            parameters[self.size_parameter] = str(self.size)
        if self.since_parameter and position["since"]:
            parameters[self.since_parameter] = position["since"]
        if position["cursor"]:
            parameters[self.cursor_parameter] = position["cursor"]
        return parameters

    def after(self, position: Position, page: Page) -> Step:
        """Go on with the next token, or end; raises `ReadIncomplete` where a token comes twice in a row."""
        token = page.envelope.get(self.cursor_field)
        if not token:
            return Step({**position, "cursor": None, "pages": 0}, ended=True)
        if token == position["cursor"]:
            raise ReadIncomplete(
                "The API gave the same cursor twice in a row, so the reading would never end."
            )
        if position["pages"] + 1 >= self.most_pages:
            raise ReadIncomplete(f"The reading did not end within {self.most_pages} pages.")
        return Step(
            {**position, "cursor": str(token), "pages": position["pages"] + 1},
            ended=False,
        )
