"""What in a token or a link counts as a place after a key, and what agrees with a record by coincidence."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from time import process_time
from typing import Any

import pytest

from headworks.sources.api.paginate import Cursor, NextUrl, Page
from headworks.sources.api.paginate.base import Evidence
from headworks.sources.api.paginate.places import leaves_of

SIZE = 5
TODAY = "2026-11-30"
Row = Mapping[str, Any]


def packed(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def scanned(
    rows: Sequence[Row],
    token: Callable[[int], Any],
    *,
    address: bool = False,
    every: bool = True,
    key: tuple[str, ...] = (),
    parameter: str = "cursor",
) -> Evidence:
    """Return the evidence of a scan in which ``token`` leads from a page's number to the next page."""
    paging = NextUrl(url_field="next") if address else Cursor(cursor_field="next", cursor_parameter=parameter)
    state, url = paging.begin(), "http://api/x"
    pages = [rows[at : at + SIZE] for at in range(0, len(rows), SIZE)]
    for number, part in enumerate(pages, 1):
        raw = [json.dumps(row).encode() for row in part]
        following = token(number) if number < len(pages) else None
        page = Page(
            len(raw),
            len(raw),
            fields={"next": following},
            url=url,
            edges=(raw[0], raw[-1]),
            every=raw if every else (),
            key=key,
        )
        step = paging.after(state, page)
        if step.state is None:
            return step.evidence
        state = json.loads(json.dumps(step.state))
        url = str(following) if address else url
    raise AssertionError("it did not end")


def ids(count: int, **more: Any) -> list[Row]:
    """Return rows whose ids have gaps."""
    return [{"id": 40_017 + 13 * number, **more} for number in range(count)]


def days(count: int) -> list[Row]:
    """Return rows of which the last one of each page is of today, unless it is alone, and all others of other days."""
    last = {*range(SIZE - 1, count, SIZE), count - 1 if count % SIZE != 1 else 0} - {0}
    return [
        {"code": f"x{n * n}", "day": TODAY if n in last else f"2026-{n % 12 + 1:02d}-03"}
        for n in range(count)
    ]


def words(count: int) -> list[Row]:
    return [
        {"code": f"x{n * n}", "event": "created" if n % SIZE == SIZE - 1 else f"updated {n}"}
        for n in range(count)
    ]


COUNTS = (SIZE + 1, SIZE + 2, 2 * SIZE, 2 * SIZE + 1, 3 * SIZE, 3 * SIZE + 1, 4 * SIZE, 5 * SIZE + 1)
"""Rows: with and without a last page of one record, of two pages and more."""
BESIDE: Mapping[str, tuple[Callable[[int], list[Row]], Callable[[int], Any], bool]] = {
    "an account": (
        lambda count: ids(count, account="acct_9137"),
        lambda page: packed({"account": "acct_9137", "p": page + 1}),
        False,
    ),
    "an account's number": (
        lambda count: ids(count, account=9137),
        lambda page: packed({"account_id": 9137, "p": page + 1}),
        False,
    ),
    "a day": (days, lambda page: packed({"issued": TODAY, "p": page + 1}), False),
    "a day as a number": (
        lambda count: [{**row, "day": int(row["day"].replace("-", ""))} for row in days(count)],
        lambda page: packed({"issued": 20261130, "p": page + 1}),
        False,
    ),
    "a day's beginning": (
        lambda count: [{**row, "day": f"{row['day']}T00:00:00Z"} for row in days(count)],
        lambda page: packed({"issued": f"{TODAY}T00:00:00Z", "p": page + 1}),
        False,
    ),
    "a day in a text": (days, lambda page: f"issued {TODAY} part {page + 1}", False),
    "an order": (words, lambda page: f"http://api/x?cursor=Zk8xq{page}&sort=created", True),
    "an order in JSON": (words, lambda page: packed({"sort_key": "created", "p": page + 1}), False),
    "an order in a text": (words, lambda page: f"created:desc:Zk8xq{page}", False),
    "the largest id": (ids, lambda page: packed({"upto": 0, "p": page + 1}), False),
    "a number that is short": (
        lambda count: [
            {"code": f"x{n * n}", "amount": 77 if n % SIZE == SIZE - 1 else n} for n in range(count)
        ],
        lambda page: packed({"tenant_id": 77, "p": page + 1}),
        False,
    ),
}
"""Rows, a token that counts pages and holds something else in addition, and whether it is an address."""


