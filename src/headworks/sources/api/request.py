"""From a resource and what a paginator asks for to one HTTP request."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote_plus, urlencode, urlsplit, urlunsplit

from headworks.errors import AddressRefused, SettingsError
from headworks.redaction import Secrets, holds_secret, redacted
from headworks.sources.api.addresses import is_same_site, origin
from headworks.sources.api.auth import ApiKeyAuth, secrets_of
from headworks.sources.api.paginate.base import Ask, as_text
from headworks.sources.api.paths import placed
from headworks.sources.api.resource import Resource
from headworks.sources.api.settings import ApiSettings
from headworks.sources.api.spool import Spool

_NEVER_BY_CHANCE = 16
"""Characters of any secret of the process that a parameter holds only if it is one."""

_SELDOM_BY_CHANCE = 8
"""Characters of a secret of this very API for which the same is true; of a shorter one the whole value is compared."""


@dataclass(frozen=True)
class Request:
    """One request without credentials. ``shown`` is its path and query as they may be shown to anybody.

    ``part``: of a file that is read in parts, where this one begins; ``sink``: the file goes there. ``bare``: it goes
    to another host than the API's, and credentials and headers of the API stay here.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    shown: str = field(default="", compare=False)
    may_be_missing: bool = field(default=False, compare=False)
    once: bool = field(default=False, compare=False)
    bare: bool = False
    part: int | None = None
    sink: Spool | None = field(default=None, compare=False, repr=False)


