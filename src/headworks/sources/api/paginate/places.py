"""Seeing that what leads to a next page is a place after a key, which deletions do not shift.

A token shows nothing of that by itself. It does where it holds a value of its page's last record, or of the record that
the next page begins with, at the same path each time: plainly, or inside of an address, Base64, JSON or gzip. That
value is a key only if no other record has it there, and a day or a word only under the name of a key: what a counter
holds in addition (an account, a date, an order) agrees with a record by coincidence soon enough. Where a token holds
none, the records may show it: keys without a gap from each page to the next leave no room for a row that was pushed out
of sight. Numbers of another name do not, since an API may number the rows of its answer itself.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from headworks.sources.api.paginate.base import Page, State
from headworks.sources.api.records import value_of

LOOKS = 3
"""Ways on whose content is looked at: what leads on by a key does so each time."""
SURE = 2
"""What a way is worth that holds a value of some length; a short one is worth half of that."""
_SHORT, _LONG = 4, 8
"""Characters of a value that is found by chance, and of one that is not."""
_DEEPEST, _MOST_TEXTS, _MOST_FIELDS = 4, 16, 64
_LARGEST = 8_000
"""Characters of a token, packed or not, that is looked into: a key is shorter, and servers refuse longer addresses."""
_MOST_VISITED = 1_000
"""Members of a record or token that are visited, whether or not they hold anything."""
_MOST_RECORDS = 1_000
"""Records of a page that are compared: its first and its last ones."""
_MOST_KNOWN = 250
"""Digests of values of records that a position keeps."""
_LONGEST = 500
"""Characters of a value that may be a key."""
_DIGITS = 18
"""Digits of a number that may be a key; Python refuses to read thousands of them."""
_GZIP, _ZLIB = 31, 15
_KEY_NAME = re.compile(r"(?i)last|after|before|_?id$|key|seek|since|marker")
_ORDER_NAME = re.compile(r"(?i)sort|order(?!_?id)")
"""What names a field to sort by, which an API may write into a link by itself."""
_ID = re.compile(r"(?i)(?:^|\.)(?:\w*_)?id$")
_DAY = re.compile(
    r"(?:19|20)\d\d(?:[-/.](?:[WQ]?\d{1,2})(?:[-/.]\d{1,2})?)?(?:[T ]00:00(?::00(?:\.0+)?)?)?(?:Z|[+-]\d\d:?\d\d)?"
    r"|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])?"
    r"|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}"
)
"""A year, a week, a month, a day, or its midnight."""
_DAY_S = 86_400

Leaf = tuple[str, str]
"""A name and a text that a token holds."""
Fields = dict[str, str | int | float]
"""The texts and numbers of a record by path."""


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
    leaves, records = _leaves(new), _records(page) if new else []
    held = _held(leaves, records, -1, seen, page.key)
    seen["last"] = _narrowed(seen["last"], held, seen["ways"])
    ends = {path: records[-1][path] for path in held}
    seen["ends"] = {
        path: [*seen["ends"].get(path, []), _digest((path, value))] for path, value in ends.items()
    }
    seen["known"] = _with_known(seen["known"], leaves, records)
    seen["end"] = _digest(("", records[-1])) if records and page.records > 1 else ""
    seen["new"] = [_digest(pair) for pair in new]
    return seen


def shows_place(state: State, page: Page, parameter: str) -> bool:
    """Return whether what led to this page, and to those before it, was seen to leave nothing out."""
    if "places" not in state:
        return False
    seen = _arrived(state, page, parameter)
    return bool(seen["joined"] or _sure(seen))


def keys_seen(state: State) -> list[str] | None:
    """Return the paths of what the ways on were seen to hold of records, None where none was looked at."""
    seen: State | None = state.get("places")
    return None if seen is None else _sure(seen)


def _sure(seen: State) -> list[str]:
    both = (*seen["last"].items(), *seen["first"].items())
    return list(dict.fromkeys(path for path, worth in both if worth >= SURE))


def _arrived(state: State, page: Page, parameter: str) -> State:
    """Return what the ways on show once that page is there to which the last one has led."""
    before: State | None = state.get("places")
    if before is None:
        begun = {"ways": 0, "rows": 0, "pages": 0, "size": 0, "last": {}, "first": {}}
        return {**begun, "joined": _numbers(page), "ends": {}, "known": [], "end": ""}
    if "ends" not in before:
        # The position is of an earlier version, which compared less.
        before = {
            **before,
            "last": {},
            "first": {},
            "ways": LOOKS,
            "new": [],
            "ends": {},
            "known": [],
            "end": "",
        }
    seen = {**before, "joined": _joined(before["joined"], _numbers(page))}
    if before["new"]:
        led, records = state.get("url") or state.get("cursor"), _records(page)
        leaves = _leaves([pair for pair in _pairs(led, parameter) if _digest(pair) in before["new"]])
        first = _held(leaves, records, 0, before, page.key)
        if before["ways"] == 1 and page.records == 1:
            # The only record of the page that may be the last one is likely to have the largest value there is.
            first = {path: min(worth, SURE - 1) for path, worth in first.items()}
        seen["first"] = _narrowed(before["first"], first, before["ways"])
        seen["last"] = {
            path: worth for path, worth in before["last"].items() if not _comes_again(path, records, before)
        }
    return seen


def _comes_again(path: str, records: list[Fields], before: State) -> bool:
    """Return whether a page has a value at a path that a way on held, but for the very record that led to it."""
    if records and before["end"] == _digest(("", records[0])):
        records = records[1:]
    ends = before["ends"].get(path, [])
    return any(path in record and _digest((path, record[path])) in ends for record in records)


def _with_known(known: list[str] | None, leaves: list[Leaf], records: list[Fields]) -> list[str] | None:
    """Return the digests of values of records that a way on holds anywhere; None where there are too many."""
    if known is None:
        return None
    texts = {text for _, text in leaves}
    joined = "\n".join(texts)
    found = dict.fromkeys(known)
    for path, value in {pair: None for record in records for pair in record.items()}:
        if any(form in texts or (len(form) >= _SHORT and form in joined) for form in _forms(value)):
            found[_digest((path, value))] = None
    return list(found) if len(found) <= _MOST_KNOWN else None


def _is_address(following: Any) -> bool:
    return isinstance(following, str) and ("://" in following or following.startswith("/"))


def _pairs(following: Any, parameter: str) -> list[tuple[str, Any]]:
    """Return what a way on consists of by name: a token, or the query's parameters and the parts of a path.

    Nothing where it is too large to be looked into.
    """
    if not is_small(following):
        return []
    url = parts_of(following) if _is_address(following) else None
    if url is None:
        return [(parameter, following)]
    parts = [("", part) for part in url.path.split("/") if part]
    return [*parse_qsl(url.query, keep_blank_values=True), *parts]


def parts_of(address: str) -> SplitResult | None:
    """Return the parts of an address, None where it is none, as a token such as ``x://[q``."""
    with suppress(ValueError):
        return urlsplit(address)
    return None


