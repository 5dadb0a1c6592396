"""The deliveries flow: a person's word about one delivery, and what follows from it shown to the consumers."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from prefect import flow
from prefect.client.schemas.objects import State

from headworks.gold.holding import find_any, is_of_silver
from headworks.prefect.console import run_as_program
from headworks.prefect.running import RUNNER, OnConflict, RunContext, begin, run_flow
from headworks.prefect.stages import curate, publish
from headworks.project import Product, this_project
from headworks.reports import RunReport
from headworks.silver.decisions import Action
from headworks.silver.replay import check_signed
from tasks import TASKS
from tasks.deliveries import decide_delivery, decide_gold


@flow(
    name="deliveries",
    flow_run_name="{action} delivery {delivery}",
    task_runner=RUNNER,
    result_serializer="json",
    persist_result=True,
)
def deliveries(
    delivery: str,
    action: Action,
    by: str,
    note: str,
    despite_contract: bool = False,
    as_baseline: bool = False,
    dry_run: bool = True,
    on_conflict: OnConflict = "refuse",
    lake: str = "lake",
    blocks: dict[str, str] | None = None,
) -> RunReport | State[RunReport]:
    """Let a held delivery through, leave one out or take it back, and publish what follows from that.

    Args:
        delivery: Its id, as the alert or "headworks delivery list" shows it; or that of a table that is held.
        action: release lets a held one into silver; discard leaves a held one out, or takes one back that silver has;
            undo takes the last decision back.
        by: Who decides; it is kept with the delivery.
        note: Why; it is kept with the delivery.
        despite_contract: Release it also where the dataset's contract does not hold.
        as_baseline: Release it, and compare later deliveries with it: this is what the table looks like.
        dry_run: Say what would change, but change nothing.
        on_conflict: When another run is at work, refuse ends this one, and wait tries again for some minutes.
        lake: Block of the lake that holds all tables.
        blocks: Other blocks in the place of those that the project names, such as {"analytics-database": "test"}.
    """
    check_signed(by, note, "deliveries")
    project = this_project()
    run = begin(lake, "incremental", dry_run=dry_run)
    one = find_any(run.open_lake(), delivery)
    dataset = project.dataset(one.dataset) if is_of_silver(one) else None

    def show(context: RunContext, products: Iterable[Product]) -> None:
        for product in () if context.run.dry_run else products:
            target = (blocks or {}).get(product.publish.block, "") if product.publish is not None else ""
            publish(context, product, curate(context, product, TASKS, target), TASKS, target)

    def steps(context: RunContext) -> None:
        if dataset is None:
            held = decide_gold(context.run, one, action, by, note)
            context.recorder.decided(f"delivery {held.id} of {held.dataset}", held.state, by=by, note=note)
            # Held again, there is nothing to show that is not shown.
            made = [] if action == "undo" else project.products
            show(context, (each for each in made if one.dataset in each.made))
            return
        decided = decide_delivery(
            context.run, dataset, one.id, action, by, note, despite_contract, as_baseline
        )
        state = decided.delivery.state
        context.recorder.decided(f"delivery {one.id} of {dataset.name}", state, by=by, note=note)
        context.recorder.refinements.append(decided.report)
        context.require_open(decided.gate)
        show(context, project.products_of(dataset.name))

    return run_flow("deliveries", run, None, on_conflict, steps, on=one.dataset)


if __name__ == "__main__":
    sys.exit(run_as_program(deliveries))
