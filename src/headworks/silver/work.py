"""What a refinement works with, and what it comes to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from headworks.ports import Clock, TokenMaker, random_token, system_clock
from headworks.reports import GateReport, RefineReport, Report, TableRef
from headworks.silver.table import CHANGE
from headworks.storage.delta import Table
from headworks.storage.store import Lake

PART_ROWS = 250_000


class RefineOutcome(Report):
    """What a refinement did, and what the gate said; with a closed gate silver is as it was."""

    report: RefineReport
    gate: GateReport | None = None


@dataclass(frozen=True)
class Refinement:
    """Where and for which run a refinement works; of more rows than ``part_rows`` one part at a time is in memory.

    ``counts_on`` is for steps that are tried again under the same run: where silver's last commit is that run's, what
    it came to is in the report too.
    """

    lake: Lake
    run_id: str
    clock: Clock = system_clock
    token: TokenMaker = random_token
    part_rows: int = PART_ROWS
    counts_on: bool = False


def silver_reference(lake: Lake, silver: Table) -> TableRef:
    """Name a version of a silver table."""
    return TableRef(
        table=silver.name,
        version=silver.version,
        change=silver.transaction(CHANGE),
        uri=lake.uri("silver", silver.name.removeprefix("silver.")),
    )


_SUMMED = (
    "landed",
    "released",
    "rejected",
    "superseded",
    "unchanged",
    "inserted",
    "updated",
    "deleted",
    "returned",
    "known",
    "followed",
)
"""What two tries of one run count together."""


_NOTHING_COMMITTED: dict[str, object] = dict.fromkeys((*_SUMMED, "elsewhere"), 0) | {
    "reasons": {},
    "warned": {},
}
"""What a delivery that is held adds to what the others came to."""


def added_up(then: RefineOutcome | None, outcome: RefineOutcome) -> RefineOutcome:
    """Add what was committed before, in this refinement or by an earlier try of the run, to what came then.

    What was judged and not committed has its numbers only where it is alone.
    """
    if then is None:
        return outcome
    now, before = outcome.report, then.report
    if not before.committed:
        gate = _both(then.gate, outcome.gate)
        return RefineOutcome(report=now if now.committed or outcome.gate else before, gate=gate)
    counted = now if now.committed else now.model_copy(update=_NOTHING_COMMITTED)
    summed = {name: getattr(before, name) + getattr(counted, name) for name in _SUMMED}
    by_name = {
        name: dict(sorted((Counter(getattr(before, name)) + Counter(getattr(counted, name))).items()))
        for name in ("reasons", "warned")
    }
    report = now.model_copy(update={**summed, **by_name, "committed": True})
    return RefineOutcome(report=report, gate=_both(then.gate, outcome.gate))


def _both(then: GateReport | None, now: GateReport | None) -> GateReport | None:
    """Return one decision about several deliveries: open where each was let through."""
    if then is None or now is None:
        return now or then
    known = set(then.checks)
    checks = (*then.checks, *(check for check in now.checks if check not in known))
    reasons = tuple(dict.fromkeys((*then.reasons, *now.reasons)))
    return GateReport(scope=now.scope, open=not reasons, checks=checks, reasons=reasons)
