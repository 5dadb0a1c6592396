"""Real HTTP into real bronze: every record once, to the byte, and a reading cut short continues where it was."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from headworks.errors import PageUnreadable, ReadIncomplete, ReadShort, SourceUnavailable
from headworks.sources.api.client import ApiClient
from headworks.sources.api.paginate import PageNumbers
from headworks.sources.api.resource import Resource
from headworks.storage.store import Lake
from tests.support.clients import api_client
from tests.support.served import Answer, Asked, cursored, in_turn, numbered, served
from tests.support.things import (
    BY_CURSOR,
    BY_PAGE,
    NAME,
    dated,
    land_things,
    landed_records,
    thing,
    things_in_silver,
)

NOT_NOW = Answer(status=0)
DOWN = Answer(status=503)

Opening = Callable[[str], ApiClient]


@pytest.fixture
def client() -> Opening:
    """Make a client of a URL that asks for one page at a time."""
    return lambda url: api_client(url, in_flight=1)


def down_at(page: str, upstream_is_down: list[bool]) -> Callable[[Asked], Answer]:
    """Refuse one page as long as the list's only element says so."""
    return lambda asked: DOWN if upstream_is_down[0] and asked.query.get("page") == page else NOT_NOW


def test_pages_by_number_land_every_record_once_and_in_order(lake: Lake, client: Opening) -> None:
    records = [thing(number) for number in range(1, 36)]
    with served(numbered(records)) as api:
        report = land_things(lake, client(api.url), BY_PAGE, batch_pages=2)
    assert [query["page"] for query in api.queries()] == ["1", "2", "3", "4"]
    assert landed_records(lake) == records
    assert (report.read, report.landed, report.batches) == (35, 35, 2)


def test_pages_by_cursor_land_every_record_once_and_in_order(lake: Lake, client: Opening) -> None:
    records = [dated(number) for number in range(35)]
    with served(cursored(records)) as api:
        report = land_things(lake, client(api.url), BY_CURSOR, batch_pages=3)
    assert [query.get("cursor") for query in api.queries()] == [None, "c10", "c20", "c30", "c30"]
    assert landed_records(lake) == [record for _, record in records]
    assert (report.read, report.landed, report.batches) == (35, 35, 2)


def test_bronze_holds_the_exact_bytes_of_each_record(lake: Lake, client: Opening) -> None:
    """Parsing and writing again would change numbers, escapes, spaces, order, and doubled names."""
    records = [
        b'{"id": 12345678901234567890123, "price": 1.10}',
        b'{"id":1.0e+2,   "price" :-0.0}',
        rb'{"name": "caf\u00e9 \ud83d\ude00 \/ \"", "id": 2}',
        '{"name": "café 😀 \u2028"}'.encode(),
        b'{"z": 1, "a": 2, "z": 3}',
        b"[1, 2]",
        b"null",
        b'"a text"',
        b'{"nested": {"deep": [ 1.50, {"x":  null} ]},\n "next": "line"}',
    ]
    with served(numbered(records)) as api:
        land_things(lake, client(api.url), BY_PAGE)
    assert landed_records(lake) == records


def test_each_row_tells_its_page_and_its_url(lake: Lake, client: Opening) -> None:
    with served(numbered([thing(number) for number in range(1, 13)])) as api:
        land_things(lake, client(api.url), BY_PAGE, batch_pages=5)
    rows = lake.must_open("bronze", NAME).scan().select("_page", "_url").unique().sort("_page").collect()
    assert rows.rows() == [
        (1, "/v1/things?page=1&per_page=10"),
        (2, "/v1/things?page=2&per_page=10"),
    ]


def test_an_empty_resource_lands_nothing_and_can_be_read_again(lake: Lake, client: Opening) -> None:
    records: list[bytes] = []
    with served(numbered(records)) as api:
        assert land_things(lake, client(api.url), BY_PAGE).landed == 0
        records.append(thing(1))
        assert land_things(lake, client(api.url), BY_PAGE).landed == 1
    assert landed_records(lake) == [thing(1)]


def test_records_may_be_the_body_itself(lake: Lake, client: Opening) -> None:
    plain = Resource(path="/v1/things", pagination=PageNumbers(size=2))
    pages = [Answer(b"[" + thing(1) + b", " + thing(2) + b"]"), Answer(b"[" + thing(3) + b"]"), Answer(b"[]")]
    with served(in_turn(*pages)) as api:
        land_things(lake, client(api.url), plain)
    assert landed_records(lake) == [thing(1), thing(2), thing(3)]


