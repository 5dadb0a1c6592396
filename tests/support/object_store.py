"""An object store for tests: moto's server, which speaks S3 over real HTTP."""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from pydantic import SecretStr

from headworks.prefect.local.processes import Process, answers, start, stop, wait_until
from headworks.settings import LakeSettings
from headworks.storage.store import Lake

SECRET = "object-store-secret-never-shown"
BUCKET = "lakes"


@dataclass(frozen=True)
class ObjectStore:
    """A running store: its address, and lakes in it."""

    url: str

    def options(self, **changed: str) -> dict[str, SecretStr]:
        """Return the storage options that lead here, by the names of delta-rs."""
        options = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }
        return {name: SecretStr(value) for name, value in {**options, **changed}.items()}

    def lake(self) -> Lake:
        """Return an empty lake of its own."""
        root = f"s3://{BUCKET}/{secrets.token_hex(4)}/lake"
        return Lake(LakeSettings(root=root, storage_options=self.options()))

    def keys(self, lake: Lake) -> list[str]:
        """Return the names of all objects of a lake, below its root."""
        prefix = lake.settings.root.removeprefix(f"s3://{BUCKET}/") + "/"
        pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return sorted(item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", []))

    def make_bucket(self) -> None:
        """Make the bucket that all lakes are in."""
        self._client().create_bucket(Bucket=BUCKET)

    def _client(self) -> Any:  # boto3 makes its classes at run time
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="tester",
            aws_secret_access_key=SECRET,
        )


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """Run a store in a process of its own as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = folder / "object-store.log"
    process: Process = start(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], {}, log
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{url}/moto-api/"), process, "The object store", log, 90)
        store = ObjectStore(url)
        store.make_bucket()
        yield store
    finally:
        stop(process)
