"""Small servers in the shapes of real APIs: a world of rows, and the ways in which vendors cut it into pages.

A vendor's names are given to a family as the vendor documents them, with ``/`` between the steps of a path, and not
read from the recipe: a wrong recipe is found because the two do not agree.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

from tests.support.served import Answer, Asked

T0 = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = 10
"""Records of a page, where a request does not say how many."""
JSON_TYPE = {"Content-Type": "application/json"}
End = Literal["absent", "null", "empty"]


class Refused(Exception):
    """A request that the vendor answers with 400."""


@dataclass
class Row:
    """One row: when it was made and changed, how often, and whether it is deleted."""

    number: int
    created: datetime
    updated: datetime
    version: int = 0
    deleted: bool = False


@dataclass
class World:
    """A table behind an API, which lives on between readings."""

    rows: list[Row] = field(default_factory=list)

    def grow(self, count: int) -> None:
        """Add rows, each a quarter of an hour after the one before it."""
        for number in range(len(self.rows) + 1, len(self.rows) + count + 1):
            made = max([T0, *(row.updated for row in self.rows)]) + timedelta(minutes=15)
            self.rows.append(Row(number, made, made))

    def change(self, *numbers: int) -> None:
        """Change rows, later than all that happened so far."""
        self._touch(numbers)

    def delete(self, *numbers: int) -> None:
        """Delete rows."""
        self._touch(numbers)
        for number in numbers:
            self.rows[number - 1].deleted = True

    def _touch(self, numbers: tuple[int, ...]) -> None:
        last = max(row.updated for row in self.rows)
        for row in (self.rows[number - 1] for number in numbers):
            row.updated, row.version = last + timedelta(hours=1), row.version + 1


@dataclass(frozen=True)
class Call:
    """A request with the records that it is about, in the vendor's order, each with its key as text."""

    asked: Asked
    content: Mapping[str, Any]
    rows: list[tuple[str, dict[str, Any]]]

    def parameter(self, name: str, where: str = "query") -> Any:
        """Return a parameter of the query, or what is at a path of the body."""
        if where == "query":
            return self.asked.query.get(name)
        held: Any = self.content
        for step in name.split("/"):
            here = dict(enumerate(held)) if isinstance(held, list) else held
            held = here.get(int(step) if here is not held else step) if isinstance(here, dict) else None
        return held

    def size(self, name: str | None, most: int, where: str = "query") -> int:
        """Return how many records are asked for; raises `Refused` for more than the vendor gives."""
        asked = self.parameter(name, where) if name else None
        size = SIZE if asked is None else int(asked)
        if not 1 <= size <= most:
            raise Refused(f"a page has 1 to {most} records")
        return size

    def after(self, key: str | None) -> list[tuple[str, dict[str, Any]]]:
        """Return the rows after the one with a key; raises `Refused` where there is none."""
        if key is None:
            return self.rows
        keys = [one for one, _ in self.rows]
        if key not in keys:
            raise Refused(f"no such cursor: {key}")
        return self.rows[keys.index(key) + 1 :]

    def address(self, **changed: Any) -> str:
        """Return the request's address with other parameters; without those that are None."""
        query = {name: value for name, value in {**self.asked.query, **changed}.items() if value is not None}
        return f"http://{self.asked.headers['host']}{self.asked.path}?{urlencode(query)}"


Paging = Callable[[Call], Answer]


def place(held: dict[str, Any], path: str, value: Any) -> None:
    """Put a value at a path; ``edges[]/node`` puts each element of it below a member of an object in an array."""
    first, _, rest = path.partition("/")
    if first.endswith("[]"):
        held[first[:-2]] = [{rest: one} for one in value] if rest else value
    elif not rest:
        held[first] = value
    elif rest.startswith("0/"):
        place(held.setdefault(first, [{}])[0], rest[2:], value)
    else:
        place(held.setdefault(first, {}), rest, value)