@pytest.mark.parametrize(
    "damaged",
    [
        b'{"data":{"items":[{"id": 1}, {"id',
        b"",
        b"<html>busy</html>",
        b"[]",
        b'{"data": null}',
        b'{"data":{}}',
    ],
)
def test_a_damaged_page_is_asked_for_again_and_lands_once(
    lake: Lake, client: Opening, damaged: bytes
) -> None:
    records = [thing(number) for number in range(1, 16)]
    answers = iter([NOT_NOW, Answer(damaged), Answer(damaged)])
    with served(numbered(records, lambda asked: next(answers, NOT_NOW))) as api:
        land_things(lake, client(api.url), BY_PAGE)
    assert [query["page"] for query in api.queries()] == ["1", "2", "2", "2"]
    assert landed_records(lake) == records


def test_a_page_that_stays_damaged_ends_the_reading_after_what_was_landed(
    lake: Lake, client: Opening
) -> None:
    records = [thing(number) for number in range(1, 26)]

    def damaged_at_3(asked: Asked) -> Answer:
        return Answer(b'{"data":') if asked.query["page"] == "3" else NOT_NOW

    with served(numbered(records, damaged_at_3)) as api, pytest.raises(PageUnreadable) as caught:
        land_things(lake, client(api.url), BY_PAGE)
    assert "8 bytes" in str(caught.value)
    assert "records at data.items" in str(caught.value)
    assert landed_records(lake) == records[:20]


def test_a_reading_by_number_cut_short_goes_back_one_page(lake: Lake, client: Opening) -> None:
    records, down = [thing(number) for number in range(1, 51)], [True]
    with served(numbered(records, down_at("4", down))) as api:
        with pytest.raises(SourceUnavailable):
            land_things(lake, client(api.url), BY_PAGE)
        assert landed_records(lake) == records[:30]
        down[0], before = False, len(api.asked)
        land_things(lake, client(api.url), BY_PAGE)
    assert [query["page"] for query in api.queries()[before:]] == ["3", "4", "5", "6"]
    assert things_in_silver(lake) == list(range(1, 51))


def test_rows_that_shift_between_a_crash_and_its_continuation_are_not_lost(
    lake: Lake, client: Opening
) -> None:
    """Three records of the first page go away meanwhile, so that 31 to 33 are now on a page that was read already."""
    records, down = [thing(number) for number in range(1, 51)], [True]
    with served(numbered(records, down_at("4", down))) as api:
        with pytest.raises(SourceUnavailable):
            land_things(lake, client(api.url), BY_PAGE)
        del records[:3]
        down[0] = False
        land_things(lake, client(api.url), BY_PAGE)
    assert things_in_silver(lake) == list(range(1, 51))


def test_rows_that_shift_backwards_come_twice_and_are_kept_once(lake: Lake, client: Opening) -> None:
    records = [thing(number) for number in range(1, 31)]

    def grows(asked: Asked) -> Answer:
        if asked.query["page"] == "2" and len(records) == 30:
            records[:0] = [thing(number) for number in range(101, 106)]
        return NOT_NOW

    with served(numbered(records, grows)) as api:
        land_things(lake, client(api.url), BY_PAGE)
        assert sorted(things_in_silver(lake)) == list(range(1, 31))
        assert len(landed_records(lake)) == 30
        land_things(lake, client(api.url), BY_PAGE)
    assert things_in_silver(lake) == [*range(1, 31), *range(101, 106)]


def test_rows_that_shift_under_a_reading_are_found_by_a_second_scan(lake: Lake, client: Opening) -> None:
    """The announced number shrinks, so that a row may have moved out of sight."""
    records = [thing(number) for number in range(1, 31)]

    def shrinks(asked: Asked) -> Answer:
        if asked.query["page"] == "2" and len(records) == 30:
            del records[0]
        return NOT_NOW

    with served(numbered(records, shrinks)) as api:
        report = land_things(lake, client(api.url), BY_PAGE)
    assert things_in_silver(lake) == list(range(1, 31))
    assert report.shown
    assert [query["page"] for query in api.queries()] == ["1", "2", "3", "1", "2", "3"]
    assert (report.landed, report.repeated) == (30, 28)


