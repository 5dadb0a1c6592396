"""Addresses that an API gives: read strictly, made whole, and held against the place where the API is.

Libraries differ about odd ones, and then credentials could go where nobody wanted; so what is odd is refused.
"""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit, urlunsplit

from headworks.errors import AddressRefused

_PORTS = {"http": 80, "https": 443}
_AMBIGUOUS = re.compile(r"[\\\x00-\x20\x7f]")


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL; raises `AddressRefused` where it has none of the web."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme.lower(), 0)
    except ValueError as problem:
        raise _unreadable(str(problem)) from problem
    if _AMBIGUOUS.search(parts.netloc):
        # Libraries differ about which host such an address means.
        raise _unreadable("its host holds a blank, a backslash or a control character")
    return parts.scheme.lower(), (parts.hostname or "").rstrip("."), port


def is_same_site(found: tuple[str, str, int], ours: tuple[str, str, int]) -> bool:
    """Return whether an address means our own host, but for a scheme or a port that a proxy before it has changed."""
    scheme, host, port = found
    return scheme in _PORTS and host == ours[1] and port in (ours[2], _PORTS[scheme])


def joined(base: str, address: str) -> str:
    """Return an address that an API gave, made whole by the one it was given at, without a user and a password.

    Raises `AddressRefused` for one that cannot be read. Our own credentials go along, and no others.
    """
    try:
        parts = urlsplit(urljoin(base, address))
        host = parts.netloc.rpartition("@")[2]
        if parts.netloc and not parts.hostname:
            raise ValueError("it has no host")
        return urlunsplit(parts._replace(netloc=host))
    except ValueError as problem:
        raise _unreadable(str(problem)) from problem


def _unreadable(why: str) -> AddressRefused:
    return AddressRefused(
        f"An address that the API gave cannot be read: {why}.",
        do="report it to the API's owner; nothing was sent there.",
    )
