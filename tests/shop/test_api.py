"""The API keeps its promises: who may read, in which portions, how fast, and what breaks on purpose."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from headworks.errors import SettingsError
from headworks.prefect.local.serving import bind, serving
from shop.api import make_app
from shop.limits import Faults, FaultSource, Limits, TokenBucket
from shop.serve import main
from shop.store import Store

TOKEN = SecretStr("a token for tests")
FAST = Limits(burst=10_000, per_second=10_000)


@contextmanager
def client(dsn: str, *, limits: Limits = FAST, faults: Faults | None = None) -> Iterator[httpx.Client]:
    """An authorised client of an API of its own, whose clock is still."""
    app = make_app(SecretStr(dsn), TOKEN, limits, faults, clock=lambda: 100.0)
    headers = {"Authorization": f"Bearer {TOKEN.get_secret_value()}"}
    with serving(app) as url, httpx.Client(base_url=url, headers=headers, timeout=10) as opened:
        yield opened


@pytest.fixture(scope="module")
def shop_dsn(postgres: Any, founded_dsn: str) -> str:
    """A copy for this module: an API that runs keeps a connection open."""
    return str(postgres.new_database(founded_dsn))


@pytest.fixture(scope="module")
def api(shop_dsn: str) -> Iterator[httpx.Client]:
    with client(shop_dsn) as opened:
        yield opened


def stored(dsn: str, statement: str) -> list[Any]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement).fetchall()


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic abc"}])
@pytest.mark.parametrize("path", ["/v1/products", "/v1/rates"])
def test_without_the_token_nothing_is_shown(api: httpx.Client, path: str, header: dict[str, str]) -> None:
    answer = httpx.get(f"{api.base_url}{path}", headers=header)
    assert answer.status_code == 401
    assert answer.json()["error"]["status"] == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_health_is_open(api: httpx.Client) -> None:
    assert httpx.get(f"{api.base_url}/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("per_page", [1, 7, 33, 100])
def test_pages_hold_every_record_once_to_the_byte(api: httpx.Client, shop_dsn: str, per_page: int) -> None:
    payloads = [
        payload for (payload,) in stored(shop_dsn, "SELECT payload FROM catalogue.products ORDER BY ord")
    ]
    page, bodies = 1, []
    while True:
        answer = api.get("/v1/products", params={"page": page, "per_page": per_page})
        meta = answer.json()["meta"]
        assert meta == {"page": page, "pages": -(-len(payloads) // per_page), "total": len(set(payloads))}
        if page > meta["pages"]:
            assert answer.json()["data"]["items"] == []
            break
        bodies.append(answer.text)
        expected = ",".join(payloads[(page - 1) * per_page : page * per_page])
        assert answer.text.startswith(f'{{"data":{{"items":[{expected}]}},"meta":')
        page += 1
    assert len(bodies) == -(-len(payloads) // per_page)


def test_a_page_is_never_longer_than_a_hundred_and_copies_are_counted_once(
    connect: Any, founded_dsn: str
) -> None:
    connection = connect(founded_dsn)
    connection.execute(
        "INSERT INTO catalogue.products (payload, updated_at) "
        "SELECT payload, updated_at FROM catalogue.products CROSS JOIN generate_series(1, 4)"
    )
    with client(connection.info.dsn) as api:
        answer = api.get("/v1/products", params={"per_page": 5000}).json()
    assert len(answer["data"]["items"]) == 100
    [(listed, different)] = stored(
        connection.info.dsn, "SELECT count(*), count(DISTINCT payload) FROM catalogue.products"
    )
    # The copies have their pages, and are no further products.
    assert listed >= 5 * different
    assert answer["meta"] == {"page": 1, "pages": -(-listed // 100), "total": different}


def test_an_empty_catalogue_has_no_pages(connect: Any, founded_dsn: str) -> None:
    connection = connect(founded_dsn)
    connection.execute("TRUNCATE catalogue.products")
    with client(connection.info.dsn) as api:
        answer = api.get("/v1/products").json()
    assert answer == {"data": {"items": []}, "meta": {"page": 1, "pages": 0, "total": 0}}


@pytest.mark.parametrize("limit", [1, 6, 50, 500])
def test_the_cursor_leads_through_all_rates_once(api: httpx.Client, shop_dsn: str, limit: int) -> None:
    since = "2026-01-07"
    rows = stored(
        shop_dsn,
        f"SELECT day::text, currency, eur_per_unit::text FROM catalogue.rates WHERE day >= '{since}' "
        "ORDER BY 1, 2",
    )
    seen: list[dict[str, str]] = []
    parameters: dict[str, str | int] = {"since": since, "limit": limit}
    while True:
        answer = api.get("/v1/rates", params=parameters).json()
        assert len(answer["rates"]) <= limit
        seen += answer["rates"]
        if answer["next_cursor"] is None:
            break
        parameters["cursor"] = answer["next_cursor"]
    assert [(rate["day"], rate["currency"], rate["eur_per_unit"]) for rate in seen] == rows
    assert seen[0]["day"] == since


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/v1/products?page=0", "page"),
        ("/v1/products?page=x", "page"),
        ("/v1/products?page=99999999999999999999", "page"),
        ("/v1/products?per_page=-1", "per_page"),
        ("/v1/rates?since=yesterday", "since"),
        ("/v1/rates?since=2026-02-30", "since"),
        ("/v1/rates?limit=", "limit"),
        ("/v1/rates?cursor=%00", "cursor"),
        ("/v1/rates?cursor=nonsense", "cursor"),
        ("/v1/rates?cursor=MjAyNi0wMS0wNS8AAA==", "cursor"),
    ],
)
def test_bad_input_is_named(api: httpx.Client, path: str, word: str) -> None:
    answer = api.get(path)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(f"{word}: ")


def test_too_many_requests_are_told_when_to_come_back(shop_dsn: str) -> None:
    with client(shop_dsn, limits=Limits(burst=3, per_second=1)) as api:
        answers = [api.get("/v1/rates") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[-1].headers["Retry-After"] == "1"
        assert httpx.get(f"{api.base_url}/healthz").status_code == 200


def test_strangers_use_up_nothing_of_the_limit(shop_dsn: str) -> None:
    with client(shop_dsn, limits=Limits(burst=1, per_second=1)) as api:
        assert httpx.get(f"{api.base_url}/v1/rates").status_code == 401
        assert api.get("/v1/rates").status_code == 200


def test_the_bucket_fills_with_time_up_to_its_size() -> None:
    bucket = TokenBucket(Limits(burst=2, per_second=4), now_s=0)
    assert [bucket.take(0), bucket.take(0), bucket.take(0)] == [True, True, False]
    assert [bucket.take(0.25), bucket.take(0.25)] == [True, False]
    assert [bucket.take(60), bucket.take(60), bucket.take(60)] == [True, True, False]
    assert not bucket.take(1), "a clock that goes back gives nothing"


def test_seeded_faults_come_in_every_kind_and_again_the_same(shop_dsn: str) -> None:
    def kinds() -> list[str]:
        with client(shop_dsn, faults=Faults(seed=3, share=0.5)) as api:
            return [kind(api.get("/v1/products", params={"per_page": 5})) for _ in range(30)]

    def kind(answer: httpx.Response) -> str:
        if answer.status_code != 200:
            return str(answer.status_code)
        try:
            json.loads(answer.content)
        except ValueError:
            return "cut"
        return "whole"

    first = kinds()
    assert set(first) == {"500", "503", "cut", "whole"}
    assert first == kinds()


def test_no_share_of_faults_means_none() -> None:
    source = FaultSource(Faults(seed=1, share=0))
    assert {source.next() for _ in range(100)} == {None}


def test_the_store_connects_again_after_its_connection_broke(shop_dsn: str) -> None:
    store = Store(SecretStr(shop_dsn))
    page = store.products(0, 1)
    with psycopg.connect(shop_dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'shop.api'"
        )
    with pytest.raises(psycopg.OperationalError):
        store.ping()
    assert store.products(0, 1) == page
    store.close()


def test_a_database_that_is_gone_is_a_503_that_tells_no_secrets() -> None:
    with client("host=127.0.0.1 port=1 password=hunter2") as api:
        answer = api.get("/v1/rates")
    assert answer.status_code == 503
    assert "127.0.0.1" not in answer.text
    assert "hunter2" not in answer.text


def test_the_program_serves_until_it_is_told_to_stop(shop_dsn: str) -> None:
    command = [sys.executable, "-m", "shop.api", "--dsn", shop_dsn, "--port", "0", "--token-env", "T"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "T": "secret"}
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        url = program.stdout.readline().removeprefix("listening on ").strip()
        answer = httpx.get(f"{url}/v1/rates", headers={"Authorization": "Bearer secret"})
        program.send_signal(signal.SIGTERM)
        errors = program.stderr.read()
    assert answer.status_code == 200
    assert (program.returncode, errors) == (0, "")


def test_a_busy_port_gives_one_clear_line() -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(SettingsError, match="choose another --port"):
            bind("127.0.0.1", taken.getsockname()[1])


def test_the_program_says_what_it_lacks(
    shop_dsn: str, postgres: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_API_TOKEN", raising=False)
    assert main(["--dsn", shop_dsn]) == 2
    assert "set the environment variable SHOP_API_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("SHOP_API_TOKEN", "secret")
    assert main(["--dsn", postgres.new_database()]) == 2
    assert "python -m shop.live" in capsys.readouterr().err
