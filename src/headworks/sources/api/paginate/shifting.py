"""Distinguishing a position that deletions do not shift from a page's number in disguise.

A link or a token is an end that is proven only if it represents a place in an order: after a key, say. Many are the
number of a page or an offset, written into an address or wrapped in Base64; rows that are deleted meanwhile then push
others out of sight, as where pages are counted, and the same rules hold. So they do for what shows nothing: a token is
a place after a key where the description says so, or where it is seen (`places`).

A token that is nothing but a number may be either. It is a key where it is a value of the last record and no count; it
is a count where it agrees with the number of rows or pages so far. Where it agrees with both, as the ids of a table
without gaps do, each page must begin with the key that follows: then nothing was pushed out of sight.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterator, Mapping, Sized
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pydantic import Field

from headworks.sources.api.paginate.base import Page, Sparse, State, Step, lengths
from headworks.sources.api.paginate.places import is_key, is_small, look, parts_of, shows_place
from headworks.sources.api.records import value_of

_COUNTS = frozenset(
    {
        *(
            "page",
            "p",
            "pg",
            "pagenumber",
            "pageno",
            "pagenum",
            "pageindex",
            "pagenr",
            "currentpage",
            "paged",
            "o",
        ),
        *(
            "offset",
            "skip",
            "start",
            "startat",
            "startindex",
            "startrow",
            "startposition",
            "from",
            "firstresult",
        ),
        *("pageoffset", "index", "recordoffset"),
    }
)
_LOOKS = 3
"""Pages whose way on is looked at: one that does not count on these does not count at all."""
_LARGEST = 100_000_000
"""A larger number is a key or a moment."""
_DIGITS = 9
_WORD_AND_NUMBER = re.compile(
    r"[\[{(\"]*([a-z]{0,8}|[A-Z]{0,8}|[A-Za-z_ ]{1,24}[\"]?[:=#/|. -])\s*\"?(\d{1,8})[\"\])}]*"
)
"""A token that is a number with a word before it at most, in quotes and brackets or not."""
_WRAPPED = re.compile(
    r"(?i)(?<![a-z])(?:page|page_?no|page_?num(?:ber)?|page_?index|offset|skip|start_?(?:at|index|row)?)"
    r"(?:\"|')?\s*[:=]\s*(?:\"|')?\d{1,8}(?!\d)"
)
_PLACE = re.compile(r"(?i)last|after|before|_?id\b|key|cursor|since|stamp|sort|search|seek|marker")
"""What a token holds that represents a place in an order, whatever it counts besides."""
_KEY = re.compile(r"(?i)last|after|before|_?id\b|key|since|seek")
"""What a number in a token is called that is a key."""
FULL = frozenset({10, 20, 25, 30, 40, 50, 100, 200, 250, 300, 400, 500, 1000, 2000, 2500, 5000, 10_000})
"""Numbers of records that are a full page of most APIs."""
_NEXT = re.compile(
    r"(?i)^(?:@odata\.)?(?:next.*|has_?(?:more|next).*|more.*|.*next_?(?:page|link|url|cursor|token).*)$"
)
_MORE = re.compile(r"(?i)^(?:has_?(?:more|next)\w*|more(?:_?\w+)?|is_?truncated)$")
_TOTAL = re.compile(r"(?i)^(?:@odata\.)?(?:.*total.*|count|num_?found|record_?count|result_?count|hits)$")
_RANGE = re.compile(r"(\d{1,18})\s*/\s*(\d{1,18})\s*$")
_TOTAL_HEADER = re.compile(
    r"(?:x-)?(?:wp-|pagination-)?total(?:-(?:count|objects|records|results|items))?$|x-count$"
)
_NEXT_HEADER = re.compile(
    r"(?:x-)?(?:pagination-)?next(?:-(?:page|cursor|token|url|link|offset))?$|x-has-(?:more|next)$"
)
_NEXT_LINK = re.compile(r"rel\s*=\s*[\"']?[^\"',;]*\bnext\b", re.IGNORECASE)


class Shifting(Sparse):
    """What kinds have in common whose way on may be a number in disguise."""

    stable: bool | None = Field(
        default=None,
        description="Whether rows that are deleted meanwhile leave the following pages as they are: true for a place "
        "after a key, as the API documents it; false for a page's number in disguise; none: by what is seen.",
    )

    @property
    def _is_declared(self) -> bool:
        """Whether the way on is declared to be a place after a key, or the API keeps the place itself."""
        return bool(self.stable) or bool(getattr(self, "server_side", False))

    @property
    def _parameter(self) -> str:
        """What a token is sent as."""
        return str(getattr(self, "cursor_parameter", "") or "")

    def _numbered(self, state: State, page: Page, following: Any) -> State:
        """Return what is known of the way on: whether it is a number in disguise."""
        if self.stable is not None:
            return {} if self.stable else {"numbered": True}
        numbers: State = {}
        if not (page.logged or getattr(self, "server_side", False)):
            numbers = _after(state, page, _number_in(following, page.url), getattr(self, "size", 0))
            if "places" in state or "rows" not in state:
                numbers["places"] = look(state, page, following, self._parameter)
        looked = state.get("looked", 0)
        if state.get("numbered") or looked >= _LOOKS:
            return {**{name: state[name] for name in ("numbered", "looked") if name in state}, **numbers}
        if is_numbered(following, self._parameter):
            return {"numbered": True, **numbers}
        return {"looked": looked + 1, **numbers}

    def _ended(
        self, state: State, page: Page, *, seen: tuple[str, ...] = (), absent: tuple[str, ...] = ()
    ) -> Step:
        """Return the end of a scan which the API itself has ended, with what shows that it was whole."""
        numbers = state.get("numbers")
        by_number = self.stable is None and not _is_place(numbers, page)
        gap = ("" if page.logged else self._gap(state)) or _leap(numbers, page)
        counted = tally(state, page)
        # A scan of one page was led on by nothing.
        opaque = not numbers and "rows" in state and not (page.logged or self._is_declared or page.frozen)
        opaque = opaque and not shows_place(state, page, self._parameter)
        if not (state.get("numbered") or by_number or opaque):
            return Step(None, "proven", seen=seen, absent=absent, gap=gap)
        remedy = _OPAQUE if opaque and not state.get("numbered") else _STABLE
        whole = counted["total"] is not None and not counted["shrank"] and counted["rows"] >= counted["begun"]
        # What several pages came to, and one could hold, is the number of a page's own records.
        whole = whole and not (counted["rows"] > counted["total"] and counted["begun"] <= counted["largest"])
        return Step(
            None,
            "consistent" if whole else "none",
            seen=seen,
            absent=absent,
            gap=gap,
            remedy=remedy if self.stable is None else "",
        )


_STABLE = (
    "What leads to the next page looks like the number of a page or of rows: name the total that the API announces, or "
    "set pagination.stable to true if it is a key, so that deletions do not shift what follows."
)
_OPAQUE = (
    "Nothing that leads to the next page shows whether it is a place after a key, or the number of a page, which "
    "deletions shift: set pagination.stable to true if the API documents it as a cursor or a key, or name the total "
    "that the API announces."
)
_MOST_PLACES = 8
"""Fields of a record that are looked at for a key: those that agree with a token, of which there are few."""


def _leap(numbers: Mapping[str, Any] | None, page: Page) -> str:
    """Say that what leads on is a number that nothing explains, or a count with a gap; empty where it is neither."""
    if not numbers or _is_place(numbers, page):
        return ""
    if numbers["is"] == "odd":
        return (
            f"What leads on is a number, {numbers['at']} after {numbers['rows']} records, which is neither a key of "
            "theirs nor their count: this reading is not shown to be complete."
        )
    if not numbers.get("leap"):
        return ""
    before, after, records = numbers["leap"]
    return (
        f"What leads on counts pages or rows, and went from {before} to {after} after a page of {records} records: "
        "this reading is not shown to be complete."
    )


def _after(state: State, page: Page, number: int | None, size: int) -> State:
    """Return what the numbers that led on so far come to, with that of a page's own.

    ``is``: a key, what may be both a key and a count, or neither of them (``odd``); ``near``: fields of the last record
    by which it is a key; ``gap``: a page did not begin with the key that follows.
    """
    before = state.get("numbers")
    if before is None and (number is None or "rows" in state):
        # The first page had a token of another kind.
        return {}
    before = before or {"is": "", "rows": 0, "pages": 0, "sizes": [], "first": number}
    rows, pages = before["rows"] + page.records, before["pages"] + 1
    sizes = sorted({size, page.records, *before["sizes"]})[-_MOST_PLACES:]
    after = {**before, "rows": rows, "pages": pages, "sizes": sizes, "near": {}}
    if before["is"] == "key":
        return {"numbers": before}
    if before["is"] and not _is_next(before, page):
        after["gap"] = True
    if number is None:
        return {"numbers": after}
    # Of so many rows with a key without gaps, the last one's is their number, counted from 0 or from 1: less is no key.
    last = {path: value for path, value in _numbers(page.edges[-1:]).items() if value >= rows - 1}
    keys = [path for path, value in last.items() if value == number]
    near = {path: value for path, value in last.items() if value in (number, number - 1)}
    counts = {"rows": rows, "pages": pages, **{f"pages of {one}": pages * one for one in sizes}}
    fits = [f"{name} {number - count:+}" for name, count in counts.items() if abs(number - count) <= 1]
    if before["is"] == "both":
        fits = [one for one in fits if one in before["fits"]]
    after["fits"] = fits or before.get("fits", [])
    after["near"] = dict(list(near.items())[:_MOST_PLACES])
    if fits:
        after["is"] = "both"
    elif "leap" in before and not _follows_key(before, page):
        # A key would have led on each time.
        after["leap"] = before["leap"]
    elif before["is"] == "both" and not keys:
        after["leap"] = before.get("leap") or [before["at"], number, page.records]
    elif (keys and before["is"] != "odd") or (before["is"] and _follows_key(before, page)):
        # The last key leads on each time, from the first page on.
        after["is"] = "key"
    elif pages == 1 or number == pages * before["first"]:
        after["is"] = before["is"] or "odd"
    after["at"] = number
    return {"numbers": after}


def _is_place(numbers: Mapping[str, Any] | None, page: Page) -> bool:
    """Return whether what led on represents a place, or deletions are seen to have shifted nothing."""
    if not numbers or numbers["is"] == "key":
        return True
    if numbers["is"] == "odd" or numbers.get("leap"):
        return _follows_key(numbers, page)
    return not numbers.get("gap") and _is_next(numbers, page)


def _is_next(numbers: Mapping[str, Any], page: Page) -> bool:
    """Return whether a page begins with the key right after the last one of the page before it."""
    first, near = _keys(page), numbers["near"]
    return any(first.get(path) == value + 1 for path, value in near.items())


def _follows_key(numbers: Mapping[str, Any], page: Page) -> bool:
    """Return whether a page begins with the very key that led to it, which says of what is to come where it begins."""
    at = numbers.get("at", 0)
    return at in _keys(page).values() and not _is_round(at, numbers["sizes"])


def _keys(page: Page) -> dict[str, int]:
    """Return the numbers of a page's first record that are keys: a query may number the rows of its answer itself."""
    found = _numbers(page.edges[:1])
    return {path: value for path, value in found.items() if is_key(path, page.key)}


