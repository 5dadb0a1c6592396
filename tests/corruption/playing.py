"""One day through the engine: landed, refined, curated, recorded, as the sales flow does it, and what came of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from headworks.bronze.landing import Landing, land
from headworks.gold.curation import audit, curate, stage
from headworks.gold.products import publish_product, read_product
from headworks.gold.table import pin
from headworks.ops.ledger import record_run
from headworks.ops.recorder import Recorder
from headworks.reports import CheckReport, GateReport, RunReport
from headworks.settings import LakeSettings
from headworks.silver.refinement import Refinement, refine
from headworks.sources.base import Batch, Position
from headworks.storage.store import Lake
from tests.corruption.company import Company, Frames


@dataclass
class Given:
    """A source that has one frame to give, after whatever was read before."""

    frame: pl.DataFrame
    schema: pl.Schema = field(init=False)

    def __post_init__(self) -> None:
        """Take the frame's columns."""
        self.schema = self.frame.schema

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield the frame, unless it is empty."""
        if not self.frame.is_empty():
            yield Batch(self.frame, {"n": (position or {"n": 0})["n"] + 1}, read=self.frame.height)


@dataclass(frozen=True)
class Played:
    """What a run came to: where it was stopped, if it was, and all that was said about it."""

    report: RunReport
    stopped: GateReport | None
    rejected: int
    product: int

    @property
    def alarms(self) -> list[CheckReport]:
        """The anomalies that warned or stopped."""
        checks = [check for gate in self.report.gates for check in gate.checks]
        return [one for one in checks if one.kind == "anomaly" and one.outcome in {"warned", "failed"}]


def open_lake(folder: Path) -> Lake:
    """Open the lake in a folder."""
    return Lake(LakeSettings(root=str(folder)))


def copied(lake: Lake, folder: Path) -> Lake:
    """Copy a lake by links: no file of a lake is ever changed in place."""
    shutil.copytree(lake.settings.root, folder, copy_function=os.link)
    return open_lake(folder)


def play(company: Company, lake: Lake, frames: Frames, moment: datetime, run_id: str) -> Played:
    """Take a day's frames through the whole engine at a moment."""
    recorder = Recorder(run_id, company.product, "incremental", lake.settings.root, clock=lambda: moment)
    for name, frame in frames.items():
        recorder.landings.append(land(Landing(lake, name, name, run_id, clock=lambda: moment), Given(frame)))
    stopped = _refine(company, lake, recorder, moment) or _curate(company, lake, recorder, moment)
    report = recorder.report(
        "gate closed" if stopped else "published" if recorder.changed() else "unchanged",
        "; ".join(stopped.reasons) if stopped else "",
    )
    record_run(lake, report)
    product = read_product(lake, company.product)
    rejected = sum(one.rejected for one in recorder.refinements)
    return Played(report, stopped, rejected, product.sequence if product else 0)


def _refine(company: Company, lake: Lake, recorder: Recorder, moment: datetime) -> GateReport | None:
    for dataset in (one for rank in company.ranks for one in rank):
        if lake.open("bronze", dataset.name) is None:
            continue
        outcome = refine(Refinement(lake, recorder.run_id, clock=lambda: moment), dataset)
        recorder.refinements.append(outcome.report)
        recorder.gate(outcome.gate)
        if outcome.gate is not None and not outcome.gate.open:
            return outcome.gate
    return None


def _curate(company: Company, lake: Lake, recorder: Recorder, moment: datetime) -> GateReport | None:
    pins = pin(lake, list(company.inputs))
    staged = [(table, stage(lake, table, pins)) for table in company.tables]
    gates = [audit(lake, table, one, recorder.run_id, lambda: moment) for table, one in staged]
    for gate in gates:
        recorder.gate(gate)
        if gate is not None and not gate.open:
            return gate
    for (_, one), gate in zip(staged, gates, strict=True):
        recorder.gold.append(curate(lake, one, gate))
    tables = [one.table for one in recorder.gold]
    publish_product(lake, company.product, tables, recorder.run_id, clock=lambda: moment)
    return None
