"""Two runs at once, and runs that wake after another took over: one wins, the other ends cleanly, tables are exact."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import flows.sales
from headworks.bronze import landing
from headworks.errors import LakeUnusable
from headworks.gold.products import read_product, release, roll_back
from headworks.names import Window
from headworks.ops.leases import Leasing
from headworks.prefect import running, stopping
from headworks.silver import concluding, merging
from headworks.storage.store import Json, Lake
from shop import datasets, gold
from tasks import TASKS
from tests.flows.conftest import WORLD
from tests.support.leases import bury
from tests.support.sales import Place

pytestmark = pytest.mark.server

# Where the slow run is while another one does everything, and how it then ends.
POINTS: dict[str, tuple[Any, str, int, set[str]]] = {
    "landing": (landing, "_commit", 1, {"refused"}),
    "quarantine": (concluding, "put_rejected", 1, {"unchanged", "published"}),
    "silver": (merging, "commit_silver", 3, {"unchanged", "published"}),
    "gold": (TASKS, "commit_gold", 1, {"refused"}),
    "the second gold table": (TASKS, "commit_gold", 2, {"refused"}),
    "products": (TASKS, "name_product", 1, {"refused"}),
    "publication": (TASKS, "publish_tables", 1, {"refused"}),
}


def interrupt(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    number: int,
    other: Callable[[], Any],
) -> list[Any]:
    """Let something else happen before call ``number`` of a step, whose run counts as dead by then.

    What it returned is in the list after that.
    """
    real = getattr(module, name)
    calls, returned = [0], list[Any]()

    def step(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            monkeypatch.setattr(module, name, real)
            bury(place.lake, gold.PRODUCT)
            returned.append(other())
        return real(*arguments, **named)

    monkeypatch.setattr(module, name, step)
    return returned


def assert_exact(place: Place) -> None:
    """Compare what shows with the truth, and insist that silver has each key once."""
    place.assert_true()
    for group in datasets.IN_ORDER:
        for dataset in group:
            silver = place.lake.must_open("silver", dataset.name).scan().select(dataset.key).collect()
            assert silver.n_unique() == silver.height, f"duplicate keys in silver.{dataset.name}"


@pytest.mark.sampled(3)
@pytest.mark.parametrize("point", POINTS)
def test_a_zombie_that_wakes_after_another_run_took_over(
    place: Place, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """While one run is at a point, the shop lives on and another run takes everything in and publishes it."""
    module, name, number, ends = POINTS[point]

    def takes_over() -> str:
        place.live(WORLD)
        return place.run().status

    returned = interrupt(place, monkeypatch, module, name, number, takes_over)
    report = place.run()
    assert returned == ["published"], "the run that took over did not win"
    assert report.status in ends
    assert_exact(place)


def test_a_run_under_way_does_not_publish_over_a_rollback_that_was_released_meanwhile(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What people took back is not brought back by what was made from it; the next run publishes."""
    first = place.run().run_id
    place.live(WORLD)
    place.run()

    def taken_back() -> None:
        roll_back(place.lake, gold.PRODUCT, first, "wrong rates")
        release(place.lake, gold.PRODUCT)

    place.live(WORLD)
    interrupt(place, monkeypatch, TASKS, "name_product", 1, taken_back)
    report = place.run()
    assert report.status == "refused"
    assert "rolled back while this run was under way" in report.message
    published = read_product(place.lake, gold.PRODUCT)
    assert published is not None
    assert published.run_id == first
    assert place.run().status == "published"
    assert_exact(place)


def test_a_run_that_waits_begins_again_and_ends_well(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_WAITS_S", (0,))
    returned = interrupt(place, monkeypatch, TASKS, "commit_gold", 1, lambda: place.run().status)
    assert place.run(on_conflict="wait").status == "unchanged"
    assert returned == ["published"]
    assert_exact(place)


def test_a_refused_run_is_in_the_ledger_with_its_reason(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(place, monkeypatch, landing, "_commit", 1, place.run)
    report = place.run()
    assert report.status == "refused"
    assert "Another run moved the stream" in report.message
    assert place.last_run() == report


def test_a_run_that_meets_another_at_work_is_refused_before_it_reads_anything(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = Leasing(place.lake).take(gold.PRODUCT, "another", "sales, http://prefect/runs/another")
    before = place.seen()
    extracted: list[Any] = []
    monkeypatch.setattr(flows.sales, "extract", extracted.append)
    report = place.run()
    assert report.status == "refused"
    assert "http://prefect/runs/another" in report.message
    assert extracted == []
    assert place.seen() == before
    monkeypatch.undo()
    others.release()
    assert place.run().status == "published"
    assert_exact(place)


def test_a_run_that_waits_begins_when_the_other_one_is_done(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = Leasing(place.lake).take(gold.PRODUCT, "another", "sales")
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        others.release()

    monkeypatch.setattr(stopping, "sleep", sleep)
    assert place.run(on_conflict="wait").status == "published"
    assert len(waited) == 1
    assert_exact(place)


def test_neither_a_window_nor_a_dry_run_waits_for_a_run_of_what_is_new(place: Place) -> None:
    Leasing(place.lake).take(gold.PRODUCT, "another", "sales")
    assert place.run(dry_run=True).status == "dry run"
    day = Window(start=datetime(2025, 1, 6, tzinfo=UTC), end=datetime(2025, 1, 7, tzinfo=UTC))
    assert place.run(window=day).status in {"published", "unchanged", "landed"}


def test_a_lake_in_which_no_lease_can_be_taken_is_no_reason_not_to_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(self: Lake, path: str, content: Json) -> bool:
        raise LakeUnusable("no conditional writes here")

    monkeypatch.setattr(Lake, "create_object", refuses)
    assert place.run().status == "published"
    assert_exact(place)


def test_two_processes_started_at_the_same_moment(place: Place, prefect_server: str, tmp_path: Path) -> None:
    """What a schedule and an impatient person do: both are plain programs, and neither knows of the other."""
    before = place.last_run()
    environment = {
        **{
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "HEADWORKS"))
        },
        **place.variables(),
        "PREFECT_API_URL": prefect_server,
        "PREFECT_HOME": str(tmp_path / "home"),
    }
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "flows.sales", "--account", str(tmp_path / f"account-{number}.json")],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(2)
    ]
    said = [run.communicate(timeout=300)[0] for run in runs]
    codes = sorted(run.returncode for run in runs)
    assert codes in ([0, 0], [0, 3]), "\n".join(said)
    assert not any("Traceback" in text for text in said), "\n".join(said)
    assert place.last_run() != before
    assert_exact(place)
