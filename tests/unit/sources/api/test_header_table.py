"""No header about waiting, dates or compression raises an error that is not ours, or waits beyond the bound."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import format_datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headworks.errors import HeadworksError, WaitTooLong
from headworks.sources.api.breaker import Breaker
from headworks.sources.api.waiting import LONGEST_S, asked_wait_s, pause_s
from tests.support.clients import NOW
from tests.support.served import Answer, in_turn, served
from tests.unit.sources.api.conftest import Opening
from tests.unit.sources.api.test_client import FINE, KeptBreakers, same

EPOCH = int(NOW.timestamp())


def http(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


NUMBERS = [
    *(
        "0",
        "1",
        "7",
        "007",
        "+5",
        "-5",
        "1.5",
        "1.",
        ".5",
        "1e3",
        "1e400",
        "-1e400",
        "0x10",
        "1_000",
        "1,000",
        "1 000",
    ),
    *(
        "²",
        "٣",
        "½",
        "Ⅷ",
        "７",
        "1²",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "Infinity",
        "null",
        "None",
        "true",
        "false",
        "soon",
    ),
    *("9" * n for n in (5, 9, 10, 11, 12, 13, 14, 16, 17, 19, 20, 25, 31, 400, 5000)),
    *(str(EPOCH + plus) for plus in (-(10**6), 0, 1, 59, 61, 3600)),
    *(str((EPOCH + plus) * 1000 + 5) for plus in (-5, 0, 30, 86_400)),
    *(str((EPOCH + plus) * 1_000_000) for plus in (0, 30)),
    f"{EPOCH + 10}.75",
    *(
        "5s",
        "5 s",
        "5sec",
        "5 seconds",
        "1500ms",
        "2m",
        "2 min",
        "1h",
        "3d",
        "PT30S",
        "00:01:00",
        "5;w=10",
        "7, 9",
        "0, 30",
    ),
    *("5\t", " 5", "5\x00", "", " ", ",", ";", "=", '"5"', "'5'", "5\\", "5,", ", 5", '5;comment="a, b"'),
]
DATES = [
    *(http(NOW + timedelta(seconds=s)) for s in (-86_400, -1, 0, 1, 42, 61, 86_400, 10**8)),
    *(
        (NOW + timedelta(seconds=30)).strftime(p)
        for p in (
            "%Y-%m-%dT%H:%M:%SZ",
            "%Y-%m-%d %H:%M:%S",
            "%Y-%m-%dT%H:%M:%S+02:00",
            "%A, %d-%b-%y %H:%M:%S GMT",
            "%a %b %d %H:%M:%S %Y",
            "%d %b %Y %H:%M:%S",
            "%Y-%m-%d",
            "%Y%m%dT%H%M%SZ",
            "%a, %d %b %Y %H:%M:%S +0000 (UTC)",
        )
    ),
    *(
        "Fri, 99 Foo 20261",
        "Thu, 01 Jan 0001 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2359",
    ),
    *(
        "Thu, 01 Jan 2026 25:61:61 GMT",
        "Thu, 01 Jan 2026 00:00:00 +9999",
        "Thu, 01 Jan 2026 00:00:00 -0000",
        "Thu",
        ", , ,",
    ),
    *(
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-13-45",
        "2026-W10-4",
        "24:00",
        "Thu, 01 Jan 20 GMT",
    ),
]
POLICIES = [
    '"default";r=0;t=5, "daily";r=3;t=3600',
    '"a";r=3;t=5, "b";r=0;t=40, "c";r=0;t=9',
    '"a";r=1;t=5',
    '"a";r=0',
    '"a";t=5',
    "a;r=0;t=²",
    "limit=100, remaining=0, reset=5",
    "limit=100,remaining=0,reset=",
    "remaining=0",
    "reset=5",
    "limit=10;w=60",
    'r=0;t="5"',
    '"a,b";r=0;t=5',
    '"a\\"b;r=9";r=0;t=5',
    '"unclosed;r=0;t=5',
    ";;;",
    ",,,",
    "=,=;=",
    "t=1e400;r=0",
    "r=0;t=-5",
    "r=0;t=" + "9" * 400,
    "(1 2);r=0;t=5",
    "?1;r=0;t=5",
    ":AAAA:;r=0;t=5",
    "*;r=0;t=5",
    '"a";r=0.0;t=5',
    '"a";R=0;T=5',
    '"a" ; r = 0 ; t = 5',
    "a" * 100_000,
    ",".join(f'"p{i}";r=0;t={i}' for i in range(2000)),
]
NAMES = ("retry-after", "retry-after-ms", "ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset")
LEFT = ("0", "1", "0, 5", "5, 0", "", "-1", "²", "0;w=5")


def table() -> Iterator[dict[str, str]]:
    """Yield the headers of made-up answers: each value in each header, with other headers around it."""
    for name, value in product(NAMES, [*NUMBERS, *DATES]):
        yield {name: value}
    for value, left in product([*NUMBERS, *DATES], LEFT):
        yield {"x-ratelimit-remaining": left, "x-ratelimit-reset": value}
    for value, date in product((*NUMBERS[:6], *DATES[:6]), [*DATES, *NUMBERS]):
        yield {"retry-after": value, "date": date}
    for policy, left in product(POLICIES, ("", "0", "3")):
        yield {"ratelimit": policy, **({"ratelimit-remaining": left} if left else {})}


def test_every_made_up_header_asks_for_nothing_or_for_a_bounded_wait() -> None:
    made = list(table())
    assert len(made) > 1500
    for headers in made:
        wait = asked_wait_s(headers, NOW)
        assert wait is None or 0 <= wait <= LONGEST_S, headers
        assert 0 <= pause_s(headers, NOW) <= LONGEST_S, headers
        Breaker().asked_to_wait(NOW, wait or 0, "")


@given(
    name=st.sampled_from([*NAMES, "ratelimit", "ratelimit-remaining"]),
    value=st.text(max_size=60),
    date=st.text(),
)
def test_any_text_in_a_header_asks_for_nothing_or_for_a_bounded_wait(
    name: str, value: str, date: str
) -> None:
    headers = {name: value, "date": date, "x-ratelimit-remaining": "0"}
    assert 0 <= (asked_wait_s(headers, NOW) or 0) <= LONGEST_S
    assert 0 <= pause_s(headers, NOW) <= LONGEST_S


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": str(EPOCH + 12)}, 12),
        ({"retry-after": str((EPOCH + 12) * 1000)}, 12),
        ({"retry-after": str((EPOCH + 12) * 1_000_000)}, 12),
        ({"retry-after": str(EPOCH - 5)}, 0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "1500ms"}, 1.5),
        ({"retry-after": "2 minutes"}, 120),
        ({"retry-after": "7, 9"}, 9),
        ({"retry-after": "²"}, None),
        ({"retry-after": "99999999"}, LONGEST_S),
        ({"retry-after": http(NOW + timedelta(seconds=9)), "date": "Mon, 01 Jan 0001 00:00:00 GMT"}, 9),
        ({"ratelimit": '"default";r=50;t=30, "daily";r=0;t=3600'}, 3600),
        ({"ratelimit": '"daily";r=0;t=3600, "default";r=50;t=30'}, 3600),
        ({"ratelimit": '"a";r=0;t=5, "b";r=0;t=7'}, 7),
        ({"ratelimit": '"a";r=9;t=5, "b";r=2;t=7'}, 7),
        ({"x-ratelimit-remaining": "5, 0", "x-ratelimit-reset": "3600, 10"}, 10),
        ({"x-ratelimit-remaining": "0, 5", "x-ratelimit-reset": "3600, 10"}, 3600),
    ],
)
def test_moments_spans_and_several_limits_are_read_as_they_are_meant(
    headers: dict[str, str], wait_s: float | None
) -> None:
    assert asked_wait_s(headers, NOW) == wait_s


def test_of_several_limits_a_pause_is_made_for_those_that_are_used_up() -> None:
    assert pause_s({"ratelimit": '"default";r=50;t=30, "daily";r=0;t=3600'}, NOW) == 3600
    assert pause_s({"ratelimit": '"default";r=0;t=30, "daily";r=10;t=3600'}, NOW) == 30
    assert pause_s({"ratelimit": '"default";r=5;t=30, "daily";r=1;t=3600'}, NOW) == 0


@pytest.mark.parametrize("status", [429, 503])
def test_no_header_of_a_refusal_ends_in_an_error_that_is_not_ours_or_closes_the_api_for_long(
    opened: Opening, waits: list[float], status: int
) -> None:
    sent = [
        value for value in NUMBERS + DATES if value.isprintable() and value.isascii() and len(value) < 500
    ]
    for value in [*sent, "²".encode().decode("latin-1")]:
        kept = KeptBreakers()
        answer = Answer(status=status, headers={"Retry-After": value})
        with served(in_turn(answer, FINE)) as api:
            try:
                assert opened(api.url, {"breakers": kept}, longest_wait_s=60).get("/x", {}, same) == b"fine"
            except WaitTooLong:
                until = datetime.fromisoformat(kept.states["api"]["closed_until"])
                assert until <= NOW + timedelta(seconds=LONGEST_S), value
    assert max(waits) <= 60


BODY = b'[{"id": 1, "name": "%s"}]' % (b"x" * 3000)


def _raw(body: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(body) + packer.flush()


FINE_BODIES: dict[str, tuple[str | None, bytes]] = {
    **{
        f"plain called {name!r}": (name, BODY)
        for name in (
            None,
            "",
            "identity",
            "none",
            "None",
            "null",
            "utf-8",
            "UTF8",
            "binary",
            "gzip",
            "deflate",
            "x-gzip",
            "br",
            "zstd",
            "gzip, gzip",
            "identity, identity",
            "aws-chunked",
            "chunked",
            "*",
            "application/json",
        )
    },
    **{
        f"gzip called {name!r}": (name, gzip.compress(BODY))
        for name in (
            "gzip",
            "GZIP",
            "x-gzip",
            " gzip ",
            "gzip,",
            "gzip, gzip",
            "identity, gzip",
            "gzip, identity",
            "deflate",
            "none",
            "",
            None,
            "utf-8",
            "br",
            "aws-chunked,gzip",
        )
    },
    "gzip of two members": ("gzip", gzip.compress(BODY[:1000]) + gzip.compress(BODY[1000:])),
    "gzip of many members": (
        "gzip",
        b"".join(gzip.compress(BODY[at : at + 50]) for at in range(0, len(BODY), 50)),
    ),
    "gzip with an empty member": ("gzip", gzip.compress(b"") + gzip.compress(BODY)),
    "gzip and zeros": ("gzip", gzip.compress(BODY) + bytes(512)),
    "gzip twice": ("gzip, gzip", gzip.compress(gzip.compress(BODY))),
    "gzip twice, said once": ("gzip", gzip.compress(gzip.compress(BODY))),
    "zlib": ("deflate", zlib.compress(BODY)),
    "raw deflate": ("deflate", _raw(BODY)),
    "raw deflate of little": ("deflate", _raw(BODY[:1] + b"]")),
    "zlib in gzip": ("deflate, gzip", gzip.compress(zlib.compress(BODY))),
}
BROKEN_BODIES: dict[str, tuple[str, bytes]] = {
    "gzip cut": ("gzip", gzip.compress(BODY)[:-9]),
    "gzip with a wrong sum": ("gzip", gzip.compress(BODY)[:-8] + b"\0" * 8),
    "second member cut": ("gzip", gzip.compress(BODY) + gzip.compress(BODY)[:-9]),
    "second member broken": ("gzip", gzip.compress(BODY) + b"\x1f\x8b" + b"\xff" * 20),
    "raw deflate cut": ("deflate", _raw(BODY)[:-3]),
    "zlib cut": ("deflate", zlib.compress(BODY)[:-3]),
    "no gzip at all": ("gzip", b"\x00\x01\x02\x03"),
    "br": ("br", b"\x8b\x01\x80"),
    "zstd": ("zstd", b"\x28\xb5\x2f\xfd\x00"),
    "an unknown word": ("sdch", b"\x01\x02"),
    "a long word": ("x" * 5000, b"\x01\x02"),
    "gzip many times over": ("gzip", gzip.compress(gzip.compress(gzip.compress(gzip.compress(BODY))))),
}


def _answer(encoding: str | None, body: bytes) -> Answer:
    return Answer(body, headers={} if encoding is None else {"Content-Encoding": encoding})


def test_a_body_is_read_whatever_its_header_says_where_its_bytes_say_what_it_is(opened: Opening) -> None:
    for name, (encoding, body) in FINE_BODIES.items():
        with served(in_turn(_answer(encoding, body))) as api:
            got = opened(api.url, attempts=1).get("/x", {}, same)
        assert got == (BODY if len(body) > 10 else b"[]"), name


def test_a_body_that_cannot_be_unpacked_is_an_error_of_ours_and_asked_for_again(opened: Opening) -> None:
    for name, (encoding, body) in BROKEN_BODIES.items():
        with served(in_turn(_answer(encoding, body))) as api, pytest.raises(HeadworksError):
            opened(api.url, attempts=2).get("/x", {}, same)
        assert len(api.asked) == 2, name


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_bomb_is_refused_before_it_is_unpacked_however_often_it_was_packed(
    opened: Opening, layers: int
) -> None:
    bomb: Any = b" " * 50_000_000
    for _ in range(layers):
        bomb = gzip.compress(bomb, 9)
    with (
        served(in_turn(_answer(", ".join(["gzip"] * layers), bomb))) as api,
        pytest.raises(HeadworksError, match="larger than 1,000,000"),
    ):
        opened(api.url, response_bytes=1_000_000).get("/x", {}, same)
