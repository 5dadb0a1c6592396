"""An answer that says that it failed is an error whatever its status, and data that looks alike is data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headworks.errors import (
    CredentialsRefused,
    HeadworksError,
    PageUnreadable,
    RateLimited,
    SourceUnavailable,
)
from headworks.sources.api.paginate import Cursor, Keyset, NextUrl, Offset, PageNumbers, Pagination, Single
from headworks.sources.api.resource import Resource
from headworks.sources.api.source import ApiSource
from tests.support.clients import api_client
from tests.support.served import Answer, Asked, served

FAILED: list[tuple[dict[str, Any], type[HeadworksError]]] = [
    ({"success": False, "message": "limit reached"}, PageUnreadable),
    ({"success": "false"}, PageUnreadable),
    ({"ok": False, "error": "invalid_auth"}, PageUnreadable),
    ({"isSuccess": False}, PageUnreadable),
    ({"status": "error", "message": "no"}, PageUnreadable),
    ({"status": "fail"}, PageUnreadable),
    ({"stat": "fail", "code": 100}, PageUnreadable),
    ({"result": "FAILED"}, PageUnreadable),
    ({"status": "REQUEST_DENIED", "error_message": "no key"}, CredentialsRefused),
    ({"status": "OVER_QUERY_LIMIT"}, RateLimited),
    ({"code": 401, "message": "Unauthorized"}, CredentialsRefused),
    ({"code": "403"}, CredentialsRefused),
    ({"statusCode": 429}, RateLimited),
    ({"status": 500}, SourceUnavailable),
    ({"status_code": 503, "msg": "later"}, SourceUnavailable),
    ({"errcode": 40001, "errmsg": "invalid token"}, PageUnreadable),
    ({"errno": 7}, PageUnreadable),
    ({"errors": [{"detail": "no"}]}, PageUnreadable),
    ({"error": "1"}, PageUnreadable),
    ({"fault": {"faultstring": "Invalid ApiKey"}}, PageUnreadable),
    ({"Response": "False", "Error": "Movie not found!"}, PageUnreadable),
    ({"meta": {"status": 401, "msg": "Unauthorized"}}, CredentialsRefused),
    ({"meta": {"code": 400, "error_type": "OAuthException"}}, PageUnreadable),
    ({"header": {"resultCode": "ERROR"}}, PageUnreadable),
]
FINE: list[dict[str, Any]] = [
    {},
    {"success": True},
    {"ok": True, "error": None},
    {"status": "ok"},
    {"status": "ZERO_RESULTS"},
    {"status": "success", "code": 200},
    {"status": 200},
    {"code": 0, "msg": "success"},
    {"code": "SUCCESS"},
    {"errcode": 0, "errmsg": "ok"},
    {"error": "0"},
    {"error": False, "errors": []},
    {"error": "none"},
    {"Response": "True"},
    {"meta": {"code": 200}},
    {"state": "open", "type": "list", "count": 404},
    {"message": "no error at all"},
]
PAGINATIONS: tuple[Pagination, ...] = (
    Single(),
    PageNumbers(),
    Offset(),
    Cursor(),
    NextUrl(),
    Keyset(key_parameter="after"),
)


def _read(url: str, pagination: Pagination, **described: Any) -> list[bytes]:
    resource = Resource(path="/x", records="data", pagination=pagination, **described)
    batches = ApiSource(api_client(url, attempts=2), resource).read(None, None)
    return [record for batch in batches for record in batch.frame["record"].to_list()]


def _json(content: Any, status: int = 200) -> Answer:
    return Answer(json.dumps(content).encode(), status, {"Content-Type": "application/json"})


@pytest.mark.parametrize(("said", "kind"), FAILED, ids=str)
def test_an_answer_without_records_that_says_that_it_failed_is_the_error_that_it_says(
    said: dict[str, Any], kind: type[HeadworksError]
) -> None:
    for number, pagination in enumerate(PAGINATIONS):
        body = {"data": [], **said} if number % 2 else {**said, "data": None}
        with served(lambda asked: _json(body)) as api, pytest.raises(kind) as caught:  # noqa: B023
            _read(api.url, pagination)
        leaves = [*said, *(name for value in said.values() if isinstance(value, dict) for name in value)]
        assert any(name in str(caught.value) for name in leaves), str(caught.value)


@pytest.mark.parametrize("said", FINE, ids=str)
def test_an_answer_without_records_that_says_nothing_of_the_kind_is_an_empty_page(
    said: dict[str, Any],
) -> None:
    for pagination in PAGINATIONS:
        with served(lambda asked: _json({"data": [], **said})) as api:
            assert _read(api.url, pagination) == []


@pytest.mark.parametrize("said", [{"status": "failed"}, {"code": 404}, {"type": "error"}], ids=str)
def test_beside_records_such_a_field_is_data(said: dict[str, Any]) -> None:
    with served(lambda asked: _json({"data": [{"id": 1}], **said})) as api:
        assert _read(api.url, Single()) == [b'{"id": 1}']


@pytest.mark.parametrize(
    "pagination", [each for each in PAGINATIONS if each.kind != "single"], ids=lambda one: one.kind
)
def test_an_answer_that_failed_in_the_middle_of_a_scan_is_never_its_end(pagination: Pagination) -> None:
    """Page after page is good, and then an empty list says that it failed."""
    served_pages = iter(range(1, 3))

    def answer(asked: Asked) -> Answer:
        number = next(served_pages, None)
        if number is None:
            return _json(
                {"data": [], "success": False, "message": "limit reached", "next_cursor": None, "next": None}
            )
        rows = [{"id": number * 1000 + i} for i in range(100)]
        return _json({"data": rows, "next_cursor": f"c{number}", "next": f"{api.url}/x?token=c{number}"})

    with served(answer) as api, pytest.raises(PageUnreadable, match="limit reached"):
        _read(api.url, pagination)


def test_an_unasked_304_is_no_news() -> None:
    for pagination in PAGINATIONS:
        with (
            served(lambda asked: Answer(status=304)) as api,
            pytest.raises(PageUnreadable, match="was not asked"),
        ):
            _read(api.url, pagination)


def test_an_accepted_request_without_records_is_asked_again() -> None:
    answers = iter([_json({"data": []}, 202), _json({"data": [{"id": 1}]})])
    with served(lambda asked: next(answers)) as api:
        assert _read(api.url, Single()) == [b'{"id": 1}']


@pytest.mark.parametrize("vacant", [None, {}, False, "", "absent"])
@pytest.mark.parametrize("pagination", PAGINATIONS, ids=lambda one: one.kind)
def test_nothing_in_the_place_of_records_is_an_empty_page_only_when_said_twice(
    pagination: Pagination, vacant: Any
) -> None:
    content = {"total": 0} if vacant == "absent" else {"data": vacant}
    with served(lambda asked: _json(content)) as api:
        assert _read(api.url, pagination) == []
    assert len(api.asked) >= 2
    answers = iter([_json(content)])
    whole = _json({"data": [{"id": 1}], "next_cursor": None, "next": None})
    empty = _json({"data": [], "next_cursor": None, "next": None})
    later = iter([whole])
    with served(lambda asked: next(answers, None) or next(later, empty)) as api:
        assert _read(api.url, pagination) == [b'{"id": 1}'], "the first one was a fault"


def test_records_that_are_not_there_are_refused_by_name_unless_that_is_how_it_says_none() -> None:
    with served(lambda asked: _json({"items": [{"id": 1}], "date": "x"})) as api:
        with pytest.raises(PageUnreadable, match=r"there is no data in it.*`items`.*records_may_be_absent"):
            _read(api.url, Single())
        assert _read(api.url, Single(), records_may_be_absent=True) == []


def test_a_page_without_records_between_two_others_is_passed() -> None:
    pages = {"": ([1, 2], "b"), "b": (None, "c"), "c": ([3], None)}

    def answer(asked: Asked) -> Answer:
        ids, following = pages[asked.query.get("cursor", "")]
        rows = {} if ids is None else {"data": [{"id": i} for i in ids]}
        return _json({**rows, "next_cursor": following})

    with served(answer) as api:
        assert len(_read(api.url, Cursor())) == 3
