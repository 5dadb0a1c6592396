"""The flow that runs any product of the project: what it needs is landed, refined, audited and published."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State

from headworks.names import Window
from headworks.prefect.console import run_as_program
from headworks.prefect.running import RUNNER, OnConflict, RunContext, begin, run_flow
from headworks.prefect.stages import curate, land, learn, publish, question_of, refine, require_promoted
from headworks.project import this_project
from headworks.reports import RunReport
from tasks import TASKS


@flow(
    name="pipeline",
    flow_run_name="{product} {mode}",
    task_runner=RUNNER,
    result_serializer="json",
    persist_result=True,
)
def pipeline(
    product: str,
    mode: Literal["incremental", "full"] = "incremental",
    window: Window | None = None,
    dry_run: bool = False,
    on_conflict: OnConflict = "refuse",
    blocks: dict[str, str] | None = None,
    lake: str = "lake",
    accept: tuple[str, ...] = (),
    note: str = "",
    seed: int = 1,
    horizon_days: float | None = None,
    cut: datetime | None = None,
) -> RunReport | State[RunReport]:
    """Land what a product needs, judge it, and publish the product; the project says what that is.

    Args:
        product: The product, as the project names it.
        mode: incremental takes what is new; full reads everything again and finds deletions.
        window: Read only what changed in this time, in addition to the live position.
        dry_run: Read, judge and check, but change nothing.
        on_conflict: When another run is at work, refuse ends this one, and wait tries again for some minutes.
        blocks: Other blocks in the place of those that the project names, such as {"crm-api": "crm-sandbox"}.
        lake: Block of the lake that holds all tables.
        accept: Of a product with models: names of checks of their gates that are let through in this run.
        note: Why they are.
        seed: Of a product with models: of all that is drawn; the same data, code and seed give the same model.
        horizon_days: Of a product with models: another horizon than the declared one, only as a dry run.
        cut: Of a product with models: score as of the newest cut up to this moment, only as a dry run.
    """
    project = this_project()
    wanted, needs, other = project.product(product), project.needs(product), blocks or {}
    target = other.get(wanted.publish.block, "") if wanted.publish is not None else ""
    question = question_of(wanted, accept=accept, note=note, seed=seed, horizon_days=horizon_days, cut=cut)

    def steps(context: RunContext) -> None:
        land(context, needs, TASKS, other)
        refine(context, needs.ranks, TASKS)
        made = curate(context, wanted, TASKS, target)
        learned = learn(context, wanted, made, TASKS, question, target)
        publish(context, wanted, (*made, *learned.made), TASKS, target)
        require_promoted(context, learned)

    return run_flow("pipeline", begin(lake, mode, dry_run=dry_run), window, on_conflict, steps, on=product)


if __name__ == "__main__":
    sys.exit(run_as_program(pipeline))
