"""Fixtures of the files' suites: an S3 server, and empty places for files."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headworks.sources.files import content
from tests.support.stores import Bucket, Folder, Store


@pytest.fixture(scope="session")
def s3() -> Iterator[tuple[Any, dict[str, str]]]:
    """What an S3 server in this process holds, and the options with which the engine reaches it over HTTP."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": "s3-secret-never-shown",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    yield s3_backends[DEFAULT_ACCOUNT_ID]["aws"], options
    server.stop()


_BUCKETS = itertools.count(1)


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty place for files, of both kinds."""
    if request.param == "folder":
        (tmp_path / "in").mkdir()
        return Folder(tmp_path / "in")
    backend, options = request.getfixturevalue("s3")
    bucket = Bucket(backend, f"files-{next(_BUCKETS)}", options)
    backend.create_bucket(bucket.bucket, "us-east-1")
    return bucket


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder for files."""
    (tmp_path / "in").mkdir()
    return Folder(tmp_path / "in")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a thousand bytes, so that a file of some thousand has several."""
    monkeypatch.setattr(content, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(content, "_PART_BYTES", 1000)
    monkeypatch.setattr("headworks.sources.files.source._AHEAD_BYTES", 100)
