"""Distinguishing a position that deletions do not shift from a page's number in disguise.

A link or a token is an end that is proven only if it represents a place in an order: after a key, say. Many are the
number of a page or an offset, written into an address or wrapped in Base64; rows that are deleted meanwhile then push
others out of sight, as where pages are counted, and the same rules hold.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field

from headworks.settings import Settings
from headworks.sources.api.paginate.base import Evidence, Page, State

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
_WRAPPED = re.compile(
    r"(?i)(?<![a-z])(?:page|page_?no|page_?num(?:ber)?|page_?index|offset|skip|start_?(?:at|index|row)?)"
    r"(?:\"|')?\s*[:=]\s*(?:\"|')?\d{1,8}(?!\d)"
)
_PLACE = re.compile(r"(?i)last|after|before|_?id\b|key|cursor|since|stamp|sort|search|seek|marker")
"""What a token holds that represents a place in an order, whatever it counts besides."""
FULL = frozenset({10, 20, 25, 30, 40, 50, 100, 200, 250, 300, 400, 500, 1000, 2000, 2500, 5000, 10_000})
"""Numbers of records that are a full page of most APIs."""
_NEXT = re.compile(
    r"(?i)^(?:@odata\.)?(?:next.*|has_?(?:more|next).*|more.*|.*next_?(?:page|link|url|cursor|token).*)$"
)
_TOTAL = re.compile(r"(?i)^(?:@odata\.)?(?:.*total.*|count|num_?found|record_?count|result_?count|hits)$")
_NEXT_LINK = re.compile(r"rel\s*=\s*[\"']?[^\"',;]*\bnext\b", re.IGNORECASE)


class Shifting(Settings):
    """What kinds have in common whose way on may be a number in disguise."""

    stable: bool | None = Field(
        default=None,
        description="Whether rows that are deleted meanwhile leave the following pages as they are: true for a place "
        "after a key, false for a page's number in disguise; none: by what the way on looks like.",
    )

    def _numbered(self, state: State, following: Any) -> State:
        """Return that the way on is a number in disguise, once it was seen to be one."""
        if self.stable is not None:
            return {} if self.stable else {"numbered": True}
        looked = state.get("looked", 0)
        if state.get("numbered") or looked >= _LOOKS:
            return {name: state[name] for name in ("numbered", "looked") if name in state}
        parameter = str(getattr(self, "cursor_parameter", "") or "")
        return {"numbered": True} if is_numbered(following, parameter) else {"looked": looked + 1}

    def _evidence(self, state: State, page: Page) -> Evidence:
        """Return what shows that a scan was whole which the API itself has ended."""
        if not state.get("numbered"):
            return "proven"
        counted = tally(state, page)
        if counted["total"] is None or counted["shrank"]:
            return "none"
        return "consistent" if counted["rows"] >= counted["begun"] else "none"


def tally(state: State, page: Page) -> State:
    """Return the counters after a page: rows that were new, and what the API announced."""
    total, before = page.total, state.get("total")
    return {
        "rows": state.get("rows", 0) + page.fresh,
        "begun": state["begun"] if state.get("begun") is not None else total,
        "total": total if total is not None else before,
        "shrank": state.get("shrank", False) or (total is not None and before is not None and total < before),
    }


def is_numbered(following: Any, parameter: str) -> bool:
    """Return whether the way to the next page is a page's number or an offset, plainly or in disguise."""
    if isinstance(following, Mapping):
        return any(is_numbered(value, str(name)) for name, value in following.items())
    if isinstance(following, int):
        return _is_count(parameter, str(following))
    if not isinstance(following, str):
        return False
    if "://" not in following and not following.startswith("/"):
        return _is_count(parameter, following) or _holds_count(following)
    parts = urlsplit(following)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if _is_count(name, value) or _holds_count(value):
            return True
    return re.search(r"/pages?/\d{1,8}(?:/|$)", parts.path) is not None


def more_than_one(page: Page) -> str:
    """Say what speaks against a page being all there is; empty where nothing does."""
    if _NEXT_LINK.search(page.headers.get("link", "")):
        return "its Link header has the address of a next page"
    for name, value in members(page.outline):
        plain = name.rpartition(".")[2]
        if _TOTAL.match(plain) and type(value) is int and value > page.records:
            return f"its {name} is {value} where the page has {page.records} records"
        if _NEXT.match(plain) and value not in (None, "", 0, False, [], {}):
            return f"its {name} is {str(value)[:80]!r}"
    if page.records in FULL:
        return f"{page.records} records may be a full page of {page.records}"
    return ""


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
    letters = plain.replace("+", "-").replace("/", "_").rstrip("=")
    try:
        inside = base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4)).decode()
    except ValueError:
        inside = ""
    return any(_WRAPPED.search(one) is not None and not _PLACE.search(one) for one in (plain, inside))
