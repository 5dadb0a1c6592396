"""A Prefect server that is away for a while, or answers errors, fails no run: what it did not answer is asked again.

On a real server. Blocks are loaded at each task and states are set at each step, so a run asks it all the time.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.support.held import Operated
from tests.support.prefect_server import serving
from tests.support.served import Answer, Asked, served
from tests.support.server_database import ServerDatabase

pytestmark = pytest.mark.server

RECORDS, IN_A_PAGE = 60, 20
AWAY_S, RUNS = 3, 2
RESOURCE = {"path": "/rows", "records": "rows", "pagination": {"kind": "cursor"}}


class Source:
    """An API of three pages, which does something to somebody else when it is asked for the second."""

    def __init__(self) -> None:
        self.in_the_middle: Callable[[], None] = lambda: None

    def __call__(self, asked: Asked) -> Answer:
        at = asked.number("cursor", 0)
        if at == IN_A_PAGE:
            self.in_the_middle()
        rows = [{"id": number} for number in range(at, min(at + IN_A_PAGE, RECORDS))]
        following = str(at + IN_A_PAGE) if at + IN_A_PAGE < RECORDS else None
        return Answer(json.dumps({"rows": rows, "next_cursor": following}).encode())


@pytest.fixture
def source() -> Iterator[tuple[Source, str]]:
    """The API, and its address."""
    answering = Source()
    with served(answering) as upstream:
        yield answering, upstream.url


def ingest(server: str, source: str, folder: Path, dataset: str) -> subprocess.CompletedProcess[str]:
    """Ingest the API by the flow as a program, at a Prefect server."""
    (folder / "resource.json").write_text(json.dumps(RESOURCE))
    chosen = ["api=rows-api", f"dataset={dataset}", "resource=@resource.json"]
    clean = {n: value for n, value in os.environ.items() if not n.startswith(("PREFECT", "HEADWORKS"))}
    return subprocess.run(
        [sys.executable, "-m", "flows.ingest_api", *(word for one in chosen for word in ("--param", one))],
        cwd=folder,
        env={
            **clean,
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_API_URL": server,
            "HEADWORKS_LAKE_ROOT": str(folder / "lake"),
            "HEADWORKS_ROWS_API_BASE_URL": source,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def assert_whole(done: subprocess.CompletedProcess[str], folder: Path, dataset: str) -> None:
    """Insist that a run ended well, and that each record is there once."""
    assert done.returncode == 0, done.stdout + done.stderr
    lake = Lake(LakeSettings(root=str(folder / "lake")))
    records = lake.must_open("bronze", dataset).scan().select("record").collect().to_series()
    assert sorted(json.loads(record)["id"] for record in records) == list(range(RECORDS))


def states(server: str) -> list[str]:
    """Return the states of the server's flow runs."""
    return [run["state_name"] for run in Operated(server).post("flow_runs/filter")]


def test_the_servers_postgres_is_restarted_while_runs_are_at_work(
    tmp_path: Path, source: tuple[Source, str]
) -> None:
    """Two runs, the database killed in the middle of each and away for some seconds."""
    database = ServerDatabase()
    database.start()
    url = database.url.replace("://", "+asyncpg://")
    (tmp_path / "server").mkdir()
    away: list[threading.Thread] = []

    def restart() -> None:
        database.crash()
        back = threading.Timer(AWAY_S, database.resume)
        back.start()
        away.append(back)

    source[0].in_the_middle = restart
    try:
        with serving(tmp_path / "server", PREFECT_SERVER_DATABASE_CONNECTION_URL=url) as server:
            for number in range(RUNS):
                done = ingest(server, source[1], tmp_path, f"raw.rows_{number}")
                for thread in away:
                    thread.join()
                assert_whole(done, tmp_path, f"raw.rows_{number}")
            assert len(away) == RUNS, "the database was not restarted in each"
            assert states(server) == ["Completed"] * RUNS
            assert "ConnectionRefused" in (tmp_path / "server" / "server.log").read_text(), (
                "it was never away"
            )
    finally:
        for thread in away:
            thread.join()
        database.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server of this module's own."""
    with serving(tmp_path_factory.mktemp("server")) as url:
        yield url


class Unreliable:
    """A proxy to a server's API that answers some requests with an error in its place."""

    def __init__(self, server: str, status: int, share: float) -> None:
        self.refused: list[str] = []
        self._server, self._status, self._share = server.removesuffix("/api"), status, share
        self._chance, self._lock = random.Random(status), threading.Lock()

    def __call__(self, asked: Asked) -> Answer:
        with self._lock:
            refuse = self._chance.random() < self._share
        # Asked before anything begins, by ourselves: it says whether there is a server at all.
        if refuse and not asked.path.endswith(("/health", "/admin/version")):
            self.refused.append(f"{asked.method} {asked.path}")
            return Answer(b'{"detail": "later"}', self._status)
        kept = {n: v for n, v in asked.headers.items() if n not in {"host", "content-length", "connection"}}
        answer = httpx.request(
            asked.method,
            f"{self._server}{asked.path}",
            params=dict(asked.query),
            content=asked.body,
            headers={**kept, "accept-encoding": "identity"},
            timeout=60,
            # It reads the machine's certificates otherwise, once for each request.
            verify=False,
        )
        return Answer(
            answer.content, answer.status_code, {"Content-Type": answer.headers.get("content-type", "")}
        )


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_answers_errors_now_and_then_fails_no_run(
    tmp_path: Path, source: tuple[Source, str], server: str, status: int
) -> None:
    before = states(server).count("Completed")
    unreliable = Unreliable(server, status, share=0.2)
    began = time.monotonic()
    with served(unreliable) as proxy:
        done = ingest(f"{proxy.url}/api", source[1], tmp_path, "raw.rows")
    assert_whole(done, tmp_path, "raw.rows")
    assert len(unreliable.refused) >= 3, "the proxy hardly refused anything"
    assert states(server).count("Completed") == before + 1
    assert time.monotonic() - began < 200
