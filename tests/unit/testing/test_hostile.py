"""The kit itself: an API that is well gives exactly its rows, and each fault is what it is called, by seed."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import httpx
import pytest

from headworks.testing.access import COOKIE, SECRET, TOKEN_PATH, USER, Keyed, OAuth, thieving
from headworks.testing.faults import paging, transport
from headworks.testing.faults.catalogue import CASES
from headworks.testing.faults.records import ODDITIES, odd_rows
from headworks.testing.hostile import Fault, HostileApi, hostile
from headworks.testing.styles import STYLES, Token
from headworks.testing.timing import MovedTime
from headworks.testing.truth import Row, make_rows, sums_of, sums_of_rows
from headworks.testing.wire import Sending

KEY = {"Authorization": f"Bearer {SECRET}-key"}


def api_of(style: str, fault: Fault | None = None, rows: list[Row] | None = None) -> HostileApi:
    """Make an API with 23 rows."""
    rows = make_rows(23, 1) if rows is None else rows
    return HostileApi(STYLES[style], rows, fault or Fault(), Keyed())


def cursor_pages(url: str) -> list[list[Any]]:
    """Read the style ``cursor`` to its end with a plain client, five records a page."""
    pages, token = [], None
    with httpx.Client(headers=KEY, timeout=5) as client:
        while True:
            query = {"limit": "5", **({"cursor": token} if token else {})}
            page = client.get(f"{url}/cursor", params=query).json()
            pages.append(page["rows"])
            token = page["next_cursor"]
            if token is None:
                return pages


def test_the_same_seed_gives_the_same_rows_to_the_byte_and_another_one_others() -> None:
    assert make_rows(50, 7) == make_rows(50, 7)
    assert {row.record for row in make_rows(50, 7)}.isdisjoint(row.record for row in make_rows(50, 8))


def test_each_record_is_json_and_says_what_its_row_says() -> None:
    for row in make_rows(200, 3):
        content = json.loads(row.record)
        assert (content["id"], content["amount"], content["updated_at"]) == (row.key, row.amount, row.stamp)


def test_a_lost_a_doubled_and_a_changed_record_each_change_the_sums() -> None:
    pairs = [(1, 10), (2, 20), (3, 30)]
    truth = sums_of(pairs)
    assert sums_of(reversed(pairs)) == truth
    for wrong in (pairs[:2], [*pairs, (3, 30)], [(1, 10), (2, 20), (4, 30)], [(1, 10), (2, 20), (3, 31)]):
        assert sums_of(wrong) != truth


def test_a_cursor_leads_once_through_all_rows_in_their_exact_bytes() -> None:
    with hostile(api_of("cursor")) as api:
        pages = cursor_pages(api.url)
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
    read = sums_of((record["id"], record["amount"]) for page in pages for record in page)
    assert read == sums_of_rows(api.rows)
    assert (api.requests, sum(api.pages.values())) == (5, 5)


def test_counted_pages_show_each_row_once_and_state_the_total() -> None:
    with hostile(api_of("page")) as api, httpx.Client(headers=KEY) as client:
        pages = [client.get(f"{api.url}/page", params={"page": n, "per_page": 5}).json() for n in range(1, 7)]
    read = [record["id"] for page in pages for record in page["data"]["items"]]
    assert read == [row.key for row in api.rows]
    assert {json.dumps(page["meta"]) for page in pages} == {'{"pages": 5, "total": 23}'}


@pytest.mark.parametrize(
    ("way", "problem"),
    [
        (Sending.RESET, httpx.NetworkError),
        (Sending.CUT, httpx.RemoteProtocolError),
        (Sending.BROKEN_CHUNK, httpx.RemoteProtocolError),
        (Sending.HANG, httpx.ReadTimeout),
    ],
)
def test_each_way_of_not_answering_is_what_it_is_called(
    way: Sending, problem: type[httpx.TransportError]
) -> None:
    ill = transport.Spoils(Random(1), transport.sent(way))
    with hostile(api_of("cursor", ill)) as api, httpx.Client(headers=KEY, timeout=0.2) as client:
        problems = []
        for _ in range(25):
            try:
                client.get(f"{api.url}/cursor")
            except httpx.TransportError as caught:
                problems.append(type(caught))
    assert len(problems) == ill.injected == 3
    assert all(issubclass(kind, problem) for kind in problems), problems


def test_a_dripped_answer_comes_byte_by_byte_and_never_ends() -> None:
    ill = transport.Spoils(Random(1), transport.sent(Sending.DRIP))
    with (
        hostile(api_of("cursor", ill)) as api,
        httpx.Client(headers=KEY, timeout=5) as client,
    ):
        while not ill.injected:
            with client.stream("GET", f"{api.url}/cursor") as answer:
                chunks = answer.iter_raw()
                first = [next(chunks, b"") for _ in range(3)]
    assert answer.headers["content-length"] > "100000"
    assert all(len(chunk) < 10 for chunk in first)


@pytest.mark.parametrize("form", ["seconds", "date", "reset"])
def test_who_comes_before_the_named_moment_is_written_down_and_refused_again(form: str) -> None:
    time = MovedTime()
    api = HostileApi(STYLES["cursor"], make_rows(9, 1), transport.RateLimit(Random(1), form), time=time)
    with hostile(api), httpx.Client() as client:
        statuses: list[int] = []
        while 429 not in statuses:
            statuses.append(client.get(f"{api.url}/cursor").status_code)
        assert client.get(f"{api.url}/cursor").status_code == 429
        assert len(api.early) == 1
        time.sleep(api.not_before - api.now)
        assert client.get(f"{api.url}/cursor").status_code == 200
    assert len(api.early) == 1


def test_a_token_of_an_earlier_epoch_is_gone() -> None:
    with hostile(api_of("cursor")) as api, httpx.Client(headers=KEY) as client:
        token = client.get(f"{api.url}/cursor").json()
        token = str(Token(("", 1)))
        assert client.get(f"{api.url}/cursor", params={"cursor": token}).status_code == 200
        api.epoch = "later"
        assert client.get(f"{api.url}/cursor", params={"cursor": token}).status_code == 410


def test_an_empty_page_with_a_token_loses_nothing_for_who_follows_it() -> None:
    with hostile(api_of("cursor", paging.EmptyPages(Random(2)), make_rows(80, 1))) as api:
        pages = cursor_pages(api.url)
    assert pages.count([]) == 3
    assert [record["id"] for page in pages for record in page] == [row.key for row in api.rows]


@pytest.mark.parametrize("kind", ["bearer", "basic", "header", "query"])
def test_only_who_shows_the_secret_may_read(kind: str) -> None:
    shown: dict[str, Any] = {
        "bearer": {"headers": KEY},
        "basic": {"auth": (USER, f"{SECRET}-key")},
        "header": {"headers": {"X-Api-Key": f"{SECRET}-key"}},
        "query": {"params": {"api_key": f"{SECRET}-key"}},
    }
    with hostile(HostileApi(STYLES["cursor"], make_rows(3, 1), access=Keyed(kind))) as api:
        assert httpx.get(f"{api.url}/cursor").status_code == 401
        answer = httpx.get(f"{api.url}/cursor", **shown[kind])
    assert answer.status_code == 200
    assert COOKIE in answer.headers["set-cookie"]


def test_a_token_of_oauth_works_for_its_requests_and_then_never_again() -> None:
    access = OAuth(requests_a_token=2)
    with hostile(HostileApi(STYLES["cursor"], make_rows(3, 1), access=access)) as api:
        form = {"grant_type": "client_credentials"}
        secret = (USER, f"{SECRET}-client")
        assert httpx.post(f"{api.url}{TOKEN_PATH}", data=form).status_code == 401
        token = httpx.post(f"{api.url}{TOKEN_PATH}", data=form, auth=secret).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        statuses = [httpx.get(f"{api.url}/cursor", headers=headers).status_code for _ in range(3)]
    assert (statuses, access.issued) == ([200, 200, 401], 1)


def test_a_thief_finds_a_secret_in_any_part_of_a_request() -> None:
    with thieving() as leak_probe:
        httpx.get(leak_probe.url, headers={"Accept": "application/json"})
        assert leak_probe.stolen() == []
        httpx.get(leak_probe.url, headers=KEY)
        httpx.get(leak_probe.url, auth=(USER, f"{SECRET}-key"))
        httpx.get(leak_probe.url, params={"api_key": f"{SECRET}-key"})
        httpx.get(leak_probe.url, headers={"Cookie": COOKIE})
    assert len(leak_probe.stolen()) == 4


@pytest.mark.parametrize("name", ODDITIES)
def test_odd_rows_are_odd_in_about_one_of_five(name: str) -> None:
    plain, odd = make_rows(100, 5), odd_rows(name, 100, 5)
    assert odd == odd_rows(name, 100, 5)
    different = {row.record for row in odd} - {row.record for row in plain}
    assert 5 <= len(different) <= 40


def test_every_case_of_the_catalogue_has_a_name_of_its_own_and_styles_that_exist() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert all(set(case.styles) <= set(STYLES) for case in CASES)
