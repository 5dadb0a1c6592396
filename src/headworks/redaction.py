"""Takes secrets out of texts, and out of exceptions with everything that they were raised from.

A secret is looked for in whichever way it may be written: plain, percent-encoded, escaped as JSON, HTML or Python,
inside Base64 at any place of it (so also as half of ``user:password``), in hexadecimal, and cut off at its end.
Credentials that nobody passed in are recognised by their surroundings: ``api_key=…``, ``Authorization: …``,
``https://user:password@…``, addresses of webhooks.

Whoever learns a secret calls `know`; whoever writes a text for people calls `redacted`, and for an exception
`redacted_error`.
"""

from __future__ import annotations

import base64
import html
import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from html.entities import codepoint2name
from typing import Any, TypeVar
from urllib.parse import quote_plus, unquote

from headworks.errors import HeadworksError

MASK = "***"

_MOST_KNOWN = 256
"""Secrets that one process remembers at most; tokens that are renewed every hour would be ever more."""

_SHORT = 4
"""A secret with fewer characters is taken out only where it is a word of its own, or no text could be read any more."""

_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s]*/?")
_CUT = 8
"""So many characters of a secret, and half of it, are enough to count as the secret cut off."""

_LEAST_CORE = 6
"""Characters of Base64 that are as good as never there by chance."""

_LOOKED_AT, _LONGEST_SECRET = 64 * 1024, 8 * 1024
"""Characters that are looked at for an excerpt, and those at their end in which a secret may have been cut off."""

_DEEPEST = 20
"""Causes of causes that are looked at."""

_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-")
_ESCAPED = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_LOOSE = re.compile(r"[\s+\\%;]+")

_SCHEME = re.compile(
    r"(?<![\w+.-])(?:"
    r"https?|wss?|s?ftp|file|postgres(?:ql)?|mysql|mariadb|sqlite|mssql|oracle|duckdb|redis|rediss|mongodb|amqps?|smtps?|"
    r"s3a?|gs|gcs|az|adl|abfss?|wasbs?"
    r")(?:\+(?:psycopg2?|psycopg2?_async|asyncpg|pg8000|pymysql|mysqldb|asyncmy|aiomysql|aiosqlite|pyodbc|aioodbc|"
    r"oracledb|mysqlconnector|mariadbconnector|srv))?"
    r"(?=:(?:\\*/){2}|%(?:25)*3a(?:%(?:25)*2f){2})",
    re.IGNORECASE,
)
"""How an address begins, where it is one that everybody knows: it says nothing of a secret that is a part of it.

``postgresql://`` without ``postgres`` could not be read, and would give away that the password is that word.
"""
_LONGEST_SCHEME = 40

_NAMES = (
    r"access[_-]?token|refresh[_-]?token|id[_-]?token|auth[_-]?token|session[_-]?token|api[_-]?token|token|"
    r"api[_-]?key|x-api-key|apikey|subscription-key|client[_-]?secret|secret|password|passwd|pwd|"
    r"signature|sig|x-amz-signature|x-amz-security-token|x-amz-credential|x-goog-signature|x-goog-credential|awsaccesskeyid"
)
_NOT_MASKED = r"(?!\*\*\*(?![\w+/=~-]))"
"""What is masked already is left as it is, unless more of it follows: such as the end of a token that was renewed."""
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A user and a password in an address, or a token in their place; a plain name of a user is no secret.
    (
        re.compile(
            r"(?i)(\b[a-z][a-z0-9+.-]*:/{2})(?![a-z][a-z_-]{0,30}[0-9]{0,2}@)[^\s/@\"'<>]*(?<!/)@(?=[^\s])"
        ),
        rf"\1{MASK}@",
    ),
    # Addresses that are secrets themselves.
    (
        re.compile(
            r"(?i)(https?://(?:hooks\.slack\.com/|[\w.-]*discord(?:app)?\.com/api/webhooks/|[\w.-]*\.webhook\.office\.com/|"
            r"[\w.-]*\.logic\.azure\.com[:/]|hooks\.zapier\.com/|api\.telegram\.org/bot))[^\s\"'<>]+"
        ),
        rf"\1{MASK}",
    ),
    # Query parameters and fields of a form.
    (re.compile(rf"(?i)((?<![\w.-])(?:{_NAMES})=){_NOT_MASKED}[^\s&\"'<>;,)\]}}]+"), rf"\1{MASK}"),
    # Headers, as written by whoever repeats them.
    (
        re.compile(
            r"(?i)((?:proxy-)?authorization\\*[\"']?\s*[:=]\s*\\*[\"']?(?:(?:bearer|basic|token|digest|apikey)\s+)?)"
            rf"{_NOT_MASKED}" + r"[^\s\"'\\,;<>{}]+"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)(\b(?:bearer|basic)\s+)(?:\*\*\*)?(?=[^\s]*\d)[A-Za-z0-9._~+/=-]{12,}"), rf"\1{MASK}"),
)

