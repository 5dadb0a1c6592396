"""The CRM on real parts: a lake that received it week by week, its API, and the flow over both."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from crm.project import CHURN
from crm.serve import Crm
from crm.timelapse import CLIENT, RUNS_AT, Moving, ingest_weeks
from crm.world import WEEK, World, monday_before
from headworks.gold.products import ProductVersion, open_product, read_product
from headworks.models.champions import Champions, read_champions
from headworks.prefect.local.serving import serving
from headworks.reports import RunReport
from headworks.settings import LakeSettings
from headworks.storage.store import Lake

WEEKS, INSTALLED = 36, 18
(MODEL,) = CHURN.models


@dataclass(frozen=True)
class CrmPlace:
    """Where a churn flow runs: its lake, the CRM's API, and the database that it publishes to."""

    root: Path
    analytics: str
    api: str = ""

    @property
    def lake(self) -> Lake:
        """The lake, opened."""
        return Lake(LakeSettings(root=str(self.root)))

    def variables(self) -> dict[str, str]:
        """Return the variables that describe this place's blocks."""
        return {
            "HEADWORKS_PROJECT": "crm.project:CRM",
            "HEADWORKS_LAKE_ROOT": str(self.root),
            "HEADWORKS_CRM_API_BASE_URL": self.api,
            "HEADWORKS_CRM_API_AUTH": "oauth2",
            "HEADWORKS_CRM_API_TOKEN_URL": f"{self.api}/oauth/token",
            "HEADWORKS_CRM_API_CLIENT_ID": CLIENT[0],
            "HEADWORKS_CRM_API_CLIENT_SECRET": CLIENT[1],
            "HEADWORKS_ANALYTICS_DATABASE_URL": self.analytics,
        }

    def run(self, flow: Any = None, **parameters: Any) -> RunReport:
        """Run a flow here; raises what it raises."""
        from flows.churn import churn

        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.variables().items():
                patch.setenv(name, value)
            report: RunReport = (flow or churn)(**parameters)
            return report

    @property
    def product(self) -> ProductVersion:
        """The publication that readers open."""
        version = read_product(self.lake, CHURN.name)
        assert version is not None
        return version

    @property
    def champions(self) -> Champions:
        """The champions that the product names."""
        return read_champions(self.lake, CHURN.name, MODEL)

    @property
    def scores(self) -> pl.DataFrame:
        """The scores that the product names."""
        return open_product(self.lake, CHURN.name)[MODEL.scores].collect().sort("contact_id")

    def shown(self) -> pl.DataFrame:
        """Return the scores that Postgres shows."""
        with psycopg.connect(self.analytics) as connection:
            rows = connection.execute(
                "SELECT contact_id, score, champion FROM analytics.churn_scores ORDER BY contact_id"
            ).fetchall()
        schema = {"contact_id": pl.Int64(), "score": pl.Float64(), "champion": pl.Int64()}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def assert_whole(self) -> None:
        """One champion, and every score is of it, for each row of the features that the product names."""
        champion = self.champions.newest
        assert champion is not None
        scores = self.scores
        assert set(scores.get_column("champion")) == {champion.sequence}
        assert set(scores.get_column("model")) == {champion.trained.file}
        features = open_product(self.lake, CHURN.name)[MODEL.features.name].collect()
        newest = features.filter(pl.col("cut") == scores.get_column("cut")[0]).sort("contact_id")
        assert newest.get_column("contact_id").equals(scores.get_column("contact_id"))
        assert scores.select("contact_id", "score", "champion").equals(self.shown())


def make_world(seed: int = 7, customers: int = 300, weeks: int = WEEKS) -> World:
    """Return a world that has lived for some weeks by now; use is looked at over 15 of them."""
    start = monday_before(datetime.now(UTC)) - weeks * WEEK
    return World(start, weeks + 1, customers=customers, seed=seed)


def receive(root: Path, world: World, upto: int = WEEKS - 1) -> None:
    """Let a lake receive the world, week by week."""
    clock = Moving(world.start)
    crm = Crm(world, CLIENT, clock=clock, per_second=1000, burst=1000)
    moments = [world.start + week * WEEK + RUNS_AT for week in range(INSTALLED, upto + 1)]
    gates = ingest_weeks(Lake(LakeSettings(root=str(root))), crm, clock, moments, "history")
    assert [gate.reasons for gate in gates if not gate.open] == []


@contextmanager
def open_crm(place: CrmPlace, world: World) -> Iterator[CrmPlace]:
    """Serve the CRM as it is now."""
    with serving(Crm(world, CLIENT, per_second=1000, burst=1000).app()) as url:
        yield replace(place, api=url)


def copied(place: CrmPlace, root: Path, analytics: str) -> CrmPlace:
    """Return a place that is the same and shares nothing with this one."""
    shutil.copytree(place.root, root)
    return CrmPlace(root, analytics)