def _is_round(number: int, sizes: list[int]) -> bool:
    """Return whether a number is that of the rows of so many pages, or the next one to it."""
    return any(number % size in (0, 1, size - 1) for size in sizes if size)


def _numbers(records: tuple[bytes, ...]) -> dict[str, int]:
    """Return the fields of a record that hold a number, plainly or as text."""
    if not records:
        return {}
    record = value_of(records[0])
    fields = dict(members(record)) if isinstance(record, Mapping) else {"": record}
    found = {path: _as_number(value) for path, value in fields.items()}
    return {path: value for path, value in found.items() if value is not None}


def _as_number(value: Any) -> int | None:
    """Return a number that may be one of pages or rows, None where it is none or too large for that."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < _DIGITS:
        value = int(value)
    return value if type(value) is int and 0 <= value < _LARGEST else None


def _number_in(following: Any, current: str) -> int | None:
    """Return the number that the way on is, None where it is none, or has anything in addition to it."""
    if not is_small(following):
        return None
    if isinstance(following, Mapping | list):
        values = list(following.values() if isinstance(following, Mapping) else following)
        return _number_in(values[0], "") if len(values) == 1 else None
    if isinstance(following, str) and (address := _as_address(following)) is not None:
        changed = _changed(address, current)
        found = [_in_token(value) for value in changed]
        return None if None in found or not found else found[0]
    return _in_token(following)


def _in_token(token: Any) -> int | None:
    """Return the number that a token is: as it is, after a word, or either of these in Base64."""
    if not isinstance(token, str):
        return _as_number(token)
    plain = unquote(token)
    for text in (_unwrapped(plain), plain):
        found = _WORD_AND_NUMBER.fullmatch(text.strip())
        if found is not None and not _KEY.search(found[1]):
            return _as_number(found[2])
    return None


def _as_address(following: str) -> SplitResult | None:
    """Return the parts of an address, None where it is a token."""
    return parts_of(following) if "://" in following or following.startswith("/") else None


def _changed(new: SplitResult, current: str) -> list[str]:
    """Return what an address has that the current one has not: values of its query, or parts of its path."""
    old = urlsplit(current)
    asked = parse_qsl(old.query, keep_blank_values=True)
    values = [value for name, value in parse_qsl(new.query) if (name, value) not in asked]
    before = old.path.split("/")
    parts = [part for at, part in enumerate(new.path.split("/")) if before[at : at + 1] != [part]]
    return values + ([part for part in parts if part.isdigit()] or parts)


def tally(state: State, page: Page) -> State:
    """Return the counters after a page: rows that were new, what the API announced, and how long pages are."""
    total, before = page.total, state.get("total")
    return {
        **lengths(state, page.records),
        "rows": state.get("rows", 0) + page.fresh,
        "begun": state["begun"] if state.get("begun") is not None else total,
        "total": total if total is not None else before,
        "shrank": state.get("shrank", False) or (total is not None and before is not None and total < before),
    }


def is_numbered(following: Any, parameter: str) -> bool:
    """Return whether the way to the next page is a page's number or an offset, plainly or in disguise."""
    if not is_small(following):
        return False
    if isinstance(following, Mapping):
        return any(is_numbered(value, str(name)) for name, value in following.items())
    if isinstance(following, int):
        return _is_count(parameter, str(following))
    if not isinstance(following, str):
        return False
    parts = _as_address(following)
    if parts is None:
        return _is_count(parameter, following) or _holds_count(following)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if _is_count(name, value) or _holds_count(value):
            return True
    return re.search(r"/pages?/\d{1,8}(?:/|$)", parts.path) is not None


