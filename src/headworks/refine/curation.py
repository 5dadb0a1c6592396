"""Gold tables: declared as transforms of silver, staged, audited, and only then committed.

What belongs here: the declaration of a gold table, and the steps from pins to an audited candidate. What does not: the
commit itself (``lake/gold.py``), and any business transform.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from headworks.errors import GateClosed
from headworks.lake.gold import (
    Pins,
    Staged,
    commit_gold,
    is_current,
    pinned_inputs,
    read_staged,
    staged_uri,
    staging_id,
    write_staged,
)
from headworks.lake.store import Lake
from headworks.names import check_dataset
from headworks.observe.report import CheckReport, CurateReport, GateReport
from headworks.ports import Clock, system_clock
from headworks.quality.contracts import run_contract
from headworks.quality.gate import decide
from headworks.quality.limits import AnomalyLimits
from headworks.refine.screening import screen_gold

Inputs = Mapping[str, pl.LazyFrame]


@dataclass(frozen=True)
class GoldTable:
    """Declares a gold table.

    ``transform`` makes it from the silver frames named in ``inputs``. ``totals`` computes from the same frames, by
    a way of its own, one row of sums; a column of the same name in gold must add up to the same.
    """

    name: str
    inputs: tuple[str, ...]
    transform: Callable[[Inputs], pl.LazyFrame]
    key: tuple[str, ...]
    contract: Path
    totals: Callable[[Inputs], pl.LazyFrame] | None = None
    anomalies: AnomalyLimits = field(default_factory=AnomalyLimits)

    def __post_init__(self) -> None:
        """Check the names."""
        check_dataset(self.name)
        for name in self.inputs:
            check_dataset(name)

    def code(self) -> int:
        """Return a number of 62 bits that changes with the source of the transform's module."""
        module = inspect.getmodule(self.transform)
        source = inspect.getsource(module if module is not None else self.transform)
        return int.from_bytes(hashlib.blake2b(source.encode(), digest_size=8).digest()) >> 2


def stage(lake: Lake, gold: GoldTable, pins: Pins) -> Staged:
    """Make the candidate of a gold table from pinned silver, unless the table was made from just that already."""
    inputs = {name: pins.version_of(name).change for name in gold.inputs}
    code = gold.code()
    table = lake.open("gold", gold.name)
    if table is not None and is_current(table, inputs, code):
        return Staged(
            dataset=gold.name,
            staging_id=staging_id(pins, gold.inputs, code, table.version),
            base_version=table.version,
            inputs=inputs,
            code=code,
            rows=table.row_count(),
        )
    frames = pinned_inputs(lake, pins, gold.inputs)
    candidate = gold.transform(frames).collect().sort(gold.key)
    table = table or lake.ensure("gold", gold.name, candidate.schema)
    candidate_id = staging_id(pins, gold.inputs, code, table.version)
    write_staged(lake, gold.name, candidate_id, candidate)
    totals = gold.totals(frames).collect().row(0, named=True) if gold.totals else {}
    return Staged(
        dataset=gold.name,
        staging_id=candidate_id,
        base_version=table.version,
        inputs=inputs,
        code=code,
        rows=candidate.height,
        fresh=True,
        changed=not _holds(table.scan().collect(), candidate, gold.key),
        totals={name: str(value) for name, value in totals.items()},
    )


def audit(
    lake: Lake, gold: GoldTable, staged: Staged, run_id: str = "", clock: Clock = system_clock
) -> GateReport | None:
    """Check a staged candidate and decide about it; None where nothing new was staged.

    With a ``run_id`` the candidate's profile is kept; a dry run gives none.
    """
    if not staged.fresh:
        return None
    scope = f"gold.{gold.name}"
    candidate = read_staged(lake, gold.name, staged.staging_id)
    uri = staged_uri(lake, gold.name, staged.staging_id)
    checks = [
        _check_key(scope, candidate, gold.key),
        *_check_totals(scope, candidate, staged.totals),
    ]
    checks += run_contract(gold.contract, Path(uri) if lake.settings.is_local else candidate, scope)
    screened = screen_gold(lake, gold.name, candidate, gold.key, run_id, clock(), gold.anomalies)
    gate = decide(scope, [*checks, *screened.checks], contract_required=True)
    if run_id:
        screened.keep(lake, gate)
    return gate


def curate(lake: Lake, staged: Staged, gate: GateReport | None) -> CurateReport:
    """Commit an audited candidate; raises `GateClosed` where the gate did not open for it."""
    if staged.fresh and (gate is None or not gate.open or gate.scope != f"gold.{staged.dataset}"):
        raise GateClosed(
            "The candidate was not let through.",
            where=f"gold.{staged.dataset}",
            do="read the gate's reasons; the table keeps its last good version.",
        )
    reference = commit_gold(lake, staged)
    return CurateReport(table=reference, rows=staged.rows, changed=staged.changed, totals=staged.totals)


def _holds(there: pl.DataFrame, candidate: pl.DataFrame, key: tuple[str, ...]) -> bool:
    return there.schema == candidate.schema and there.sort(key).equals(candidate)


def _check_key(scope: str, candidate: pl.DataFrame, key: tuple[str, ...]) -> CheckReport:
    doubled = candidate.height - candidate.select(key).n_unique() if candidate.height else 0
    return CheckReport(
        scope=scope,
        name="key is unique",
        kind="key",
        outcome="failed" if doubled else "passed",
        detail=f"{doubled} doubled keys",
    )


def _check_totals(scope: str, candidate: pl.DataFrame, totals: dict[str, str]) -> list[CheckReport]:
    reports = []
    for name, silver in totals.items():
        gold = str(candidate.get_column(name).sum())
        reports.append(
            CheckReport(
                scope=scope,
                name=f"total of {name} survives",
                kind="total",
                outcome="passed" if gold == silver else "failed",
                detail=f"silver {silver}, gold {gold}",
            )
        )
    return reports