@pytest.mark.parametrize("every", [True, False], ids=["all records", "first and last"])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("parameter", ["cursor", "after"])
def test_what_a_counter_holds_in_addition_makes_it_no_key(
    beside: str, count: int, every: bool, parameter: str
) -> None:
    rows_of, token, address = BESIDE[beside]
    rows = rows_of(count)
    if beside == "the largest id":
        token = lambda page: packed({"upto": rows[-1]["id"], "p": page + 1})  # noqa: E731
    assert scanned(rows, token, address=address, every=every, parameter=parameter) == "none"


def test_a_value_that_another_record_of_the_page_has_is_no_key() -> None:
    rows = [{"code": f"x{n * n}", "batch": f"B-{70 + n - (n % SIZE == SIZE - 1)}"} for n in range(4 * SIZE)]
    assert scanned(rows, lambda page: packed({"batch": rows[page * SIZE - 1]["batch"], "p": page})) == "none"


def test_a_value_that_an_earlier_page_has_is_no_key() -> None:
    rows = [{"code": f"x{n * n}", "batch": "B-77" if n in (1, SIZE) else f"A-{n}"} for n in range(2 * SIZE)]
    assert scanned(rows, lambda page: packed({"batch": "B-77", "p": page})) == "none"


def test_a_value_that_a_later_page_has_again_is_no_key() -> None:
    rows = [
        {"code": f"x{n * n}", "batch": "B-77" if n in (SIZE - 1, SIZE + 1) else f"A-{n}"}
        for n in range(2 * SIZE)
    ]
    assert scanned(rows, lambda page: packed({"batch": "B-77", "p": page})) == "none"


KEYS: Mapping[str, Callable[[Sequence[Row], int], Any]] = {
    "the last key": lambda rows, at: packed({"n": SIZE, "last_id": rows[at - 1]["id"]}),
    "the following key": lambda rows, at: packed({"key": rows[at]["id"]}),
    "the last key in an address": lambda rows, at: f"http://api/x?after={rows[at - 1]['id']}&limit=5",
    "the last moment and key": lambda rows, at: packed([rows[at - 1]["at"], rows[at - 1]["id"]]),
    "the last day under a key's name": lambda rows, at: packed({"after": rows[at - 1]["day"], "n": 3}),
}


@pytest.mark.parametrize("every", [True, False], ids=["all records", "first and last"])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("key", KEYS)
def test_a_key_in_a_token_is_seen_in_two_pages_and_in_many(key: str, count: int, every: bool) -> None:
    rows = [
        {
            **row,
            "account": 7,
            "at": f"2026-11-30T20:{n:02d}:11Z",
            "day": f"2026-{n // 28 + 1:02d}-{n % 28 + 1:02d}",
        }
        for n, row in enumerate(ids(count))
    ]
    # The only record of a second page has the largest value there is, which a counter may hold as its bound.
    expected = "none" if key == "the following key" and count == SIZE + 1 else "proven"
    address = "address" in key
    evidence = scanned(rows, lambda page: KEYS[key](rows, page * SIZE), address=address, every=every)
    assert evidence == expected


@pytest.mark.parametrize("inclusive", [True, False])
def test_the_very_record_that_led_to_a_page_may_be_its_first(inclusive: bool) -> None:
    rows = ids(3)
    again = rows[2] if inclusive else {**rows[2], "id": 1, "ref": rows[2]["id"]}
    pages = [rows, [again, {"id": 50_000}]]
    paging, state = Cursor(cursor_field="next"), Cursor().begin()
    for part, following in zip(pages, (packed({"last_id": rows[2]["id"]}), None), strict=True):
        raw = [json.dumps(row).encode() for row in part]
        page = Page(len(raw), len(raw), fields={"next": following}, edges=(raw[0], raw[-1]), every=raw)
        step = paging.after(state, page)
        state = step.state or {}
    assert step.evidence == "proven"


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    ("name", "key", "evidence"),
    [
        ("id", (), "proven"),
        ("order_id", (), "proven"),
        ("number", ("number",), "proven"),
        ("code", ("code",), "proven"),
        ("no", (), "none"),
        ("number", (), "none"),
        ("seq", (), "none"),
        ("sequence", ("uuid",), "none"),
        ("key", (), "none"),
        ("id", ("uuid",), "none"),
        ("line", ("order", "line"), "none"),
    ],
)
def test_keys_without_a_gap_leave_nothing_out_and_numbers_of_rows_show_nothing(
    name: str, key: tuple[str, ...], evidence: str, count: int
) -> None:
    """An API that numbers the rows of its answer has no gap, whatever was pushed out of sight."""
    rows = [{"uuid": f"{n * n:x}-{n * 7919:x}", name: n + 1} for n in range(count)]
    assert scanned(rows, lambda page: f"Zk8xq{page}", key=key) == evidence


