"""One page from an API: what is asked again, how long is waited, and what stops at once."""

from __future__ import annotations

import gzip
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from pydantic import SecretStr

from headworks.errors import (
    AddressRefused,
    BreakerOpen,
    CredentialsRefused,
    PageUnreadable,
    RateLimited,
    ResponseTooLarge,
    RetryError,
    SourceMissing,
    SourceUnavailable,
    StopError,
    WaitTooLong,
)
from headworks.sources.api.auth import ApiKeyAuth, OAuth2Auth
from headworks.sources.api.settings import ApiSettings
from tests.support.clients import NOW, TOKEN
from tests.support.served import Answer, Asked, in_turn, served
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
        ("7", 7.0),
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
        assert opened(api.url, attempts=4).get("/x", {}, same) == b"fine"
    assert waits == [0.5, 1.0, 2.0]
    assert len(api.asked) == 4


def test_after_the_last_attempt_the_error_that_heals_is_raised(opened: Opening, waits: list[float]) -> None:
    with served(in_turn(Answer(status=503))) as api, pytest.raises(SourceUnavailable, match="503") as caught:
        opened(api.url, attempts=3).get("/x", {}, same)
    assert isinstance(caught.value, RetryError)
    assert caught.value.where == f"{api.url} GET /x"
    assert (len(api.asked), waits) == (3, [0.5, 1.0])


def test_a_longer_wait_than_is_allowed_stops_at_once(opened: Opening, waits: list[float]) -> None:
    with served(in_turn(asked_to_wait("61"), FINE)) as api, pytest.raises(WaitTooLong, match="61 s"):
        opened(api.url, longest_wait_s=60).get("/x", {}, same)
    assert (len(api.asked), waits) == (1, [])


def test_a_wait_just_allowed_is_waited(opened: Opening, waits: list[float]) -> None:
    with served(in_turn(asked_to_wait("60"), FINE)) as api:
        opened(api.url, longest_wait_s=60).get("/x", {}, same)
    assert waits == [60]


def test_a_timeout_is_unavailability(opened: Opening) -> None:
    release = Event()
    with served(in_turn(Answer(b"late", hold=release))) as api:
        client = opened(api.url, timeout_s=0.2, attempts=2)
        with pytest.raises(SourceUnavailable, match=r"within 0\.2 s"):
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
    assert "check the credentials" in str(caught.value)
    assert (len(api.asked), waits) == (1, [])


@pytest.mark.parametrize("status", [404, 410])
def test_a_resource_that_is_not_there_stops_at_once(opened: Opening, waits: list[float], status: int) -> None:
    with served(in_turn(Answer(status=status))) as api, pytest.raises(SourceMissing, match="path"):
        opened(api.url).get("/v1/thinks", {}, same)
    assert (len(api.asked), waits) == (1, [])


@pytest.mark.parametrize("status", [400, 405, 409, 422, 501])
def test_what_repeating_does_not_mend_stops_at_once(opened: Opening, status: int) -> None:
    with served(in_turn(Answer(status=status))) as api, pytest.raises(StopError, match=str(status)):
        opened(api.url).get("/x", {}, same)
    assert len(api.asked) == 1


def test_a_redirect_to_another_origin_is_not_followed_so_that_the_token_stays_here(opened: Opening) -> None:
    with served(in_turn(FINE)) as elsewhere:
        pointing = Answer(status=302, headers={"Location": f"{elsewhere.url}/v1/things"})
        with (
            served(in_turn(pointing)) as api,
            pytest.raises(StopError, match="points to another host, port or scheme"),
        ):
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


def test_a_redirect_on_the_same_origin_is_followed_with_the_token(opened: Opening) -> None:
    def answer(asked: Asked) -> Answer:
        return FINE if asked.path == "/v2/things" else Answer(status=301, headers={"Location": "/v2/things"})

    with served(answer) as api:
        assert opened(api.url).get("/v1/things", {}, same) == b"fine"
    assert [asked.headers["authorization"] for asked in api.asked] == [f"Bearer {TOKEN}"] * 2


@pytest.mark.parametrize("target", ["https://{host}/x", "file:///etc/passwd", "//user@elsewhere/x"])
def test_a_redirect_to_another_scheme_or_host_stops_before_anything_is_sent(
    opened: Opening, target: str
) -> None:
    def answer(asked: Asked) -> Answer:
        host = asked.headers["host"]
        return Answer(status=307, headers={"Location": target.format(host=host)})

    with served(answer) as api, pytest.raises(AddressRefused):
        opened(api.url).get("/v1/things", {}, same)
    assert len(api.asked) == 1


def test_a_limit_holds_back_all_requests_that_are_on_their_way(opened: Opening, waits: list[float]) -> None:
    limited = asked_to_wait("3")
    with served(in_turn(limited, FINE)) as api:
        opened(api.url).all(["/a", "/b"], {}, same)
    assert waits
    assert set(waits) == {3.0}


def test_an_api_that_puts_off_for_ever_is_given_up(opened: Opening, waits: list[float]) -> None:
    with served(in_turn(asked_to_wait("1"))) as api, pytest.raises(RateLimited):
        opened(api.url).get("/x", {}, same)
    assert len(api.asked) == 20
    assert waits == [1.0] * 19


