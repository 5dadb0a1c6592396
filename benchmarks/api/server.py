"""A server that costs next to nothing: prebuilt pages after a fixed latency, in a process of its own.

It speaks just enough HTTP for the clients that are measured. Run as a program it prints its port and serves until its
standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PER_PAGE = 100
_TARGET = re.compile(rb"GET /things\?(\S*) HTTP")
_NUMBER = re.compile(rb"(?:page|cursor)=(\d+)")


def page(number: int, pages: int) -> bytes:
    """Build the answer for a page, from 1 on; past the end it is empty."""
    first = (number - 1) * PER_PAGE
    records = [
        {
            "id": first + i,
            "name": f"thing {first + i}",
            "updated_at": "2026-01-05T08:00:00Z",
            "price": 12.5,
            "note": "words that make a record about as long as records are",
        }
        for i in range(PER_PAGE if number <= pages else 0)
    ]
    meta = {"total": pages * PER_PAGE, "pages": pages, "next": number + 1 if number < pages else None}
    body = json.dumps({"data": records, "meta": meta}, separators=(",", ":")).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + body


class _Pages(asyncio.Protocol):
    def __init__(self, pages: list[bytes], latency_s: float) -> None:
        self._pages, self._latency_s, self._received = pages, latency_s, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            target = _TARGET.match(head)
            number = _NUMBER.search(target[1]) if target else None
            at = min(int(number[1]) if number else 1, len(self._pages))
            asyncio.get_running_loop().call_later(self._latency_s, self._answer, at)

    def _answer(self, number: int) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._pages[number - 1])


async def _serve(pages: int, latency_s: float) -> None:
    built = [page(number, pages) for number in range(1, pages + 2)]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Pages(built, latency_s), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@contextmanager
def serving(pages: int, latency_s: float) -> Iterator[str]:
    """Serve in a process of its own as long as the block runs; the URL."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.api.server",
        "--pages",
        str(pages),
        "--latency",
        str(latency_s),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--pages", type=int, required=True)
    parser.add_argument("--latency", type=float, required=True)
    options = parser.parse_args()
    asyncio.run(_serve(options.pages, options.latency))
