"""What a refinement works with, and what it comes to."""

from __future__ import annotations

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
