"""Whatever ends a scan early, or moves rows under it, a reading that is short of the truth is not called complete."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import product
from random import Random
from typing import Any

import pytest

from headworks.errors import HeadworksError
from tests.hostile.test_shapes import nothing, read, source
from tests.support.served import Answer, Asked, served

SIZE, COUNT = 4, 23
PAGES = 6
GONE = 5
"""Rows that are deleted behind a scan: more than a page."""


def _packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _connection(text: Any) -> str:
    return _packed(f"arrayconnection:{text}")


def _gzipped(value: Any) -> str:
    return base64.urlsafe_b64encode(gzip.compress(json.dumps(value).encode(), mtime=0)).decode().rstrip("=")


TOKENS: Mapping[str, Callable[[int, int, int], Any]] = {
    "rows": lambda at, last, following: at,
    "rows as text": lambda at, last, following: str(at),
    "rows from 1": lambda at, last, following: at + 1,
    "pages": lambda at, last, following: at // SIZE + 1,
    "pages from 0": lambda at, last, following: at // SIZE,
    "rows in Base64": lambda at, last, following: _packed(str(at)),
    "rows after a word": lambda at, last, following: _connection(at - 1),
    "rows in an array": lambda at, last, following: _packed(f"[{at}]"),
    "the last key": lambda at, last, following: last,
    "the following key": lambda at, last, following: following,
    "the last key in JSON": lambda at, last, following: _packed(json.dumps({"n": SIZE, "last_id": last})),
    "the last key in gzip": lambda at, last, following: _gzipped({"v": 1, "after": [last]}),
    "the following key in a JWT": lambda at, last, following: (
        f"eyJhbGciOiJub25lIn0.{_packed(json.dumps({'key': following}))}."
    ),
    "rows in JSON": lambda at, last, following: _packed(json.dumps({"x": at, "q": "open"})),
    "rows and size": lambda at, last, following: _packed(f"{at}|{SIZE}"),
    "opaque": lambda at, last, following: blake2b(str(last).encode(), digest_size=6).hexdigest() + "z",
}
"""What leads on, of the place where the next page begins, the last key of this one, and the next one's first."""
HIDDEN: Mapping[str, Callable[[int, int, int], Any]] = {
    "opaque count": lambda at, last, following: blake2b(f"at {at}".encode(), digest_size=6).hexdigest() + "z",
    "encrypted count": lambda at, last, following: base64.urlsafe_b64encode(
        blake2b(f"at {at}".encode(), digest_size=48).digest()
    ).decode(),
}
"""What counts and shows nothing of it: whether it does is known to the API alone, or to who describes it."""
SHOWN = (
    "the last key",
    "the following key",
    "the last key in JSON",
    "the last key in gzip",
    "the following key in a JWT",
)
"""What shows that it is a place after a key."""
BY_KEY = (*SHOWN, "opaque")
CARRIERS: Mapping[str, dict[str, Any]] = {
    "token": {"kind": "cursor", "cursor_field": "next", "size": SIZE},
    "token and flag": {"kind": "cursor", "cursor_field": "next", "more_field": "more", "size": SIZE},
    "token and end": {"kind": "cursor", "cursor_field": "next", "end_field": "last", "size": SIZE},
    "address": {"kind": "next_url", "url_field": "next", "size_parameter": "limit", "size": SIZE},
    "link": {"kind": "link_header", "size_parameter": "limit", "size": SIZE},
    "header": {
        "kind": "next_header",
        "header": "X-Next",
        "cursor_parameter": "cursor",
        "size_parameter": "limit",
    }
    | {"size": SIZE},
}
OTHERS: Mapping[str, dict[str, Any]] = {
    "key": {"kind": "keyset", "key_parameter": "after", "size": SIZE},
    "key and flag": {"kind": "keyset", "key_parameter": "after", "more_field": "more", "size": SIZE},
    "key, short ends": {"kind": "keyset", "key_parameter": "after", "short_page_ends": True, "size": SIZE},
    "number": {"kind": "page_numbers", "size_parameter": "limit", "size": SIZE},
    "number and flag": {
        "kind": "page_numbers",
        "size_parameter": "limit",
        "more_field": "more",
        "size": SIZE,
    },
    "number and pages": {
        "kind": "page_numbers",
        "size_parameter": "limit",
        "pages_field": "pages",
        "size": SIZE,
    },
    "number, short ends": {
        "kind": "page_numbers",
        "size_parameter": "limit",
        "short_page_ends": True,
        "size": SIZE,
    },
    "offset": {"kind": "offset", "size": SIZE},
    "offset and flag": {"kind": "offset", "more_field": "more", "size": SIZE},
}
ONCE = (
    "empty and leads on",
    "empty and ends",
    "full and ends",
    "full, and what leads on is absent",
    "half and ends",
    "204",
    "the page before again",
    "nothing at all",
)
"""What a server answers for a page once, and rightly the next time."""
EVER = ("empty and leads on, for ever", "skips a page", "rows vanish behind it")
"""What it does each time."""
POSITIONS = (0, 1, 3, PAGES - 2, PAGES - 1)
TOTALS = ("none", "right", "of the page", "of what came")
KEYS: Mapping[str, Callable[[int], int]] = {
    "1, 2, 3": lambda number: number,
    "0, 1, 2": lambda number: number - 1,
    # No page begins at a multiple of its size: keys that do look like a count, and the reading is not shown.
    "with gaps": lambda number: 42 + number * 3 + number % 2,
}


