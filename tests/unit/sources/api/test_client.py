"""One page from an API: what is asked again, how long is waited, and what stops at once."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from threading import Event

import pytest

from headworks.errors import (
    CredentialsRefused,
    PageUnreadable,
    RetryError,
    SourceMissing,
    SourceUnavailable,
    StopError,
)
from tests.support.clients import NOW, TOKEN
from tests.support.served import Answer, in_turn, served
from tests.unit.sources.api.conftest import Opening

FINE = Answer(b"fine")
BUSY = Answer(status=429)


def same(body: bytes) -> bytes:
    """Accept any body."""
    return body


def asked_to_wait(header: str) -> Answer:
    return Answer(status=429, headers={"Retry-After": header})


def test_a_request_carries_the_bearer_token_and_says_what_it_accepts(opened: Opening) -> None:
    with served(in_turn(FINE)) as api:
        assert opened(api.url).get("/v1/things", {"page": "2"}, same) == b"fine"
    (request,) = api.asked
    assert (request.path, request.query) == ("/v1/things", {"page": "2"})
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["accept"] == "application/json"


def test_an_open_api_is_sent_no_authorization(opened: Opening) -> None:
    with served(in_turn(FINE)) as api:
        opened(api.url, token=None).get("/x", {}, same)
    assert "authorization" not in api.asked[0].headers


@pytest.mark.parametrize(
    ("header", "waited_s"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (format_datetime(NOW + timedelta(seconds=42), usegmt=True), 42.0),
        (format_datetime(NOW - timedelta(hours=1), usegmt=True), 0.0),
        # What says nothing leaves it to the backoff.
        ("soon", 0.5),
        ("", 0.5),
        ("-5", 0.5),
    ],
)
def test_what_the_api_asks_us_to_wait_is_waited(
    opened: Opening, waits: list[float], header: str, waited_s: float
) -> None:
    with served(in_turn(asked_to_wait(header), FINE)) as api:
        assert opened(api.url).get("/x", {}, same) == b"fine"
    assert waits == [waited_s]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_can_heal_is_asked_again_after_twice_the_wait(
    opened: Opening, waits: list[float], status: int
) -> None:
    broken = Answer(status=status)
    with served(in_turn(broken, broken, broken, FINE)) as api:
        assert opened(api.url).get("/x", {}, same) == b"fine"
    assert waits == [0.5, 1.0, 2.0]
    assert len(api.asked) == 4


def test_after_the_last_attempt_the_error_that_heals_is_raised(opened: Opening, waits: list[float]) -> None:
    with served(in_turn(Answer(status=503))) as api, pytest.raises(SourceUnavailable, match="503") as caught:
        opened(api.url, attempts=3).get("/x", {}, same)
    assert isinstance(caught.value, RetryError)
    assert caught.value.where == f"{api.url}/x"
    assert (len(api.asked), waits) == (3, [0.5, 1.0])


def test_a_longer_wait_than_is_allowed_stops_at_once(opened: Opening, waits: list[float]) -> None:
    with served(in_turn(asked_to_wait("61"), FINE)) as api, pytest.raises(SourceUnavailable) as caught:
        opened(api.url, longest_wait_s=60).get("/x", {}, same)
    assert caught.value.wait_s == 61
    assert (len(api.asked), waits) == (1, [])


def test_a_wait_just_allowed_is_waited(opened: Opening, waits: list[float]) -> None:
    with served(in_turn(asked_to_wait("60"), FINE)) as api:
        opened(api.url, longest_wait_s=60).get("/x", {}, same)
    assert waits == [60]


def test_a_timeout_is_unavailability(opened: Opening) -> None:
    release = Event()
    with served(in_turn(Answer(b"late", hold=release))) as api:
        client = opened(api.url, timeout_s=0.2, attempts=2)
        with pytest.raises(SourceUnavailable, match="Timeout"):
            client.get("/x", {}, same)
        release.set()
    assert len(api.asked) == 2


def test_one_timeout_is_got_over(opened: Opening) -> None:
    release = Event()
    with served(in_turn(Answer(b"late", hold=release), FINE)) as api:
        assert opened(api.url, timeout_s=0.2).get("/x", {}, same) == b"fine"
        release.set()


def test_an_answer_cut_off_in_the_middle_is_asked_for_again(opened: Opening) -> None:
    with served(in_turn(Answer(b"half an ans", cut=True), FINE)) as api:
        assert opened(api.url).get("/x", {}, same) == b"fine"


def test_nobody_there_is_unavailability_and_says_what_to_check(opened: Opening, waits: list[float]) -> None:
    with served(in_turn(FINE)) as api:
        pass
    with pytest.raises(SourceUnavailable, match="check that it runs, its address and its port"):
        opened(api.url, attempts=2).get("/x", {}, same)
    assert waits == [0.5]


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_stop_at_once_and_say_so(
    opened: Opening, waits: list[float], status: int
) -> None:
    with (
        served(in_turn(Answer(b"who?", status=status))) as api,
        pytest.raises(CredentialsRefused) as caught,
    ):
        opened(api.url).get("/v1/things", {}, same)
    assert f"answered {status}" in str(caught.value)
    assert "/v1/things" in str(caught.value)
    assert "check the token" in str(caught.value)
    assert (len(api.asked), waits) == (1, [])


@pytest.mark.parametrize("status", [404, 410])
def test_a_resource_that_is_not_there_stops_at_once(opened: Opening, waits: list[float], status: int) -> None:
    with served(in_turn(Answer(status=status))) as api, pytest.raises(SourceMissing, match="path"):
        opened(api.url).get("/v1/thinks", {}, same)
    assert (len(api.asked), waits) == (1, [])


@pytest.mark.parametrize("status", [204, 400, 405, 409, 422, 501])
def test_what_repeating_does_not_mend_stops_at_once(opened: Opening, status: int) -> None:
    with served(in_turn(Answer(status=status))) as api, pytest.raises(StopError, match=str(status)):
        opened(api.url).get("/x", {}, same)
    assert len(api.asked) == 1


def test_a_redirect_is_not_followed_so_that_the_token_stays_here(opened: Opening) -> None:
    with served(in_turn(FINE)) as elsewhere:
        pointing = Answer(status=302, headers={"Location": f"{elsewhere.url}/v1/things"})
        with served(in_turn(pointing)) as api, pytest.raises(StopError, match="points elsewhere"):
            opened(api.url).get("/v1/things", {}, same)
    assert elsewhere.asked == []


def test_a_damaged_page_is_asked_for_again(opened: Opening, waits: list[float]) -> None:
    def read(body: bytes) -> bytes:
        if body != b"fine":
            raise PageUnreadable("damaged")
        return body

    with served(in_turn(Answer(b"brok"), FINE)) as api:
        assert opened(api.url).get("/x", {}, read) == b"fine"
    assert (len(api.asked), waits) == (2, [0.5])


def test_what_the_reader_of_a_page_refuses_for_good_is_not_asked_again(opened: Opening) -> None:
    def read(body: bytes) -> bytes:
        raise StopError("no use")

    with served(in_turn(FINE)) as api, pytest.raises(StopError, match="no use"):
        opened(api.url).get("/x", {}, read)
    assert len(api.asked) == 1
