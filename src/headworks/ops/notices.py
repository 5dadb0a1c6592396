"""What the lake adds to alerts: examples of rejected rows, and what stopped no run but is to be seen.

That is: tables that are not as usual, a quarantine that grows, an API whose circuit breaker is open.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from headworks.gold.products import read_product
from headworks.ops.alerts import (
    Alert,
    Rejected,
    breaker_alert,
    breaker_incident,
    held_alert,
    held_incident,
    quarantine_alert,
    quarantine_incident,
)
from headworks.ops.breakers import LakeBreakers
from headworks.ports import Clock, system_clock
from headworks.quality.deliveries import held, held_check
from headworks.reports import GateReport, RunReport
from headworks.silver.quarantine import pending_rows, rejected_rows
from headworks.silver.rejects import as_records, open_rejects
from headworks.sources.api.breaker import read_breaker
from headworks.storage.store import Lake
from headworks.storage.translating import collected

EXAMPLES = 3
QUARANTINE_ROWS, QUARANTINE_SHARE = 100, 0.05
"""More rejected rows than this, and than this share of silver's, are more than a few to be looked at some day."""


@dataclass(frozen=True)
class Seen:
    """What a run shows alongside its own end: what a person should be notified of, and incidents that are over."""

    alerts: tuple[Alert, ...]
    over: tuple[str, ...]


def seen(lake: Lake, report: RunReport, clock: Clock = system_clock) -> Seen:
    """Return what a run shows of tables, quarantines and breakers."""
    grown = [_quarantine(lake, one.dataset) for one in report.refinements]
    breakers = [_breaker(LakeBreakers(lake), name, clock) for name in LakeBreakers(lake).names()]
    waits = [_held(lake, one.dataset, report, clock) for one in report.refinements]
    both = [each for each in (*grown, *breakers, *waits) if each is not None]
    return Seen(
        (*warnings(lake, report), *(each for each in both if isinstance(each, Alert))),
        (*quiet_tables(report), *(each for each in both if isinstance(each, str))),
    )


def rejected_examples(lake: Lake, report: RunReport) -> tuple[Rejected, ...]:
    """Return up to three rows that a run rejected, of the dataset whose gate closed if one did."""
    closed = {gate.scope for gate in report.gates if not gate.open}
    refined = sorted(report.refinements, key=lambda one: f"silver.{one.dataset}" not in closed)
    found: list[Rejected] = []
    for one in refined:
        if one.rejected and len(found) < EXAMPLES:
            found += _rejected(lake, one.dataset, report.run_id)
    return tuple(found[:EXAMPLES])


def warnings(lake: Lake, report: RunReport) -> tuple[Alert, ...]:
    """Return an alert for each table whose candidate was let through with warnings: one incident a table."""
    return tuple(
        _warning(lake, report, gate)
        for gate in report.gates
        if gate.open and any(check.outcome == "warned" for check in gate.checks)
    )


def quiet_tables(report: RunReport) -> tuple[str, ...]:
    """Return the incidents of tables that a run checked without a warning: they are over, if they were open."""
    return tuple(
        incident_of(gate.scope)
        for gate in report.gates
        if gate.open and all(check.outcome != "warned" for check in gate.checks)
    )


def incident_of(scope: str) -> str:
    """Name the incident of warnings about a table: whatever warns, it is one until a run passes without."""
    return f"warnings of {scope}"


def _quarantine(lake: Lake, dataset: str) -> Alert | str:
    """Return the alert about a dataset's quarantine, or the incident's name where it is small enough."""
    silver = lake.open("silver", dataset)
    rejected = rejected_rows(lake, dataset, silver)
    if silver is None or rejected is None or _count(rejected) <= QUARANTINE_ROWS:
        return quarantine_incident(dataset)
    waiting, rows = _count(as_records(open_rejects(lake, dataset, silver))), _count(silver.scan())
    if waiting <= max(QUARANTINE_ROWS, QUARANTINE_SHARE * rows):
        return quarantine_incident(dataset)
    return quarantine_alert(dataset, waiting, rows)


def _held(lake: Lake, dataset: str, report: RunReport, clock: Clock) -> Alert | str | None:
    """Return the alert about held deliveries that others pass, or the incident's name where nothing is held.

    Where the gate is closed for them, that is the run's own incident.
    """
    open_ones = held(lake, dataset)
    if not open_ones:
        return held_incident(dataset)
    if report.status == "gate closed":
        return None
    checks = [held_check(f"silver.{dataset}", one, clock()) for one in open_ones]
    return held_alert(dataset, tuple(f"{check.name}: {check.detail}" for check in checks))


def consumers(lake: Lake, products: Iterable[str], moment: datetime) -> tuple[str, ...]:
    """Say for how long the consumers of products have seen the version that they see."""
    found = []
    for name in products:
        product = read_product(lake, name)
        if product is not None:
            hours = max(0.0, (moment - product.published_at).total_seconds() / 3600)
            long = f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
            found.append(
                f"consumers of {name} see the version of {product.published_at:%Y-%m-%d %H:%M} UTC, for {long} now"
            )
    return tuple(found)


def _breaker(store: LakeBreakers, api: str, clock: Clock) -> Alert | str | None:
    """Return the alert about an open breaker, the incident's name of a closed one, and nothing of one in between."""
    found = read_breaker(store, api)
    state = found.state(clock())
    if state == "closed":
        return breaker_incident(api)
    if state == "open" and found.closed_until is not None:
        return breaker_alert(api, f"{found.closed_until:%Y-%m-%d %H:%M:%S}", found.reason)
    return None


def _count(rows: pl.LazyFrame) -> int:
    return int(collected(rows.select(pl.len()), "quarantine and silver").item())


def _warning(lake: Lake, report: RunReport, gate: GateReport) -> Alert:
    warned = [check for check in gate.checks if check.outcome == "warned"]
    layer, _, dataset = gate.scope.partition(".")
    rejected = next((one.rejected for one in report.refinements if one.dataset == dataset), 0)
    details = [f"{check.name}: {check.detail}" for check in warned]
    if layer == "silver" and rejected:
        details.append(f"{rejected:,} rows were rejected")
    return Alert(
        incident=incident_of(gate.scope),
        kind="anomaly warned",
        title=f"{report.flow}: {gate.scope} was let through, but is not as usual",
        details=tuple(details),
        examples=tuple(each.shown() for each in _rejected(lake, dataset, report.run_id))
        if layer == "silver" and rejected
        else (),
        do=f"look at it. If it is known, say so: headworks anomaly accept {gate.scope} --check {warned[0].name!r} "
        "--from DAY --to DAY --reason WHY --by YOU. If it is a fault, label it: headworks anomaly label.",
        link=next(iter(report.links.values()), ""),
    )


def _rejected(lake: Lake, dataset: str, run_id: str) -> list[Rejected]:
    """Return rows that a run rejected, whether silver named its try or not."""
    silver = lake.open("silver", dataset)
    found: list[Rejected] = []
    for rows in (pending_rows(lake, dataset, silver), rejected_rows(lake, dataset, silver)):
        if rows is not None:
            some = rows.filter(pl.col("run_id") == run_id).sort("_sequence", "_row").head(EXAMPLES)
            mine = collected(some, f"quarantine.{dataset}")
            found += [
                Rejected(dataset, tuple(row["reasons"]), row["record"] or "")
                for row in mine.iter_rows(named=True)
            ]
    return found[:EXAMPLES]
