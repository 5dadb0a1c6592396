"""No secret is left in a text, whichever way it is written, nor in anything that an exception was raised from."""

from __future__ import annotations

import base64
import html
import itertools
import json
import logging
import traceback
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headworks.errors import SourceUnavailable
from headworks.redaction import (
    MASK,
    RedactingFilter,
    Secrets,
    Withheld,
    excerpt,
    guard_http_logs,
    know,
    redacted,
    redacted_error,
)

SECRETS = {
    "plain": "canary-plain-4711",
    "odd": "cañary/S e+cr&et=\"q'<7>\\%20",
    "long": "eyJhbGciOi." + "aB3_-" * 60 + ".sig",
    "mail": "reader@example.com:pass word",
}
"""Marked secrets: of letters, of all that is ever escaped, as long as a signed token, and such as a user's name is."""


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


WRITTEN: dict[str, Callable[[str], str]] = {
    "itself": lambda s: s,
    "percent": lambda s: quote(s, safe=""),
    "percent, slashes kept": quote,
    "form": quote_plus,
    "percent twice": lambda s: quote(quote(s, safe=""), safe=""),
    "lower-case percent": lambda s: quote(s, safe="").lower(),
    "every character percent": lambda s: "".join(f"%{byte:02X}" for byte in s.encode()),
    "JSON": lambda s: json.dumps(s)[1:-1],
    "JSON, letters kept": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda s: json.dumps(json.dumps(s)),
    "JSON, slashes escaped": lambda s: json.dumps(s)[1:-1].replace("/", "\\/"),
    "all as \\u": lambda s: "".join(f"\\u{ord(one):04X}" for one in s),
    "HTML": html.escape,
    "HTML by numbers": lambda s: "".join(f"&#{ord(one)};" for one in s),
    "HTML by hexadecimal numbers": lambda s: "".join(f"&#x{ord(one):X};" for one in s),
    "Python": lambda s: repr(s)[1:-1],
    "Python's ascii": lambda s: ascii(s)[1:-1],
    "capitals": str.upper,
    "Base64": _base64,
    "Base64 for addresses": lambda s: base64.urlsafe_b64encode(s.encode()).decode().rstrip("="),
    "Basic, as the password": lambda s: _base64(f"reader:{s}"),
    "Basic, as the user": lambda s: _base64(f"{s}:x"),
    "Basic, percent": lambda s: quote(_base64(f"re:{s}"), safe=""),
    "JSON, percent": lambda s: quote(json.dumps(s), safe=""),
    "all as \\u, percent": lambda s: quote("".join(f"\\u{ord(one):04x}" for one in s), safe=""),
    "HTML, percent": lambda s: quote("".join(f"&#{ord(one)};" for one in s), safe=""),
    "HTML in JSON": lambda s: json.dumps(html.escape(s)),
    "hexadecimal": lambda s: s.encode().hex(),
    "query": lambda s: urlencode({"q": s}),
    "cut off": lambda s: s[: (len(s) * 2 + 2) // 3],
}
PLACES = (
    "{}",
    "a {} b",
    "x{}y",
    "({})",
    '{{"a": "{}"}}',
    "k={}&b=1",
    "{} {}",
    "{{'seen': {{'X-Key': '{}'}}}}",
)


@pytest.mark.parametrize("written", WRITTEN)
def test_a_secret_is_found_however_it_is_written_and_wherever(written: str) -> None:
    for (name, secret), place in itertools.product(SECRETS.items(), PLACES):
        text = WRITTEN[written](secret)
        clean = Secrets([secret]).text(place.replace("{{", "{").replace("}}", "}").replace("{}", text))
        assert MASK in clean, (name, place)
        for at in range(len(text) - 7):
            assert text[at : at + 8] not in clean, (name, place, clean)


@pytest.mark.parametrize(
    "text",
    [
        "https://reader:s3cret-77@api.example.com/x",
        "GET /v1/orders?page=2&api_key=s3cret-77",
        "access_token=s3cret-77&x=1",
        "client_id=a&client_secret=s3cret-77",
        "?X-Amz-Signature=s3cret-77&X-Amz-Expires=60",
        "Authorization: Bearer s3cret-77",
        '{"authorization": "Basic s3cret-77"}',
        '{\\"Authorization\\": \\"s3cret-77\\"}',
        "the token Bearer s3cret-77abcdef is too old",
        "https://hooks.slack.com/services/T000/B000/s3cret-77",
        "https://discord.com/api/webhooks/1/s3cret-77",
        "https://prod.westus.logic.azure.com:443/workflows/a/triggers?sig=s3cret-77",
    ],
)
def test_what_looks_like_credentials_is_taken_out_although_nobody_named_it(text: str) -> None:
    assert "s3cret-77" not in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "page_token=12 and next_token=3, keyset=4",
        "Basic authentication is needed, or a Bearer token",
        "https://api.example.com/a@b?mail=x@y.z",
        "The API answered 200: a page of 12 records; key_field=id",
        "It says 100 % of 3 \\n and more & so",
    ],
)
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert Secrets(SECRETS.values()).text(text) == text


