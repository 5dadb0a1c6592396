"""What an API's reading says about being whole is so: links over shifting pages, caps, fields that are never there."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headworks.bronze.generations import newest_complete
from headworks.bronze.ingest import IngestRequest, Mode, ingest
from headworks.bronze.readers import ResourceIngest
from headworks.errors import HeadworksError, ReadIncomplete, SettingsError
from headworks.names import Window
from headworks.reports import LandingReport
from headworks.sources.api.resource import Resource
from headworks.sources.api.source import ApiSource
from headworks.storage.store import Lake
from tests.support.clients import api_client
from tests.support.served import Answer, Asked, served

ALL = 230
T0 = datetime(2026, 1, 1, tzinfo=UTC)
SINCE = {"parameter": "since", "field": "updated_at"}


def _row(number: int) -> dict[str, Any]:
    stamp = T0 + timedelta(hours=2) * (number // 3)
    return {"id": number, "updated_at": stamp.strftime("%Y-%m-%dT%H:%M:%SZ")}


@dataclass
class Api:
    """A table behind an API: pages of 20 in any style; 15 old rows are deleted while the second page is read."""

    deletes: bool = False
    rows: list[dict[str, Any]] = field(default_factory=lambda: [_row(number) for number in range(1, ALL + 1)])

    def answer(self, asked: Asked) -> Answer:
        """Answer a request."""
        query = asked.query
        rows = [row for row in self.rows if row["updated_at"] >= query.get("since", "")[:19]]
        rows = [row for row in rows if row["updated_at"] < query.get("until", "9")[:19]]
        made: Callable[[dict[str, str], list[dict[str, Any]]], dict[str, Any]]
        made = getattr(self, asked.path.strip("/").replace("-", "_"))
        body = made(dict(query), rows)
        return Answer(json.dumps(body).encode(), headers={"Content-Type": "application/json"})

    def _page(self, number: int, rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
        part, more = rows[(number - 1) * 20 : number * 20], number * 20 < len(rows)
        if number == 2 and self.deletes:
            self.rows, self.deletes = self.rows[15:], False
        return part, more

    def links(self, query: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Give the next page's number in an address."""
        number = int(query.get("page", 1))
        part, more = self._page(number, rows)
        since = f"&since={query['since']}" if "since" in query else ""
        return {
            "data": part,
            "total": len(rows),
            "next": f"/links?page={number + 1}{since}" if more else None,
        }

    def tokens(self, query: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Give an offset in a token that looks opaque."""
        number = json.loads(base64.b64decode(query["cursor"]))["offset"] // 20 + 1 if "cursor" in query else 1
        part, more = self._page(number, rows)
        token = base64.b64encode(json.dumps({"offset": number * 20}).encode()).decode()
        return {"data": part, "total": len(rows), "next": token if more else None}

    def paths(self, query: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Give an offset in an address."""
        number = int(query.get("offset", 0)) // 20 + 1
        part, more = self._page(number, rows)
        return {
            "data": part,
            "total": len(rows),
            "next": f"/paths?limit=20&offset={number * 20}" if more else None,
        }

    def keys(self, query: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Give a place after a key, which is left out at the end."""
        size, after = int(query.get("limit", 20)), int(query.get("after", 0))
        rest = [row for row in rows if row["id"] > after]
        part = rest[:size]
        return {"data": part, "paging": {"next": {"after": part[-1]["id"]}} if len(rest) > size else {}}

    def capped(self, query: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Give no more than 12 of one query, in pages of 6."""
        rest = [row for row in rows[:12] if row["id"] > int(query.get("cursor", 0))]
        part = rest[:6]
        return {"data": part, "next": part[-1]["id"] if len(rest) > 6 else None}

    def announced(self, query: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Count pages, and announce nothing."""
        part, _ = self._page(int(query.get("page", 1)), rows)
        return {"data": part}


WAYS: dict[str, dict[str, Any]] = {
    "links": {"kind": "next_url"},
    "tokens": {"kind": "cursor", "cursor_field": "next", "size_parameter": None},
    "paths": {"kind": "next_url"},
}
KEYS = {"kind": "cursor", "cursor_parameter": "after", "cursor_field": "paging.next.after", "size": 20}


def _take(
    lake: Lake, url: str, described: dict[str, Any], mode: Mode = "incremental", window: Any = None
) -> LandingReport:
    resource = Resource.model_validate({"records": "data", **described})
    request = IngestRequest(lake, "t.t", "run", mode=mode, window=window)
    return ingest(request, ResourceIngest(ApiSource(api_client(url), resource)))[0]


def _ids(lake: Lake) -> list[int]:
    table = lake.open("bronze", "t.t")
    if table is None:
        return []
    return sorted(json.loads(record)["id"] for record in table.scan().collect()["record"])


@pytest.mark.parametrize("way", WAYS)
def test_links_and_tokens_that_hide_a_pages_number_prove_no_end_while_rows_are_deleted(
    lake: Lake, way: str
) -> None:
    described = {"path": f"/{way}", "pagination": WAYS[way], "key": ["id"]}
    live = set(range(16, ALL + 1))
    with served(Api(deletes=True).answer) as api:
        report = _take(lake, api.url, described)
    assert live - set(_ids(lake))
    assert report.shown is False


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "extra", [{"completeness": {"total_field": "total"}}, {"incremental": SINCE}], ids=["total", "since"]
)
def test_with_a_total_or_by_increments_what_was_pushed_out_of_sight_comes(
    lake: Lake, way: str, extra: dict[str, Any]
) -> None:
    described = {"path": f"/{way}", "pagination": WAYS[way], "key": ["id"], **extra}
    with served(Api(deletes=True).answer) as api:
        for _ in range(4):
            report = _take(lake, api.url, described)
            assert report.shown is True
            assert set(_ids(lake)) >= set(range(16, ALL + 1))


def test_a_declaration_says_what_cannot_be_seen(lake: Lake) -> None:
    described = {"path": "/links", "pagination": {"kind": "next_url", "stable": True}, "key": ["id"]}
    with served(Api().answer) as api:
        assert _take(lake, api.url, described).shown is True
        keys = {"path": "/keys", "pagination": {**KEYS, "stable": False}, "key": ["id"]}
        assert _take(lake, api.url, keys).shown is False


@pytest.mark.parametrize(
    "wrong", ["paging.nxt.after", "next.after", "paging.next.aft", "after", "Paging.next.after"]
)
@pytest.mark.parametrize("rows", [2, 20, 60, ALL])
def test_an_end_that_rests_on_a_field_which_is_never_there_is_refused_by_name(
    lake: Lake, wrong: str, rows: int
) -> None:
    upstream = Api()
    upstream.rows = upstream.rows[:rows]
    described = {"path": "/keys", "pagination": {**KEYS, "cursor_field": wrong}, "key": ["id"]}
    said, shown = "", None
    with served(upstream.answer) as api:
        try:
            report = _take(lake, api.url, described)
            said, shown = " ".join(report.warnings), report.shown
        except (ReadIncomplete, SettingsError) as problem:
            said = str(problem)
    if shown is not None:
        assert set(_ids(lake)) == set(range(1, rows + 1)) or shown is False
    if rows > 20:
        assert shown is not True
        assert wrong in said
        assert "`paging.next.after`" in said or not wrong.endswith("after")


@pytest.mark.parametrize("rows", [0, 1, 2, 19, 20, 21, 40, ALL])
def test_an_api_that_leaves_its_token_out_at_the_end_is_shown_to_be_read_whole(lake: Lake, rows: int) -> None:
    upstream = Api()
    upstream.rows = upstream.rows[:rows]
    with served(upstream.answer) as api:
        for _ in range(3):
            report = _take(
                lake, api.url, {"path": "/keys", "pagination": KEYS, "key": ["id"], "incremental": SINCE}
            )
            assert report.shown is True
            assert set(_ids(lake)) == set(range(1, rows + 1))


@pytest.mark.parametrize(
    "described", [{"key": ["idd"]}, {"incremental": {**SINCE, "field": "updated"}}], ids=["key", "field"]
)
def test_a_key_or_a_field_that_no_record_has_stops_the_run_and_is_named(
    lake: Lake, described: dict[str, Any]
) -> None:
    with (
        served(Api().answer) as api,
        pytest.raises(SettingsError, match=r"None of the first 20 records.*It has `"),
    ):
        _take(lake, api.url, {"path": "/keys", "pagination": KEYS, **described})
    assert _ids(lake) == []


@pytest.mark.parametrize("key", [[], ["id"]], ids=["without a key", "with a key"])
def test_a_cap_loses_nothing_with_a_key_and_without_and_over_many_splits(lake: Lake, key: list[str]) -> None:
    described = {
        "path": "/capped",
        "pagination": {"kind": "cursor", "cursor_field": "next", "size_parameter": None},
        "cap": {"most": 12},
        "key": key,
        "incremental": {**SINCE, "until_parameter": "until"},
    }
    window = Window(start=T0, end=T0 + timedelta(days=20))
    with served(Api().answer) as api:
        _take(lake, api.url, described, window=window)
    assert set(_ids(lake)) == set(range(1, ALL + 1))
    if key:
        assert len(_ids(lake)) == ALL


def test_a_full_read_that_is_not_shown_to_be_complete_deletes_nothing(lake: Lake) -> None:
    described = {"path": "/announced", "pagination": {"kind": "page_numbers", "size": 20}, "key": ["id"]}
    with served(Api(deletes=True).answer) as api:
        report = _take(lake, api.url, described, mode="full")
    assert report.shown is False
    assert any("nothing is deleted by it" in warning for warning in report.warnings)
    assert newest_complete(lake, lake.must_open("bronze", "t.t"), "t.t") is None


CHANGES: dict[str, dict[str, Any]] = {
    "a larger page": {"pagination": {**KEYS, "size": 50}},
    "a smaller page": {"pagination": {**KEYS, "size": 7}},
    "another kind": {"pagination": {"kind": "keyset", "key_parameter": "after", "size": 20}},
    "another path": {"path": "/links", "pagination": {"kind": "next_url"}},
    "by increments": {"incremental": SINCE},
    "a parameter": {"parameters": {"x": "1"}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_description_that_changes_after_a_stop_loses_nothing(lake: Lake, change: str) -> None:
    upstream, asked = Api(), iter(range(100))

    def stops(request: Asked) -> Answer:
        return upstream.answer(request) if next(asked) < 4 else Answer(status=403)

    described = {"path": "/keys", "pagination": KEYS, "key": ["id"]}
    source = Resource.model_validate({"records": "data", **described})
    with served(stops) as api, pytest.raises(HeadworksError):
        ingest(
            IngestRequest(lake, "t.t", "run"),
            ResourceIngest(ApiSource(api_client(api.url), source, unlanded_pages=2)),
        )
    assert 0 < len(_ids(lake)) < ALL
    # Another port, too: the base URL is another one.
    with served(upstream.answer) as api:
        first = _take(lake, api.url, {**described, **CHANGES[change]})
        for _ in range(2):
            _take(lake, api.url, {**described, **CHANGES[change]})
    assert set(_ids(lake)) == set(range(1, ALL + 1))
    assert any("described differently" in warning for warning in first.warnings)
