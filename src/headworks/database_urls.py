"""URLs of databases taken apart and written again, whatever characters a password has.

Libraries read them differently: one takes the first ``@`` for the end of the password and another the last, one leaves
a space as it is and another refuses it. So they are read here, in one way, and every library gets them written so that
none can misread them. No error shows any part of a URL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote, unquote_plus

from headworks.errors import SettingsError
from headworks.redaction import know

_POSTGRES = {"postgres", "postgresql"}
_HOST = r"(?:\[[0-9A-Fa-f:.%\w]*\]|[^\s@:/?#\[\],]*)(?::\d*)?"
_PLACE = re.compile(rf"(?P<hosts>{_HOST}(?:,{_HOST})*)(?:/(?P<database>[^@?]*))?")
_PAIRS = re.compile(r"[A-Za-z_][\w.-]*=[^&]*(?:&[A-Za-z_][\w.-]*=[^&]*)*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\+[A-Za-z0-9_]+)?")
_SECRETS = {"password", "passwd", "pwd"}
_OTHER_SECRETS = re.compile(r"(?i)pass(word|phrase|wd)?$|pwd$|secret|token|private_key$")
_OPTIONS = {
    "application_name", "channel_binding", "client_encoding", "connect_timeout", "dbname",
    "fallback_application_name", "gssdelegation", "gssencmode", "gsslib", "host", "hostaddr", "keepalives",
    "keepalives_count", "keepalives_idle", "keepalives_interval", "krbsrvname", "load_balance_hosts",
    "max_protocol_version", "min_protocol_version", "options", "passfile", "password", "port", "replication",
    "require_auth", "requirepeer", "scram_client_key", "scram_server_key", "service", "servicefile", "sslcert",
    "sslcertmode", "sslcompression", "sslcrl", "sslcrldir", "sslkey", "sslkeylogfile", "sslmode", "sslnegotiation",
    "sslpassword", "sslrootcert", "sslsni", "ssl_max_protocol_version", "ssl_min_protocol_version",
    "target_session_attrs", "tcp_user_timeout", "user",
}  # fmt: skip
"""What libpq takes as a parameter."""


@dataclass(frozen=True)
class DatabaseUrl:
    """The parts of a URL, decoded; several hosts and ports are separated by commas, as libpq has them."""

    scheme: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str | None = None
    port: str | None = None
    database: str | None = None
    query: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_postgres(self) -> bool:
        """Return whether it is the URL of a Postgres."""
        return self.scheme.partition("+")[0] in _POSTGRES

    def secret_options(self) -> list[str]:
        """Return the names of the parameters that hold a secret."""
        return sorted(name for name in self.query if _OTHER_SECRETS.search(name))

    def written(self, scheme: str | None = None) -> str:
        """Return the URL with everything percent-encoded that anybody could misread."""
        login = _encoded(self.user or "")
        if self.password is not None:
            login += f":{_encoded(self.password)}"
        query = dict(self.query)
        host, port = self.host or "", self.port or ""
        if "," in host or "," in port:
            query |= {"host": host} | ({"port": port} if port else {})
            host = port = ""
        place = f"[{host}]" if ":" in host else _encoded(host)
        place += f":{port}" if port else ""
        written = (
            f"{scheme or self.scheme}://{login}{'@' if login else ''}{place}/{_encoded(self.database or '')}"
        )
        pairs = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in query.items())
        return f"{written}?{pairs}" if pairs else written


def read_url(url: str, where: str = "") -> DatabaseUrl:
    """Take a URL apart; raises `SettingsError`, without showing it, where it cannot be read.

    The password ends at the last ``@`` that a host can follow, so that one which is not percent-encoded is read, too.
    """
    scheme, separator, rest = url.strip().partition("://")
    found = _parts(scheme.lower(), rest) if separator and _SCHEME.fullmatch(scheme) else None
    if found is None:
        raise SettingsError(
            "The database's URL cannot be read.",
            where=where,
            do="write it as postgresql://user:password@host:port/database, with special characters percent-encoded.",
        )
    if found.password:
        know(found.password)
    know(*(found.query[name] for name in found.secret_options()))
    return found


def _parts(scheme: str, rest: str) -> DatabaseUrl | None:
    if scheme.partition("+")[0] == "sqlite":
        path, _, query = rest.removeprefix("/").partition("?")
        whole = DatabaseUrl(scheme, database=unquote(path) or None, query=_query(query, scheme))
        return whole if rest[:1] in {"/", "", "?"} else None
    places = [place for place, character in enumerate(rest) if character == "?"]
    for place in [*reversed(places), len(rest)]:
        query = rest[place + 1 :]
        if place < len(rest) and not _is_query(query, scheme):
            continue
        if "@" in query and "@" not in rest[:place] and scheme.partition("+")[0] not in _POSTGRES:
            # That is the end of a password, whose question mark it is.
            continue
        found = _without_query(scheme, rest[:place])
        if found is not None:
            return _overridden(replace(found, query=_query(query, scheme)))
    return None


def _is_query(text: str, scheme: str) -> bool:
    """Return whether a text is parameters and nothing else: a question mark may be part of a password, too."""
    if not text:
        return True
    if not _PAIRS.fullmatch(text):
        return False
    names = {pair.partition("=")[0] for pair in text.split("&")}
    return scheme.partition("+")[0] not in _POSTGRES or names <= _OPTIONS


def _query(text: str, scheme: str) -> dict[str, str]:
    # A plus is a plus to libpq, and a space to the others.
    decode = unquote if scheme.partition("+")[0] in _POSTGRES else unquote_plus
    pairs: dict[str, str] = {}
    for name, _, value in (pair.partition("=") for pair in text.split("&") if pair):
        plain = unquote(value) if name in _SECRETS else decode(value)
        pairs[name] = f"{pairs[name]},{plain}" if name in pairs and name in {"host", "port"} else plain
    return pairs


def _without_query(scheme: str, text: str) -> DatabaseUrl | None:
    ends = [place for place, character in enumerate(text) if character == "@"]
    for end in [*reversed(ends), -1]:
        place = _PLACE.fullmatch(text[end + 1 :])
        if place is None:
            continue
        user, colon, password = text[: max(end, 0)].partition(":")
        hosts = [_host_and_port(each) for each in place["hosts"].split(",")]
        ports = [port for _, port in hosts]
        return DatabaseUrl(
            scheme,
            unquote(user) or None,
            unquote(password) if colon else None,
            ",".join(host for host, _ in hosts) or None,
            (",".join(ports) if any(ports) else "") or None,
            unquote(place["database"] or "") or None,
        )
    return None


def _host_and_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return unquote(host), port.removeprefix(":")
    host, _, port = text.partition(":")
    return unquote(host), port


def _overridden(found: DatabaseUrl) -> DatabaseUrl:
    """Return a URL whose parameters name user, password, host and so on with these in their places."""
    query = dict(found.query)
    changed: dict[str, str] = {}
    for name in [each for each in query if each in _SECRETS]:
        changed["password"] = query.pop(name)
    if found.is_postgres:
        for name, ours in (("user", "user"), ("host", "host"), ("port", "port"), ("dbname", "database")):
            if name in query:
                changed[ours] = query.pop(name)
    return replace(found, query=query, **changed)


def _encoded(text: str) -> str:
    return quote(text, safe="")
