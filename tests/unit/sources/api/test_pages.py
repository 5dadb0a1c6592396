"""Pagination without a server: which page comes next, where a reading ends, and what it refuses to believe."""

from __future__ import annotations

import pytest
from headworks.sources.api.pages import Cursors, Page, PageNumbers, Paginator
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headworks.errors import ReadIncomplete
from headworks.sources.base import Position

NUMBERS = PageNumbers(pages_field="pages", total_field="total", size=10)
CURSORS = Cursors(since_parameter="since", size=10)


def walk(paginator: Paginator, pages: list[Page], position: Position | None = None) -> list[Position]:
    """Follow a paginator through pages; returns the position of each request, and the last one after the end."""
    here = paginator.resume(position)
    positions = [here]
    for page in pages:
        step = paginator.after(here, page)
        here = step.position
        positions.append(here)
        if step.ended:
            return positions
    return positions


def counted(total: int, size: int) -> list[Page]:
    """Make the pages of an API that tells how many pages and records it has."""
    pages = -(-total // size)
    sizes = [min(size, total - size * n) for n in range(pages)] or [0]
    return [Page(records, {"pages": pages, "total": total}) for records in sizes]


@given(total=st.integers(0, 200), size=st.integers(1, 30), first=st.integers(0, 3))
def test_every_page_is_asked_for_once_and_in_order(total: int, size: int, first: int) -> None:
    paginator = NUMBERS.model_copy(update={"size": size, "first": first})
    *positions, last = walk(paginator, counted(total, size))
    asked = [int(paginator.parameters(position)["page"]) for position in positions]
    assert asked == list(range(first, first + max(1, -(-total // size))))
    assert (last["page"], last["seen"]) == (None, total)


@given(total=st.integers(0, 100), size=st.integers(1, 30))
def test_without_an_announced_end_an_empty_page_ends_the_reading(total: int, size: int) -> None:
    paginator = PageNumbers(size=size)
    pages = [Page(page.records, {}) for page in counted(total, size) if page.records]
    positions = walk(paginator, [*pages, Page(0, {}), Page(99, {})])
    assert len(positions) == len(pages) + 2
    assert positions[-1]["page"] is None


@given(pages=st.integers(2, 20), cut=st.data())
def test_a_reading_cut_short_goes_back_one_page_and_never_before_the_first(
    pages: int, cut: st.DataObject
) -> None:
    positions = walk(NUMBERS, counted(pages * 10, 10))
    stopped = positions[cut.draw(st.integers(0, pages - 1))]
    again = NUMBERS.resume(stopped)
    assert again["page"] == max(1, stopped["page"] - 1)
    assert again["pass"] == stopped["pass"]


def test_a_finished_reading_is_followed_by_a_new_pass_from_the_first_page() -> None:
    ended = walk(NUMBERS, counted(25, 10))[-1]
    assert NUMBERS.resume(ended) == {"page": 1, "pass": 2, "seen": 0}


def test_fewer_records_than_announced_are_not_believed_to_be_all() -> None:
    pages = [Page(10, {"pages": 2, "total": 20}), Page(9, {"pages": 2, "total": 20})]
    with pytest.raises(ReadIncomplete, match="announced 20 records and gave 19"):
        walk(NUMBERS, pages)


def test_a_resumed_reading_does_not_know_how_many_records_it_saw_and_so_does_not_judge() -> None:
    pages = [Page(10, {"pages": 3, "total": 30})]
    resumed = NUMBERS.resume({"page": 3, "pass": 1, "seen": 20})
    assert (resumed["page"], resumed["seen"]) == (2, None)
    assert walk(NUMBERS, pages * 2, {"page": 3, "pass": 1, "seen": 20})[-1]["page"] is None


def test_a_reading_that_does_not_end_is_stopped() -> None:
    endless = [Page(10, {})] * 10
    with pytest.raises(ReadIncomplete, match="within 5 pages"):
        walk(PageNumbers(most_pages=5), endless)
    tokens = [Page(10, {"next_cursor": f"t{n}"}) for n in range(10)]
    with pytest.raises(ReadIncomplete, match="within 5 pages"):
        walk(Cursors(most_pages=5), tokens)


@given(tokens=st.lists(st.text(min_size=1), unique=True, max_size=20))
def test_each_token_is_sent_back_as_it_came(tokens: list[str]) -> None:
    pages = [Page(1, {"next_cursor": token}) for token in tokens]
    *positions, last = walk(CURSORS, [*pages, Page(1, {"next_cursor": None})])
    assert [CURSORS.parameters(position).get("cursor") for position in positions] == [None, *tokens]
    assert last["cursor"] is None


@pytest.mark.parametrize("end", [None, "", 0])
def test_a_null_or_empty_token_ends_the_reading(end: object) -> None:
    assert CURSORS.after(CURSORS.resume(None), Page(3, {"next_cursor": end})).ended


def test_the_same_token_twice_in_a_row_is_not_followed_for_ever() -> None:
    with pytest.raises(ReadIncomplete, match="same cursor twice"):
        walk(CURSORS, [Page(1, {"next_cursor": "a"})] * 2)


def test_a_cursor_reading_cut_short_goes_on_with_its_token_and_its_beginning() -> None:
    """A watermark seen meanwhile must not move the beginning under a token that belongs to another query."""
    stopped = {"cursor": "abc", "since": "2026-01-01", "watermark": "2026-03-01", "pages": 3}
    again = CURSORS.resume(stopped)
    assert CURSORS.parameters(again) == {"limit": "10", "since": "2026-01-01", "cursor": "abc"}


def test_a_finished_cursor_reading_is_followed_by_one_from_its_watermark() -> None:
    ended = {"cursor": None, "since": "2026-01-01", "watermark": "2026-03-01", "pages": 0}
    assert CURSORS.parameters(CURSORS.resume(ended)) == {"limit": "10", "since": "2026-03-01"}


def test_the_very_first_reading_begins_where_the_settings_say() -> None:
    first = CURSORS.model_copy(update={"since": "2020-02-02"})
    assert first.parameters(first.resume(None)) == {"limit": "10", "since": "2020-02-02"}


def test_a_paginator_takes_no_page_size_below_one() -> None:
    for kind in (PageNumbers, Cursors):
        with pytest.raises(ValidationError, match="greater than or equal to 1"):
            kind(size=0)
