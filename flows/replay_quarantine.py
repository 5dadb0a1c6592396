"""The replay_quarantine flow: rejected rows judged again after a fix, and what passes shown to the consumers."""

from __future__ import annotations

import sys

from prefect import flow
from prefect.client.schemas.objects import State

from headworks.prefect.console import run_as_program
from headworks.prefect.running import RUNNER, OnConflict, RunContext, begin, run_flow
from headworks.prefect.stages import curate, publish
from headworks.project import this_project
from headworks.reports import RunReport
from headworks.silver.rejects import Selection
from headworks.silver.replay import check_signed
from tasks import TASKS
from tasks.replay import replay_dataset


@flow(
    name="replay-quarantine",
    flow_run_name="replay {dataset}",
    task_runner=RUNNER,
    result_serializer="json",
    persist_result=True,
)
def replay_quarantine(
    dataset: str = "",
    reasons: list[str] | None = None,
    keys: list[str] | None = None,
    by: str = "",
    note: str = "",
    dry_run: bool = False,
    on_conflict: OnConflict = "refuse",
    lake: str = "lake",
    blocks: dict[str, str] | None = None,
) -> RunReport | State[RunReport]:
    """Judge rejected rows again by the rules as they are now, merge those that pass, and publish.

    Args:
        dataset: Whose rejected rows, such as crm.orders; empty for all datasets.
        reasons: Only rows that were rejected for one of these reasons.
        keys: Only rows with these keys, as the quarantine shows them.
        by: Who asked for this; it is kept with each row.
        note: Why; it is kept with each row.
        dry_run: Say what would become of the rows, but change nothing.
        on_conflict: When another run is at work, refuse ends this one, and wait tries again for some minutes.
        lake: Block of the lake that holds all tables.
        blocks: Other blocks in the place of those that the project names, such as {"analytics-database": "test"}.
    """
    if not dry_run:
        check_signed(by, note, "replay_quarantine")
    project = this_project()
    chosen = [project.dataset(dataset)] if dataset else list(project.datasets)
    selection = Selection(reasons=tuple(reasons or ()), row_keys=tuple(keys or ()))

    def steps(context: RunContext) -> None:
        # One after another: what is released may be what rows of the next dataset wait for.
        for each in chosen:
            outcome = replay_dataset(context.run, each, selection, by, note)
            context.recorder.replays.append(outcome.report)
            context.require_open(outcome.gate)
        touched = {product.name for each in chosen for product in project.products_of(each.name)}
        for product in project.products:
            if product.name in touched:
                target = (blocks or {}).get(product.publish.block, "") if product.publish is not None else ""
                publish(context, product, curate(context, product, TASKS, target), TASKS, target)

    return run_flow(
        "replay_quarantine",
        begin(lake, "incremental", dry_run=dry_run),
        None,
        on_conflict,
        steps,
        on="quarantine",
    )


if __name__ == "__main__":
    sys.exit(run_as_program(replay_quarantine))
