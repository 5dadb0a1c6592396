"""An API that repeats our credentials gets them into no message, log, cause, warning, position, address or breaker.

Kinds of credentials x places in which an API can repeat them x ways of writing them.
"""

from __future__ import annotations

import base64
import json
import traceback
from collections.abc import Callable, Generator, Iterator
from itertools import product
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from pydantic import SecretStr

from headworks.errors import HeadworksError
from headworks.redaction import know
from headworks.sources.api.auth import ApiKeyAuth, Auth, BasicAuth, BearerAuth, CustomAuth, OAuth2Auth
from headworks.sources.api.client import ApiClient
from headworks.sources.api.paginate import Cursor, LinkHeader, NextUrl, Pagination, Single
from headworks.sources.api.probe import probe
from headworks.sources.api.resource import Resource
from headworks.sources.api.settings import ApiSettings, Limits
from headworks.sources.api.source import ApiSource
from tests.support.clients import NOW, no_wait
from tests.support.served import Answer, Asked, Upstream, served
from tests.unit.sources.api.test_client import KeptBreakers
from tests.unit.test_redaction import WRITTEN

CANARY = "canary-S/e cr+et-77"
"""Part of every secret here; of letters that are written differently in different places."""


class Signs(httpx.Auth):
    """Signs each request with a value that nobody could know before."""

    def __init__(self, key: str) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        signature = f"canary-signed-{len(self._key):04d}{len(str(request.url)):04d}"
        request.headers["Authorization"] = f"HMAC key=me, signature={signature}"
        yield request


def kinds(url: str) -> dict[str, Auth]:
    secret = SecretStr(CANARY)
    return {
        "bearer": BearerAuth(token=SecretStr(CANARY)),
        "key in a header": ApiKeyAuth(key=secret),
        "key in the query": ApiKeyAuth(key=secret, name="api_key", send_in="query"),
        "basic": BasicAuth(username="reader", password=secret),
        "basic, the user is the key": BasicAuth(username=CANARY),
        "oauth2": OAuth2Auth(token_url=f"{url}/token", client_id="client-1", client_secret=secret),
        "oauth2, in the form": OAuth2Auth(
            token_url=f"{url}/token", client_id="client-1", client_secret=secret, send_in="body"
        ),
        "custom": CustomAuth(
            reference="httpx:BasicAuth", arguments={"username": SecretStr("reader"), "password": secret}
        ),
        "custom, signed": CustomAuth(reference=f"{__name__}:Signs", arguments={"key": SecretStr("k" * 20)}),
    }


def credentials(asked: Asked) -> list[str]:
    """Return what a request showed of us: headers and parameters, and user and password out of Basic."""
    shown = [
        asked.headers.get("authorization", ""),
        asked.headers.get("x-api-key", ""),
        *asked.query.values(),
    ]
    shown += [value.partition(" ")[2] for value in shown]
    for value in list(shown):
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except ValueError:
            continue
        shown += [password, f"{user}:{password}"]
    return [value for value in shown if len(value) > 11]


Place = Callable[[str, Asked, Upstream], Answer]