SCHEMES = (
    "postgresql",
    "postgres",
    "postgresql+psycopg",
    "mysql+pymysql",
    "mariadb",
    "sqlite",
    "https",
    "http",
    "s3",
    "abfss",
)
SLASHES = ("://", ":\\/\\/", "%3A%2F%2F", "%253A%252F%252F")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_password_that_is_a_word_of_a_scheme_leaves_every_scheme_readable_and_is_taken_out_elsewhere(
    scheme: str,
) -> None:
    """Else the text says "***ql://", which nobody can read and which names the password."""
    words = {scheme[a:b] for a in range(len(scheme)) for b in range(a + 2, len(scheme) + 1)}
    as_it_is_and_in_capitals: tuple[Callable[[str], str], ...] = (str, str.upper)
    for word, slashes, written in itertools.product(words, SLASHES, as_it_is_and_in_capitals):
        known = Secrets([word])
        address = f"{written(scheme)}{slashes}"
        assert known.text(f"at {address}0") == f"at {address}0", word
        # The same word anywhere else is the secret; a shorter one only where it is a whole word.
        if len(word) < 4:
            continue
        for place in (
            f"{address}{word}@h",
            f"{address}h/{word}",
            f"{word} {address}0",
            f"x={word}:/",
            f"{word}:1",
        ):
            kept = known.text(place).replace(address, "")
            assert word not in kept.lower().split("@")[0], (word, place, kept)
            assert MASK in kept


@pytest.mark.parametrize(
    "secret", ["postgresql://u:long-password@h/db", "s3cret-postgresql", "canary", "postgresql-77"]
)
def test_a_secret_that_is_more_than_a_scheme_or_no_known_one_is_taken_out_where_a_scheme_would_be(
    secret: str,
) -> None:
    for text in (secret, f"{secret}://h", f"x{secret}://h", f"x+{secret}://h"):
        assert secret not in Secrets([secret]).text(text)
    assert Secrets([secret]).is_in(f"{secret}://h")


@pytest.mark.parametrize("before", ["x", " ", "a "])
def test_an_excerpt_holds_no_piece_of_a_secret_wherever_it_is_cut(before: str) -> None:
    secret = SECRETS["plain"]
    know(secret)
    for length in (*range(0, 230), 70_000, *range(65_500, 65_560)):
        said = excerpt((before * length)[:length] + secret + " and more" * 50)
        assert "canary" not in said.replace(" ", ""), length
        assert len(said) <= 200


def test_a_secret_of_a_few_characters_is_taken_out_as_a_word_and_leaves_other_words_readable() -> None:
    assert Secrets(["ab"]).text("ab and about: ab") == "*** and about: ***"


def test_no_secret_is_left_in_an_exception_nor_in_what_it_was_raised_from() -> None:
    """Message, place, advice, attributes, repr, arguments and traceback, through causes and contexts of any kind."""
    secret = SECRETS["plain"]
    for written, link in itertools.product(WRITTEN.values(), ("cause", "context", "none")):
        problem = _raised(written(secret), link)
        clean = Secrets([secret]).error(problem)
        said = "".join(traceback.format_exception(clean))
        one: BaseException | None = clean
        while one is not None:
            said += f"{one} {one!r} {one.args} {vars(one)}"
            one = one.__cause__ or one.__context__
        assert secret not in said
        assert written(secret)[:12] not in said.replace(MASK, "")
        assert isinstance(clean, SourceUnavailable)
        assert clean.wait_s == 3.0


