"""A run that is asked to stop finishes or abandons the batch in hand, gives its lease back; the next one continues."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.sorting import FlowRunSort

from headworks.bronze.landing import Landing, land
from headworks.errors import RunStopped
from headworks.ops.leases import Leasing
from headworks.prefect import stopping
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from shop import gold
from tests.flows.test_races import assert_exact
from tests.support.sales import Place
from tests.support.served import Answer, Asked, served
from tests.support.sources import Numbered, items

pytestmark = pytest.mark.server

RECORDS = 300
A_BATCHES_PAGES = 50
STOPPED_AT_PAGE = 130
ASKED = "Asked to stop"


def program(
    flow: str, environment: Mapping[str, str], folder: Path, *arguments: str
) -> subprocess.Popen[str]:
    """Start a flow as a program, with its output in a pipe."""
    clean = {n: value for n, value in os.environ.items() if not n.startswith(("PREFECT", "HEADWORKS"))}
    return subprocess.Popen(
        [sys.executable, "-m", f"flows.{flow}", *arguments],
        cwd=folder,
        env={**clean, "PREFECT_HOME": str(folder / "home"), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    """Return what a program wrote, which the signal has ended."""
    said, _ = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGTERM, said
    return said


def newest_state() -> str:
    """Return the name of the state of the newest flow run that a program made; the server may have scheduled others."""
    by_hand = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(is_null_=True))
    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(flow_run_filter=by_hand, sort=FlowRunSort.START_TIME_DESC, limit=1)
    assert run.state is not None
    return str(run.state.name)


def assert_given_back(lake: Lake, name: str) -> None:
    """Insist that nobody holds a lease which somebody took."""
    _, term = Leasing(lake).newest(name)
    assert term is not None
    assert term.released


class Api:
    """An API of one record a page, which sends a signal to who reads it when it is asked for a certain page."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def __call__(self, asked: Asked) -> Answer:
        at = asked.number("cursor", 0)
        if at == STOPPED_AT_PAGE and self.process is not None:
            self.process.send_signal(signal.SIGTERM)
        following = json.dumps(str(at + 1) if at + 1 < RECORDS else None)
        return Answer(f'{{"rows": [{{"id": {at}}}], "next_cursor": {following}}}'.encode())


@pytest.fixture
def api_run(prefect_server: str, tmp_path: Path) -> Iterator[tuple[Api, list[str], dict[str, str]]]:
    """An API, and the arguments and the environment of a program that takes it in."""
    api = Api()
    resource = {"path": "/rows", "records": "rows", "pagination": {"kind": "cursor"}}
    (tmp_path / "resource.json").write_text(json.dumps(resource))
    chosen = ["api=rows-api", "dataset=raw.rows", "resource=@resource.json"]
    arguments = [word for each in chosen for word in ("--param", each)]
    with served(api) as upstream:
        environment = {
            "PREFECT_API_URL": prefect_server,
            "HEADWORKS_LAKE_ROOT": str(tmp_path / "lake"),
            "HEADWORKS_ROWS_API_BASE_URL": upstream.url,
        }
        yield api, arguments, environment


def test_whole_batches_stay_and_the_next_run_lands_the_rest(
    api_run: tuple[Api, list[str], dict[str, str]], tmp_path: Path
) -> None:
    api, arguments, environment = api_run
    lake = Lake(LakeSettings(root=str(tmp_path / "lake")))
    api.process = program("ingest_api", environment, tmp_path, *arguments)
    said = ended(api.process)
    assert ASKED in said
    assert newest_state() == "Crashed"
    assert_given_back(lake, "raw.rows")
    landed = ids(lake)
    assert len(landed) % A_BATCHES_PAGES == 0, "half a batch is there"
    assert len(landed) < STOPPED_AT_PAGE
    api.process = None
    again = program("ingest_api", environment, tmp_path, *arguments)
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert ids(lake) == list(range(RECORDS))


def ids(lake: Lake) -> list[int]:
    table = lake.open("bronze", "raw.rows")
    if table is None:
        return []
    return sorted(json.loads(each)["id"] for each in table.scan().collect().get_column("record"))


def test_tasks_in_threads_are_waited_for_and_nothing_else_is_begun(
    place: Place, prefect_server: str, tmp_path: Path
) -> None:
    """The run is at a locked table while others are landed; the lock is let go when it was asked to stop."""
    environment = {**place.variables(), "PREFECT_API_URL": prefect_server}
    with psycopg.connect(place.shop) as connection:
        connection.execute("LOCK TABLE shop.orders IN ACCESS EXCLUSIVE MODE")
        process = program("sales", environment, tmp_path)
        said = until(process, "shop.products: ")
        process.send_signal(signal.SIGTERM)
        said += until(process, ASKED)
    said += ended(process)
    assert "silver" not in said
    assert newest_state() == "Crashed"
    assert_given_back(place.lake, gold.PRODUCT)
    assert place.run().status == "published"
    assert_exact(place)


def until(process: subprocess.Popen[str], text: str) -> str:
    """Return what a program writes up to a line with a text."""
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"it never said {text!r}:\n{said}")


def test_a_landing_stops_between_two_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Told:
        """Is asked to stop after the first batch."""

        def __init__(self) -> None:
            self.batches = 0

        def is_set(self) -> bool:
            self.batches += 1
            return True

    output: Any = Told()
    monkeypatch.setattr(stopping, "_asked", output)
    lake = Lake(LakeSettings(root=str(tmp_path)))
    with pytest.raises(RunStopped):
        land(
            Landing(lake, "t.items", "t.items", "run"),
            Numbered(items(1, 6)),
            on_batch=lambda _: stopping.go_on(),
        )
    first = lake.must_open("bronze", "t.items").row_count()
    assert output.batches == 1
    assert 0 < first < 6
    monkeypatch.undo()
    land(Landing(lake, "t.items", "t.items", "run"), Numbered(items(1, 6)))
    assert lake.must_open("bronze", "t.items").row_count() == 6