def is_small(value: Any) -> bool:
    """Return whether a token is small enough to be looked into, without looking at more of it than that."""
    left, todo = _LARGEST, [value]
    while todo and left >= 0:
        one = todo.pop()
        if isinstance(one, Mapping | list):
            left -= 1 + len(one)
            if left >= 0:
                todo += [*one.keys(), *one.values()] if isinstance(one, Mapping) else one
        elif type(one) is int:
            left -= one.bit_length()
        elif isinstance(one, str):
            left -= len(one)
    return left >= 0


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


def _held(
    leaves: list[Leaf], records: list[Fields], at: int, seen: State, key: Collection[str]
) -> dict[str, int]:
    """Return the paths of a page's first or last record whose values a way on holds, and what each is worth.

    What another record has in common, of this page or of one before it, is a filter, say.
    """
    if not records or not leaves or seen["known"] is None:
        return {}
    rows, pages, size = seen["rows"], seen["pages"], seen["size"]
    counts = {rows, pages, pages * size}
    found: dict[str, int] = {}
    for path, value in records[at].items():
        named = is_key(path, key)
        worth = max((_worth(value, form, leaves, counts, named) for form in _forms(value)), default=-1)
        if worth < 0 or _digest((path, value)) in seen["known"]:
            continue
        if sum(record.get(path) == value for record in records) == 1:
            found[path] = worth
    return found


def _worth(value: str | float, form: str, leaves: list[Leaf], counts: set[int], of_key: bool) -> int:
    """Return what it is worth that a value is in one of the texts, -1 where it is in none.

    Worth nothing but under the name of a key are a number that agrees with that of the rows or pages so far, a day,
    and a text without a digit. What is short is sure there only as a record's key (``of_key``).
    """
    is_number = form.isascii() and form.isdigit()
    is_count = is_number and len(form) < _LONG and any(abs(int(form) - count) <= 1 for count in counts)
    is_common = (
        is_count
        or (_is_day(value) and not (of_key and is_number))
        or not any(letter.isdigit() for letter in form)
    )
    found = -1
    for name, text in leaves:
        if text == form:
            if _names_key(name):
                sure = of_key or (len(form) >= _SHORT and not is_count)
            else:
                sure = len(form) >= _SHORT and not is_common
            found = max(found, SURE if sure else 0 if is_common else 1)
        elif len(form) >= _SHORT and form in text and (not is_number or _is_alone(form, text)):
            found = max(found, 0 if is_common else SURE if is_number or len(form) >= _LONG else 1)
    return found