def test_an_exception_without_secrets_is_itself() -> None:
    problem = _raised("nothing", "cause")
    problem.__cause__ = problem.__context__ = ValueError("plain")
    assert redacted_error(problem) is problem


def test_an_exception_that_carries_a_request_with_its_headers_does_not_stay_in_the_chain() -> None:
    problem = SourceUnavailable("broken")
    request = httpx.Request("GET", "https://a.example/", headers={"X-Key": SECRETS["plain"]})
    problem.__cause__ = httpx.ReadError("broken off", request=request)
    clean = redacted_error(problem)
    assert isinstance(clean.__cause__, Withheld)
    assert "httpx.ReadError: broken off" in str(clean.__cause__)


def test_the_log_of_the_http_library_holds_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    know("canary-log-77")
    guard_http_logs()
    logger = logging.getLogger("httpx")
    assert not logger.isEnabledFor(logging.INFO)
    assert any(isinstance(one, RedactingFilter) for one in logger.filters)
    logger.warning("HTTP Request: %s %s", "GET", "https://a.example/canary-log-77/x")
    assert "canary-log-77" not in caplog.text
    assert "a.example" in caplog.text


def _raised(said: str, link: str) -> SourceUnavailable:
    try:
        try:
            raise ValueError(f"seen {said}")
        except ValueError as inner:
            problem = SourceUnavailable(f"It says {said}", where=f"/x?{said}", do=f"look at {said}")
            problem.wait_s = 3.0
            if link == "none":
                raise problem from None
            if link == "context":
                raise problem  # noqa: B904 - a context without a cause is what this is about
            raise problem from inner
    except SourceUnavailable as caught:
        return caught


def test_the_host_of_a_short_secret_address_is_no_secret_and_its_path_is_one_also_cut_off() -> None:
    """A webhook on this machine must not hide which server an error is about."""
    hook = "http://127.0.0.1:45123/hooks/s3cr3t"
    secrets = Secrets([hook])
    other = "The Prefect server at http://127.0.0.1:38301/api does not answer."
    assert secrets.text(other) == other
    assert "s3cr3t" not in secrets.text(f"POST {hook} failed")
    assert "hooks" not in secrets.text(f"POST {hook[:30]}")


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
@pytest.mark.parametrize("at", range(3))
def test_secrets_that_begin_alike_leave_nothing_of_each_other(order: tuple[int, ...], at: int) -> None:
    """Half of a secret is looked for too, since texts are cut: it must not hide the other one's beginning."""
    known = ["Prod-2025-alphabet", "Prod-2025-omega", "Prod-2025-alpha"]
    secrets = Secrets([known[place] for place in order])
    assert secrets.text(f"x {known[at]} y") == "x *** y"
    assert secrets.text(f"{known[at]}, {known[at]}") == "***, ***"


@given(
    st.text("ab", min_size=8, max_size=24),
    st.lists(st.text("abc", min_size=1, max_size=12), min_size=2, max_size=4),
)
def test_of_secrets_with_a_common_beginning_none_is_left_in_a_text(head: str, tails: list[str]) -> None:
    known = [f"k{head}{tail}9" for tail in tails]
    said = Secrets(known).text(" | ".join(f"<{one}>" for one in known))
    assert said == " | ".join("<***>" for _ in known)


@pytest.mark.parametrize(
    "text", ["Bearer {}", "authorization: {}", "access_token={}", '"authorization": "Basic {}"']
)
def test_of_a_token_that_was_renewed_nothing_is_left_where_a_token_stands(text: str) -> None:
    """The new one is not known yet, and begins as the old one does: its end would stay in clear text."""
    old = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ4IiwiaWF0IjoxNzAwMDAwMDAwfQ.abcdefgh0123456789"
    new = old[:-30] + "x9" * 15
    said = Secrets([old]).text(text.format(new))
    assert "x9" not in said
    assert said == text.format("***")