def more_than_one(page: Page) -> str:
    """Say what speaks against a page being all there is; empty where nothing does."""
    if _NEXT_LINK.search(page.headers.get("link", "")):
        return "its Link header has the address of a next page"
    for name, text in page.headers.items():
        if name == "content-range" and (span := _RANGE.search(text)) and int(span[2]) > int(span[1]) + 1:
            return f"its Content-Range is {text[:80]}"
        if _TOTAL_HEADER.match(name) and text.strip().isdecimal() and int(text) > page.records:
            return f"its header {name} is {text.strip()[:20]} where the page has {page.records} records"
        if _NEXT_HEADER.match(name) and text.strip().lower() not in ("", "0", "false", "null", "none"):
            return f"its header {name} is {text[:80]!r}"
    for name, value in members(page.outline):
        plain = name.rpartition(".")[2]
        if _TOTAL.match(plain) and type(value) is int and value > page.records:
            return f"its {name} is {value} where the page has {page.records} records"
        if _NEXT.match(plain) and value not in (None, "", 0, False, [], {}):
            return f"its {name} is {str(value)[:80]!r}"
    if page.records in FULL:
        return f"{page.records} records may be a full page of {page.records}"
    return ""


def more_of_nothing(records: Sized, outline: Mapping[str, Any], named: Collection[str]) -> str:
    """Return the flag by which an empty page says that more follows, empty where none that is not described does."""
    if len(records):
        return ""
    flags = (
        path for path, value in members(outline) if _MORE.match(path.rpartition(".")[2]) and value is True
    )
    return next((path for path in flags if path not in named), "")


def members(value: Mapping[str, Any], before: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield what an object holds by path, and what the objects in it hold."""
    for name, inner in value.items():
        yield before + name, inner
        if isinstance(inner, Mapping) and depth < _DEEPEST:
            yield from members(inner, f"{before}{name}.", depth + 1)


_DEEPEST = 3


def _is_count(name: str, value: str) -> bool:
    plain = re.sub(r"[^a-z]", "", name.lower().rpartition(".")[2])
    return plain in _COUNTS and value.isascii() and value.isdigit() and int(value[:12]) < _LARGEST


def _holds_count(text: str) -> bool:
    """Return whether a token, as it is or unwrapped from Base64, names a page or an offset."""
    plain = unquote(text)
    return any(
        _WRAPPED.search(one) is not None and not _PLACE.search(one) for one in (plain, _unwrapped(plain))
    )


def _unwrapped(text: str) -> str:
    """Return what is in a text of Base64, empty where it is none."""
    letters = text.replace("+", "-").replace("/", "_").rstrip("=")
    try:
        return base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4)).decode()
    except ValueError:
        return ""
