"""Servers of traits that nobody chose together: read whole, or refused, or not called complete."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from random import Random
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.hostile.test_shapes import read_twice
from tests.support.served import Answer, Asked

SIZE = 4
PAGINGS: Mapping[str, dict[str, Any]] = {
    "token": {"kind": "cursor", "cursor_field": "next", "size": SIZE},
    "link": {"kind": "next_url", "url_field": "next", "size_parameter": "limit", "size": SIZE},
    "header": {"kind": "link_header", "size_parameter": "limit", "size": SIZE},
    "number": {"kind": "page_numbers", "size_parameter": "limit", "size": SIZE},
    "offset": {"kind": "offset", "size": SIZE},
    "key": {"kind": "keyset", "key_parameter": "after", "size": SIZE},
}
ENDS = ("null", "absent", "empty page", "204", "404", "error in a 200", "the last page again")
SHAPES_OF_PAGES = ("full", "shrinking", "empty in between", "filtered after paging", "overlapping")
ORDERS = ("stable", "turned with each scan")
TOTALS = ("none", "right", "too high", "too low", "of the page")
FAULTS = ("none", "redirects", "expires")


@dataclass(frozen=True)
class Traits:
    """What a server is like."""

    paging: str
    end: str
    pages: str
    order: str
    total: str
    fault: str
    marks: bool


@dataclass
class Odd:
    """A server of such traits."""

    traits: Traits
    rows: list[dict[str, Any]] = field(
        default_factory=lambda: [{"id": n, "at": f"2026-01-01T00:00:{n % 30:02d}Z"} for n in range(1, 24)]
    )
    asked: int = 0
    scans: int = 0

    def answer(self, asked: Asked) -> Answer:  # noqa: PLR0912 - one branch for each trait
        """Answer a page."""
        traits, query = self.traits, dict(asked.query)
        self.asked += 1
        if traits.fault == "redirects" and not query.get("moved"):
            return Answer(b"", 307, headers={"Location": f"{asked.path}?{urlencode({**query, 'moved': 1})}"})
        if traits.fault == "expires" and self.asked == 4:
            return Answer(b'{"error": "expired"}', 410)
        begins = not {"cursor", "page", "offset", "after"} & set(query) or query.get("page") == "1"
        begins = begins or query.get("offset") == "0"
        rows = [row for row in self.rows if row["at"] >= query.get("since", "")]
        number = 0
        if traits.order == "turned with each scan":
            self.scans += begins
            number = self.scans - 1
        if number % 2 and traits.paging != "key":
            rows = rows[::-1]
        size = int(query.get("limit", SIZE))
        at = int(query.get("cursor") or query.get("offset") or 0) or (int(query.get("page") or 1) - 1) * size
        if traits.paging == "key":
            at = sum(1 for row in rows if row["id"] <= int(query.get("after") or 0))
        step = size
        if traits.pages == "shrinking" and traits.paging in ("token", "link", "header", "key"):
            step = max(1, size - at // 4)
        part = rows[at : at + step]
        onward = at + step
        if traits.pages == "overlapping" and traits.paging in ("token", "link", "header") and step > 1:
            onward -= 1
        between = traits.pages == "empty in between" and traits.paging in ("token", "link", "header")
        if between and at == size and not query.get("seen"):
            part, onward = [], at
        if traits.pages == "filtered after paging":
            part = [row for row in part if row["id"] % 5 or traits.paging == "key"]
        left = at + step < len(rows)
        if not part and not left and at:
            if traits.end == "204":
                return Answer(b"", 204)
            if traits.end == "404":
                return Answer(b"{}", 404)
            if traits.end == "error in a 200":
                return Answer(b'{"success": false, "error": "no such page"}')
            if traits.end == "the last page again":
                part = rows[-size:]
        body: dict[str, Any] = {"rows": part}
        late = traits.end in ("empty page", "204", "404", "error in a 200", "the last page again")
        seen = {"seen": 1} if not part else {}
        more = left or (late and bool(part) and at < len(rows))
        headers: dict[str, str] = {}
        if traits.paging == "token":
            body["next"] = str(onward) if more else None
        if traits.paging in ("link", "header"):
            kept = {k: v for k, v in query.items() if k not in ("cursor", "moved", "seen")}
            url = f"{asked.path}?{urlencode({**kept, 'cursor': onward, **seen})}"
            if traits.paging == "link":
                body["next"] = url if more else None
            elif more:
                headers["Link"] = f'<{url}>; rel="next"'
        if traits.end == "absent" and body.get("next", 0) is None:
            del body["next"]
        totals = {
            "right": len(rows),
            "too high": len(rows) + 3,
            "too low": len(rows) - 3,
            "of the page": len(part),
        }
        if traits.total in totals:
            body["total"] = totals[traits.total]
        return Answer(json.dumps(body).encode(), headers=headers)

    def given(self) -> set[int]:
        """Return the rows that the server gives to who asks rightly."""
        hidden = self.traits.pages == "filtered after paging" and self.traits.paging != "key"
        return {row["id"] for row in self.rows if not hidden or row["id"] % 5}


def traits() -> Iterator[Traits]:
    """Yield every combination."""
    for names in product(PAGINGS, ENDS, SHAPES_OF_PAGES, ORDERS, TOTALS, FAULTS, (False, True)):
        one = Traits(*names)
        counted, late = (
            one.paging in ("number", "offset"),
            one.end == "the last page again" or one.fault == "expires",
        )
        if counted and one.total == "too low" and late:
            # Exactly what was announced came, and then nothing more.
            continue
        yield one


def play(one: Traits) -> tuple[str, str]:
    """Read twice, with rows added in between; return what came of it."""
    api = Odd(one)
    described: dict[str, Any] = {"path": "/rows", "records": "rows", "pagination": PAGINGS[one.paging]}
    if one.total != "none":
        described["completeness"] = {"total_field": "total"}
    if one.end == "the last page again" and one.paging == "number":
        described["pagination"] = {**PAGINGS["number"], "past_end": "last_page"}
    if one.marks:
        described["incremental"] = {"parameter": "since", "field": "at", "format": "iso_s"}
    later = [{"id": 30 + n, "at": f"2026-01-01T00:01:0{n}Z"} for n in range(3)]
    return read_twice(api.answer, described, api.given, lambda: api.rows.extend(later))


@pytest.mark.parametrize("one", Random(8).sample(list(traits()), 120), ids=str)
def test_a_server_of_any_traits_is_read_whole_or_not_called_complete(one: Traits) -> None:
    what, said = play(one)
    assert what != "LIES", said


def main() -> int:
    """Play all, or so many of a seed: ``python -m tests.hostile.test_traits 1 500``."""
    counts: Counter[str] = Counter()
    every = list(traits())
    if len(sys.argv) > 2:
        every = Random(int(sys.argv[1])).sample(every, int(sys.argv[2]))
    for one in every:
        what, said = play(one)
        counts[what] += 1
        if what == "LIES":
            print(what, one, said, flush=True)
    print(len(every), dict(counts))
    return 1 if counts["LIES"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
