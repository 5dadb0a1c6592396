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


ROWS = [
    [1, "Ada", "2026-01-01T00:00:00Z"],
    [2, "Bo", "2026-01-02T00:00:00Z"],
    [3, "Cy", "2026-01-03T00:00:00Z"],
]
NAMES = ["id", "name", "updated_at"]
FACETS = [{"name": "country", "type": "array"}, {"name": "city", "type": "array"}]
OTHERS = [{"a": number} for number in range(9)]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"rows": ROWS, "columns": NAMES, "facets": FACETS}, {"records": "rows", "columns": "columns"}),
        # An array of texts as long as a row is not called like the names of columns.
        (
            {"tags": ["a", "b", "c"], "rows": ROWS, "columns": NAMES},
            {"records": "rows", "columns": "columns"},
        ),
        (
            {"data": {"values": ROWS}, "schema": {"fields": [{"name": name} for name in NAMES]}},
            {"records": "data.values", "columns": "schema.fields[].name"},
        ),
        ({"range": "A1:C4", "values": [NAMES, *ROWS]}, {"records": "values", "header_row": True}),
        ([NAMES, *ROWS], {"records": "", "header_row": True}),
        # More objects than rows, under a name that says nothing: the objects are the records.
        ({"things": OTHERS, "matrix": ROWS, "columns": NAMES}, {"records": "things"}),
        # Pairs of numbers in records are no table.
        ({"data": [{"id": 1, "line": [[1, 2], [3, 4]]}, {"id": 2, "line": [[1, 2]]}]}, {"records": "data"}),
    ],
    ids=range(7),
)
def test_records_that_are_arrays_are_recognised_with_the_names_of_their_values(
    body: Any, wanted: dict[str, Any]
) -> None:
    proposal = propose(body, {}, "/x", {})
    resource = Resource.model_validate(proposal.resource)
    assert {name: proposal.resource.get(name) for name in wanted} == wanted, proposal.reasons
    if {"columns", "header_row"} & wanted.keys():
        assert proposal.resource["key"] == ["id"]
        assert proposal.records[0] == dict(zip(NAMES, ROWS[0], strict=True))
        assert resource.records == wanted["records"]
    else:
        assert not resource.columns
        assert not resource.header_row


def test_rows_whose_names_are_nowhere_are_not_guessed() -> None:
    proposal = propose({"rows": [[1, 2], [3, 4]], "names": ["a"]}, {}, "/x", {})
    assert "columns" not in proposal.resource
    assert "header_row" not in proposal.resource