def test_a_reading_by_cursor_cut_short_goes_on_with_its_token(lake: Lake, client: Opening) -> None:
    records, down = [dated(number) for number in range(50)], [True]

    def refuse(asked: Asked) -> Answer:
        return DOWN if down[0] and asked.query.get("cursor") == "c30" else NOT_NOW

    with served(cursored(records, refuse)) as api:
        with pytest.raises(SourceUnavailable):
            land_things(lake, client(api.url), BY_CURSOR)
        down[0], before = False, len(api.asked)
        land_things(lake, client(api.url), BY_CURSOR)
    assert [query.get("cursor") for query in api.queries()[before:]] == ["c30", "c40", "c40"]
    assert landed_records(lake) == [record for _, record in records]


def test_the_next_reading_by_cursor_begins_with_the_largest_value_seen_inclusively(
    lake: Lake, client: Opening
) -> None:
    """Another record of the last day may have come since, so that day is read again, and known ones are unchanged."""
    records = [dated(number) for number in range(25)]
    with served(cursored(records)) as api:
        land_things(lake, client(api.url), BY_CURSOR)
        records += [dated(25), dated(26)]
        before = len(api.asked)
        report = land_things(lake, client(api.url), BY_CURSOR)
    assert api.queries()[before:] == [{"limit": "10", "since": "2026-01-13"}]
    assert (report.landed, report.repeated) == (2, 1)
    assert things_in_silver(lake) == list(range(27))


def test_much_less_than_was_announced_is_landed_and_fails_the_run_unless_it_was_an_estimate(
    lake: Lake, client: Opening
) -> None:
    def lies(asked: Asked) -> Answer:
        records = thing(1) if asked.query["page"] == "1" else b""
        return Answer(b'{"data":{"items":[' + records + b']},"meta":{"pages":1,"total":5}}')

    with served(lies) as api:
        for _ in range(2):
            with pytest.raises(
                ReadShort, match=r"announced 5 records and gave 1, twice.*completeness\.about"
            ):
                land_things(lake, client(api.url), BY_PAGE)
        assert set(landed_records(lake)) == {thing(1)}
        about = BY_PAGE.completeness.model_copy(update={"about": True})
        report = land_things(lake, client(api.url), BY_PAGE.model_copy(update={"completeness": about}))
    assert report.shown is False
    assert "gave the same 1 different ones in two scans" in report.warnings[-1]


def test_scans_that_contradict_each_other_end_the_reading(lake: Lake, client: Opening) -> None:
    numbers = iter(range(1, 100))

    def changes(asked: Asked) -> Answer:
        records = thing(next(numbers)) if asked.query["page"] == "1" else b""
        return Answer(b'{"data":{"items":[' + records + b']},"meta":{"pages":1,"total":5}}')

    with served(changes) as api, pytest.raises(ReadIncomplete, match="announced 5") as caught:
        land_things(lake, client(api.url), BY_PAGE)
    assert "something else in each of 3 scans" in caught.value.what
    assert caught.value.where == "/v1/things?page=2&per_page=10"


def test_landing_again_what_did_not_change_is_counted_as_unchanged(lake: Lake, client: Opening) -> None:
    with served(numbered([thing(number) for number in range(1, 16)])) as api:
        for _ in range(2):
            land_things(lake, client(api.url), BY_PAGE)
            things_in_silver(lake)
    silver = lake.must_open("silver", NAME).scan()
    assert silver.select(pl.len()).collect().item() == 15
    assert lake.must_open("silver", NAME).transaction("#change") == 1


def test_decimals_and_numbers_reach_silver_exactly_as_they_were_written(lake: Lake, client: Opening) -> None:
    records = [
        b'{"id": 9007199254740993, "price": 123456789012345678.10}',
        rb'{"id": 2, "name": "caf\u00e9"}',
    ]
    with served(numbered(records)) as api:
        land_things(lake, client(api.url), BY_PAGE)
    assert things_in_silver(lake) == [2, 9007199254740993]
    rows = lake.must_open("silver", NAME).scan().sort("id").select("name", pl.col("price").cast(pl.String))
    assert rows.collect().rows() == [("café", None), (None, "123456789012345678.10")]
