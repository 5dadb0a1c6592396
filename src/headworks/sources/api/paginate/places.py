"""Seeing that what leads to a next page is a place after a key, which deletions do not shift.

A token shows nothing of that by itself. It does where it holds a value of its page's last record, or of the record that
the next page begins with, at the same path each time: plainly, or inside of an address, Base64, JSON or gzip. Where it
holds none, the records may show it: numbers without a gap from each page to the next leave no room for a row that was
pushed out of sight.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from headworks.sources.api.paginate.base import Page, State
from headworks.sources.api.records import value_of

LOOKS = 3
"""Ways on whose content is looked at: what leads on by a key does so each time."""
SURE = 2
"""What a way is worth that holds a value of some length; a short one is worth half of that."""
_SHORT, _LONG = 4, 8
"""Characters of a value that is found by chance, and of one that is not."""
_DEEPEST, _MOST_TEXTS, _LARGEST, _MOST_FIELDS = 4, 16, 16_000, 64
_GZIP, _ZLIB = 31, 15
_KEY_NAME = re.compile(r"(?i)last|after|before|_?id$|key|seek|since|sort|marker")
_NUMBER_NAME = re.compile(r"(?i)(?:^|\.)(?:id|key|number|no|seq|sequence)$")

Leaf = tuple[str, str]
"""A name and a text that a token holds."""


def look(state: State, page: Page, following: Any, parameter: str) -> State:
    """Return what the ways on so far show, with that of this page; ``parameter`` is what a token is sent as."""
    seen = _arrived(state, page, parameter)
    seen["rows"], seen["pages"] = seen["rows"] + page.records, seen["pages"] + 1
    seen["size"], seen["new"] = max(seen["size"], page.records), []
    if seen["ways"] >= LOOKS:
        return seen
    asked = _pairs(page.url, "") if _is_address(following) else []
    new = [pair for pair in _pairs(following, parameter) if pair not in asked][:_MOST_TEXTS]
    seen["ways"] += 1
    seen["last"] = _narrowed(seen["last"], _held(_leaves(new), page, -1, seen), seen["ways"])
    seen["new"] = [_digest(pair) for pair in new]
    return seen


def shows_place(state: State, page: Page, parameter: str) -> bool:
    """Return whether what led to this page, and to those before it, was seen to leave nothing out."""
    if "places" not in state:
        return False
    seen = _arrived(state, page, parameter)
    return bool(seen["joined"]) or any(worth >= SURE for worth in (seen["last"] | seen["first"]).values())


def keys_seen(state: State) -> list[str] | None:
    """Return the paths of what the ways on were seen to hold of records, None where none was looked at."""
    seen: State | None = state.get("places")
    if seen is None:
        return None
    held: dict[str, int] = seen["last"] | seen["first"]
    return [path for path, worth in held.items() if worth >= SURE]


def _arrived(state: State, page: Page, parameter: str) -> State:
    """Return what the ways on show once that page is there to which the last one has led."""
    before: State | None = state.get("places")
    if before is None:
        begun = {"ways": 0, "rows": 0, "pages": 0, "size": 0, "last": {}, "first": {}}
        return {**begun, "joined": _numbers(page)}
    seen = {**before, "joined": _joined(before["joined"], _numbers(page))}
    if before["new"]:
        led = state.get("url") or state.get("cursor")
        leaves = _leaves([pair for pair in _pairs(led, parameter) if _digest(pair) in before["new"]])
        seen["first"] = _narrowed(before["first"], _held(leaves, page, 0, before), before["ways"])
    return seen


def _is_address(following: Any) -> bool:
    return isinstance(following, str) and ("://" in following or following.startswith("/"))


def _pairs(following: Any, parameter: str) -> list[tuple[str, Any]]:
    """Return what a way on consists of by name: a token, or the query's parameters and the parts of a path."""
    if not _is_address(following):
        return [(parameter, following)]
    url = urlsplit(following)
    parts = [("", part) for part in url.path.split("/") if part]
    return [*parse_qsl(url.query, keep_blank_values=True), *parts]


def _digest(pair: tuple[str, Any]) -> str:
    """Return a pair as the position has it, which must not have what may be a credential that the API repeats."""
    return blake2b(json.dumps(pair, default=str).encode(), digest_size=6).hexdigest()


def _leaves(pairs: list[tuple[str, Any]]) -> list[Leaf]:
    return [leaf for name, value in pairs for leaf in islice(leaves_of(value, name), _MOST_TEXTS)]


def _narrowed(before: Mapping[str, int], now: Mapping[str, int], ways: int) -> dict[str, int]:
    """Return the paths whose values were held each time, and what that is worth."""
    if ways == 1:
        return dict(now)
    return {path: worth + now[path] for path, worth in before.items() if path in now}


def _held(leaves: list[Leaf], page: Page, at: int, seen: State) -> dict[str, int]:
    """Return the paths of a page's first or last record whose values a way on holds, and what each is worth."""
    if not page.edges or not leaves:
        return {}
    record, other = dict(_scalars(page.edges[at])), dict(_scalars(page.edges[-1 - at]))
    rows, pages, size = seen["rows"], seen["pages"], seen["size"]
    counts = {rows, pages, pages * size}
    found: dict[str, int] = {}
    for path, value in record.items():
        if page.records > 1 and other.get(path) == value:
            # What records have in common is a filter, say.
            continue
        worth = max((_worth(form, leaves, counts) for form in _forms(value)), default=-1)
        if worth >= 0:
            found[path] = worth
    return found