def page(records: str, part: list[tuple[str, dict[str, Any]]], around: Mapping[str, Any]) -> Answer:
    """Return a page: its records at their path, and what is around them; with no path the records alone."""
    shown = [record for _, record in part]
    if not records:
        return Answer(json.dumps(shown).encode(), headers=JSON_TYPE)
    content: dict[str, Any] = {}
    for path, value in around.items():
        place(content, path, value)
    place(content, records, shown)
    return Answer(json.dumps(content).encode(), headers=JSON_TYPE)


def ended(path: str, end: End) -> dict[str, Any]:
    """Return what a vendor puts in the place of the way on where there is none."""
    held: dict[str, dict[str, Any]] = {"absent": {}, "null": {path: None}, "empty": {path: ""}}
    return held[end]


def opaque(key: str) -> str:
    """Return a token that represents a place after a key."""
    return base64.urlsafe_b64encode(f"after key {key}".encode()).decode()


def unwrapped(token: str | None) -> str | None:
    """Return the key of a token; raises `Refused` where it is none of ours."""
    if token is None or token == "":
        return None
    try:
        return re.sub("^after key ", "", base64.urlsafe_b64decode(token).decode())
    except ValueError as problem:
        raise Refused(f"no such cursor: {token}") from problem


def after_key(
    records: str, parameter: str, *, more: str | None = None, size: str | None, most: int = 100
) -> Paging:
    """The next page begins after the last record's key; a flag may say whether there is one."""

    def paging(call: Call) -> Answer:
        rest, limit = call.after(call.parameter(parameter)), call.size(size, most)
        return page(records, rest[:limit], {more: len(rest) > limit} if more else {})

    return paging


def tokens(
    records: str,
    parameter: str,
    token: str,
    *,
    size: str | None,
    most: int = 100,
    more: str | None = None,
    end: End = "null",
    where: str = "query",
    total: str | None = None,
    last: str | None = None,
    also: Mapping[str, Any] | None = None,
    none: str | None = None,
) -> Paging:
    """A token in the body names the next page; ``none`` is what the vendor puts to null in the token's place."""

    def paging(call: Call) -> Answer:
        rest = call.after(unwrapped(call.parameter(parameter, where)))
        limit = call.size(size, most, where)
        part, onward = rest[:limit], len(rest) > limit
        around = dict(also or {})
        around |= {token: opaque(part[-1][0])} if onward else ended(none or token, end)
        around |= {more: onward} if more else {}
        around |= {total: len(call.rows)} if total else {}
        around |= {last: not onward} if last else {}
        return page(records, part, around)

    return paging


def links(
    *,
    by: Literal["page", "token"],
    size: str = "per_page",
    most: int = 100,
    records: str = "",
    results: bool = False,
) -> Paging:
    """A Link header has the next page's address, with its number or with a token.

    ``results``: it always has one, and says whether there is anything.
    """

    def paging(call: Call) -> Answer:
        limit = call.size(size, most)
        if by == "page":
            number = call.asked.number("page", 1)
            part = call.rows[(number - 1) * limit : number * limit]
            onward = number * limit < len(call.rows)
            following: dict[str, Any] = {"page": number + 1}
        else:
            rest = call.after(unwrapped(call.asked.query.get("page_info")))
            part, onward = rest[:limit], len(rest) > limit
            following = {"page_info": opaque(part[-1][0]) if part else None}
        found = page(records, part, {})
        address = f'<{call.address(page=1)}>; rel="first"'
        if onward or results:
            address += f', <{call.address(**following)}>; rel="next"'
            address += f'; results="{str(onward).lower()}"; cursor="0:1:0"' if results else ""
        return Answer(found.body, headers={**found.headers, "Link": address})

    return paging


