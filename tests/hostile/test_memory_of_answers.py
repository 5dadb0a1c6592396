"""An answer that is far too large, plainly or once unpacked, is refused before the process has grown by it."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.support.served import running

MEGABYTE = 2**20
ANSWER_MB, MOST_MB = 200, 300
READER = """
import sys
from tests.support.memory import peak_kb
from headworks.errors import ResponseTooLarge
from headworks.sources.api.client import ApiClient
from headworks.sources.api.resource import Resource
from headworks.sources.api.settings import ApiSettings
from headworks.sources.api.source import ApiSource

described = {"path": sys.argv[2], "records": "data" if sys.argv[3] == "json" else "", "format": sys.argv[3]}
described["pagination"] = {"kind": "single"}
if sys.argv[3] == "xml":
    described["records"] = "r.e"
source = ApiSource(ApiClient(ApiSettings(base_url=sys.argv[1])), Resource.model_validate(described))
try:
    print("read", sum(batch.read for batch in source.read(None, None)))
except ResponseTooLarge:
    print("refused")
print(peak_kb() // 1024)
"""


class _Huge(BaseHTTPRequestHandler):
    """Answers with very much, which it makes while it sends it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer: announced, in chunks of unknown number, or packed once or twice."""
        way = self.path.strip("/")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        try:
            if way.startswith("packed"):
                self._packed(twice=way == "packed-twice")
            elif way == "announced":
                self.send_header("Content-Length", str(ANSWER_MB * MEGABYTE))
                self.end_headers()
                for part in _parts():
                    self.wfile.write(part)
            else:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for part in _parts():
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            # Who asked has gone, which is what this is about.
            self.close_connection = True

    def _packed(self, *, twice: bool) -> None:
        body = _bomb(twice)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


def _parts() -> Iterator[bytes]:
    record = b'{"id": 1, "text": "' + b"x" * 1000 + b'"},'
    part = record * (MEGABYTE // len(record)) + b" " * (MEGABYTE % len(record))
    yield b'{"data": [' + part[: MEGABYTE - 10]
    for _ in range(ANSWER_MB - 1):
        yield part


@cache
def _bomb(twice: bool) -> bytes:
    if twice:
        return gzip.compress(_bomb(False))
    packing = zlib.compressobj(wbits=31)
    return b"".join([*map(packing.compress, _parts()), packing.flush()])


@pytest.mark.sampled(5)
@pytest.mark.parametrize("form", ["json", "csv", "ndjson", "xml"])
@pytest.mark.parametrize("way", ["announced", "chunked", "packed", "packed-twice"])
def test_an_answer_of_200_megabytes_is_refused_within_300_megabytes_of_memory(way: str, form: str) -> None:
    with running(_Huge) as url:
        done = subprocess.run(
            [sys.executable, "-c", READER, url, f"/{way}", form],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
    said, peak = done.stdout.split("\n")[:2]
    assert said == "refused"
    assert int(peak) < MOST_MB, f"{peak} MB"
