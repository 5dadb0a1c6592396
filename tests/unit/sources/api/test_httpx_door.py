"""Whoever brings an httpx.Auth or a transport of httpx's is served by httpx, with the same promises."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

import httpx
import pytest
import respx
from pydantic import SecretStr

from headworks.errors import AddressRefused, SourceUnavailable
from headworks.sources.api.auth import ApiKeyAuth, CustomAuth
from headworks.sources.api.settings import ApiSettings
from tests.support.clients import api_client
from tests.unit.sources.api.conftest import Opened

API = "https://api.example.com"
SECRET = "s3cret"


class Challenged(httpx.Auth):
    """Answers a challenge: the kind of credentials that needs a request of its own."""

    def __init__(self, word: str) -> None:
        self._word = word

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        response = yield request
        if response.status_code == 401:
            request.headers["Authorization"] = f"{response.headers['WWW-Authenticate']} {self._word}"
            yield request


def opened(router: respx.Router, settings: ApiSettings) -> Opened:
    def transport() -> httpx.AsyncBaseTransport:
        return httpx.MockTransport(router.async_handler)

    return Opened(replace(api_client(settings.base_url), settings=settings, transport=transport))


def body(found: bytes) -> bytes:
    return found


def test_an_auth_of_ones_own_answers_a_challenge_on_each_page() -> None:
    router = respx.Router()
    wanted = router.get(f"{API}/x", headers={"Authorization": f"Challenge {SECRET}"}).respond(content=b"[]")
    router.get(f"{API}/x").respond(401, headers={"WWW-Authenticate": "Challenge"})
    auth = CustomAuth(reference=f"{__name__}:Challenged", arguments={"word": SecretStr(SECRET)})
    assert opened(router, ApiSettings(base_url=API, auth=auth)).all(["/x", "/x"], {}, body) == [b"[]", b"[]"]
    assert wanted.call_count == 2


@pytest.mark.parametrize(
    "raised",
    [
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.ReadError,
        httpx.WriteError,
        httpx.RemoteProtocolError,
        httpx.LocalProtocolError,
        httpx.ProxyError,
    ],
)
def test_whatever_goes_wrong_on_the_wire_is_asked_again_and_then_told(
    raised: Callable[[str], Exception],
) -> None:
    router = respx.Router()
    route = router.get(f"{API}/x").mock(side_effect=[raised("once"), httpx.Response(200, content=b"[]")])
    assert opened(router, ApiSettings(base_url=API)).get("/x", {}, body) == b"[]"
    route.mock(side_effect=raised("always"))
    with pytest.raises(SourceUnavailable, match="always") as output:
        opened(router, ApiSettings(base_url=API)).get("/x", {}, body)
    assert f"{API} GET /x" in output.value.where


def test_a_key_in_the_query_is_sent_and_never_told() -> None:
    router = respx.Router()
    route = router.get(f"{API}/x", params={"key": SECRET}).mock(side_effect=httpx.ReadError("broken"))
    auth = ApiKeyAuth(name="key", key=SecretStr(SECRET), send_in="query")
    with pytest.raises(SourceUnavailable) as output:
        opened(router, ApiSettings(base_url=API, auth=auth)).get("/x", {}, body)
    assert route.called
    assert SECRET not in str(output.value)


def test_a_cookie_of_the_api_comes_back_with_the_next_request() -> None:
    router = respx.Router()
    answers = [
        httpx.Response(503, headers={"Set-Cookie": "session=7; Path=/"}),
        httpx.Response(200, content=b"[]"),
    ]
    route = router.get(f"{API}/x").mock(side_effect=answers)
    assert opened(router, ApiSettings(base_url=API)).get("/x", {}, body) == b"[]"
    assert [call.request.headers.get("cookie") for call in route.calls] == [None, "session=7"]


def test_credentials_do_not_follow_a_redirect_to_another_host() -> None:
    router = respx.Router(assert_all_called=False)
    router.get(f"{API}/x").respond(302, headers={"Location": "https://evil.example.com/x"})
    evil = router.get("https://evil.example.com/x").respond(content=b"[]")
    auth = CustomAuth(reference=f"{__name__}:Challenged", arguments={"word": SecretStr(SECRET)})
    with pytest.raises(AddressRefused):
        opened(router, ApiSettings(base_url=API, auth=auth)).get("/x", {}, body)
    assert not evil.called