def _names_key(name: str) -> bool:
    """Return whether a member of a token is called as what holds a key is; the number of an element is no name."""
    own = next((part for part in reversed(name.split(".")) if not part.isdigit()), "")
    return _KEY_NAME.search(own) is not None and _ORDER_NAME.search(own) is None


def is_key(path: str, key: Collection[str]) -> bool:
    """Return whether a record's field is its key as declared, or by its name where none is."""
    if not key:
        return _ID.search(path) is not None
    return path in key and (len(key) == 1 or _ID.search(path) is not None)


def _is_day(value: str | float) -> bool:
    """Return whether a value is a day, or its beginning."""
    if isinstance(value, str) and not value.isdigit():
        return _DAY.fullmatch(value) is not None
    text = str(value)[:_DIGITS]
    return _DAY.fullmatch(text) is not None or (len(text) >= _DIGITS // 2 and float(value) % _DAY_S == 0)


def _is_alone(digits: str, text: str) -> bool:
    around = r"[0-9]" if len(digits) >= _LONG else r"[0-9A-Za-z]"
    return re.search(rf"(?<!{around}){digits}(?!{around})", text) is not None


def _records(page: Page) -> list[Fields]:
    """Return the records of a page that are compared; its first and its last one where no others are known."""
    every = page.every or page.edges
    if page.records == 1:
        every = every[:1]
    half = _MOST_RECORDS // 2
    chosen = [*every[:half], *every[-half:]] if len(every) > _MOST_RECORDS else every
    return [_scalars(record) for record in chosen]


def _scalars(record: bytes) -> Fields:
    """Return the texts and numbers of a record by path."""
    visits = iter(range(_MOST_VISITED))
    found = ((path, one) for path, one in _members(value_of(record), "", 0, visits) if _tells(one))
    return dict(islice(found, _MOST_FIELDS))


def _tells(value: Any) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= _LONGEST
    return type(value) is float or (type(value) is int and value.bit_length() <= _MOST_FIELDS)


def _members(value: Any, path: str, depth: int, visits: Iterator[int]) -> Iterator[tuple[str, Any]]:
    """Yield what is in a value by path, as long as there are visits left."""
    pairs: Iterator[tuple[Any, Any]] | None = None
    if isinstance(value, Mapping):
        pairs = iter(value.items())
    elif isinstance(value, list):
        pairs = iter(enumerate(value))
    if pairs is None:
        yield path, value
    elif depth < _DEEPEST:
        for name, inner in islice(pairs, _MOST_FIELDS):
            if next(visits, None) is None:
                return
            yield from _members(inner, f"{path}.{name}" if path else str(name), depth + 1, visits)


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


def leaves_of(
    following: Any, name: str = "", depth: int = 0, visits: Iterator[int] | None = None
) -> Iterator[Leaf]:
    """Yield the names and texts that a token holds, as it is and unwrapped, as long as there are visits left."""
    visits = iter(range(_MOST_VISITED)) if visits is None else visits
    if isinstance(following, Mapping | list):
        for path, inner in _members(following, name, depth, visits):
            yield from leaves_of(inner, path, depth + 1, visits)
        return
    if following is None or isinstance(following, bool) or not is_small(following):
        return
    text = following if isinstance(following, str) else json.dumps(following)
    yield name, text
    if not isinstance(following, str) or depth >= _DEEPEST:
        return
    if (plain := unquote(text)) != text:
        yield from leaves_of(plain, name, depth + 1, visits)
        return
    with suppress(ValueError, RecursionError):
        if text[:1] in "{[":
            yield from leaves_of(json.loads(text), name, depth + 1, visits)
            return
    pairs = parse_qsl(text) if "=" in text.rstrip("=") else []
    for own, value in pairs:
        yield from leaves_of(value, own, depth + 1, visits)
    parts = text.split(".") if "." in text else [text]
    for part in parts:
        for inner in _unwrapped(part):
            yield from leaves_of(inner, name, depth + 1, visits)


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
    first, last = _whole(page.edges[0], page.key), _whole(page.edges[-1], page.key)
    both = {path: [number, last[path]] for path, number in first.items() if path in last}
    return {path: ends for path, ends in both.items() if abs(ends[1] - ends[0]) == page.records - 1}


def _whole(record: bytes, key: Collection[str]) -> dict[str, int]:
    """Return the keys of a record that are whole numbers; one of another name may count the rows of the answer."""
    found = {}
    for path, value in _scalars(record).items():
        text = str(value)
        if is_key(path, key) and not isinstance(value, float) and len(text) <= _DIGITS and text.isdecimal():
            found[path] = int(text)
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