E = TypeVar("E", bound=BaseException)


class Withheld(Exception):
    """Kept in a chain of causes for another library's exception, whose text or parts held a secret."""


class _Secret:
    """One text that is looked for, whichever way each of its characters is written."""

    def __init__(self, text: str, *, within: bool = False) -> None:
        # ``within``: a piece of Base64; what is around it belongs to it.
        self._within = within
        # Half of a short address is hardly more than its host, which is in other addresses too.
        origin = _ORIGIN.match(text)
        half = max(_CUT, (len(text) + 1) // 2, origin.end() + 1 if origin else 0)
        least = len(text) if within or len(text) < _CUT else min(half, len(text))
        head = "".join(map(_written, text[:least]))
        word = len(text) < _SHORT
        flags = 0 if within else re.IGNORECASE
        self._head = re.compile(rf"(?<!\w){head}(?!\w)" if word else head, flags)
        self._rest = [_character(one, flags) for one in text[least:]]
        self._sure = _loose(text[:least])

    def is_likely(self, loose: str) -> bool:
        """Return whether it may be in a text, from the text without its escapes: a quick look."""
        return self._sure in loose

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where in a text it begins and ends, whole or cut off."""
        at = 0
        for found in self._head.finditer(text):
            if found.start() < at:
                continue
            start, end = found.start(), self._end(text, found.end())
            if _is_of_scheme(text, start, end):
                continue
            if self._within:
                while start > at and text[start - 1] in _BASE64:
                    start -= 1
                while end < len(text) and text[end] in _BASE64:
                    end += 1
            yield start, end
            at = end

    def _end(self, text: str, end: int) -> int:
        for one in self._rest:
            found = one.match(text, end)
            if found is None:
                break
            end = found.end()
        return end


def _without(text: str, places: Iterable[tuple[int, int]]) -> str:
    """Return a text with a mask in the place of each part of it; parts that overlap are one."""
    kept, at = [], 0
    for start, end in sorted(places):
        if start >= at:
            kept += [text[at:start], MASK]
        at = max(at, end)
    return "".join((*kept, text[at:])) if kept else text


class Secrets:
    """Secrets that are taken out of texts; more may be added at any time, the oldest are forgotten."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[_Secret, ...]] = {}
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Remember secrets; empty ones and those of a single character are none."""
        given = [secret for secret in secrets if len(secret) > 1]
        if not given:
            return
        with self._lock:
            known = dict(self._known)
            for secret in given:
                # Those that are in use are the last to be forgotten.
                known[secret] = known.pop(secret) if secret in known else _ways(secret)
            self._known = dict(list(known.items())[-_MOST_KNOWN:])

    def copy(self) -> Secrets:
        """Return others that know the same, and learn on their own."""
        made = Secrets()
        made._known = self._known
        return made

    def is_in(self, text: str, *, least: int = 0) -> bool:
        """Return whether a text holds one of the secrets that have at least so many characters."""
        loose = _loose(text)
        return any(
            one.is_likely(loose) and any(one.places(text))
            for secret, ways in self._known.items()
            if len(secret) >= least
            for one in ways
        )

    def text(self, text: str) -> str:
        """Return a text without the secrets, and without what looks like others."""
        loose = _loose(text)
        # All are looked for in the text as it is: of two that begin alike, one that is cut off would else take the
        # beginning of the other one away, and its end would not be found any more.
        ways = [one for known in self._known.values() for one in known if one.is_likely(loose)]
        text = _without(text, [place for one in ways for place in one.places(text)])
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        return text

    def error(self, problem: E) -> E | Withheld:
        """Return an exception without the secrets, and with a chain of causes without them.

        One that holds none is returned itself. Raise it outside of the ``except`` clause that caught the first one, or
        Python chains the two.
        """
        clean: E | Withheld = self._error(problem, 0)
        return clean

    def _error(self, problem: Any, depth: int) -> Any:
        if not isinstance(problem, Exception):
            # What ends a program or cancels a task is caught by its own identity.
            return problem
        if depth > _DEEPEST:
            return Withheld("and further causes")
        cause, context = problem.__cause__, problem.__context__
        shown = cause if cause is not None or problem.__suppress_context__ else context
        below = None if shown is None else self._error(shown, depth + 1)
        hidden = (
            context is not shown and context is not None and self._error(context, depth + 1) is not context
        )
        clean = self._own(problem)
        if clean is problem and below is shown and not hidden:
            return problem
        if clean is problem:
            clean = _copied(problem, lambda text: text)
        clean.__traceback__ = problem.__traceback__
        clean.__cause__ = below
        return clean

    def _own(self, problem: Exception) -> Exception:
        if isinstance(problem, HeadworksError):
            parts = (problem.what, problem.where, problem.do)
            return problem if all(map(self._is_clean, parts)) else _copied(problem, self.text)
        if not _has_parts(problem) and self._is_clean(f"{problem} {problem!r} {vars(problem)!r}"):
            return problem
        return _copied(problem, self.text)

    def _is_clean(self, text: str) -> bool:
        return self.text(text) == text


def know(*secrets: str) -> None:
    """Remember secrets of this process, which `redacted` takes out of every text from now on."""
    _KNOWN.add(*secrets)


def redacted(text: str) -> str:
    """Return a text without the secrets that this process knows, and without what looks like others."""
    return _KNOWN.text(text)


def excerpt(text: str, most: int = 200) -> str:
    """Return the beginning of a text that somebody sent, on one line: first without secrets, and then cut.

    A secret that was cut in two could not be found any more.
    """
    held = text[:_LOOKED_AT]
    said = redacted(" ".join(held.split()))
    if len(text) > len(held):
        said = said[:-_LONGEST_SECRET]
    return said if len(said) <= most else f"{said[: most - 1]}…"


def holds_secret(text: str, *, least: int = 0) -> bool:
    """Return whether a text holds a secret that this process knows and that has at least so many characters."""
    return _KNOWN.is_in(text, least=least)


def redacted_error(problem: E) -> E | Withheld:
    """Return an exception, and all that it was raised from, without the secrets that this process knows."""
    return _KNOWN.error(problem)


class RedactingFilter(logging.Filter):
    """Takes secrets out of log records: for loggers of libraries that write addresses."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite a record that holds a secret."""
        said = record.getMessage()
        clean = redacted(said)
        if clean != said:
            record.msg, record.args = clean, ()
        return True


_FILTER = RedactingFilter()


def guard_http_logs() -> None:
    """Have the loggers of the HTTP libraries say nothing secret, and nothing of each request unless debugging."""
    for name in ("httpx", "httpcore", "aiohttp.client", "urllib3.connectionpool"):
        logger = logging.getLogger(name)
        if _FILTER not in logger.filters:
            logger.addFilter(_FILTER)
    if logging.getLogger("httpx").level == logging.NOTSET:
        # httpx writes every address at INFO, and that of a webhook is a secret itself.
        logging.getLogger("httpx").setLevel(logging.WARNING)


def _ways(secret: str) -> tuple[_Secret, ...]:
    """Return a secret as itself, in hexadecimal, and as what it comes to inside Base64 from each of three offsets."""
    raw = secret.encode()
    found = [_Secret(secret)]
    encoded = quote_plus(secret)
    if encoded != secret:
        # As a form has it; then its percent signs may be escaped in their turn.
        found.append(_Secret(encoded))
    if len(raw) >= _SHORT:
        found.append(_Secret(raw.hex()))
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
        first = -(-before * 8 // 6)
        last = (before + len(raw)) * 8 // 6
        core = whole[first:last]
        if len(core) >= _LEAST_CORE:
            found += [_Secret(core, within=True)]
            other = core.replace("+", "-").replace("/", "_")
            found += [_Secret(other, within=True)] if other != core else []
    return tuple(found)


def _is_of_scheme(text: str, start: int, end: int) -> bool:
    """Return whether a piece of a text lies within the scheme of an address."""
    first = max(0, start - _LONGEST_SCHEME)
    return any(
        one.start() <= start and end <= one.end()
        for one in _SCHEME.finditer(text, first, end + _LONGEST_SCHEME)
    )


_BACK = r"(?:\\|%(?:25)*5[cC])"
_AND, _NUMBER_SIGN, _END = r"(?:&|%(?:25)*26)", r"(?:#|%(?:25)*23)", r"(?:;|%(?:25)*3[bB])"
"""What escapes are made of, which may be percent-encoded themselves."""


@cache
def _written(one: str) -> str:
    """Return the pattern of one character in every way in which it is written."""
    code = ord(one)
    percent = "".join(f"%(?:25)*{byte:02x}" for byte in one.encode("utf-8", "surrogatepass"))
    units = one.encode("utf-16-be", "surrogatepass")
    escaped = "".join(rf"{_BACK}+u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
    # The longer ways go first, since a backslash, an ampersand or their percent forms begin most of them.
    ways = [f"(?i:{_AND}{_NUMBER_SIGN}(?:0*{code}|x0*{code:x}){_END})", f"(?i:{escaped})"]
    if code in codepoint2name:
        ways.append(f"{_AND}{codepoint2name[code]}{_END}")
    if code < 256:
        ways.append(rf"(?i:{_BACK}+x{code:02x})")
    if one.isspace():
        ways.append(rf"\s+|\+|%(?:25)*20|%(?:25)*2[bB]|{_BACK}+[nrt]|{_AND}nbsp{_END}")
    elif one == "\\":
        ways.append(f"{_BACK}+")
    else:
        ways.append(rf"{_BACK}*(?:(?i:{percent})|{re.escape(one)})")
    return f"(?:{'|'.join(ways)})"


@cache
def _character(one: str, flags: int) -> re.Pattern[str]:
    return re.compile(_written(one), flags)


def _loose(text: str) -> str:
    """Return a text without escapes, blanks and capitals, for a quick look whether something may be in it."""
    plain = text
    for _ in range(4):
        before = plain
        if "%" in plain:
            plain = unquote(plain)
        if "&" in plain:
            plain = html.unescape(plain)
        if "\\" in plain:
            plain = _ESCAPED.sub(_unescaped, plain)
        if plain == before:
            break
    return _LOOSE.sub("", plain).casefold()


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code else found[3]


def _has_parts(problem: BaseException) -> bool:
    """Return whether an exception carries objects of its library, such as a request with its headers."""
    plain = (str, bytes, int, float, bool, type(None), tuple, list)
    return any(not isinstance(value, plain) for value in vars(problem).values())


def _copied(problem: Exception, text: Callable[[str], str]) -> Exception:
    """Return an exception again without its chain, its texts put through ``text``: of another library's one of ours."""
    if not isinstance(problem, HeadworksError):
        kind = type(problem)
        return Withheld(f"{kind.__module__}.{kind.__qualname__}: {text(str(problem))}")
    made = type(problem)(text(problem.what), where=text(problem.where), do=text(problem.do))
    for name in vars(problem).keys() - {"what", "where", "do"}:
        value = getattr(problem, name)
        setattr(made, name, text(value) if isinstance(value, str) else value)
    return made


_KNOWN = Secrets()
