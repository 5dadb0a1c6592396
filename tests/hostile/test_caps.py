"""An API that cuts queries off in silence, however it is described, is read whole or is not called complete."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random
from typing import Any

import pytest

from headworks.errors import HeadworksError
from tests.hostile.test_shapes import nothing, read, source
from tests.support.served import Answer, Asked, served

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = 4
HOUR = 3600


def _dense(number: int) -> int:
    return number * HOUR


def _bunches(number: int) -> int:
    return number // 3 * HOUR


def _ties(number: int) -> int:
    return 5 * HOUR


def _mixed(number: int) -> int:
    return (number * 7919) % 18 * HOUR


SPREADS = {"dense": _dense, "bunches": _bunches, "ties": _ties, "mixed": _mixed}
ORDERS: Mapping[str, Any] = {
    "rising": lambda row: (row["at"], row["id"]),
    "falling": lambda row: (row["at"], -row["id"]),
    "by id": lambda row: row["id"],
}
PAGINGS: Mapping[str, dict[str, Any]] = {
    # Rows are added between readings alone, so that a number of rows is a place here.
    "token": {"kind": "cursor", "cursor_field": "next", "stable": True, "size": SIZE},
    "empty page": {"kind": "offset", "size": SIZE},
    "flag": {"kind": "page_numbers", "size_parameter": "limit", "more_field": "more", "size": SIZE},
}
CAPS = {
    "none": ("none", 0),
    "6 records": ("count", 6),
    "4 records": ("count", 4),
    "3 records": ("count", 3),
    "2 pages": ("pages", 2),
    "5 hours": ("first", 5 * HOUR),
    "the last 5 hours": ("last", 5 * HOUR),
}
LIMITS: Mapping[str, dict[str, Any]] = {
    "a cap of 6": {"cap": {"most": 6}},
    "a cap of 12": {"cap": {"most": 12}},
    "a cap of 1000": {"cap": {"most": 1000}},
    "windows of 5 hours": {"window_s": 5 * HOUR},
    "windows of 10 hours": {"window_s": 10 * HOUR},
    "windows of 40 hours": {"window_s": 40 * HOUR},
}


@dataclass
class Capped:
    """Rows with a moment each, of which one query gives no more than so much."""

    order: str
    cap: tuple[str, int]
    spread: str
    announces: bool
    count: int = 18

    def __post_init__(self) -> None:
        self.rows = [self.row(number) for number in range(self.count)]

    def row(self, number: int) -> dict[str, Any]:
        """Make a row."""
        at = BEGIN + timedelta(seconds=SPREADS[self.spread](number))
        return {"id": number + 1, "at": at.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def more(self) -> None:
        """Add rows that are newer than all; what is further apart than what one query spans cannot be known of."""
        last = max(datetime.fromisoformat(row["at"]) for row in self.rows)
        for number in range(3):
            at = last + timedelta(hours=(1 if self.cap[0] in ("first", "last") else 48) + number)
            self.rows.append({"id": 100 + number, "at": at.strftime("%Y-%m-%dT%H:%M:%SZ")})

    def answer(self, asked: Asked) -> Answer:
        """Answer one page of one query."""
        query, (kind, most) = asked.query, self.cap
        since, until = (datetime.fromisoformat(query[name]) for name in ("from", "to"))
        if kind == "first":
            until = min(until, since + timedelta(seconds=most))
        if kind == "last":
            # What has not been yet cannot be the end of what is asked for.
            until = min(until, BEGIN + timedelta(days=3))
            since = max(since, until - timedelta(seconds=most))
        rows = [row for row in self.rows if since <= datetime.fromisoformat(row["at"]) < until]
        rows.sort(key=ORDERS[self.order], reverse=self.order == "falling")
        size = asked.number("limit", SIZE)
        if kind == "count":
            rows = rows[:most]
        if kind == "pages":
            rows = rows[: most * size]
        at = (
            int(query.get("cursor", 0))
            or int(query.get("offset", 0))
            or (int(query.get("page", 1)) - 1) * size
        )
        part, left = rows[at : at + size], len(rows) > at + size
        body = {"rows": part, "next": at + size if left else None, "more": left}
        if self.announces:
            body["total"] = len(rows)
        return Answer(json.dumps(body).encode())


@dataclass(frozen=True)
class Case:
    """One API, and how it is described."""

    order: str
    cap: str
    spread: str
    paging: str
    limit: str
    announces: bool
    key: bool

    def described(self) -> dict[str, Any]:
        """Return the description."""
        limit = dict(LIMITS[self.limit])
        incremental = {
            "parameter": "from",
            "until_parameter": "to",
            "field": "at",
            "format": "iso_s",
            "start": "2025-12-31T20:00:00Z",
        }
        incremental |= {name: limit.pop(name) for name in ("window_s",) if name in limit}
        described = {
            "path": "/rows",
            "records": "rows",
            "pagination": PAGINGS[self.paging],
            "incremental": incremental,
            "key": ["id"] if self.key else [],
            **limit,
        }
        return described | ({"completeness": {"total_field": "total"}} if self.announces else {})


def cases() -> Iterator[Case]:
    """Yield every API with every description."""
    for names in product(ORDERS, CAPS, SPREADS, PAGINGS, LIMITS, (False, True), (True, False)):
        case = Case(*names)
        if CAPS[case.cap][0] == "first" and case.spread == "ties":
            # All are later than what the first query spans.
            continue
        if CAPS[case.cap][0] == "last" and case.limit not in ("windows of 5 hours", "windows of 10 hours"):
            # A query up to now gives nothing, as where there is nothing.
            continue
        yield case


def play(case: Case, batches: int | None = None) -> tuple[str, str]:
    """Read, once more after rows were added, and once more; ``batches``: the first reading is killed after so many."""
    api = Capped(case.order, CAPS[case.cap], case.spread, case.announces)
    came, what = nothing(), "exact"
    with served(api.answer) as upstream:
        reading = source(upstream.url, case.described(), pages=2 if batches else 400)
        for turn in range(3):
            came.shown = None
            try:
                read(reading, came, batches=batches if turn == 0 else None)
                if not (came.position or {"done": True})["done"]:
                    came.shown = None
                    read(reading, came)
            except HeadworksError as problem:
                return "refused", str(problem)
            lost = {row["id"] for row in api.rows} - {record["id"] for record in came.records}
            if lost and came.shown is not False:
                return "LIES", f"turn {turn}: {sorted(lost)} lost, shown={came.shown}, {came.warnings}"
            if lost or came.shown is False:
                what = "warned"
            # A run that is not shown to be complete is followed by one that begins where it began.
            if (
                what == "exact"
                and case.key
                and len({record["id"] for record in came.records}) < len(came.records)
            ):
                return "TWICE", f"turn {turn}"
            if turn == 0:
                api.more()
    return what, ""


@pytest.mark.sampled(40, always="paging='token', limit='a cap of 6'")
@pytest.mark.parametrize("case", Random(6).sample(list(cases()), 150), ids=str)
def test_a_query_that_is_cut_off_in_silence_is_not_called_complete(case: Case) -> None:
    what, said = play(case)
    assert what not in ("LIES", "TWICE"), said
    # What is as it is described is read exactly.
    if (
        case.limit == "a cap of 6"
        and case.paging == "token"
        and case.cap in ("none", "6 records")
        and case.spread != "ties"
    ):
        assert what == "exact", said


@pytest.mark.sampled(28)
@pytest.mark.parametrize("batches", [1, 2, 3, 5])
@pytest.mark.parametrize("case", Random(7).sample([one for one in cases() if one.key], 25), ids=str)
def test_a_kill_in_between_changes_nothing_about_that(case: Case, batches: int) -> None:
    what, said = play(case, batches)
    assert what not in ("LIES", "TWICE"), said


@pytest.mark.parametrize("expires", [3, 4, 5, 6, 7])
def test_a_scan_that_expires_while_it_is_compared_loses_nothing_of_the_page_in_hand(expires: int) -> None:
    case = Case("rising", "none", "dense", "token", "a cap of 1000", announces=False, key=True)
    api, asked = Capped(case.order, CAPS[case.cap], case.spread, announces=False), iter(range(1, 1000))

    def answer(request: Asked) -> Answer:
        return Answer(b"{}", 410) if next(asked) == expires else api.answer(request)

    with served(answer) as upstream:
        came = read(source(upstream.url, case.described()), nothing())
    assert sorted(record["id"] for record in came.records) == [row["id"] for row in api.rows]
    assert came.shown


def main() -> int:
    """Play all: ``python -m tests.hostile.test_caps``."""
    counts: Counter[str] = Counter()
    every = list(cases())
    if len(sys.argv) > 1:
        every = Random(int(sys.argv[1])).sample(every, int(sys.argv[2]))
    for case in every:
        what, said = play(case)
        counts[what] += 1
        if what in ("LIES", "TWICE"):
            print(what, case, said, flush=True)
    print(len(every), dict(counts))
    return 1 if counts["LIES"] or counts["TWICE"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