def _json(content: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(json.dumps(content).encode(), status, {"Content-Type": "application/json", **headers})


def _header(text: str) -> str:
    return "".join(one if " " <= one <= "~" else quote(one) for one in text)


PLACES: dict[str, Place] = {
    "400, JSON": lambda said, asked, up: _json({"error": {"seen": said}}, 400),
    "401, text": lambda said, asked, up: Answer(f"you sent {said}".encode(), 401),
    "403, cut at any place": lambda said, asked, up: Answer(b"x" * 150 + said.encode(), 403),
    "404, after many blanks": lambda said, asked, up: Answer(b" " * 70_000 + said.encode(), 404),
    "500, text": lambda said, asked, up: Answer(said.encode(), 500),
    "reason phrase": lambda said, asked, up: Answer(b"", 418, reason=_header(f"sent {said}")),
    "error field of a 200": lambda said, asked, up: _json({"error": f"seen {said}", "rows": []}),
    "no JSON": lambda said, asked, up: Answer(f"you sent {said}".encode()),
    "wrong shape": lambda said, asked, up: _json({"auth": said, "rows": 5}),
    "content type": lambda said, asked, up: Answer(b"%PDF", 200, {"Content-Type": _header(f"x/{said}")}),
    "content encoding": lambda said, asked, up: Answer(b"%P", 200, {"Content-Encoding": _header(f"x{said}")}),
    "redirect elsewhere": lambda said, asked, up: Answer(
        b"", 302, {"Location": f"http://elsewhere.example/{quote(said)}?k={quote(said)}"}
    ),
    "redirect that cannot be read": lambda said, asked, up: Answer(
        b"", 302, {"Location": f"http://[{quote(said)}/x"}
    ),
    "limit, too long a wait": lambda said, asked, up: Answer(said.encode(), 429, {"Retry-After": "99999"}),
    "next address, elsewhere": lambda said, asked, up: _json(
        {"rows": [{"id": 1}], "next": f"http://{quote(said, safe='')}.example/x?k={quote(said)}"}
    ),
    "next address": lambda said, asked, up: _json(
        {
            "rows": [{"id": int(asked.query.get("page", 1))}],
            "next": f"{up.url}/x?page=2&k={quote(said)}" if "page" not in asked.query else None,
        }
    ),
    "next address, no address": lambda said, asked, up: _json({"rows": [{"id": 1}], "next": {"seen": said}}),
    "link header": lambda said, asked, up: _json(
        {"rows": [{"id": int(asked.query.get("page", 1))}]},
        Link=f'<{up.url}/x?page=2&k={quote(said)}>; rel="next"' if "page" not in asked.query else "",
    ),
    "token server": lambda said, asked, up: _json({"error": "no", "error_description": said}, 400),
    "token server, no token": lambda said, asked, up: _json({"error": said}),
}
_LOOSE = {"token server", "token server, no token"}


def _said(place: str, asked: Asked, up: Upstream, written: Callable[[str], str]) -> Answer:
    if asked.path == "/token" and place not in _LOOSE:
        return _json({"access_token": f"fetched-{CANARY}", "expires_in": 60})
    shown = [written(value) for value in credentials(asked)]
    shown += [written(CANARY)] if asked.path == "/token" else []
    return PLACES[place](" ".join(shown), asked, up)


def pagination(place: str) -> Pagination:
    return LinkHeader() if place == "link header" else NextUrl() if place.startswith("next") else Single()


def everything(api: ApiClient, resource: Resource) -> Iterator[str]:
    """Yield all that is left of a reading for people: batches, positions, errors with their causes."""
    try:
        for batch in ApiSource(api, resource, unlanded_pages=2).read(None, None):
            yield json.dumps([batch.position, batch.warnings])
            yield str(batch.frame["_url"].to_list())
    except HeadworksError as problem:
        yield from _of(problem)
    try:
        proposal = probe(api, "/x", {})
        yield json.dumps([proposal.reasons, proposal.resource])
    except HeadworksError as problem:
        yield from _of(problem)


def _of(problem: BaseException) -> Iterator[str]:
    yield "".join(traceback.format_exception(problem))
    one: BaseException | None = problem
    while one is not None:
        yield f"{one} {one!r} {one.args!r} {vars(one)!r}"
        one = one.__cause__ or one.__context__


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", kinds(""))
def test_what_an_api_repeats_of_our_credentials_is_in_nothing_that_anybody_reads(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = list(product(PLACES, WRITTEN))
    # Every place with the plain credentials, and of all other pairs an eighteenth, another one for each kind.
    turn = list(kinds("")).index(kind)
    chosen = [(p, w) for n, (p, w) in enumerate(chosen) if w == "itself" or n % 18 == turn]
    for place, name in chosen:
        written = WRITTEN[name]
        caplog.clear()
        with served(lambda asked: _said(place, asked, up, written)) as up, caplog.at_level(0):  # noqa: B023
            kept = KeptBreakers()
            settings = ApiSettings(base_url=up.url, auth=kinds(up.url)[kind], limits=Limits(attempts=1))
            api = ApiClient(settings, clock=lambda: NOW, sleep=no_wait, breakers=kept)
            resource = Resource(path="/x", records="rows", pagination=pagination(place))
            found = list(everything(api, resource))
        shown = {value for asked in up.asked for value in credentials(asked)} | {CANARY}
        text = "\n".join((*found, caplog.text, json.dumps(kept.states)))
        for value in shown:
            assert value not in text, (place, name, value)
            assert written(value) not in text, (place, name, value)
            assert quote(value, safe="") not in text, (place, name, value)
            assert quote(value) not in text, (place, name, value)


PAGING = ["55", "55,N11119", "abc", "postgres", "customers", "0-55-1", "MTIzNDU2Nzg5"]


@pytest.mark.parametrize("token", PAGING)
@pytest.mark.parametrize("way", ["address", "Link header", "token"])
def test_a_secret_of_another_source_takes_nothing_out_of_an_address(token: str, way: str) -> None:
    """A database's short password may well be a part of what leads an API to its next page."""
    know("55", "abc", "postgres", "customer", "56789012")

    def answer(asked: Asked) -> Answer:
        last = asked.query.get("after") == token
        following = f"{up.url}/x?after={quote(token, safe='')}"
        link = {"Link": f'<{following}>; rel="next"'} if way == "Link header" and not last else {}
        following = token if way == "token" else following
        page = {"rows": [{"id": int(last)}], "next": None if last else following}
        return Answer(json.dumps(page).encode(), 200, {"Content-Type": "application/json", **link})

    paginations: dict[str, Pagination] = {
        "address": NextUrl(),
        "Link header": LinkHeader(),
        "token": Cursor(cursor_parameter="after", cursor_field="next"),
    }
    with served(answer) as up:
        api = ApiClient(
            ApiSettings(base_url=up.url), clock=lambda: NOW, sleep=no_wait, breakers=KeptBreakers()
        )
        resource = Resource(path="/x", records="rows", pagination=paginations[way])
        batches = list(ApiSource(api, resource).read(None, None))
    assert sum(batch.frame.height for batch in batches) == 2


@pytest.mark.parametrize("key", ["7x", "canary-long-enough"])
def test_our_own_key_is_taken_out_of_an_address_however_short_it_is(key: str) -> None:
    def answer(asked: Asked) -> Answer:
        last = "after" in asked.query
        following = None if last else f"{up.url}/x?after=7&echo={key}&k={key}"
        return _json({"rows": [{"id": int(last)}], "next": following})

    with served(answer) as up:
        settings = ApiSettings(
            base_url=up.url, auth=ApiKeyAuth(key=SecretStr(key), name="k", send_in="query")
        )
        api = ApiClient(settings, clock=lambda: NOW, sleep=no_wait, breakers=KeptBreakers())
        list(ApiSource(api, Resource(path="/x", records="rows", pagination=NextUrl())).read(None, None))
    # The last page is asked for twice.
    assert [asked.query for asked in up.asked] == [{"k": key}, *[{"after": "7", "k": key}] * 2]
