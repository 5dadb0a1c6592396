"""What is proposed for the answers of APIs as they are found in the wild."""

from __future__ import annotations

from typing import Any

import pytest

from headworks.sources.api.proposal import propose
from headworks.sources.api.resource import Resource

TWO = [{"id": 1, "updated_at": "2026-01-01T00:00:00Z"}, {"id": 2, "updated_at": "2026-01-02T00:00:00Z"}]


@pytest.mark.parametrize(
    ("body", "headers", "asked", "records", "pagination"),
    [
        (
            {"data": TWO, "next_cursor": "abc"},
            {},
            {},
            "data",
            {"kind": "cursor", "cursor_field": "next_cursor"},
        ),
        (
            {"items": TWO, "nextPageToken": "x"},
            {},
            {"maxResults": "50"},
            "items",
            {"kind": "cursor", "cursor_parameter": "pageToken", "size_parameter": "maxResults", "size": 50},
        ),
        (
            {"results": TWO, "next": "https://api/x?page=2", "count": 99},
            {},
            {},
            "results",
            {"kind": "next_url", "url_field": "next"},
        ),
        (
            {"value": TWO, "@odata.nextLink": "https://api/x?$skiptoken=1"},
            {},
            {},
            "value",
            {"kind": "next_url", "url_field": '"@odata.nextLink"'},
        ),
        (TWO, {"link": '<https://api/x?page=2>; rel="next"'}, {"per_page": "2"}, "", {"kind": "link_header"}),
        ({"data": TWO}, {"next-page": "https://api/x?_token=1"}, {}, "data", {"kind": "next_header"}),
        (
            {"data": {"items": TWO}, "meta": {"page": 1, "pages": 3, "total": 5}},
            {},
            {},
            "data.items",
            {"kind": "page_numbers", "pages_field": "meta.pages"},
        ),
        (TWO, {}, {"page": "1", "limit": "2"}, "", {"kind": "page_numbers", "size_parameter": "limit"}),
        (
            {"rows": TWO, "offset": 0, "total": 9},
            {},
            {},
            "rows",
            {"kind": "offset", "offset_parameter": "offset"},
        ),
        ({"data": TWO, "has_more": True}, {}, {}, "data", {"kind": "keyset", "more_field": "has_more"}),
        (
            {"data": {"things": {"edges": [{"node": each} for each in TWO], "pageInfo": {"endCursor": "e"}}}},
            {},
            {},
            "data.things.edges[].node",
            {"kind": "cursor", "cursor_parameter": "after"},
        ),
        ({"name": "one"}, {}, {}, "", {"kind": "single"}),
    ],
)
def test_the_pagination_of_known_apis_is_recognised(
    body: Any, headers: dict[str, str], asked: dict[str, str], records: str, pagination: dict[str, Any]
) -> None:
    proposal = propose(body, headers, "/x", asked)
    resource = Resource.model_validate(proposal.resource)
    assert resource.records == records
    found = resource.pagination.model_dump()
    assert {name: found[name] for name in pagination} == pagination, proposal.reasons
    assert any(reason.startswith("pagination:") for reason in proposal.reasons)


def test_total_key_and_cursor_are_told_with_reasons() -> None:
    proposal = propose({"data": TWO, "meta": {"total": 7}}, {}, "/x", {})
    assert proposal.resource["completeness"] == {"total_field": "meta.total"}
    assert proposal.resource["key"] == ["id"]
    assert any('"field": "updated_at", "format": "iso"' in reason for reason in proposal.reasons)
