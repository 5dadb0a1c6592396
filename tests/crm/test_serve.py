"""The CRM's API is as its description says: OAuth 2, cursor pages, ``updated_since``, a rate limit, deletions, dirt."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from crm.serve import Crm
from crm.world import KEYS, RESOURCES, WEEK, World
from headworks.prefect.local.serving import serving

CLIENT = ("reader", "a secret of this test")
START = datetime(2026, 1, 5, tzinfo=UTC)
NOW = START + 12 * WEEK
WORLD = World(START, 13, customers=60, seed=3)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Crm(WORLD, CLIENT, clock=lambda: NOW, per_second=100_000, burst=100_000).app()) as url:
        yield url


def _token(url: str, client: tuple[str, str] = CLIENT, **form: str) -> httpx.Response:
    return httpx.post(
        f"{url}/oauth/token",
        data={"grant_type": "client_credentials", "client_id": client[0], "client_secret": client[1], **form},
    )


def _pages(url: str, resource: str, **query: Any) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {_token(url).json()['access_token']}"}
    found: list[dict[str, Any]] = []
    with httpx.Client(base_url=url, headers=headers) as client:
        while True:
            body = client.get(f"/v1/{resource}", params=query).raise_for_status().json()
            found += body["results"]
            if (after := body["paging"]["next"]) is None:
                return found
            query = {**query, "after": after}


def test_only_a_token_of_the_right_client_opens_it(url: str) -> None:
    assert _token(url, ("reader", "wrong")).status_code == 401
    assert _token(url, grant_type="password").status_code == 401
    assert httpx.get(f"{url}/v1/contacts").status_code == 401
    wrong = httpx.get(f"{url}/v1/contacts", headers={"Authorization": "Bearer made-up"})
    assert wrong.headers["www-authenticate"] == "Bearer"
    by_basic = httpx.post(f"{url}/oauth/token", data={"grant_type": "client_credentials"}, auth=CLIENT)
    assert by_basic.json()["token_type"] == "Bearer"


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("limit", [7, 500])
def test_the_pages_are_each_record_once_in_the_order_of_their_changes(
    url: str, resource: str, limit: int
) -> None:
    shown = _pages(url, resource, limit=limit)
    key = KEYS[resource]
    assert [one[key] for one in shown] == [one[key] for one in WORLD.as_of(resource, NOW)]
    assert len({one[key] for one in shown}) == len(shown) > 10
    assert shown == sorted(shown, key=lambda one: one["updated_at"])


@pytest.mark.parametrize("resource", RESOURCES)
def test_updated_since_gives_what_changed_from_then_on(url: str, resource: str) -> None:
    since = NOW - 2 * WEEK
    shown = _pages(url, resource, limit=50, updated_since=since.isoformat())
    wanted = [one for one in WORLD.as_of(resource, NOW) if one["updated_at"] >= since]
    assert [one[KEYS[resource]] for one in shown] == [one[KEYS[resource]] for one in wanted]
    assert 0 < len(shown) < len(_pages(url, resource))


def test_contacts_are_deleted_and_said_to_be(url: str) -> None:
    deleted = [one for one in _pages(url, "contacts") if one.get("deleted")]
    assert deleted
    assert {one["contact_id"] for one in deleted} == {
        one["contact_id"] for one in WORLD.as_of("contacts", NOW) if one.get("deleted")
    }


def test_some_records_are_dirty_and_the_same_ones_each_time(url: str) -> None:
    usage = _pages(url, "usage", limit=500)
    dirty = [one["event_id"] for one in usage if one["minutes"] == -1]
    assert 0 < len(dirty) < len(usage) / 100
    assert dirty == [one["event_id"] for one in _pages(url, "usage", limit=499) if one["minutes"] == -1]


def test_who_asks_too_often_is_told_when_to_ask_again() -> None:
    with serving(Crm(WORLD, CLIENT, clock=lambda: NOW, per_second=0.001, burst=3).app()) as url:
        headers = {"Authorization": f"Bearer {_token(url).json()['access_token']}"}
        codes = [httpx.get(f"{url}/v1/contacts", headers=headers) for _ in range(4)]
    assert [one.status_code for one in codes] == [200, 200, 200, 429]
    assert int(codes[-1].headers["retry-after"]) > 0


@pytest.mark.parametrize(
    "query", [{"limit": "many"}, {"updated_since": "yesterday"}, {"after": "made up"}, {"after": "bWFkZQ=="}]
)
def test_a_wrong_question_is_refused_and_breaks_nothing(url: str, query: dict[str, str]) -> None:
    headers = {"Authorization": f"Bearer {_token(url).json()['access_token']}"}
    assert httpx.get(f"{url}/v1/contacts", params=query, headers=headers).status_code == 400
    assert httpx.get(f"{url}/v1/nothing", headers=headers).status_code == 404
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}


def test_a_scan_sees_one_moment_though_the_world_lives_on() -> None:
    now = [NOW - 4 * WEEK]
    with serving(Crm(WORLD, CLIENT, clock=lambda: now[0], per_second=1e5, burst=100_000).app()) as url:
        headers = {"Authorization": f"Bearer {_token(url).json()['access_token']}"}
        first = httpx.get(f"{url}/v1/contacts", params={"limit": 20}, headers=headers).json()
        now[0] += timedelta(weeks=4)
        found, after = list(first["results"]), first["paging"]["next"]
        while after is not None:
            body = httpx.get(
                f"{url}/v1/contacts", params={"limit": 20, "after": after}, headers=headers
            ).json()
            found += body["results"]
            after = body["paging"]["next"]
    assert [one["contact_id"] for one in found] == [
        one["contact_id"] for one in WORLD.as_of("contacts", NOW - 4 * WEEK)
    ]
