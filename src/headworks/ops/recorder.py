"""Collects what a run's steps report during the run, so that a failed run is accounted for too."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from headworks.names import Window
from headworks.ports import Clock, system_clock
from headworks.reports import (
    CurateReport,
    DecisionReport,
    GateReport,
    LandingReport,
    PublishReport,
    RefineReport,
    ReplayReport,
    RunReport,
    RunStatus,
    StepCost,
)


@dataclass
class Recorder:
    """The growing record of one run."""

    run_id: str
    flow: str
    mode: str
    lake: str
    window: Window | None = None
    clock: Clock = system_clock
    on: str = ""
    landings: list[LandingReport] = field(default_factory=list)
    refinements: list[RefineReport] = field(default_factory=list)
    replays: list[ReplayReport] = field(default_factory=list)
    gates: list[GateReport] = field(default_factory=list)
    gold: list[CurateReport] = field(default_factory=list)
    publications: list[PublishReport] = field(default_factory=list)
    decisions: list[DecisionReport] = field(default_factory=list)
    costs: list[StepCost] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    started_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        """Note when the run began."""
        self.started_at = self.clock()

    def gate(self, gate: GateReport | None) -> None:
        """Keep a gate's decision once, if one was made."""
        if gate is not None and gate not in self.gates:
            self.gates.append(gate)

    def decided(self, about: str, decision: str, *, by: str = "", note: str = "") -> None:
        """Keep what a person decided."""
        self.decisions.append(DecisionReport(about=about, decision=decision, by=by, note=note))

    def changed(self) -> bool:
        """Return whether anything that consumers see changed."""
        return any(table.changed for table in self.gold) or any(p.changed for p in self.publications)

    def landed(self) -> bool:
        """Return whether a run that makes no gold landed anything, or changed silver."""
        grew = any(landing.landed + landing.refused for landing in self.landings)
        return not self.gold and (grew or any(refined.changed for refined in self.refinements))

    def has_silver(self) -> bool:
        """Return whether every dataset of the run has rows to refine or a silver table, as not on a new lake."""
        there = [one.table.uri for one in self.refinements] + [one.table.uri for one in self.replays]
        return all(there)

    def report(self, status: RunStatus, message: str = "") -> RunReport:
        """Return the report of the run as it is now."""
        window = self.window.model_dump(mode="json", exclude_none=True) if self.window else None
        return RunReport.model_validate(
            {
                "run_id": self.run_id,
                "flow": self.flow,
                "on": self.on,
                "mode": self.mode,
                "status": status,
                "message": message,
                "started_at": self.started_at,
                "finished_at": self.clock(),
                "lake": self.lake,
                "window": window,
                "landings": tuple(self.landings),
                "refinements": tuple(self.refinements),
                "replays": tuple(self.replays),
                "gates": tuple(self.gates),
                "gold": tuple(self.gold),
                "publications": tuple(self.publications),
                "decisions": tuple(self.decisions),
                "costs": tuple(self.costs),
                "links": self.links,
            }
        )
