"""Whole readings of real HTTP: order, ends, circles, restarts, windows, conditions, and what reports say of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import polars as pl
import pytest

from headworks.bronze.ingest import IngestRequest, ingest
from headworks.bronze.landing import Landing, land
from headworks.bronze.readers import ResourceIngest
from headworks.errors import AddressRefused, ReadIncomplete, SourceUnavailable, StopError
from headworks.names import Window
from headworks.reports import LandingReport
from headworks.sources.api.paginate import Cursor, NextUrl, Offset, PageNumbers, Single
from headworks.sources.api.resource import Completeness, Incremental, Resource, ResultCap, Tombstone
from headworks.sources.api.source import ApiSource
from headworks.storage.store import Lake
from tests.support.clients import NOW, TOKEN, api_client
from tests.support.served import Answer, Asked, Upstream, cursored, numbered, served
from tests.support.things import BY_CURSOR, BY_PAGE, NAME, dated, landed_records, thing

NOT_NOW = Answer(status=0)


def read(
    lake: Lake, api: Upstream, resource: Resource, *, batch_pages: int = 3, **limits: Any
) -> LandingReport:
    source = ApiSource(api_client(api.url, **limits), resource, unlanded_pages=2 * batch_pages)
    return land(Landing(lake, NAME, NAME, "run"), source)


def body(records: list[bytes], **envelope: object) -> Answer:
    said = "".join(f",{json.dumps(name)}:{json.dumps(value)}" for name, value in envelope.items())
    return Answer(b'{"rows":[' + b",".join(records) + b"]" + said.encode() + b"}")


def test_pages_fetched_at_once_are_landed_in_order_and_none_past_the_announced_end(lake: Lake) -> None:
    records = [thing(number) for number in range(1, 236)]
    with served(numbered(records)) as api:
        report = read(lake, api, BY_PAGE, in_flight=8)
    assert landed_records(lake) == records
    assert sorted(int(query["page"]) for query in api.queries()) == list(range(1, 25))
    assert (report.pages, report.requests, report.retries, report.expected) == (24, 24, 0, 235)
    assert report.shown is True
    assert report.warnings == ()


def test_several_pages_are_on_their_way_at_once(lake: Lake) -> None:
    """Pages two to four are answered only when all three were asked for."""
    records = [thing(number) for number in range(1, 41)]
    together = threading.Barrier(2)

    def meet(asked: Asked) -> Answer:
        if asked.query["page"] in ("2", "3"):
            together.wait(30)
        return NOT_NOW

    with served(numbered(records, meet)) as api:
        read(lake, api, BY_PAGE, in_flight=8)
    assert landed_records(lake) == records


def test_an_offset_whose_page_size_is_cut_loses_nothing(lake: Lake) -> None:
    records = [thing(number) for number in range(1, 51)]

    def answer(asked: Asked) -> Answer:
        at = asked.number("offset", 0)
        return body(records[at : at + 7], total=50)

    resource = Resource(
        path="/x",
        records="rows",
        pagination=Offset(size=100),
        completeness=Completeness(total_field="total"),
        key=("id",),
    )
    with served(answer) as api:
        report = read(lake, api, resource, in_flight=4)
    assert landed_records(lake) == records
    assert report.warnings == ("The API cut the page size of 100 to 7.",)


def test_an_empty_page_in_the_middle_is_asked_for_again(lake: Lake) -> None:
    records, empty = [thing(number) for number in range(1, 41)], [True]

    def once(asked: Asked) -> Answer:
        if asked.query["page"] == "2" and empty.pop() if empty else False:
            return Answer(b'{"data":{"items":[]},"meta":{"pages":4,"total":40}}')
        return NOT_NOW

    with served(numbered(records, once)) as api:
        report = read(lake, api, BY_PAGE, in_flight=1)
    assert landed_records(lake) == records
    assert report.shown is True


@pytest.mark.parametrize("tokens", [["a", "a"], ["a", "b", "a"], ["a", "b", "c", "b"]])
def test_a_circle_of_tokens_ends_the_reading_with_at_most_two_more_requests(
    lake: Lake, tokens: list[str]
) -> None:
    order = {None: tokens[0]} | {here: there for here, there in pairwise(tokens)}

    def answer(asked: Asked) -> Answer:
        here = asked.query.get("cursor")
        return body([thing(ord(here[0]) if here else 1)], next_cursor=order[here])

    with served(answer) as api, pytest.raises(ReadIncomplete, match="goes round in circles"):
        read(lake, api, BY_CURSOR, batch_pages=10)
    first_repeat = len(dict.fromkeys(tokens)) + 1
    assert len(api.asked) <= first_repeat + 2
    assert lake.must_open("bronze", NAME).row_count() == 0


def test_tokens_that_never_end_over_the_same_records_are_a_circle_too(lake: Lake) -> None:
    numbers = iter(range(1_000))

    def answer(asked: Asked) -> Answer:
        return body([thing(1), thing(2)], next_cursor=f"t{next(numbers)}")

    with served(answer) as api, pytest.raises(ReadIncomplete, match="same records"):
        read(lake, api, BY_CURSOR)
    assert len(api.asked) == 3


def test_a_scan_that_expired_begins_again_and_lands_nothing_twice(lake: Lake) -> None:
    records, gone = [dated(number) for number in range(50)], [True]

    def expire(asked: Asked) -> Answer:
        if asked.query.get("cursor") == "c30" and gone:
            gone.clear()
            return Answer(status=410)
        return NOT_NOW

    with served(cursored(records, expire)) as api:
        report = read(lake, api, BY_CURSOR, batch_pages=2)
    assert landed_records(lake) == [record for _, record in records]
    assert report.repeated == 30


def test_what_was_read_before_a_failure_is_landed_and_the_next_run_goes_on_there(lake: Lake) -> None:
    records, down = [dated(number) for number in range(50)], [True]

    def refuse(asked: Asked) -> Answer:
        return Answer(status=503) if down[0] and asked.query.get("cursor") == "c30" else NOT_NOW

    with served(cursored(records, refuse)) as api:
        with pytest.raises(SourceUnavailable):
            read(lake, api, BY_CURSOR, batch_pages=10)
        assert len(landed_records(lake)) == 30
        down[0], before = False, len(api.asked)
        read(lake, api, BY_CURSOR, batch_pages=10)
    # The last page is asked for twice, since nothing announces how many records there are.
    assert [query.get("cursor") for query in api.queries()[before:]] == ["c30", "c40", "c40"]
    assert landed_records(lake) == [record for _, record in records]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "file:///etc/passwd", "//127.0.0.1.nip.invalid/x"])
def test_a_next_address_elsewhere_is_refused_and_nothing_is_sent_there(lake: Lake, url: str) -> None:
    resource = Resource(path="/x", records="rows", pagination=NextUrl())
    with served(lambda asked: body([thing(1)], next=url)) as api:
        with pytest.raises(AddressRefused, match="credentials do not go there") as caught:
            read(lake, api, resource)
        assert isinstance(caught.value, StopError)
        assert TOKEN not in str(caught.value)
        assert len(api.asked) == 1


def test_a_window_is_a_stream_of_its_own_and_its_bounds_are_asked_for(lake: Lake) -> None:
    spec = Incremental(
        parameter="since", field="day", until_parameter="until", until_inclusive=True, inclusive=False
    )
    resource = Resource(path="/x", records="rows", pagination=Single(), incremental=spec, key=("id",))
    window = Window(start=datetime(2026, 1, 5, tzinfo=UTC), end=datetime(2026, 1, 7, tzinfo=UTC))

    with served(lambda asked: body([dated(9)[1]])) as api:
        request = IngestRequest(lake, NAME, "run", window=window)
        intake = ResourceIngest(ApiSource(api_client(api.url), resource))
        (report,) = ingest(request, intake)
        ingest(IngestRequest(lake, NAME, "run"), intake)
    assert api.queries()[0] == {
        "since": "2026-01-04T23:59:59.999999Z",
        "until": "2026-01-06T23:59:59.999999Z",
    }
    assert api.queries()[1] == {"until": "2026-03-05T07:59:59.999999Z"}
    assert report.stream.startswith(f"{NAME}@w")


def test_a_window_with_more_than_the_api_gives_is_split_until_it_fits(lake: Lake) -> None:
    records = [(1_767_225_600 + number * 3600, thing(number)) for number in range(200)]

    def answer(asked: Asked) -> Answer:
        since, until = asked.number("since", 0), asked.number("until", 2**40)
        found = [b'{"id": %d, "at": %d}' % (at, at) for at, _ in records if since <= at < until]
        page = asked.number("page", 1)
        return body(found[:30][(page - 1) * 10 : page * 10])

    resource = Resource(
        path="/x",
        records="rows",
        pagination=PageNumbers(size=10),
        incremental=Incremental(
            parameter="since", field="at", format="epoch", until_parameter="until", start="1767225600"
        ),
        cap=ResultCap(most=30),
        key=("id",),
    )
    window = Window(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 20, tzinfo=UTC))
    with served(answer) as api:
        intake = ResourceIngest(ApiSource(api_client(api.url, in_flight=4), resource))
        (report,) = ingest(IngestRequest(lake, NAME, "run", window=window), intake)
    ids = [json.loads(record)["id"] for record in landed_records(lake)]
    assert sorted(ids) == [at for at, _ in records]
    assert report.landed == 200


def test_a_stamp_in_the_future_does_not_hide_what_comes_until_then(lake: Lake) -> None:
    late = b'{"id": 1, "at": "2027-01-01T00:00:00Z"}'
    resource = Resource(
        path="/x", records="rows", pagination=Single(), incremental=Incremental(parameter="since", field="at")
    )
    with served(lambda asked: body([late])) as api:
        read(lake, api, resource)
        read(lake, api, resource)
    assert [query.get("since") for query in api.queries()] == [None, NOW.strftime("%Y-%m-%dT%H:%M:%SZ")]
    assert landed_records(lake) == [late], "the tie that is read again is recognised"


def test_a_resource_that_has_not_changed_is_not_read_again(lake: Lake) -> None:
    resource = Resource(path="/x", records="rows", pagination=Single(), conditional=True)

    def answer(asked: Asked) -> Answer:
        if asked.headers.get("if-none-match") == '"v1"':
            return Answer(status=304)
        return Answer(b'{"rows":[1]}', headers={"ETag": '"v1"'})

    with served(answer) as api:
        read(lake, api, resource)
        version = lake.must_open("bronze", NAME).version
        report = read(lake, api, resource)
    assert len(api.asked) == 2
    assert (report.read, report.batches) == (0, 0)
    assert lake.must_open("bronze", NAME).version == version


def test_tombstones_are_marked_for_silver(lake: Lake) -> None:
    records = [b'{"id":1,"deleted":true}', b'{"id":2,"deleted":1}', b'{"id":3}', b"4"]
    resource = Resource(path="/x", records="rows", pagination=Single(), tombstone=Tombstone(field="deleted"))
    with served(lambda asked: body(records)) as api:
        read(lake, api, resource)
    marks = lake.must_open("bronze", NAME).scan().sort("_row").select("_deleted").collect()
    assert marks.get_column("_deleted").to_list() == [True, False, False, False]


def test_pages_counted_without_an_announced_number_are_never_silently_green(lake: Lake) -> None:
    records = [thing(number) for number in range(1, 26)]
    resource = BY_PAGE.model_copy(update={"pagination": PageNumbers(size=10), "completeness": Completeness()})
    with served(numbered(records)) as api:
        report = read(lake, api, resource)
    assert landed_records(lake) == records
    assert report.shown is False
    assert "not shown to be complete" in report.warnings[0]


@pytest.mark.parametrize(("unlanded", "batches"), [(1, 31), (2, 31), (7, 11), (12, 6)])
def test_no_more_pages_are_on_their_way_than_may_be_read_again_after_a_kill(
    unlanded: int, batches: int
) -> None:
    """At each request, counted against what was committed by then: whoever asks for a batch has landed the last one."""
    records, beyond, committed, asked = [thing(number) for number in range(1, 302)], [], 0, 0

    def count(request: Asked) -> Answer:
        nonlocal asked
        asked += 1
        if asked - committed > unlanded:
            beyond.append((asked, committed))
        return NOT_NOW

    with served(numbered(records, count)) as api:
        source = ApiSource(api_client(api.url, in_flight=8), BY_PAGE, unlanded_pages=unlanded)
        sizes = []
        for batch in source.read(None, None):
            sizes.append(batch.frame.height)
            committed += batch.effort.pages
    assert beyond == []
    assert (sum(sizes), len(sizes), committed) == (301, batches, 31)


def test_closing_a_reading_in_the_middle_ends_its_thread(lake: Lake) -> None:
    records = [thing(number) for number in range(1, 301)]
    with served(numbered(records)) as api:
        batches = ApiSource(api_client(api.url), BY_PAGE, unlanded_pages=2).read(None, None)
        assert isinstance(batches, Iterator)
        assert next(batches).frame.height == 10
        batches.close()  # type: ignore[attr-defined]
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("headworks")] == []


def test_a_post_with_the_cursor_in_its_body_reads_a_connection(lake: Lake) -> None:
    """As GraphQL does it: edges, nodes, pageInfo, and variables in the body."""
    nodes = [thing(number) for number in range(1, 8)]

    def answer(asked: Asked) -> Answer:
        sent = json.loads(asked.body)
        at = int(sent["variables"].get("after", "0"))
        edges = b",".join(b'{"node":' + node + b"}" for node in nodes[at : at + 3])
        info = {"endCursor": str(at + 3), "hasNextPage": at + 3 < len(nodes)}
        said = json.dumps(info).encode()
        assert sent["query"] == "{ things }"
        return Answer(b'{"data":{"things":{"edges":[' + edges + b'],"pageInfo":' + said + b"}}}")

    resource = Resource(
        path="/graphql",
        method="POST",
        body={"query": "{ things }", "variables": {"first": 3}},
        records="data.things.edges[].node",
        pagination=Cursor(
            cursor_field="data.things.pageInfo.endCursor",
            more_field="data.things.pageInfo.hasNextPage",
            cursor_parameter="variables.after",
            send_in="body",
            size_parameter=None,
        ),
    )
    with served(answer) as api:
        read(lake, api, resource)
    assert landed_records(lake) == nodes
    assert isinstance(lake.must_open("bronze", NAME).scan().collect(), pl.DataFrame)
