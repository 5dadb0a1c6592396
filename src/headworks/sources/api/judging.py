"""What an answer means before anybody looks into its records: fine, empty, damaged, limited, expired, refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headworks.errors import (
    CredentialsRefused,
    HeadworksError,
    PageUnreadable,
    RateLimited,
    RetryError,
    ScanExpired,
    SourceMissing,
    SourceUnavailable,
    StopError,
    WindowTooLarge,
)
from headworks.redaction import excerpt
from headworks.sources.api.request import Request
from headworks.sources.api.resource import Resource

_HEALING = {408, 425}
_SERVER_ERROR = 500
_UNFIT = {501, 505}
_WITHIN_ASCII = ("iso-2022-", "hz", "utf-7")
"""Charsets that write every letter in bytes of ASCII, so that what they wrote looks like UTF-8."""
_NO_CHARSETS = ("idna", "punycode", "unicode", "raw", "undefined", "rot")
"""Codecs of Python's that are no charsets, and whose time may grow with the square of the text."""
_LOOKED_AT = 512 * 1024
_NO_DATA = (
    "nothing, if it heals: the page is asked for again. Else open the address in a browser: mostly it is a page to "
    "sign in, or the path is wrong. Check the address, and the credentials in the API's block."
)
"""What to do about a page for people where data should be."""
_JSON = ("json", "text/plain", "octet-stream", "javascript", "gzip", "x-ndjson", "jsonl")


@dataclass(frozen=True)
class Reply:
    """An answer: its status, its headers by lower-case name, and its body, decompressed."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def type(self) -> str:
        """The content type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def text(self) -> bytes:
        """Return the body as UTF-8: as it came where it is that, else from the charset that it says it has."""
        body = self.body
        for mark, charset in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
            if body.startswith(mark):
                return _recoded(body, charset)
        if b"\0" in body[:4]:
            # JSON begins with two letters of ASCII, so its zeros show how it is written.
            wide = {b"\0\0\0": "utf-32-be", b"\0": "utf-16-be"}
            begins = next((name for zeros, name in wide.items() if body.startswith(zeros)), "")
            return _recoded(body, begins or ("utf-32-le" if body[1:4] == b"\0\0\0" else "utf-16-le"))
        charset = (
            self.headers.get("content-type", "")
            .lower()
            .partition("charset=")[2]
            .strip(' "')
            .partition(";")[0]
        )
        if not charset or charset in ("utf-8", "utf8", "us-ascii", "ascii"):
            return body
        if charset.startswith(_WITHIN_ASCII):
            return _recoded(body, charset)
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            return _recoded(body, charset)
        return body


@dataclass(frozen=True)
class Rules:
    """What a resource says about statuses. ``first``: nothing of the scan was read yet."""

    empty: frozenset[int] = frozenset({204})
    expired: frozenset[int] = frozenset({410})
    capped: frozenset[int] = frozenset()
    first: bool = True
    past_end: frozenset[int] = frozenset({404, 410})
    format: str = "json"

    @classmethod
    def of(cls, resource: Resource, *, first: bool) -> Rules:
        """Return those of a resource."""
        return cls(
            frozenset(resource.empty_statuses),
            frozenset(resource.expired_statuses),
            frozenset(resource.cap.statuses if resource.cap else ()),
            first,
            frozenset(getattr(resource.pagination, "past_end_statuses", (404, 410))),
            resource.format,
        )

    def retries(self, problem: RetryError) -> bool:
        """Return whether the same request may be sent again after a failure: not for a scan that is gone."""
        return not isinstance(problem, ScanExpired)


def is_empty(reply: Reply, request: Request, rules: Rules) -> bool:
    """Return whether an answer says that there is no such page, or nothing on it."""
    return reply.status in rules.empty or (request.may_be_missing and reply.status in rules.past_end)


def judge(reply: Reply, request: Request, rules: Rules) -> HeadworksError | None:
    """Return what is wrong with an answer, or None where nothing is."""
    status = reply.status
    if status == 200 and status not in rules.capped and status not in rules.empty:
        return _content(reply, rules.format)
    said = f"The API answered {status} {excerpt(reply.reason)}".rstrip() + _excerpt(reply)
    if status in rules.capped:
        return WindowTooLarge(said)
    if is_empty(reply, request, rules) or (status == 304 and _asked_for_changes(request)):
        return None
    if status == 304:
        return PageUnreadable(
            "The API answered 304, that nothing has changed, and was not asked whether anything had.",
            do="ask the API's owner, or whoever runs a cache before it.",
        )
    if status in rules.expired and not rules.first:
        return ScanExpired(said)
    if 200 <= status < 300:
        return _content(reply, rules.format)
    if status == 429 or (status in (403, 503) and _is_limit(reply)):
        return RateLimited(said, do="nothing, if it heals; else lower requests_per_s in the API's block.")
    if status in (401, 403):
        return CredentialsRefused(
            said, do="check the credentials in the API's block, and what they may read."
        )
    if status in (404, 410):
        return SourceMissing(said, do="check the resource's path.")
    if status in _HEALING or (status >= _SERVER_ERROR and status not in _UNFIT):
        return SourceUnavailable(said, do="nothing, if it heals; else ask the API's owner.")
    return StopError(said, do="check the resource's parameters.")


def _asked_for_changes(request: Request) -> bool:
    return any(name.lower() in ("if-none-match", "if-modified-since") for name, _ in request.headers)


def _is_limit(reply: Reply) -> bool:
    names = ("x-ratelimit-remaining", "ratelimit-remaining", "x-rate-limit-remaining")
    return "retry-after" in reply.headers or any(reply.headers.get(name, "").strip() == "0" for name in names)


def _content(reply: Reply, format: str = "json") -> PageUnreadable | None:
    """Say why a successful answer cannot be a page."""
    start = reply.body[:64].lstrip().lower()
    if format == "xml" or (format == "csv" and not start.startswith(b"<")):
        html = start.startswith((b"<!doctype html", b"<html")) or (format == "csv" and "html" in reply.type)
        return (
            PageUnreadable(f"The API answered with a page of HTML and not with {format}.", do=_NO_DATA)
            if html
            else None
        )
    if start.startswith(b"<"):
        return PageUnreadable("The API answered with a page of HTML or XML and not with JSON.", do=_NO_DATA)
    if start.startswith((b"{", b"[")):
        # Some servers call JSON text/html; what it holds is looked at anyway.
        return None
    if reply.type not in ("", "application/json") and not any(kind in reply.type for kind in _JSON):
        return PageUnreadable(f"The API answered with {reply.type} and not with JSON.", do=_NO_DATA)
    return None


def _excerpt(reply: Reply) -> str:
    """Return the beginning of what an error says, where it is not a page of HTML."""
    text = excerpt(reply.body[:_LOOKED_AT].decode("utf-8", "replace"))
    if reply.status < 300 or not text or text.startswith("<"):
        return "."
    return f": {text}"


def _recoded(body: bytes, charset: str) -> bytes:
    if charset.startswith(_NO_CHARSETS):
        return body
    try:
        return body.decode(charset).encode()
    except (LookupError, ValueError):
        return body
