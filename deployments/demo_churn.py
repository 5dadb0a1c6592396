"""The demo of a model: a CRM in time-lapse, the churn flow as plain Python, and the page of what it published."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from crm.serve import Crm
from crm.timelapse import CLIENT, RUNS_AT, Moving, ingest_weeks, learn_week
from crm.world import WEEK, World, monday_before
from headworks.errors import HeadworksError
from headworks.prefect.local.postgres import ANALYTICS, Postgres
from headworks.prefect.local.processes import free_port
from headworks.prefect.local.serving import serving
from headworks.settings import LakeSettings
from headworks.storage.store import Lake

ROOT = Path(".headworks/churn")
_PORT = 5434
_PASSWORD = "only-for-the-demo"
_WEEKS, _INSTALLED, _LEARNED = 40, 18, 3
"""How old the CRM is in weeks, since which of them it is read, and for how many a model is learned before the last."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code is that of the flow."""
    parser = argparse.ArgumentParser(prog="python -m deployments.demo_churn", description="Run the demo.")
    parser.add_argument("--customers", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    began = time.monotonic()
    shutil.rmtree(ROOT / "lake", ignore_errors=True)
    start = monday_before(datetime.now(UTC)) - _WEEKS * WEEK
    world = World(start, _WEEKS + 1, customers=options.customers, seed=options.seed)
    postgres = Postgres((ROOT / "postgres").absolute(), free_port(_PORT), _PASSWORD)
    try:
        process = postgres.start()
        try:
            lapse(Lake(LakeSettings(root=str(ROOT / "lake"))), world)
            code = run(world, postgres)
        finally:
            Postgres.stop(process)
    except HeadworksError as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    print(f"\nDone in {time.monotonic() - began:.0f} s. What next:")
    print("  who is at risk, and why   make dashboard-churn")
    print("  the model's card          on that page, or as an artifact of the run")
    return code


def lapse(lake: Lake, world: World) -> None:
    """Let the CRM's weeks pass: each is received on its Monday, and in the last of them models are learned."""
    clock = Moving(world.start)
    crm = Crm(world, CLIENT, clock=clock, per_second=1000, burst=1000)

    def monday(week: int) -> datetime:
        return world.start + week * WEEK + RUNS_AT

    first = _WEEKS - 1 - _LEARNED
    print(
        f"Receiving {first - _INSTALLED + 1} weeks of the CRM, each with the clock of its Monday.", flush=True
    )
    ingest_weeks(lake, crm, clock, [monday(week) for week in range(_INSTALLED, first + 1)], "history")
    for week in range(first + 1, _WEEKS):
        ingest_weeks(lake, crm, clock, [monday(week)], f"week-{week}")
        learned = learn_week(lake, clock, f"week-{week}")
        champion = None if learned.verdict is None else learned.verdict.champion
        said = (
            "no champion"
            if champion is None
            else f"champion {champion.sequence}, {champion.measured.value:.3f}"
        )
        print(f"  {clock.now:%Y-%m-%d}: {said} {'; '.join(learned.reasons)}", flush=True)


def run(world: World, postgres: Postgres) -> int:
    """Run the flow over what is new by now, as a person would by hand; the exit code."""
    with serving(Crm(world, CLIENT).app()) as url:
        variables = {
            "HEADWORKS_PROJECT": "crm.project:CRM",
            "HEADWORKS_LAKE_ROOT": str((ROOT / "lake").absolute()),
            "HEADWORKS_CRM_API_BASE_URL": url,
            "HEADWORKS_CRM_API_AUTH": "oauth2",
            "HEADWORKS_CRM_API_TOKEN_URL": f"{url}/oauth/token",
            "HEADWORKS_CRM_API_CLIENT_ID": CLIENT[0],
            "HEADWORKS_CRM_API_CLIENT_SECRET": CLIENT[1],
            "HEADWORKS_ANALYTICS_DATABASE_URL": postgres.url(ANALYTICS),
        }
        print("Running the flow: python -m flows.churn", flush=True)
        return subprocess.run(
            [sys.executable, "-m", "flows.churn"], env={**os.environ, **variables}, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