class Composer:
    """Makes the requests for one resource of one API."""

    def __init__(self, settings: ApiSettings, resource: Resource, hosts: tuple[str, ...] = ()) -> None:
        self._settings, self._resource, self._hosts = settings, resource, hosts
        self._origin = origin(settings.base_url)
        base = urlsplit(settings.base_url)
        self._site = f"{base.scheme}://{base.netloc}"
        auth = settings.auth
        self._secret = auth.name if isinstance(auth, ApiKeyAuth) and auth.send_in == "query" else None
        own = secrets_of(auth)
        self._short = {secret for secret in own if len(secret) < _SELDOM_BY_CHANCE}
        self._own = Secrets(secret for secret in own if len(secret) >= _SELDOM_BY_CHANCE)
        self._fixed = {name: _text(value) for name, value in resource.parameters.items()}
        written = urlencode(self._fixed)
        self._hides = redacted(written) != written
        self._headers = {**settings.headers, **resource.headers}

    def compose(self, ask: Ask) -> Request:
        """Return the request for a page; raises `AddressRefused` where it would leave the API's own origin."""
        if ask.url is not None and self._hosts and self._is_elsewhere(ask.url):
            # The query of such an address is a signature: it is shown to nobody.
            return Request("GET", ask.url, shown=urlsplit(ask.url).path, bare=True, part=ask.part)
        headers = {**self._headers, **ask.headers}
        method = ask.method or self._resource.method
        content = self._content(ask, method)
        if content is not None:
            form = self._resource.body_format == "form"
            headers.setdefault(
                "Content-Type", "application/x-www-form-urlencoded" if form else "application/json"
            )
        url = self._url(ask) if ask.url is None else self._given(ask.url)
        return Request(
            method,
            url,
            tuple(headers.items()),
            content,
            shown=self._shown(url, given=ask.url is not None),
            may_be_missing=ask.may_be_missing,
            once=ask.once,
            part=ask.part,
        )

    def _is_elsewhere(self, url: str) -> bool:
        """Return whether an address is at one of the other hosts that files may be at, and as safe as the API's own."""
        scheme, host, _ = origin(url)
        if origin(url) == self._origin or host == self._origin[1] or scheme not in ("https", self._origin[0]):
            return False
        return any(fnmatch.fnmatchcase(host, one.lower()) for one in self._hosts)

    def _shown(self, url: str, *, given: bool) -> str:
        """Return a URL's path and query as they may be shown; only an address that the API gave can hold a secret."""
        shown = _shown(url) if given or "#" in url else url.removeprefix(self._site)
        return redacted(shown) if given or self._hides else shown

    def _given(self, url: str) -> str:
        """Return an address that the API gave, without secrets and on its own origin.

        An API behind a proxy often does not know its own address: it leaves out the port, or says http for https. What
        it means is then asked for where the API really is, and nothing is sent anywhere else.
        """
        cleaned = self.clean(url)
        if not self._settings.rewrite_links and not is_same_site(origin(cleaned), self._origin):
            self.check(cleaned)
        parts = urlsplit(cleaned)
        return (
            cleaned if origin(cleaned) == self._origin else f"{self._site}{urlunsplit(('', '', *parts[2:]))}"
        )

    def check(self, url: str) -> None:
        """Raise `AddressRefused` where a URL leads to another scheme, host or port than the API's."""
        found = origin(url)
        if found == self._origin:
            return
        scheme, host, port = found
        raise AddressRefused(
            f"The API points to {scheme or 'nothing'}://{host}:{port}, which is not where it is. "
            "Our credentials do not go there.",
            where=self._settings.base_url,
            do="set the base URL to where the API really is, if the other place is right; if the API is behind a proxy "
            "and does not know its own address, set rewrite_links in its block.",
        )

    def clean(self, url: str) -> str:
        """Return a URL without credentials of ours that an API has written into it: they go along anyway.

        Secrets of other sources in this process do not count, unless they are too long to be met by chance: a database
        whose password is 55 must not cost an API the ``next=55`` that leads to its next page.
        """
        parts = urlsplit(url)
        pairs = parts.query.split("&")
        kept = [pair for pair in pairs if not self._is_ours(pair)]
        return url if len(kept) == len(pairs) else urlunsplit(parts._replace(query="&".join(kept)))

    def _is_ours(self, pair: str) -> bool:
        name, _, value = pair.partition("=")
        return (
            unquote_plus(name) == self._secret
            or unquote_plus(value) in self._short
            or self._own.is_in(value)
            or holds_secret(value, least=_NEVER_BY_CHANCE)
        )

    def _url(self, ask: Ask) -> str:
        path = self._resource.path if ask.at is None else ask.at
        for name, value in ask.path.items():
            path = path.replace("{" + name + "}", quote(value, safe=""))
        if "{" in path and "}" in path:
            raise SettingsError(
                "The resource's path has a place that nothing fills.",
                where=path,
                do="name it as the cursor_parameter with send_in path, or give the cursor a first value.",
            )
        fixed = self._fixed
        if ask.text:
            fixed = {name: filled(value, ask.text) for name, value in fixed.items()}
        query = dict(ask.query) if ask.alone else {**fixed, **ask.query}
        address = f"{self._settings.base_url}/{path.lstrip('/')}" if path else self._settings.base_url
        if not query:
            return address
        return f"{address}{'&' if '?' in path else '?'}{urlencode(query, quote_via=quote, safe='')}"

    def _content(self, ask: Ask, method: str) -> bytes | None:
        if method == "GET" and not ask.body:
            return None
        body: Any = {} if ask.alone and ask.body else dict(self._resource.body or {})
        if ask.text:
            body = filled(body, ask.text)
        for path, value in ask.body.items():
            try:
                body = placed(body, path, value)
            except ValueError as problem:
                raise SettingsError(
                    f"{path} has no place in the body: {problem}.",
                    where=self._resource.path,
                    do="correct what the resource puts there, or its body.",
                ) from problem
        if self._resource.body_format == "form":
            return urlencode({name: as_text(value) for name, value in body.items()}).encode()
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def quoted(text: str) -> str:
    """Return a text as a path of an address holds it."""
    return quote(text, safe="")


def filled(value: Any, texts: Mapping[str, str]) -> Any:
    """Return a decoded value with ``{name}`` in its texts replaced by what is called so."""
    if isinstance(value, str):
        for name, text in texts.items():
            value = value.replace("{" + name + "}", text)
        return value
    if isinstance(value, Mapping):
        return {name: filled(inner, texts) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, texts) for inner in value]
    return value


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(("", "", parts.path, parts.query, ""))


def _text(value: str | float | bool) -> str:
    return as_text(value)


def conditional_headers(validators: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that ask whether something has changed since it had these validators."""
    names = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
    return {names[kind]: value for kind, value in validators.items() if kind in names}