@dataclass(frozen=True)
class Case:
    """One API, and what it does at one page."""

    paging: str
    token: str
    way: str
    position: int
    total: str
    keys: str
    marks: bool
    stable: bool | None = None


@dataclass
class Early:
    """A server that ends early, or whose rows shift."""

    case: Case
    done: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        key = KEYS[self.case.keys]
        self.rows = [
            {"id": key(n), "n": n * 7 % 5, "at": f"2026-01-01T00:00:{n * 7 % 60:02d}Z"}
            for n in range(1, COUNT + 1)
        ]

    def answer(self, asked: Asked) -> Answer:
        """Answer a page."""
        case, query, size = self.case, dict(asked.query), asked.number("limit", SIZE)
        rows = [row for row in self.rows if row["at"] >= query.get("since", "")]
        at = self._begins(rows, query, size)
        part = rows[at : at + size]
        onward = at + size
        page = at // SIZE
        hit = page == case.position and (case.way in EVER or not self.done)
        if hit and case.way == "skips a page":
            onward += size
        more = onward < len(rows)
        following = self._leads(rows, onward) if more else None
        total = {"right": len(rows), "of the page": len(part), "of what came": len(rows)}.get(case.total)
        absent = False
        if hit:
            self.done = True
            if case.way.startswith("empty and leads on"):
                part = []
            if case.way in ("empty and ends", "nothing at all"):
                part, following, more = [], None, False
            if case.way == "half and ends":
                part, following, more = part[: size // 2], None, False
            if case.way in ("full and ends", "full, and what leads on is absent"):
                following, more, absent = None, False, "absent" in case.way
            if case.way == "204":
                return Answer(b"", 204)
            if case.way == "the page before again":
                part = rows[max(0, at - size) : at]
                following = self._leads(rows, at) if at else following
            if case.total == "of the page":
                total = len(part)
            if case.total == "of what came" and not more:
                total = at + len(part)
            if case.way == "rows vanish behind it":
                del self.rows[: min(GONE, at)]
        return self._written(case, asked, part, following, more, total, absent)

    def _begins(self, rows: list[dict[str, Any]], query: Mapping[str, str], size: int) -> int:
        """Return where the page begins that is asked for."""
        if "after" in query:
            return sum(1 for row in rows if row["id"] <= int(query["after"]))
        if "offset" in query:
            return int(query["offset"])
        if "page" in query:
            return (int(query["page"]) - 1) * size
        token = query.get("cursor")
        if token is None:
            return 0
        if self.case.token in BY_KEY:
            # Of rows that were deleted meanwhile, too: a token of a key stays valid.
            key = KEYS[self.case.keys]
            for number in range(COUNT + 1):
                if str(self._token(0, key(number), key(number + 1))) == token:
                    return sum(1 for row in rows if row["id"] <= key(number))
        return next(at for at in range(COUNT + 9) if str(self._token(at, 0, 0)) == token)

    def _leads(self, rows: list[dict[str, Any]], at: int) -> Any:
        key = KEYS[self.case.keys]
        if not 0 < at < len(rows):
            return self._token(at, key(0), rows[0]["id"])
        number = next(n for n in range(COUNT + 1) if key(n) == rows[at - 1]["id"])
        return self._token(at, key(number), key(number + 1))

    def _token(self, at: int, last: int, following: int) -> Any:
        return {**TOKENS, **HIDDEN}[self.case.token](at, last, following)

    def _written(
        self,
        case: Case,
        asked: Asked,
        part: list[dict[str, Any]],
        following: Any,
        more: bool,
        total: int | None,
        absent: bool,
    ) -> Answer:
        body: dict[str, Any] = {"rows": part}
        headers: dict[str, str] = {}
        if case.way == "nothing at all" and not part:
            return Answer(b'{"rows": []}')
        since = f"&since={asked.query['since']}" if "since" in asked.query else ""
        url = f"{asked.path}?limit={SIZE}&cursor={following}{since}".replace("=[", "=%5B")
        if case.paging in ("token", "token and flag", "token and end"):
            body["next"] = following
        if case.paging == "address":
            body["next"] = None if following is None else url
        if case.paging == "link" and following is not None:
            headers["Link"] = f'<{url}>; rel="next"'
        if case.paging == "header" and following is not None:
            headers["X-Next"] = str(following)
        if not absent:
            body |= {"more": more, "last": not more, "pages": -(-len(self.rows) // SIZE)}
        if absent:
            body.pop("next", None)
        if total is not None:
            body["total"] = total
        return Answer(json.dumps(body).encode(), headers=headers)


def cases() -> Iterator[Case]:
    """Yield every kind of pagination with every way to end early at every position."""
    pagings = [*product(CARRIERS, (*TOKENS, *HIDDEN)), *((name, "rows") for name in OTHERS)]
    for (paging, token), way, position, total, keys, marks in product(
        pagings, (*ONCE, *EVER), POSITIONS, TOTALS, KEYS, (False, True)
    ):
        case = Case(paging, token, way, position, total, keys, marks)
        if way == "skips a page" and (paging in OTHERS or token in SHOWN or position > PAGES - 3):
            # What a key leads to is the API's word.
            continue
        if way == "skips a page" and marks and token in (*HIDDEN, "opaque", "rows in JSON", "rows and size"):
            # By increments two scans that agree are taken for the whole, and each leaves the same page out.
            continue
        if way == "skips a page" and keys == "0, 1, 2" and token.startswith("rows") and position == 0:
            # A table without the rows that are skipped, and tokens of the following key, look the very same.
            continue
        if way == "skips a page" and token == "pages from 0" and position == 0:
            # So do pages that are counted from 1.
            continue
        if way == "half and ends" and position == 0:
            # A short first page that says that it is the last is all there is, by whatever is seen.
            continue
        if total == "of what came" and way in EVER:
            continue
        ends = paging in ("key", "key, short ends") or position == PAGES - 1
        # A first page that is empty, and announces that there is nothing, says so each time.
        ends = ends or (paging in OTHERS and position == 0 and total == "of the page")
        if way == "empty and leads on, for ever" and ends and total != "right":
            # Nothing leads on: what the API says each time is its end.
            continue
        yield case


def described(case: Case) -> dict[str, Any]:
    """Return the description."""
    found: dict[str, Any] = {
        "path": "/rows",
        "records": "rows",
        "pagination": {**CARRIERS, **OTHERS}[case.paging]
        | ({} if case.stable is None else {"stable": case.stable}),
        "key": ["id"],
    }
    if case.total != "none":
        found["completeness"] = {"total_field": "total"}
    if case.marks:
        found["incremental"] = {"parameter": "since", "field": "at", "format": "iso_s"}
    return found


def play(case: Case) -> tuple[str, str]:
    """Read once; return what came of it."""
    api, came = Early(case), nothing()
    with served(api.answer) as upstream:
        try:
            read(source(upstream.url, described(case)), came)
        except HeadworksError as problem:
            return "refused", f"{type(problem).__name__}: {problem.what}"
    lost = {row["id"] for row in api.rows} - {record["id"] for record in came.records}
    if lost and came.shown is not False:
        return "LIES", f"{sorted(lost)} lost, shown={came.shown} {came.warnings}"
    return ("warned" if came.shown is False else "exact"), " ".join(came.warnings)


FOUND = (Case("token and flag", "rows", "skips a page", 0, "none", "1, 2, 3", marks=False),)
"""What a longer run has found."""


@pytest.mark.parametrize("case", [*FOUND, *Random(9).sample(list(cases()), 200)], ids=str)
def test_no_scan_that_ends_early_is_called_complete(case: Case) -> None:
    what, said = play(case)
    assert what != "LIES", said


SHIFTING = ("rows vanish behind it",)


@pytest.mark.sampled(30)
@pytest.mark.parametrize("way", ["skips a page", *SHIFTING])
@pytest.mark.parametrize(("total", "stable"), [("right", None), ("right", False), ("none", False)])
@pytest.mark.parametrize("token", ["opaque", *HIDDEN])
@pytest.mark.parametrize("paging", CARRIERS)
def test_a_token_that_shows_nothing_is_held_to_a_total_or_to_what_is_declared(
    paging: str, token: str, total: str, stable: bool | None, way: str
) -> None:
    for position in (1, 3):
        # By increments two scans that agree are taken for the whole, and one page is left out each time.
        for marks in (False, True) if total == "right" or way in SHIFTING else (False,):
            what, said = play(Case(paging, token, way, position, total, "with gaps", marks, stable))
            assert what != "LIES", said


@pytest.mark.parametrize("paging", CARRIERS)
def test_the_number_of_a_pages_own_records_is_no_total_that_shrinks(paging: str) -> None:
    for marks, token in product((False, True), SHOWN):
        what, said = play(Case(paging, token, "none", 0, "of the page", "with gaps", marks))
        assert what == "exact", said


@pytest.mark.sampled(90)
@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("token", [*TOKENS, *HIDDEN])
@pytest.mark.parametrize("paging", CARRIERS)
def test_what_is_as_it_should_be_is_read_exactly_and_shown_where_it_can_be(
    paging: str, token: str, keys: str
) -> None:
    case = Case(paging, token, "none", 0, "none", keys, marks=False)
    what, said = play(case)
    if token in SHOWN:
        assert what == "exact", said
    elif keys == "with gaps":
        assert what == "warned", said
        assert "stable" in said
    elif keys == "1, 2, 3" and token.startswith("rows as text"):
        # Such a number may be the key, and each page was seen to begin with the one that follows.
        assert what == "exact", said
    elif token in ("opaque", *HIDDEN):
        # The records themselves are numbered without a gap.
        assert what == "exact", said


@pytest.mark.parametrize("token", ["opaque", *HIDDEN])
@pytest.mark.parametrize("paging", CARRIERS)
def test_a_token_that_shows_nothing_is_shown_by_a_declaration_a_total_or_two_scans_that_agree(
    paging: str, token: str
) -> None:
    what, said = play(Case(paging, token, "none", 0, "none", "with gaps", marks=False))
    assert what == "warned"
    assert "pagination.stable" in said
    assert "total" in said
    assert play(Case(paging, token, "none", 0, "none", "with gaps", marks=False, stable=True))[0] == "exact"
    assert play(Case(paging, token, "none", 0, "right", "with gaps", marks=False))[0] == "exact"
    assert play(Case(paging, token, "none", 0, "none", "with gaps", marks=True))[0] == "exact"


def main() -> int:
    """Play all, or so many of a seed: ``python -m tests.hostile.test_early_ends 1 500``."""
    counts: Counter[str] = Counter()
    every = list(cases())
    if len(sys.argv) > 2:
        every = Random(int(sys.argv[1])).sample(every, int(sys.argv[2]))
    for case in every:
        what, said = play(case)
        counts[what] += 1
        if what == "LIES":
            print(what, case, said[:300], flush=True)
    print(len(every), dict(counts))
    return 1 if counts["LIES"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
