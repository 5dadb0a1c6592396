"""The churn flow: the CRM's contacts, subscriptions, tickets and use into scores of who is likely to leave, and why."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State

from crm.project import CHURN, CRM
from headworks.prefect.console import run_as_program
from headworks.prefect.running import RUNNER, OnConflict, RunContext, begin, run_flow
from headworks.prefect.stages import curate, land, learn, publish, question_of, refine, require_promoted
from headworks.reports import RunReport
from tasks import TASKS


@flow(
    name="churn",
    flow_run_name="churn {mode}",
    task_runner=RUNNER,
    result_serializer="json",
    persist_result=True,
)
def churn(
    mode: Literal["incremental", "full"] = "incremental",
    horizon_days: float | None = None,
    cut: datetime | None = None,
    seed: int = 1,
    accept: tuple[str, ...] = (),
    note: str = "",
    dry_run: bool = False,
    on_conflict: OnConflict = "refuse",
    crm_api: str = "crm-api",
    lake: str = "lake",
    analytics_database: str = "analytics-database",
) -> RunReport | State[RunReport]:
    """Ingest the CRM, train a model on it, promote or refuse it, and publish who is likely to cancel, and why.

    Args:
        mode: incremental takes what is new; full reads everything again and finds deletions.
        horizon_days: Within how many days; another number than the declared one only as a dry run.
        cut: Score as of the newest cut up to this moment, only as a dry run; none: the newest one.
        seed: Of all that is drawn: the same data, code and seed give the same model.
        accept: Names of checks of the model's gate that are let through in this run, as the report shows them.
        note: Why they are.
        dry_run: Read, judge, train and score, but change nothing.
        on_conflict: When another run is at work, refuse ends this one, and wait tries again for some minutes.
        crm_api: Block of the CRM's API.
        lake: Block of the lake that holds all tables.
        analytics_database: Block of the database that the scores are published to.
    """
    needs = CRM.needs(CHURN.name)
    question = question_of(CHURN, accept=accept, note=note, seed=seed, horizon_days=horizon_days, cut=cut)

    def steps(context: RunContext) -> None:
        land(context, needs, TASKS, {"crm-api": crm_api})
        refine(context, needs.ranks, TASKS)
        features = curate(context, CHURN, TASKS, analytics_database)
        learned = learn(context, CHURN, features, TASKS, question, analytics_database)
        publish(context, CHURN, (*features, *learned.made), TASKS, analytics_database)
        require_promoted(context, learned)

    return run_flow("churn", begin(lake, mode, dry_run=dry_run), None, on_conflict, steps, on=CHURN.name)


if __name__ == "__main__":
    sys.exit(run_as_program(churn))
