"""From silver to gold: pin, stage, audit, commit.

Staging and auditing have pinned input, so a task may keep their results under what they were made from: the
same silver changes, the same code, the same contract. A decision that keeps the gate closed is never kept: it may come
from a scan that broke, and the next run has to look again.
"""

from __future__ import annotations

import hashlib
from typing import Any

from prefect import get_run_logger
from prefect.context import TaskRunContext
from prefect.transactions import get_transaction

from headworks.gold.curation import GoldTable, audit, curate, stage
from headworks.gold.table import Pins, Staged, pin, staging_id
from headworks.prefect.steps.extract import Run
from headworks.quality.judgements import judgements
from headworks.reports import CurateReport, GateReport, Report


class Audit(Report):
    """A gate's decision about a staged candidate; none where nothing new was staged."""

    gate: GateReport | None


def pin_silver(run: Run, datasets: tuple[str, ...]) -> Pins:
    """Pin the silver versions that all tables of a product are made from."""
    return pin(run.open_lake(), list(datasets))


def staged_key(context: TaskRunContext, parameters: dict[str, Any]) -> str | None:
    """Return the key of a candidate: the table that it is for, and what it is made from. None before there is one."""
    run, gold, pins = parameters["run"], parameters["gold"], parameters["pins"]
    if run.dry_run:
        # Its candidates are its own, and go with it.
        return None
    table = run.open_lake().open("gold", gold.name)
    if table is None:
        return None
    # The table's own id is in the key, so that a lake made again in the same place finds nothing of the old one; the
    # module too, since the result is kept as JSON that names its class, and another version may have moved it.
    made = staging_id(pins, gold.inputs, gold.code(), table.version)
    # What was made by parts does not answer a run that wants it whole.
    compared = "-whole" if gold.by and run.mode == "full" else ""
    return f"headworks-stage-{Staged.__module__}-{table.id}-{made}{compared}"


def audit_key(context: TaskRunContext, parameters: dict[str, Any]) -> str | None:
    """Return the key of an audit: the candidate, the contract's text, and what people said about anomalies."""
    run, gold, staged = parameters["run"], parameters["gold"], parameters["staged"]
    if run.dry_run:
        return None
    lake = run.open_lake()
    table = lake.open("gold", gold.name)
    if table is None or not staged.fresh or not gold.contract.exists():
        return None
    contract = hashlib.blake2b(gold.contract.read_bytes(), digest_size=8).hexdigest()
    said = len(judgements(lake, f"gold.{gold.name}"))
    return f"headworks-audit-{GateReport.__module__}-{table.id}-{staged.staging_id}-{contract}-{said}"


def stage_gold(run: Run, gold: GoldTable, pins: Pins) -> Staged:
    """Make the candidate of a gold table from the pinned versions."""
    staged = stage(run.open_lake(), gold, pins, whole=run.mode == "full")
    state = "changed" if staged.changed else "made, and the same" if staged.fresh else "up to date"
    get_run_logger().info("%s: %d rows, %s", gold.name, staged.rows, state)
    if staged.parts is not None:
        get_run_logger().info("%s: %s", gold.name, staged.parts.text)
    return staged


def audit_gold(run: Run, gold: GoldTable, staged: Staged) -> Audit:
    """Check a candidate before anybody sees it; a closed gate is reported, not raised."""
    gate = audit(run.open_lake(), gold, staged, "" if run.dry_run else run.run_id)
    if gate is None:
        get_run_logger().info("%s: nothing new to check", gold.name)
    elif gate.open:
        get_run_logger().info("%s: %d checks passed", gold.name, len(gate.checks))
    else:
        get_run_logger().error("%s: gate closed: %s", gold.name, "; ".join(gate.reasons))
        _not_kept()
    return Audit(gate=gate)


def _not_kept() -> None:
    """Keep this task's result out of the cache."""
    transaction = get_transaction()
    if transaction is not None:
        transaction.write_on_commit = False


def commit_gold(run: Run, staged: Staged, audited: Audit) -> CurateReport:
    """Replace a gold table by its audited candidate in one commit."""
    report = curate(run.open_lake(), staged, audited.gate)
    get_run_logger().info(
        "%s: %d rows at version %d, %s",
        staged.dataset,
        report.rows,
        report.table.version,
        "changed" if report.changed else "unchanged",
    )
    return report