def addresses(
    records: str,
    url: str,
    *,
    size: str | None = None,
    most: int = 100,
    end: End = "null",
    relative: bool = False,
    total: str | None = None,
    more: str | None = None,
    token: str = "cursor",
    numbered: bool = False,
    always: bool = False,
) -> Paging:
    """The body has the next page's address, which holds a token; ``numbered``: and a page's number next to it.

    ``always``: also with the last page, and with the empty one after it.
    """

    def paging(call: Call) -> Answer:
        rest, limit = call.after(unwrapped(call.asked.query.get(token))), call.size(size, most)
        part, onward = rest[:limit], len(rest) > limit
        around: dict[str, Any] = {total: len(call.rows)} if total else {}
        around |= {more: onward} if more else {}
        if onward or always:
            number = {"Page": call.asked.number("Page", 0) + 1} if numbered else {}
            here = opaque(part[-1][0]) if part else call.asked.query.get(token)
            address = call.address(**{token: here}, **number)
            around[url] = address.partition(call.asked.headers["host"])[2] if relative else address
        else:
            around |= ended(url, end)
        return page(records, part, around)

    return paging


def numbers(
    records: str,
    parameter: str = "page",
    *,
    size: str | None,
    most: int = 100,
    first: int = 1,
    pages: str | None = None,
    total: str | None = None,
    header: str | None = None,
    status_past: int = 200,
    last: str | None = None,
) -> Paging:
    """Pages are counted; their number or that of the records may be announced."""

    def paging(call: Call) -> Answer:
        number, limit = int(call.parameter(parameter) or first) - first, call.size(size, most)
        part = call.rows[number * limit : (number + 1) * limit]
        if not part and status_past != 200 and (number or status_past == 204):
            return Answer(status=status_past)
        around: dict[str, Any] = {pages: -(-len(call.rows) // limit)} if pages else {}
        around |= {total: len(call.rows)} if total else {}
        around |= {last: (number + 1) * limit >= len(call.rows)} if last else {}
        found = page(records, part, around)
        announced = {header: str(len(call.rows))} if header else {}
        return Answer(found.body, headers={**found.headers, **announced})

    return paging


def offsets(
    records: str,
    parameter: str = "offset",
    *,
    size: str,
    most: int = 100,
    total: str | None = None,
    header: str | None = None,
    more: str | None = None,
    also: Mapping[str, Any] | None = None,
) -> Paging:
    """Records are counted; their number may be announced, or whether more follow."""

    def paging(call: Call) -> Answer:
        skipped, limit = int(call.parameter(parameter) or 0), call.size(size, most)
        around = {**(also or {}), **({total: len(call.rows)} if total else {})}
        if more:
            around[more] = skipped + limit < len(call.rows)
        found = page(records, call.rows[skipped : skipped + limit], around)
        announced = {header: str(len(call.rows))} if header else {}
        return Answer(found.body, headers={**found.headers, **announced})

    return paging


def changes(
    records: str,
    parameter: str,
    token: str,
    delta: str,
    *,
    more: str | None = None,
    where: str = "query",
    size: str | None = None,
    most: int = 2000,
    url: bool = False,
    last: str | None = None,
    begins_now: bool = False,
) -> Paging:
    """Rows in the order of their last change; the last page has a token for what changes after it.

    ``url``: tokens come in addresses. ``begins_now``: a first token is given elsewhere, and the rows before it never.
    """

    def paging(call: Call) -> Answer:
        given = call.parameter(parameter, where)
        if begins_now and given is None:
            raise Refused(f"{parameter} is missing")
        key, limit = unwrapped(given), call.size(size, most)
        rest = [row for row in call.rows if key is None or row[0] > key]
        part, onward = rest[:limit], len(rest) > limit
        reached = opaque(part[-1][0] if part else key or "")
        way: Any = call.address(**{parameter: reached}) if url else reached
        around: dict[str, Any] = {more: onward} if more else {}
        around |= {last: not onward} if last else {}
        return page(records, part, {**around, (token if onward else delta): way})

    return paging


def whole(records: str) -> Paging:
    """There is one page."""
    return lambda call: page(records, call.rows, {})