@pytest.mark.parametrize(
    "written", [str, int, lambda number: f"row {number}"], ids=["text", "number", "word"]
)
@pytest.mark.parametrize(
    ("name", "key", "evidence"),
    [
        ("id", (), "proven"),
        ("number", ("number",), "proven"),
        ("row", (), "none"),
        ("number", (), "none"),
        ("sequence", ("uuid",), "none"),
        ("id", ("uuid",), "none"),
    ],
)
def test_a_count_that_leads_to_the_next_number_is_a_place_where_that_is_a_key_alone(
    name: str, key: tuple[str, ...], evidence: str, written: Callable[[int], Any]
) -> None:
    """By a query that numbers its rows each page begins with the number that follows, whatever was pushed out."""
    rows = [{"uuid": f"{n * n:x}-{n * 7919:x}", name: n + 1} for n in range(3 * SIZE + 2)]
    assert scanned(rows, lambda page: written(page * SIZE), key=key) == evidence


@pytest.mark.parametrize("name", ["id", "order_id", "amount"])
@pytest.mark.parametrize("digits", ["9" * 5_000, "٣" * 5_000, "²", "1" * 19])
def test_a_number_of_thousands_of_digits_is_no_error(name: str, digits: str) -> None:
    rows = [{name: digits, "n": n} for n in range(2 * SIZE)]
    assert scanned(rows, lambda page: f"Zk8xq{page}") == "none"
    assert scanned(rows, lambda page: digits) == "none"


@pytest.mark.parametrize(
    "token", ["x://[q", "http://[", "/x://[q", "//[", "https://a]b/c", "http://\u2100.example/x"]
)
def test_a_token_that_looks_like_an_address_and_is_none_is_opaque(token: str) -> None:
    assert scanned(ids(2 * SIZE), lambda page: token) == "none"
    assert scanned(ids(2 * SIZE), lambda page: {"at": token}) == "none"


HUGE: Mapping[str, Any] = {
    "percent signs": "%25" * 300_000,
    "dots": "." * 2_000_000,
    "parts": "eyJ4." * 400_000,
    "pairs": "a=b&" * 300_000,
    "Base64": base64.b64encode(b"." * 1_000_000).decode(),
    "nulls": {"a": [[[None] * 60] * 60] * 60},
    "nothing": {"a": [[[[]] * 60] * 60] * 60},
    "nulls at the top": [None] * 1_900_000,
    "nulls in text": packed({"a": [[[None] * 60] * 60] * 10}),
    "an address": "http://api/x?" + "a=%25&" * 200_000,
    "an address of dots": "http://api/" + "./" * 900_000,
    "a deep one": json.loads("[" * 500 + "]" * 500),
}


@pytest.mark.parametrize("name", HUGE)
def test_what_a_token_costs_is_bounded_whatever_it_holds(name: str) -> None:
    token = HUGE[name]
    begun = process_time()
    assert len(list(leaves_of(token))) <= 1_000
    assert process_time() - begun < 0.5
    rows = ids(2 * SIZE)
    begun = process_time()
    assert scanned(rows, lambda page: token) == "none"
    assert process_time() - begun < 3


def test_what_a_record_costs_is_bounded_however_many_members_it_has() -> None:
    rows: list[Row] = [{"a": [[[[]] * 60] * 60] * 10, "id": 40_017 + 13 * n} for n in range(2 * SIZE)]
    begun = process_time()
    assert scanned(rows, lambda page: f"Zk8xq{page}") == "none"
    assert process_time() - begun < 3
