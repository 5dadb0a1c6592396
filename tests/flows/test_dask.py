"""Steps on the workers of a Dask cluster come to what they come to in one process, also where a worker is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from distributed import LocalCluster

from flows.pipeline import pipeline
from headworks.errors import SettingsError
from headworks.gold.curation import GoldTable
from headworks.prefect.placement import ADDRESS, SCALE, step_runner
from headworks.reports import RunReport
from shop.project import SALES, SHOP
from tests.flows.conftest import WORLD
from tests.support.sales import Place

pytestmark = pytest.mark.server

KILLED = "HEADWORKS_TEST_KILLED"
"""Names the file that says that a worker was killed; workers inherit the variable."""
DAILY = SALES.tables[0]


def killed_once(inputs: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """Make the table of sales by day, but kill the process that comes here first."""
    file = Path(os.environ[KILLED])
    if not file.exists():
        file.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    made = DAILY.transform(inputs)
    assert isinstance(made, pl.LazyFrame)
    return made


@contextmanager
def workers(place: Place, **more: str) -> Iterator[str]:
    """Start two workers that have the place's blocks, and yield the address of their cluster."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**place.variables(), **more}.items():
            patch.setenv(name, value)
        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster:
            patch.setenv(SCALE, "dask")
            patch.setenv(ADDRESS, cluster.scheduler_address)
            yield cluster.scheduler_address


def run_at(place: Place, address: str) -> RunReport:
    """Run the sales product with its steps at a cluster."""
    elsewhere = pipeline.with_options(task_runner=step_runner({SCALE: "dask", ADDRESS: address}))
    return place.run(elsewhere, product="sales")


def test_workers_come_to_the_truth_though_one_is_killed_while_it_makes_gold(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day as usual, a dry run that is refused, a day on which a worker dies, and an unchanged run."""
    daily: GoldTable = replace(DAILY, transform=killed_once)
    mark = tmp_path / "killed"
    with workers(place, **{KILLED: str(mark)}) as address:
        report = run_at(place, address)
        assert report.status == "published"
        place.assert_true()
        steps = {cost.step for cost in report.costs}
        assert "commit sales.daily" in steps, "the one who commits gold is the flow"
        assert "refine shop.orders" not in steps, "it ran elsewhere, where nobody knows what it cost"

        with pytest.raises(SettingsError, match="on one machine"):
            place.run(pipeline, product="sales", dry_run=True)

        place.live(WORLD)
        dying = replace(SHOP, products=(replace(SALES, tables=(daily, *SALES.tables[1:])),))
        monkeypatch.setattr("shop.project.SHOP", dying)
        assert run_at(place, address).status == "published"
        assert int(mark.read_text()) != os.getpid()
        place.assert_true()
        assert run_at(place, address).status == "unchanged"
