"""How long to wait: headers of limits in all their forms, and backoff within its bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headworks.sources.api.waiting import asked_wait_s, backoff_s, pause_s

NOW = datetime(2026, 3, 5, 8, 0, tzinfo=UTC)


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": http_date(NOW + timedelta(seconds=42))}, 42),
        ({"retry-after": http_date(NOW - timedelta(hours=1))}, 0),
        ({"x-ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) + 12)}, 12),
        ({"x-ratelimit-reset": str(int(NOW.timestamp() + 12) * 1000)}, 12),
        ({"ratelimit-reset": "9"}, 9),
        ({"ratelimit": "limit=100, remaining=0, reset=5"}, 5),
        ({"ratelimit": '"default";r=0;t=6'}, 6),
        ({"retry-after": "3", "x-ratelimit-reset": "99"}, 3),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({}, None),
    ],
)
def test_what_an_api_asks_for_is_read_from_any_of_its_headers(
    headers: dict[str, str], wait_s: float | None
) -> None:
    assert asked_wait_s(headers, NOW) == wait_s


def test_a_date_counts_from_the_answers_own_date_and_not_from_our_clock() -> None:
    theirs = NOW + timedelta(days=3)
    headers = {"date": http_date(theirs), "retry-after": http_date(theirs + timedelta(seconds=8))}
    assert asked_wait_s(headers, NOW) == 8


def test_an_answer_after_which_nothing_remains_asks_for_a_pause() -> None:
    assert pause_s({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "4"}, NOW) == 4
    assert pause_s({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "4"}, NOW) == 0
    assert pause_s({"ratelimit": '"default";r=0;t=2'}, NOW) == 2
    assert pause_s({}, NOW) == 0


@given(first=st.floats(0, 10), attempt=st.integers(1, 10), chance=st.floats(0, 1))
def test_backoff_is_never_longer_than_twice_the_one_before(first: float, attempt: int, chance: float) -> None:
    assert 0 <= backoff_s(first, attempt, chance) <= first * 2 ** (attempt - 1)
