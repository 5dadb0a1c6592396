"""Every kind of pagination walks an API of its kind to the end, from any state that it was stopped in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from headworks.errors import ReadIncomplete
from headworks.sources.api.paginate import (
    Ask,
    Composite,
    Cursor,
    Keyset,
    LinkHeader,
    NextHeader,
    NextUrl,
    Offset,
    Page,
    PageNumbers,
    Pagination,
    Paginator,
    Single,
    State,
)
from headworks.sources.api.paginate.links import next_link

Serve = Callable[[Ask, int], tuple[list[int], Page]]
"""Answers a request on so many records: which of them, and what the page says."""

SIZE = 3


@dataclass(frozen=True)
class Style:
    """A paginator and an API of its kind."""

    paginator: Paginator
    serve: Serve


def page(records: list[int], **said: Any) -> Page:
    return Page(len(records), len(records), url="http://api/things", **said)


def by_number(ask: Ask, count: int) -> tuple[list[int], Page]:
    at = (int(ask.query["page"]) - 1) * SIZE
    records = list(range(count))[at : at + SIZE]
    return records, page(records, fields={"pages": -(-count // SIZE)}, total=count)


def by_number_alone(ask: Ask, count: int) -> tuple[list[int], Page]:
    records, said = by_number(ask, count)
    return records, replace(said, fields={}, total=None)


def by_next_number(ask: Ask, count: int) -> tuple[list[int], Page]:
    records, said = by_number(ask, count)
    number = int(ask.query["page"])
    return records, replace(said, fields={"next": number + 1 if number * SIZE < count else None}, total=None)


def by_offset(ask: Ask, count: int) -> tuple[list[int], Page]:
    at = int(ask.query["offset"])
    records = list(range(count))[at : at + min(int(ask.query["limit"]), SIZE)]
    return records, page(records)


def by_token(ask: Ask, count: int, token: str | None = None) -> tuple[list[int], Page]:
    at = int((token or ask.query.get("cursor", "t0"))[1:])
    records = list(range(count))[at : at + SIZE]
    following = f"t{at + SIZE}" if at + SIZE < count else ""
    return records, page(records, fields={"next_cursor": following, "more": bool(following)})


def by_token_in_body(ask: Ask, count: int) -> tuple[list[int], Page]:
    return by_token(ask, count, ask.body.get("variables.after"))


def by_object(ask: Ask, count: int) -> tuple[list[int], Page]:
    at = json.loads(ask.query["cursor"])["at"] if "cursor" in ask.query else 0
    records = list(range(count))[at : at + SIZE]
    return records, page(records, fields={"next_cursor": {"at": at + SIZE} if at + SIZE < count else None})


def by_same_token(ask: Ask, count: int) -> tuple[list[int], Page]:
    records, said = by_token(ask, count)
    at = int(ask.query.get("cursor", "t0")[1:])
    return records, replace(said, fields={"next_cursor": f"t{at + len(records)}"})


def by_address(ask: Ask, count: int) -> tuple[list[int], Page]:
    at = int(dict(parse_qsl(urlsplit(ask.url or "").query)).get("at", "0"))
    records = list(range(count))[at : at + SIZE]
    url = f"?at={at + SIZE}" if at + SIZE < count else None
    headers = {"link": f'</first>; rel="first", <{url}>; rel="next"', "next-page": url} if url else {}
    return records, page(records, fields={"next": url}, headers=headers)


def by_header_token(ask: Ask, count: int) -> tuple[list[int], Page]:
    at = int(ask.query.get("from", "0"))
    records = list(range(count))[at : at + SIZE]
    return records, page(records, headers={"x-next": str(at + SIZE)} if at + SIZE < count else {})


def by_key(ask: Ask, count: int) -> tuple[list[int], Page]:
    at = int(ask.query.get("after", "-1")) + 1
    records = list(range(count))[at : at + SIZE]
    return records, page(records, last={"id": records[-1]} if records else {})


def by_two(ask: Ask, count: int) -> tuple[list[int], Page]:
    at = 3 * int(ask.query.get("x", "0")) + int(ask.query.get("y", "0"))
    records, said = list(range(count))[at : at + 1], {}
    if at + 1 < count:
        said = {"next.x": str((at + 1) // 3), "next.y": str((at + 1) % 3 or "0")}
    return records, page(records, fields=said)


STYLES = {
    "page numbers": Style(PageNumbers(size=SIZE, pages_field="pages"), by_number),
    "page numbers alone": Style(PageNumbers(size=SIZE), by_number_alone),
    "short page ends": Style(PageNumbers(size=SIZE, short_page_ends=True), by_number_alone),
    "page size cut": Style(PageNumbers(size=100, pages_field="pages"), by_number),
    "next number": Style(PageNumbers(size=SIZE, next_field="next"), by_next_number),
    "offset": Style(Offset(size=SIZE), by_offset),
    "offset, size cut": Style(Offset(size=100), by_offset),
    "cursor": Style(Cursor(), by_token),
    "cursor with a flag": Style(Cursor(more_field="more"), by_token),
    "cursor sent alone": Style(Cursor(alone=True), by_token),
    "cursor in the body": Style(
        Cursor(send_in="body", cursor_parameter="variables.after", size_in="body"), by_token_in_body
    ),
    "cursor of an object": Style(Cursor(), by_object),
    "the same token ends": Style(Cursor(same_ends=True), by_same_token),
    "next url": Style(NextUrl(), by_address),
    "link header": Style(LinkHeader(), by_address),
    "next header": Style(NextHeader(header="Next-Page"), by_address),
    "token in a header": Style(NextHeader(header="X-Next", cursor_parameter="from"), by_header_token),
    "keyset": Style(Keyset(key_parameter="after"), by_key),
    "two cursors": Style(
        Composite(
            cursors=(
                Cursor(cursor_parameter="x", cursor_field="next.x"),
                Cursor(cursor_parameter="y", cursor_field="next.y"),
            )
        ),
        by_two,
    ),
}


def walk(style: Style, count: int, state: State | None = None) -> tuple[list[int], list[State]]:
    """Walk to the end; the records in the order in which they came, and every state on the way."""
    state = style.paginator.begin() if state is None else state
    records: list[int] = []
    states: list[State] = []
    while True:
        states.append(state)
        assert len(states) < 200, "it does not end"
        came, said = style.serve(style.paginator.ask(state), count)
        records += came
        step = style.paginator.after(state, said)
        if step.state is None:
            return records, states
        state = json.loads(json.dumps(step.state))


@pytest.mark.parametrize("name", STYLES)
@settings(max_examples=25)
@given(count=st.integers(0, 20))
def test_every_record_comes_once_and_in_order(name: str, count: int) -> None:
    assert walk(STYLES[name], count)[0] == list(range(count))


@pytest.mark.parametrize("name", STYLES)
@settings(max_examples=25)
@given(count=st.integers(1, 20), data=st.data())
def test_a_scan_goes_on_from_any_state_with_at_most_a_page_twice(
    name: str, count: int, data: st.DataObject
) -> None:
    style = STYLES[name]
    _, states = walk(style, count)
    at = data.draw(st.integers(0, len(states) - 1))
    before: list[int] = []
    for state in states[:at]:
        before += style.serve(style.paginator.ask(state), count)[0]
    after, _ = walk(style, count, style.paginator.rewind(states[at]))
    again = set(before) & set(after)
    assert sorted(set(before) | set(after)) == list(range(count))
    assert len(again) <= SIZE


@pytest.mark.parametrize("name", ["page numbers", "page numbers alone", "offset"])
@settings(max_examples=25)
@given(count=st.integers(4, 30))
def test_a_guess_is_the_request_that_comes_or_one_past_the_end(name: str, count: int) -> None:
    style = STYLES[name]
    _, states = walk(style, count)
    asks = [style.paginator.ask(state) for state in states]
    for place, state in enumerate(states[1:], 1):
        for steps in range(1, 4):
            guessed = style.paginator.ahead(state, steps)
            if guessed is not None and place + steps < len(asks):
                asked = style.paginator.ask(guessed).query
                past = int(asked.get("offset", 0)) >= count
                assert past or asked == asks[place + steps].query


def test_no_page_is_guessed_past_what_was_announced() -> None:
    numbers = PageNumbers(size=SIZE, pages_field="pages")
    said = page([0, 1, 2], fields={"pages": 4}, total=10)
    state = numbers.after(numbers.begin(), said).state
    assert state is not None
    assert [bool(numbers.ahead(state, steps)) for steps in range(1, 5)] == [True, True, False, False]


def test_an_announced_number_that_is_too_low_does_not_end_the_scan() -> None:
    numbers = PageNumbers(size=SIZE, pages_field="pages")
    lied = numbers.after(numbers.begin(), page([0, 1, 2], fields={"pages": 1}))
    assert lied.state is not None
    assert numbers.ask(lied.state).may_be_missing
    assert numbers.after(lied.state, page([], fields={"pages": 1})).state is None


def test_a_total_that_shrinks_leaves_the_scan_without_evidence() -> None:
    numbers = PageNumbers(size=1)
    state = numbers.after(numbers.begin(), page([0], total=3)).state
    assert state is not None
    state = numbers.after(state, page([1], total=2)).state
    end = numbers.after(state or {}, page([], total=2)) if state else None
    assert end is None or end.evidence == "none"
    two = PageNumbers(size=2)
    first = two.after(two.begin(), page([0], total=1)).state
    assert first is not None, "the total may be the number of the page's own records"
    whole = two.after(first, page([], total=1))
    assert whole.evidence == "consistent"


def test_a_cut_page_size_is_told() -> None:
    numbers = PageNumbers(size=100)
    first = numbers.after(numbers.begin(), page([0, 1, 2], total=9))
    assert first.state is not None
    second = numbers.after(first.state, page([3, 4, 5], total=9))
    assert "cut the page size of 100 to 3" in second.warning


def test_a_flag_that_promises_more_without_a_token_is_no_end() -> None:
    cursor = Cursor(more_field="more")
    with pytest.raises(ReadIncomplete, match="more follows"):
        cursor.after(cursor.begin(), page([1], fields={"next_cursor": None, "more": True}))


def test_pages_that_lead_back_are_refused() -> None:
    numbers = PageNumbers(next_field="next")
    state = numbers.after(numbers.begin(), page([1], fields={"next": 2})).state
    assert state is not None
    onward = numbers.after(state, page([1], fields={"next": 3})).state
    assert onward is not None
    with pytest.raises(ReadIncomplete, match="sends back"):
        numbers.after(onward, page([1], fields={"next": 1}))


def test_an_inclusive_key_ends_where_nothing_new_comes_and_stops_at_a_page_of_one_key() -> None:
    keyset = Keyset(key_parameter="from", inclusive=True, size=SIZE)
    state = keyset.after(keyset.begin(), page([1, 2, 3], last={"id": 3})).state
    assert state is not None
    assert keyset.after(state, Page(1, 0, last={"id": 3})).state is None
    with pytest.raises(ReadIncomplete, match="larger pages"):
        keyset.after(state, Page(3, 2, last={"id": 3}))


@pytest.mark.parametrize(
    ("header", "url"),
    [
        ('<https://a/x?page=2>; rel="next"', "https://a/x?page=2"),
        ("<https://a/x,y?q=1;2>; rel=next", "https://a/x,y?q=1;2"),
        ('<a>; rel="prev first", <b>; title="n, ext"; REL="last next"', "b"),
        ('<a>; rel="prev"', None),
        ("", None),
    ],
)
def test_the_next_address_is_found_in_a_link_header(header: str, url: str | None) -> None:
    assert next_link(header) == url


def test_the_kind_chooses_the_class_and_an_unknown_one_is_named() -> None:
    kinds = TypeAdapter[Any](Pagination)
    described: Mapping[str, Any] = {"kind": "offset", "size": 5}
    assert kinds.validate_python(described) == Offset(size=5)
    assert kinds.validate_python({"kind": "single"}) == Single()
    with pytest.raises(ValidationError, match="page_numbers"):
        kinds.validate_python({"kind": "pages"})


def test_after_a_full_page_a_total_that_was_reached_is_not_believed_alone() -> None:
    for kind in (PageNumbers(size=2), Offset(size=2)):
        step = kind.after(kind.begin(), page([0, 1], total=2))
        assert step.state is not None
        assert kind.ask(step.state).may_be_missing
        lied = kind.after(step.state, page([2], total=2))
        assert lied.state is not None, "what is more than the total says that it is none"
        assert kind.after(lied.state, page([], total=2)).state is None
        assert kind.after(step.state, page([], total=2)).evidence == "consistent"
