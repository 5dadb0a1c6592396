"""HTTP/1.1 by hand: requests read from a socket, and answers that may be reset, cut, broken or never end.

No web framework can send what a test of a client needs most: a body shorter than announced, a chunk that is none, a
byte every few milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

DRIP_S = 0.02
"""A byte is dripped as often as this, in real seconds: slow enough for a deadline, quick enough for a test."""

_JSON = "application/json"


class Sending(Enum):
    """How an answer travels."""

    WHOLE = "whole, with its length"
    CHUNKED = "whole, in chunks"
    RESET = "the connection is reset before a byte of the answer"
    CUT = "the connection ends in the middle of the body"
    BROKEN_CHUNK = "in chunks, of which the second is not one"
    HANG = "nothing is ever sent"
    DRIP = "the head at once, then a byte now and then"


@dataclass(frozen=True)
class Asked:
    """One request as it arrived: ``number`` counts from 1, ``at`` is the server's time in seconds."""

    number: int
    at: float
    method: str
    path: str
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False, default=b"")

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; an empty one where there is none."""
        content = json.loads(self.body) if self.body else {}
        return content if isinstance(content, dict) else {}

    @property
    def target(self) -> str:
        """What was asked for, so that two requests for the same page are equal."""
        query = "&".join(f"{name}={value}" for name, value in sorted(self.query.items()))
        return f"{self.path}?{query}#{self.body.decode('utf-8', 'replace')}"


@dataclass(frozen=True)
class Reply:
    """One answer. ``headers`` replace the usual ones of the same name."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    sending: Sending = Sending.WHOLE

    @classmethod
    def of(cls, content: object, status: int = 200, **headers: str) -> Reply:
        """Make a JSON answer."""
        return cls(json.dumps(content).encode(), status, headers)


async def read_request(reader: asyncio.StreamReader) -> Asked | None:
    """Read the next request of a connection; None where the client has closed it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
        if name
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Asked(0, 0.0, method, parts.path, dict(parse_qsl(parts.query, True)), headers, body)


async def send(writer: asyncio.StreamWriter, reader: asyncio.StreamReader, reply: Reply) -> bool:
    """Send an answer as it says; says whether the connection may be used again."""
    match reply.sending:
        case Sending.RESET:
            reset(writer)
            return False
        case Sending.HANG:
            # It ends when the client has had enough and closes, or when the server is stopped.
            await reader.read(1)
            return False
        case Sending.DRIP:
            await _drip(writer, reply)
            return False
        case Sending.CUT:
            # Drained first, so that the client sees the half of it and not a reset.
            writer.write(
                _head(reply, {"Content-Length": str(len(reply.body))}) + reply.body[: len(reply.body) // 2]
            )
            await writer.drain()
            return False
        case Sending.BROKEN_CHUNK:
            half = len(reply.body) // 2
            chunk = b"%x\r\n%b\r\n" % (half, reply.body[:half])
            writer.write(_head(reply, {"Transfer-Encoding": "chunked"}) + chunk + b"zz\r\nnot a chunk")
            await writer.drain()
            return False
        case Sending.CHUNKED:
            await _in_chunks(writer, reply)
            return True
        case Sending.WHOLE:
            writer.write(_head(reply, {"Content-Length": str(len(reply.body))}) + reply.body)
            await writer.drain()
            return True


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset instead of an orderly close."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _head(reply: Reply, length: Mapping[str, str]) -> bytes:
    usual = {"Content-Type": _JSON} if reply.status != HTTPStatus.NO_CONTENT else {}
    given = {name.lower() for name in reply.headers}
    headers = {name: value for name, value in usual.items() if name.lower() not in given}
    if reply.status == HTTPStatus.NO_CONTENT:
        length = {}
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {reply.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in {**headers, **reply.headers, **length}.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _drip(writer: asyncio.StreamWriter, reply: Reply) -> None:
    """Send a body so slowly that each byte comes in time and the whole never does."""
    padded = reply.body + b" " * 100_000
    writer.write(_head(reply, {"Content-Length": str(len(padded))}))
    for at in range(len(padded)):
        writer.write(padded[at : at + 1])
        await writer.drain()
        await asyncio.sleep(DRIP_S)


async def _in_chunks(writer: asyncio.StreamWriter, reply: Reply, size: int = 65_536) -> None:
    writer.write(_head(reply, {"Transfer-Encoding": "chunked"}))
    for at in range(0, len(reply.body), size):
        part = reply.body[at : at + size]
        writer.write(b"%x\r\n%b\r\n" % (len(part), part))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()