def test_a_wait_of_a_day_stops_this_run_and_keeps_the_next_one_from_asking(
    opened: Opening, waits: list[float]
) -> None:
    kept = KeptBreakers()
    parts = {"breakers": kept, "name": "slow-api"}
    with served(in_turn(asked_to_wait("86400"), FINE)) as api:
        with pytest.raises(WaitTooLong, match="86,400 s"):
            opened(api.url, parts).get("/x", {}, same)
        with pytest.raises(BreakerOpen, match="headworks breaker reset slow-api"):
            opened(api.url, parts).get("/x", {}, same)
    assert (len(api.asked), waits) == (1, [])


def test_a_breaker_opens_after_so_many_failures_lets_one_through_and_closes_across_runs(
    opened: Opening,
) -> None:
    kept, now = KeptBreakers(), [NOW]
    parts = {"breakers": kept, "name": "down-api", "clock": lambda: now[0]}
    down = [True]
    with served(lambda asked: Answer(status=503) if down[0] else FINE) as api:
        for _ in range(5):
            with pytest.raises(SourceUnavailable):
                opened(api.url, parts, attempts=2).get("/x", {}, same)
        assert len(api.asked) == 10
        with pytest.raises(BreakerOpen):
            opened(api.url, parts).get("/x", {}, same)
        assert len(api.asked) == 10
        now[0] += timedelta(seconds=61)
        with pytest.raises(BreakerOpen):
            opened(api.url, parts).get("/x", {}, same)
        assert len(api.asked) == 11, "half open, one request is let through, and its failure opens it again"
        down[0] = False
        now[0] += timedelta(seconds=121)
        assert opened(api.url, parts).all(["/x"], {}, same) == [b"fine"]
    assert kept.states["down-api"]["closed_until"] is None


def test_a_token_that_expires_in_the_middle_is_renewed_once_for_all_requests(opened: Opening) -> None:
    good, tokens = ["t1"], iter(["t1", "t2", "t3"])

    def answer(asked: Asked) -> Answer:
        if asked.path == "/token":
            good[0] = next(tokens)
            return Answer(b'{"access_token":"%s","expires_in":3600}' % good[0].encode())
        if asked.path == "/expire" and good[0] == "t1":
            good[0] = "another"
        return FINE if asked.headers.get("authorization") == f"Bearer {good[0]}" else Answer(status=401)

    with served(answer) as api:
        opening = opened(api.url, oauth(api.url))
        assert opening.get("/a", {}, same) == b"fine"
        assert opening.all(["/expire", "/b", "/c", "/d"], {}, same) == [b"fine"] * 4
    asked = [each for each in api.asked if each.path == "/token"]
    assert len(asked) == 2
    assert b"grant_type=client_credentials" in asked[0].body
    assert asked[0].headers["authorization"].startswith("Basic ")


def test_a_renewed_token_that_is_refused_too_stops(opened: Opening) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(b'{"access_token":"t"}') if asked.path == "/token" else Answer(status=401)

    with served(answer) as api, pytest.raises(CredentialsRefused, match="401"):
        opened(api.url, oauth(api.url)).get("/a", {}, same)
    assert [each.path for each in api.asked] == ["/token", "/a", "/token", "/a"]


def test_a_key_in_the_query_reaches_the_api_and_no_message_and_no_log(
    opened: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    auth = ApiKeyAuth(key=SecretStr("k-3y/never"), name="api_key", send_in="query")
    with served(in_turn(Answer(b'{"detail": "k-3y/never is wrong"}', status=403))) as api, caplog.at_level(0):
        parts = {"settings": ApiSettings(base_url=api.url, auth=auth)}
        with pytest.raises(CredentialsRefused) as caught:
            opened(api.url, parts).get("/v1/things", {"page": "1"}, same)
    assert api.asked[0].query == {"page": "1", "api_key": "k-3y/never"}
    output = f"{caught.value!r} {caught.value} {caplog.text}"
    assert "*** is wrong" in output
    assert "k-3y" not in output


def test_an_answer_larger_than_allowed_is_not_read_to_its_end(opened: Opening) -> None:
    bomb = gzip.compress(b"[" + b" " * 30_000_000 + b"]")
    headers = {"Content-Encoding": "gzip"}
    with (
        served(in_turn(Answer(bomb, headers=headers))) as api,
        pytest.raises(ResponseTooLarge, match="1,000,000"),
    ):
        opened(api.url, response_bytes=1_000_000).get("/x", {}, same)
    assert len(api.asked) == 1


def test_a_compressed_answer_is_read_and_a_damaged_one_asked_for_again(opened: Opening) -> None:
    whole, headers = gzip.compress(b"fine"), {"Content-Encoding": "gzip"}
    with served(in_turn(Answer(whole[:-3], headers=headers), Answer(whole, headers=headers))) as api:
        assert opened(api.url).get("/x", {}, same) == b"fine"
    assert len(api.asked) == 2


def oauth(url: str) -> dict[str, Any]:
    auth = OAuth2Auth(token_url=f"{url}/token", client_id="me", client_secret=SecretStr("s3cret"))
    return {"settings": ApiSettings(base_url=url, auth=auth)}


class KeptBreakers:
    """Keeps breakers in memory."""

    def __init__(self) -> None:
        self.states: dict[str, dict[str, Any]] = {}

    def load(self, name: str) -> dict[str, Any] | None:
        return self.states.get(name)

    def save(self, name: str, state: dict[str, Any]) -> None:
        self.states[name] = state
