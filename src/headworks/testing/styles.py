"""The ways in which APIs split a list into pages, as a server writes them.

A style reads from a request which page is meant, and writes a page's records with the way to the next one. What it
writes is decided before, so an fault can change a page whatever its style.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from headworks.testing.wire import Asked, Reply


@dataclass(frozen=True)
class Wanted:
    """Which page a request means: its number from 0, the index of its first row, or the token before it.

    ``since`` is the first stamp to list.
    """

    size: int
    number: int | None = None
    index: int | None = None
    token: str | None = None
    since: str | None = None


@dataclass(frozen=True)
class Shown:
    """One page before it is written. ``following`` names the next page, None ends; ``total`` is what the API claims."""

    records: tuple[bytes, ...]
    following: str | None
    total: int
    wanted: Wanted


@dataclass(frozen=True)
class Style:
    """One way of paging. ``reads`` shows the page of a request, ``writes`` the answer of a page at an address.

    ``by_index`` styles count pages or records, so rows shift under their readers; ``counted`` ones state a total.
    ``has_token`` styles hand out a token that the next request brings back.
    """

    name: str
    path: str
    reads: Callable[[Asked], Wanted]
    writes: Callable[[Shown, str], Reply] = field(repr=False)
    by_index: bool = False
    counted: bool = False
    has_token: bool = False
    method: str = "GET"


@dataclass(frozen=True)
class Token:
    """What a token means, opaque to the client: after which row to continue, and from which stamp the listing began.

    Without a stamp the row is found by its key alone. Tokens of another ``epoch`` are gone; ``salt`` makes two tokens
    for one place differ.
    """

    after: tuple[str, int] | None
    since: str | None = None
    epoch: str = ""
    salt: str = ""

    def __str__(self) -> str:
        content = json.dumps([self.after, self.since, self.epoch, self.salt]).encode()
        return base64.urlsafe_b64encode(content).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> Token:
        """Read a token; raises `ValueError` where it is none of ours."""
        if not isinstance(text, str):
            raise ValueError(f"{text!r} is no token")
        after, since, epoch, salt = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return cls(None if after is None else (str(after[0]), int(after[1])), since, epoch, salt)


def _joined(records: tuple[bytes, ...]) -> bytes:
    return b"[" + b",".join(records) + b"]"


def _wrapped(before: str, records: tuple[bytes, ...], after: str) -> Reply:
    return Reply(before.encode() + _joined(records) + after.encode())


def _number(asked: Asked, name: str, default: int) -> int:
    return int(asked.query.get(name) or default)


def _pages(first: int) -> Callable[[Asked], Wanted]:
    def reads(asked: Asked) -> Wanted:
        size = _number(asked, "per_page", 50)
        return Wanted(size, number=_number(asked, "page", first) - first)

    return reads


def _write_page(shown: Shown, url: str) -> Reply:
    meta = {"pages": -(-shown.total // max(1, shown.wanted.size)), "total": shown.total}
    return _wrapped('{"data":{"items":', shown.records, f'}},"meta":{json.dumps(meta)}}}')


def _write_plain(shown: Shown, url: str) -> Reply:
    return _wrapped('{"items":', shown.records, "}")


def _read_offset(asked: Asked) -> Wanted:
    return Wanted(_number(asked, "limit", 50), index=_number(asked, "offset", 0))


def _write_offset(shown: Shown, url: str) -> Reply:
    return _wrapped('{"items":', shown.records, f',"total":{shown.total}}}')


def _read_token(name: str) -> Callable[[Asked], Wanted]:
    def reads(asked: Asked) -> Wanted:
        token, since = asked.query.get(name) or None, asked.query.get("since") or None
        return Wanted(_number(asked, "limit", 50), token=token, since=since)

    return reads


def _write_cursor(shown: Shown, url: str) -> Reply:
    return _wrapped('{"rows":', shown.records, f',"next_cursor":{json.dumps(shown.following)}}}')


def _next(shown: Shown, url: str, path: str) -> str | None:
    if shown.following is None:
        return None
    return f"{url}{path}?token={shown.following}&limit={shown.wanted.size}"


def _write_next_url(shown: Shown, url: str) -> Reply:
    return _wrapped('{"results":', shown.records, f',"next":{json.dumps(_next(shown, url, "/next-url"))}}}')


def _write_relative(shown: Shown, url: str) -> Reply:
    link = _next(shown, "", "/next-relative")
    return _wrapped('{"results":', shown.records, f',"links":{{"next":{json.dumps(link)}}}}}')


def _top_level(shown: Shown, headers: Mapping[str, str]) -> Reply:
    return Reply(_joined(shown.records), headers=headers)


def _write_link(shown: Shown, url: str) -> Reply:
    link = _next(shown, url, "/link")
    first = f'<{url}/link>; rel="first"'
    return _top_level(shown, {"Link": first if link is None else f'{first}, <{link}>; rel="next"'})


def _write_next_header(shown: Shown, url: str) -> Reply:
    return _top_level(shown, {} if shown.following is None else {"X-Next-Cursor": shown.following})


def _read_keyset(asked: Asked) -> Wanted:
    after = asked.query.get("after_id") or None
    token = None if after is None else str(Token(("", int(after))))
    return Wanted(_number(asked, "limit", 50), token=token)


def _read_graphql(asked: Asked) -> Wanted:
    variables = asked.json().get("variables", {})
    return Wanted(int(variables.get("first") or 50), token=variables.get("after") or None)


def _write_graphql(shown: Shown, url: str) -> Reply:
    nodes = b",".join(b'{"node":' + record + b"}" for record in shown.records)
    info = {"hasNextPage": shown.following is not None, "endCursor": shown.following}
    page = b'{"data":{"things":{"edges":[' + nodes + b'],"pageInfo":' + json.dumps(info).encode() + b"}}}"
    return Reply(page)


def _read_search(asked: Asked) -> Wanted:
    content = asked.json()
    after = content.get("after") or {}
    if not isinstance(after, dict):
        raise ValueError(f"{after!r} is no place to continue from")
    return Wanted(int(content.get("size") or 50), token=after.get("token"))


def _write_search(shown: Shown, url: str) -> Reply:
    after = None if shown.following is None else {"token": shown.following, "shard": 1}
    return _wrapped('{"hits":', shown.records, f',"after":{json.dumps(after)}}}')


def _read_single(asked: Asked) -> Wanted:
    return Wanted(1_000_000, index=0)


STYLES: Mapping[str, Style] = {
    style.name: style
    for style in (
        Style("page", "/page", _pages(1), _write_page, by_index=True, counted=True),
        Style("page0", "/page0", _pages(0), _write_plain, by_index=True),
        Style("offset", "/offset", _read_offset, _write_offset, by_index=True, counted=True),
        Style("cursor", "/cursor", _read_token("cursor"), _write_cursor, has_token=True),
        Style("next_url", "/next-url", _read_token("token"), _write_next_url, has_token=True),
        Style("next_relative", "/next-relative", _read_token("token"), _write_relative, has_token=True),
        Style("link", "/link", _read_token("token"), _write_link, has_token=True),
        Style("next_header", "/next-header", _read_token("cursor"), _write_next_header, has_token=True),
        Style("keyset", "/keyset", _read_keyset, _write_plain),
        Style("graphql", "/graphql", _read_graphql, _write_graphql, has_token=True, method="POST"),
        Style("search", "/search", _read_search, _write_search, has_token=True, method="POST"),
        Style("single", "/single", _read_single, _write_plain),
    )
}
