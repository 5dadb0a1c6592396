"""Habits of real APIs: whatever they do, a reading that is short of the truth is not called complete."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import product
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.hostile.test_shapes import read_twice
from tests.support.served import Answer, Asked

SIZE, COUNT = 4, 23
Row = dict[str, Any]


def _json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(json.dumps(body).encode(), status, headers or {})


@dataclass
class Api:
    """A table behind an API, whose habit writes the answers; rows may vanish while it is read."""

    habit: Callable[[Api, Asked], Answer]
    vanish: bool = False
    rows: list[Row] = field(
        default_factory=lambda: [
            {"id": 42 + n * 3 + n % 2, "at": f"2026-01-01T00:00:{n:02d}Z", "n": n % 5}
            for n in range(1, COUNT + 1)
        ]
    )
    asked: int = 0
    kept: dict[str, Any] = field(default_factory=dict)

    def answer(self, asked: Asked) -> Answer:
        """Answer by the habit."""
        self.asked += 1
        if self.vanish and self.asked == 3:
            del self.rows[: SIZE + 1]
        return self.habit(self, asked)

    def since(self, asked: Asked) -> list[Row]:
        """Return the rows that are asked for."""
        return [row for row in self.rows if row["at"] >= asked.query.get("since", "")]


def _page(api: Api, asked: Asked, begins: int = 1) -> tuple[list[Row], int, bool]:
    rows, number = api.since(asked), asked.number("page", begins)
    at = (number - begins) * SIZE
    return rows[at : at + SIZE], number, at + SIZE < len(rows)


def repeats_the_last(api: Api, asked: Asked) -> Answer:
    """Begin each page with the record that the one before it ended with."""
    rows, at = api.since(asked), 0
    if "cursor" in asked.query:
        at = sum(1 for row in rows if row["id"] < int(asked.query["cursor"][1:]))
    part = rows[at : at + SIZE]
    more = at + SIZE < len(rows)
    return _json({"rows": part, "next": f"x{part[-1]['id']}" if more else None})


def more_of_nothing(api: Api, asked: Asked) -> Answer:
    """Say that more follows on a page without records, where the third page should be."""
    part, number, more = _page(api, asked)
    if number == 3:
        return _json({"rows": [], "more": True, "next": None})
    return _json({"rows": part, "more": more, "next": number + 1 if more else None})


def same_address_in_capitals(api: Api, asked: Asked) -> Answer:
    """Lead back to the same page by an address that is written otherwise."""
    rows = api.since(asked)
    token = asked.query.get("cursor", asked.query.get("CURSOR", "a0"))
    at = int(token[1:])
    more = at + SIZE < len(rows)
    following = f"/rows?cursor=a{at + SIZE}" if at < SIZE * 2 else f"/rows?CURSOR={token.upper()}"
    return _json({"rows": rows[at : at + SIZE], "next": following if more else None})


def _totals(write: Callable[[int], Any]) -> Callable[[Api, Asked], Answer]:
    def habit(api: Api, asked: Asked) -> Answer:
        part, _, _ = _page(api, asked)
        return _json({"rows": part, "total": write(len(api.since(asked)))})

    return habit


def counts_from_zero(api: Api, asked: Asked) -> Answer:
    """Count pages from 0, also where they are asked for from 1."""
    part, _, _ = _page(api, asked, 0)
    return _json({"rows": part})


def _links(write: Callable[[str, str], str]) -> Callable[[Api, Asked], Answer]:
    def habit(api: Api, asked: Asked) -> Answer:
        part, number, more = _page(api, asked)
        kept = {name: value for name, value in asked.query.items() if name != "page"}
        here = f"/rows?{urlencode({**kept, 'page': number})}"
        following = f"/rows?{urlencode({**kept, 'page': number + 1})}"
        return _json(part, headers={"Link": write(here, following) if more else f'<{here}>; rel="self"'})

    return habit


def partial(api: Api, asked: Asked) -> Answer:
    """Answer 206 with the first records and their range."""
    rows = api.since(asked)
    return _json(rows[:7], 206, {"Content-Range": f"items 0-6/{len(rows)}"})


def in_ranges(api: Api, asked: Asked) -> Answer:
    """Announce the number of all in a Content-Range."""
    part, number, _ = _page(api, asked)
    at, rows = (number - 1) * SIZE, api.since(asked)
    span = f"items {at}-{at + len(part) - 1}/{len(rows)}" if part else f"items */{len(rows)}"
    return _json(part, 206 if part else 416, {"Content-Range": span})


def encrypted(api: Api, asked: Asked) -> Answer:
    """Give an offset in a token that shows nothing."""
    rows = api.since(asked)
    at = api.kept.get(asked.query.get("cursor", ""), 0)
    token = blake2b(f"{at} of {api.asked}".encode(), digest_size=24).hexdigest()
    api.kept[token] = at + SIZE
    return _json({"rows": rows[at : at + SIZE], "next": token if at + SIZE < len(rows) else None})


def _limits(body: Any) -> Callable[[Api, Asked], Answer]:
    def habit(api: Api, asked: Asked) -> Answer:
        """Refuse in a 200, from the third page on."""
        at = sum(1 for row in api.since(asked) if row["id"] <= asked.number("after", 0))
        if at >= 2 * SIZE:
            return _json(body)
        return _json({"rows": api.since(asked)[at : at + SIZE]})

    return habit


def turns(api: Api, asked: Asked) -> Answer:
    """Turn the order of the list after the second page."""
    rows, number = api.since(asked), asked.number("page", 1)
    if api.asked > 2:
        rows = rows[::-1]
    return _json({"rows": rows[(number - 1) * SIZE : number * SIZE], "total": len(rows)})


def forgets_tokens(api: Api, asked: Asked) -> Answer:
    """Give the first page for a token that is no longer known."""
    rows, token = api.since(asked), asked.query.get("cursor", "k0")
    at = int(token[1:]) if api.asked != 4 else 0
    at = sum(1 for row in rows if row["id"] <= at)
    part = rows[at : at + SIZE]
    return _json({"rows": part, "next": f"k{part[-1]['id']}" if at + SIZE < len(rows) else None})


def flag_in_words(api: Api, asked: Asked) -> Answer:
    """Say with a word whether more follows, and count pages in a token of text."""
    part, number, more = _page(api, asked)
    return _json({"rows": part, "more": "Y" if more else "N", "next": str(number + 1)})


NUMBERS = {"kind": "page_numbers", "size_parameter": None}
WITH_TOTAL = {"completeness": {"total_field": "total"}}
HABITS: dict[str, tuple[Callable[[Api, Asked], Answer], dict[str, Any]]] = {
    "each page begins with the last record": (
        repeats_the_last,
        {"pagination": {"kind": "cursor", "cursor_field": "next"}},
    ),
    "more of nothing": (
        more_of_nothing,
        {
            "pagination": {
                "kind": "cursor",
                "cursor_parameter": "page",
                "cursor_field": "next",
                "more_field": "more",
            }
        },
    ),
    "more of nothing, by number": (more_of_nothing, {"pagination": {**NUMBERS, "more_field": "more"}}),
    "more of nothing, without the flag": (
        more_of_nothing,
        {"pagination": {"kind": "cursor", "cursor_parameter": "page", "cursor_field": "next"}},
    ),
    "the same address in capitals": (same_address_in_capitals, {"pagination": {"kind": "next_url"}}),
    "a total as text": (_totals(str), {"pagination": NUMBERS, **WITH_TOTAL}),
    "a total with separators": (_totals(lambda n: f"0,{n:03d}"), {"pagination": NUMBERS, **WITH_TOTAL}),
    "a total of a page and all": (_totals(lambda n: f"4 of {n}"), {"pagination": NUMBERS, **WITH_TOTAL}),
    "a total as a fraction": (_totals(float), {"pagination": NUMBERS, **WITH_TOTAL}),
    "a total in an object": (
        _totals(lambda n: {"value": min(n, 20), "relation": "gte" if n > 20 else "eq"}),
        {"pagination": NUMBERS, "completeness": {"total_field": "total.value"}},
    ),
    "a capped total": (_totals(lambda n: min(n, 20)), {"pagination": NUMBERS, **WITH_TOTAL}),
    "a total that is true": (_totals(bool), {"pagination": NUMBERS, **WITH_TOTAL}),
    "a negative total": (_totals(lambda n: -1), {"pagination": NUMBERS, **WITH_TOTAL}),
    "counts from zero": (counts_from_zero, {"pagination": NUMBERS}),
    "partial, as one page": (partial, {"records": "", "pagination": {"kind": "single"}}),
    "in ranges": (
        in_ranges,
        {"records": "", "pagination": {**NUMBERS, "past_end": "missing", "past_end_statuses": [416]}},
    ),
    "in ranges, with their total": (
        in_ranges,
        {
            "records": "",
            "pagination": {**NUMBERS, "past_end": "missing", "past_end_statuses": [416]},
            "completeness": {"total_header": "Content-Range"},
        },
    ),
    "encrypted offsets": (encrypted, {"pagination": {"kind": "cursor", "cursor_field": "next"}}),
    "the order turns": (turns, {"pagination": NUMBERS, **WITH_TOTAL}),
    "the order turns, without a total": (turns, {"pagination": NUMBERS}),
    "tokens that are forgotten": (forgets_tokens, {"pagination": {"kind": "cursor", "cursor_field": "next"}}),
    "a flag in words": (
        flag_in_words,
        {
            "pagination": {
                "kind": "cursor",
                "cursor_parameter": "page",
                "cursor_field": "next",
                "more_field": "more",
            }
        },
    ),
}
LINKS: dict[str, Callable[[str, str], str]] = {
    "several relations": lambda here, on: f'<{here}>; rel="self first" , <{on}>; rel="next last"',
    "spaces": lambda here, on: f'  < {on} >  ;   rel = "next"  ',
    "no quotes": lambda here, on: f"<{here}>;rel=first,<{on}>;rel=next",
    "single quotes": lambda here, on: f"<{here}>; rel='first', <{on}>; rel='next'",
    "capitals": lambda here, on: f'<{on}>; REL="Next"',
    "a comma in a title": lambda here, on: f'<{on}>; title="a, b; c"; rel="next"',
    "a star": lambda here, on: f"<{on}>; title*=UTF-8''n%c3%a4chste; rel=\"next\"",
    "no brackets": lambda here, on: f'{on}; rel="next"',
    "an escaped address": lambda here, on: f'<{on.replace("&", "&amp;")}>; rel="next"',
}
for _name, _write in LINKS.items():
    HABITS[f"links: {_name}"] = (_links(_write), {"records": "", "pagination": {"kind": "link_header"}})
LIMITS: dict[str, Any] = {
    "an error": {"error": "rate limited"},
    "an error and no rows": {"rows": [], "error": {"code": 429, "message": "slow down"}},
    "a message and no rows": {"rows": [], "message": "API rate limit exceeded for this key"},
    "a note": {
        "rows": [],
        "Note": "Thank you for using our API! Our standard rate limit is 25 requests per day.",
    },
    "an information": {"Information": "Our standard API rate limit is 25 requests per day."},
    "too many requests": {"rows": [], "meta": {"msg": "Too Many Requests"}},
    "a quota": {"rows": None, "warning": "quota exceeded"},
}
for _name, _body in LIMITS.items():
    HABITS[f"limited: {_name}"] = (
        _limits(_body),
        {"pagination": {"kind": "keyset", "key_parameter": "after", "size": SIZE}},
    )
EXACT = {
    *(
        "each page begins with the last record",
        "a total as text",
        "a total with separators",
        "a total as a fraction",
    ),
    "in ranges, with their total",
}
"""What is read exactly, and shown, as long as nothing vanishes."""


def play(name: str, *, marks: bool, keyed: bool, vanish: bool) -> tuple[str, str]:
    """Read twice; return what came of it."""
    habit, described = HABITS[name]
    described = {"path": "/rows", "records": "rows", "key": ["id"] if keyed else [], **described}
    if marks:
        described["incremental"] = {"parameter": "since", "field": "at", "format": "iso_s"}
    api = Api(habit, vanish)
    return read_twice(api.answer, described, lambda: (row["id"] for row in api.rows))


@pytest.mark.parametrize("vanish", [False, True], ids=["", "rows vanish"])
@pytest.mark.parametrize("keyed", [True, False], ids=["", "no key"])
@pytest.mark.parametrize("marks", [False, True], ids=["full", "since"])
@pytest.mark.parametrize("name", HABITS)
def test_a_habit_of_real_apis_makes_no_reading_that_is_short_complete(
    name: str, *, marks: bool, keyed: bool, vanish: bool
) -> None:
    what, said = play(name, marks=marks, keyed=keyed, vanish=vanish)
    assert what != "LIES", said
    if name in EXACT and not vanish:
        assert what == "exact", said


def main() -> int:
    """Play all: ``python -m tests.hostile.test_real_habits``."""
    lies = 0
    for name, marks, keyed, vanish in product(HABITS, (False, True), (True, False), (False, True)):
        what, said = play(name, marks=marks, keyed=keyed, vanish=vanish)
        lies += what == "LIES"
        print(f"{what:8}{name}, marks={marks}, key={keyed}, vanish={vanish}: {said[:170]}", flush=True)
    print(lies, "lies")
    return 1 if lies else 0


if __name__ == "__main__":
    sys.exit(main())