def _worth(form: str, leaves: list[Leaf], counts: set[int]) -> int:
    """Return what it is worth that a value is in one of the texts, -1 where it is in none.

    A number that agrees with that of the rows or pages so far is worth nothing but under the name of a key.
    """
    is_number = form.isascii() and form.isdigit()
    is_count = is_number and len(form) < _LONG and any(abs(int(form) - count) <= 1 for count in counts)
    found = -1
    for name, text in leaves:
        named = _KEY_NAME.search(name) is not None
        if text == form:
            sure = named or (len(form) >= _SHORT and not is_count)
            found = max(found, SURE if sure else 0 if is_count else 1)
        elif len(form) >= _SHORT and form in text and (not is_number or _is_alone(form, text)):
            found = max(found, 0 if is_count else SURE if is_number or len(form) >= _LONG else 1)
    return found


def _is_alone(digits: str, text: str) -> bool:
    around = r"[0-9]" if len(digits) >= _LONG else r"[0-9A-Za-z]"
    return re.search(rf"(?<!{around}){digits}(?!{around})", text) is not None


def _scalars(record: bytes) -> list[tuple[str, str | int | float]]:
    """Return the texts and numbers of a record by path."""
    try:
        value = value_of(record)
    except ValueError:
        return []
    found = ((path, one) for path, one in _members(value, "", 0) if _tells(one))
    return list(islice(found, _MOST_FIELDS))


def _tells(value: Any) -> bool:
    return (isinstance(value, str) and value != "") or type(value) in (int, float)


def _members(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield what is in a value by path."""
    pairs: Iterator[tuple[Any, Any]] | None = None
    if isinstance(value, Mapping):
        pairs = iter(value.items())
    elif isinstance(value, list):
        pairs = iter(enumerate(value))
    if pairs is None:
        yield path, value
    elif depth < _DEEPEST:
        for name, inner in islice(pairs, _MOST_FIELDS):
            yield from _members(inner, f"{path}.{name}" if path else str(name), depth + 1)


def _forms(value: str | float) -> Iterator[str]:
    """Yield the ways in which a token may write a value: a moment also as a number, or without its zone."""
    text = value if isinstance(value, str) else json.dumps(value)
    yield text
    if isinstance(value, str) and _LONG < len(value) < _MOST_FIELDS and value[:4].isdigit():
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            yield value.replace("T", " ")[:19]
            yield value[:19]
            seconds = moment.timestamp()
            yield from (str(int(seconds)), str(round(seconds * 1e3)), str(round(seconds * 1e6)))


def leaves_of(following: Any, name: str = "", depth: int = 0) -> Iterator[Leaf]:
    """Yield the names and texts that a token holds, as it is and unwrapped."""
    if isinstance(following, Mapping | list):
        for path, inner in _members(following, name, depth):
            yield from leaves_of(inner, path, depth + 1)
        return
    if following is None or isinstance(following, bool):
        return
    text = following if isinstance(following, str) else json.dumps(following)
    yield name, text
    if not isinstance(following, str) or depth >= _DEEPEST:
        return
    if (plain := unquote(text)) != text:
        yield from leaves_of(plain, name, depth + 1)
        return
    with suppress(ValueError, RecursionError):
        if text[:1] in "{[":
            yield from leaves_of(json.loads(text), name, depth + 1)
            return
    pairs = parse_qsl(text) if "=" in text.rstrip("=") else []
    for own, value in pairs:
        yield from leaves_of(value, own, depth + 1)
    parts = text.split(".") if "." in text else [text]
    for part in parts:
        for inner in _unwrapped(part):
            yield from leaves_of(inner, name, depth + 1)


def _unwrapped(text: str) -> Iterator[str]:
    """Yield what is in a text of Base64, packed or not; nothing where it is none."""
    letters = text.replace("+", "-").replace("/", "_").rstrip("=")
    if len(letters) < 2 or not re.fullmatch(r"[A-Za-z0-9_-]+", letters):
        return
    try:
        content = base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4))
    except ValueError:
        return
    for window in (_GZIP, _ZLIB):
        with suppress(zlib.error):
            content = zlib.decompressobj(window).decompress(content, _LARGEST)
            break
    # Some hold a text in an envelope of bytes that is none.
    yield content.decode("utf-8" if _is_utf8(content) else "latin-1")


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _numbers(page: Page) -> dict[str, list[int]]:
    """Return the paths at which a page's records are numbered without a gap, with the first and the last number."""
    if not page.edges:
        return {}
    first, last = _whole(page.edges[0]), _whole(page.edges[-1])
    both = {path: [number, last[path]] for path, number in first.items() if path in last}
    return {path: ends for path, ends in both.items() if abs(ends[1] - ends[0]) == page.records - 1}


def _whole(record: bytes) -> dict[str, int]:
    found = {}
    for path, value in _scalars(record):
        if _NUMBER_NAME.search(path) and (type(value) is int or str(value).isdecimal()):
            found[path] = int(value)
    return found


def _joined(before: Mapping[str, list[int]], now: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Return the paths at which a page begins with the number that follows the last one of the page before it."""
    found = {}
    for path, (begun, reached) in before.items():
        if path not in now:
            continue
        first, last = now[path]
        step = first - reached
        up = {(reached > begun) - (reached < begun), (last > first) - (last < first)} - {0}
        if abs(step) == 1 and up <= {step}:
            found[path] = [first, last]
    return found
