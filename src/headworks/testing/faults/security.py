"""Answers that would make a client give away its credentials, its memory, or its place."""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import cache
from random import Random

from headworks.testing.access import CredentialLeakProbe, unauthorized
from headworks.testing.hostile import Fault, HostileApi
from headworks.testing.wire import Asked, Reply, Sending

BOMB_BYTES = 256 * 2**20
"""Size of a bomb's body once it is unpacked; what travels is about a thousandth of it."""


class Refuses(Fault):
    """Refuses the credentials, from the first request or from a later one on."""

    def __init__(self, dice: Random, status: int) -> None:
        super().__init__()
        self._status, self._from = status, dice.choice((1, dice.randint(2, 8)))

    def answer(self, api: HostileApi, asked: Asked) -> Reply | None:
        """Answer 401 or 403."""
        if api.requests < self._from:
            return None
        self.injected += 1
        return unauthorized() if self._status == 401 else Reply.of({"error": "forbidden"}, 403)


class Redirects(Fault):
    """Sends the client to another host by a redirect, from a page on."""

    def __init__(self, dice: Random, leak_probe: CredentialLeakProbe) -> None:
        super().__init__()
        self._status, self._leak_probe = dice.choice((301, 302, 303, 307, 308)), leak_probe
        self._from = dice.randint(1, 6)

    def answer(self, api: HostileApi, asked: Asked) -> Reply | None:
        """Redirect, credentials in the query and all."""
        if api.requests < self._from:
            return None
        self.injected += 1
        query = "&".join(f"{name}={value}" for name, value in asked.query.items())
        return Reply(status=self._status, headers={"Location": f"{self._leak_probe.url}{asked.path}?{query}"})


class NextElsewhere(Fault):
    """Names another host, or a file, as the place of the next page."""

    def __init__(self, dice: Random, leak_probe: CredentialLeakProbe) -> None:
        super().__init__()
        self._place, self._from = (
            dice.choice((leak_probe.url, leak_probe.url, "file:///etc/passwd#")),
            dice.randint(1, 6),
        )
        self._number = 0

    def spoil(self, api: HostileApi, asked: Asked, reply: Reply) -> Reply:
        """Replace the API's own address in the way on."""
        self._number += 1
        if self._number < self._from:
            return reply
        self.injected += 1
        here, there = api.url, self._place
        headers = {name: value.replace(here, there) for name, value in reply.headers.items()}
        return replace(reply, body=reply.body.replace(here.encode(), there.encode()), headers=headers)


class Bomb(Fault):
    """Sends a page that is far too big: packed by gzip to a thousandth, or as it is, in chunks."""

    def __init__(self, dice: Random, *, packed: bool) -> None:
        super().__init__()
        self._packed, self._from = packed, dice.randint(2, 6)

    def spoil(self, api: HostileApi, asked: Asked, reply: Reply) -> Reply:
        """Blow the page up with spaces, which JSON allows anywhere."""
        if api.requests < self._from:
            return reply
        self.injected += 1
        if self._packed:
            return replace(reply, body=_bomb(), headers={**reply.headers, "Content-Encoding": "gzip"})
        return replace(reply, body=b" " * (BOMB_BYTES // 4) + reply.body, sending=Sending.CHUNKED)


@cache
def _bomb() -> bytes:
    """Pack spaces and an empty list into one member of gzip, since readers may ignore a second one."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    part = b" " * 2**20
    packed = b"".join(packer.compress(part) for _ in range(BOMB_BYTES // len(part)))
    return packed + packer.compress(b"[]") + packer.flush()
