"""The files of an export are read in parts from the disk: exactly, resumable, in little memory whatever their size."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
import zlib
from contextlib import AbstractContextManager
from functools import cache
from http.server import BaseHTTPRequestHandler
from random import Random
from typing import Any

import pytest

from headworks.errors import HeadworksError, ResponseTooLarge
from headworks.sources.api import spool
from tests.hostile.test_shapes import nothing, read, source
from tests.support.served import Answer, Asked, running, served

FILE_MB, MOST_MB = 400, 360
EXPORT = {
    "path": "/jobs",
    "method": "POST",
    "pagination": {"kind": "single"},
    "export": {"status_path": "/jobs/{job}", "done": ["done"], "file_field": "files[]", "poll_s": 0.01},
}
ODD = ("plain", 'a "quoted" one', "two\nlines", "one, two", '"', '""', "\r\n", "ends with \\", "é日本", "")


def _export(files: list[bytes]) -> Any:
    def answer(asked: Asked) -> Answer:
        if asked.method == "POST":
            return Answer(b'{"id": "1"}')
        if asked.path == "/jobs/1":
            return Answer(
                json.dumps({"state": "done", "files": [f"/f/{n}" for n in range(len(files))]}).encode()
            )
        return Answer(files[int(asked.path[3:])])

    return answer


def _written(form: str, rows: list[dict[str, str]], *, ended: bool) -> bytes:
    if form == "ndjson":
        text = "\n".join(json.dumps(row) for row in rows) + ("\n" if ended and rows else "")
    else:
        held = io.StringIO()
        writer = csv.DictWriter(held, ["id", "text"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = held.getvalue()
    return text.encode()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_files_are_read_exactly_in_parts_of_any_size_and_after_a_kill_anywhere(
    form: str, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = Random(f"{form}{packed}")
    for size in (40, 64, 100, 1000):
        monkeypatch.setattr(spool, "PART_BYTES", size)
        files = [
            [{"id": f"{file}-{n}", "text": chance.choice(ODD)} for n in range(chance.choice((0, 1, 7, 23)))]
            for file in range(3)
        ]
        rows = [row for file in files for row in file]
        texts = [_written(form, file, ended=chance.random() < 0.5) for file in files]
        bodies = [gzip.compress(one) if packed and one else one for one in texts]
        with served(_export(bodies)) as upstream:
            for batches in (None, 1, 2, 3, 5):
                reading = source(upstream.url, {**EXPORT, "format": form}, pages=2)
                came = read(reading, nothing(), batches=batches)
                if not (came.position or {})["done"]:
                    came = read(reading, came)
                assert came.records == rows, (size, batches)
                assert came.shown


def test_a_file_that_is_cut_short_is_damaged_in_its_last_part_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "PART_BYTES", 64)
    body = b"".join(b'{"id": %d}\n' % number for number in range(50))[:-4]
    with served(_export([body])) as upstream, pytest.raises(HeadworksError, match="cut short"):
        read(source(upstream.url, {**EXPORT, "format": "ndjson"}), nothing())


def test_a_line_and_a_file_that_are_larger_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "PART_BYTES", 64)
    with served(_export([b'{"id": "%b"}\n{"id": 2}\n' % (b"x" * 5000)])) as upstream:
        for limits in ({"response_bytes": 1024}, {"file_bytes": 2048}):
            reading = source(upstream.url, {**EXPORT, "format": "ndjson"})
            settings = reading.api.settings.model_copy(
                update={"limits": reading.api.settings.limits.model_copy(update=limits)}
            )
            object.__setattr__(reading.api, "settings", settings)
            with pytest.raises(ResponseTooLarge):
                read(reading, nothing())


READER = """
import sys
from tests.support.memory import peak_kb
from tests.hostile.test_export_files import EXPORT
from headworks.sources.api.client import ApiClient
from headworks.sources.api.resource import Resource
from headworks.sources.api.settings import ApiSettings
from headworks.sources.api.source import ApiSource

resource = Resource.model_validate({**EXPORT, "format": sys.argv[2]})
source = ApiSource(ApiClient(ApiSettings(base_url=sys.argv[1])), resource)
print(sum(batch.read for batch in source.read(None, None)), peak_kb() // 1024)
"""


@cache
def _huge(form: str) -> tuple[bytes, int]:
    """Return a packed file that is larger than the memory which may be taken, and its number of records."""
    line = b'{"id": "1", "text": "%b"}\n' % (b"x" * 4000) if form == "ndjson" else b"1,%b\n" % (b"x" * 4000)
    block, blocks = line * 256, FILE_MB * 2**20 // (len(line) * 256)
    packing = zlib.compressobj(1, wbits=31)
    head = [] if form == "ndjson" else [packing.compress(b"id,text\n")]
    parts = [*head, *(packing.compress(block) for _ in range(blocks)), packing.flush()]
    return b"".join(parts), blocks * 256


class _Exporting(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take a job."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._say(b'{"id": "1"}')

    def do_GET(self) -> None:
        """Say that the job is done, or give its file."""
        form = self.path.rpartition("/")[2]
        self._say(
            _huge(form)[0] if "/f/" in self.path else b'{"state": "done", "files": ["/f/%b"]}' % self.form
        )

    form: bytes = b""

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


def _exporting(form: str) -> AbstractContextManager[str]:
    return running(type("Exporting", (_Exporting,), {"form": form.encode()}))


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_a_file_that_is_larger_than_the_memory_is_read_whole_within_it(form: str) -> None:
    _, records = _huge(form)
    with _exporting(form) as url:
        done = subprocess.run(
            [sys.executable, "-c", READER, url, form],
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    read_, peak_mb = map(int, done.stdout.split())
    assert read_ == records
    assert peak_mb < MOST_MB, f"{peak_mb} MB for {FILE_MB} MB"
