"""A field that is described wrongly is named, with the one that is probably meant."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headworks.errors import HeadworksError
from headworks.sources.api.resource import Resource
from headworks.sources.api.source import ApiSource
from tests.support.clients import api_client
from tests.support.served import Answer, Asked, served

ROWS = [{"id": n, "updated_at": f"2026-01-01T00:00:{n:02d}Z", "deleted": False} for n in range(1, 31)]
RIGHT: dict[str, Any] = {
    "path": "/things",
    "records": "data",
    "key": ["id"],
    "pagination": {
        "kind": "cursor",
        "cursor_parameter": "after",
        "cursor_field": "paging.next.after",
        "size": 10,
    },
    "completeness": {"total_field": "meta.total"},
    "tombstone": {"field": "deleted"},
}
NUMBERS = {"kind": "page_numbers", "size": 10, "pages_field": "meta.pages"}


def answer(asked: Asked) -> Answer:
    """Serve the rows by a token, or by number."""
    size = asked.number("limit", 10)
    start = int(asked.query.get("after", 0)) or (asked.number("page", 1) - 1) * 10
    part, end = ROWS[start : start + size], start + size
    body = {
        "data": part,
        "meta": {"total": len(ROWS), "pages": 3},
        "paging": {"next": {"after": str(end)} if end < len(ROWS) else None},
    }
    return Answer(
        json.dumps(body).encode(), headers={"Content-Type": "application/json", "X-Total-Count": "30"}
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"records": "dta"}, "It has `data`; the description says `dta`"),
        ({"pagination": {**RIGHT["pagination"], "cursor_field": "next.after"}}, "It has `paging.next.after`"),
        ({"key": ["idd"]}, "key. It has `id`; the description says `idd`"),
        (
            {"incremental": {"parameter": "since", "field": "updated"}},
            "incremental.field. It has `updated_at`",
        ),
        ({"completeness": {"total_field": "meta.totals"}}, "completeness.total_field. It has `meta.total`"),
        (
            {"completeness": {"total_header": "X-Totl-Count"}},
            "It has `the header x-total-count`",
        ),
        (
            {"pagination": {**NUMBERS, "pages_field": "meta.page"}},
            "pagination.pages_field. It has `meta.pages`",
        ),
        (
            {"tombstone": {"field": "deletd"}},
            "tombstone's field. It has `deleted`; the description says `deletd`",
        ),
    ],
    ids=str,
)
def test_a_field_that_is_described_wrongly_is_named_with_the_one_that_is_meant(
    changed: dict[str, Any], said: str
) -> None:
    found = _said({**RIGHT, **changed})
    assert said in found, found


@pytest.mark.parametrize(
    "changed", [{}, {"completeness": {"total_header": "X-Total-Count"}}, {"pagination": NUMBERS}], ids=str
)
def test_nothing_is_said_of_a_right_description(changed: dict[str, Any]) -> None:
    assert _said({**RIGHT, **changed}) == ""


def test_a_tombstone_that_only_deleted_records_have_is_not_called_wrong() -> None:
    assert _said({**RIGHT, "tombstone": {"field": "@removed", "when_present": True}}) == ""


def _said(described: dict[str, Any]) -> str:
    with served(answer) as upstream:
        try:
            batches = list(
                ApiSource(api_client(upstream.url), Resource.model_validate(described)).read(None, None)
            )
        except HeadworksError as problem:
            return str(problem)
    return " ".join(warning for batch in batches for warning in batch.warnings)
