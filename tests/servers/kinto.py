"""Kinto in memory, filled with airports: a next page in a header, records since a moment, tombstones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.servers.process import free_port, running

USER, PASSWORD = "reader", "kinto-password-of-the-tests"
BUCKET = "/v1/buckets/nyc"
BATCH = 200

_INI = """
[app:main]
use = egg:kinto
kinto.userid_hmac_secret = only-for-tests
multiauth.policies = basicauth
kinto.storage_backend = kinto.core.storage.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.bucket_create_principals = system.Authenticated
kinto.batch_max_requests = {batch}
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = {port}
"""


@dataclass(frozen=True)
class Collection:
    """One collection of a running Kinto, and ways to change it."""

    url: str
    name: str

    @property
    def path(self) -> str:
        """Where its records are, below the URL."""
        return f"{BUCKET}/collections/{self.name}/records"

    def make(self) -> None:
        """Make the collection, empty."""
        with self._client() as client:
            for path in (BUCKET, f"{BUCKET}/collections/{self.name}"):
                client.put(path, json={"data": {}}).raise_for_status()

    def put(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write records, each under its ``id``, in place of what is there."""
        self._batched(
            [
                {"method": "PUT", "path": f"{self.path}/{record['id']}", "body": {"data": dict(record)}}
                for record in records
            ]
        )

    def delete(self, ids: Iterable[str]) -> None:
        """Delete records; each leaves a tombstone."""
        self._batched([{"method": "DELETE", "path": f"{self.path}/{each}"} for each in ids])

    def _batched(self, requests: list[dict[str, Any]]) -> None:
        with self._client() as client:
            for at in range(0, len(requests), BATCH):
                answer = client.post("/v1/batch", json={"requests": requests[at : at + BATCH]})
                answer.raise_for_status()
                wrong = [each for each in answer.json()["responses"] if each["status"] >= 300]
                assert not wrong, wrong[0]

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, auth=(USER, PASSWORD), timeout=60)


@contextmanager
def kinto(folder: Path) -> Iterator[str]:
    """Serve an empty Kinto at the URL that is given."""
    port = free_port()
    settings = folder / "kinto.ini"
    settings.write_text(_INI.format(port=port, batch=BATCH))
    url = f"http://127.0.0.1:{port}"
    start = "from kinto.__main__ import main; main()"
    arguments = ["-c", start, "start", "--ini", str(settings), "--port", str(port)]
    with running(arguments, f"{url}/v1/__heartbeat__", folder / "log"):
        yield url
