"""Alerts: what a person is notified when something needs them, in plain words, and when it is recovered."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from headworks.ops.escaping import one_line
from headworks.ops.freshness import FreshnessReport
from headworks.reports import Report, RunReport

Kind = Literal[
    "run failed",
    "run late",
    "gate closed",
    "freshness missed",
    "breaker open",
    "quarantine growing",
    "anomaly warned",
    "delivery held",
]

REMINDER_H = 24.0
"""While a delivery is held, people are reminded of it at this rhythm."""

_LARGEST_EXAMPLE = 200
_FIELD = re.compile(r"[A-Za-z_][A-Za-z_-]{0,30}[0-9]{0,2}")


class Alert(Report):
    """One thing that a person has to look at; the same incident is reported once, and once more when it is over."""

    incident: str = Field(description="Names the incident: the same name is the same incident.")
    kind: Kind
    title: str
    details: tuple[str, ...] = Field(default=(), description="What failed, and by how much.")
    examples: tuple[str, ...] = Field(default=(), description="Up to three examples, masked.")
    do: str = Field(default="", description="What to do next.")
    link: str = Field(default="", description="Where to look.")
    again_h: float | None = Field(
        default=None, description="While the incident is open, it is sent again after so many hours."
    )
    healed: bool = False

    def text(self) -> str:
        """Render it for a mail or a message, each part in a line of its own whatever it holds."""
        lines = [one_line(self.title), *([self.body()] if self.body() else [])]
        if self.link:
            lines.append(f"Look at: {one_line(self.link)}")
        return "\n".join(lines)

    def body(self) -> str:
        """Render what is between the title and the link."""
        lines = [f"- {detail}" for detail in self.details]
        if self.examples:
            lines += ["Examples:", *[f"  {example}" for example in self.examples[:3]]]
        if self.do:
            lines.append(f"What to do: {self.do}")
        return "\n".join(map(one_line, lines))


def alert_of(report: RunReport, quarantined: tuple[Rejected, ...] = ()) -> Alert | None:
    """Return the alert that a run's end calls for; None where it ended well, or another run did the work.

    ``quarantined`` are rejected rows; of each value no more than its shape is shown.
    """
    if report.status == "gate closed":
        reasons = tuple(f"{gate.scope}: {reason}" for gate in report.gates for reason in gate.reasons)
        held = [(gate.scope, check) for gate in report.gates for check in gate.checks if check.kind == "held"]
        reasons += tuple(
            f"{scope}: {check.name} ({check.detail})" for scope, check in held if check.outcome == "warned"
        )
        return Alert(
            incident=incident_of(report),
            kind="gate closed",
            title=f"{report.flow}: the gate is closed, consumers keep the last good version",
            details=reasons or (report.message,),
            examples=tuple(each.shown() for each in quarantined[:3]),
            do="look at the held delivery and decide, by the commands above; or correct the source, the rules or the "
            "contract, and run again."
            if held
            else "read the account and the quarantine, correct the source, the rules or the contract, and run again.",
            link=_link(report),
            again_h=REMINDER_H if held else None,
        )
    if report.status == "failed":
        return Alert(
            incident=incident_of(report),
            kind="run failed",
            title=f"{report.flow}: the run failed",
            details=(report.message,),
            do="fix what it says and run again: it continues where it stopped.",
            link=_link(report),
        )
    return None


def incident_of(report: RunReport) -> str:
    """Name the incident of a flow on a lake: whatever stops it, it is one until it recovers."""
    return flow_incident(report.flow)


def flow_incident(flow: str, deployment: str = "") -> str:
    """Name the incident of a flow that does not do its work; each deployment of a flow has incidents of its own."""
    return f"flow {flow} of {deployment}" if deployment else f"flow {flow}"


def held_alert(dataset: str, details: tuple[str, ...]) -> Alert:
    """Return the alert about deliveries of a dataset that wait for a decision while others pass them."""
    return Alert(
        incident=held_incident(dataset),
        kind="delivery held",
        title=f"{dataset}: what is held waits for a decision, and consumers do without it",
        details=details,
        do="look at it and decide, by the commands above.",
        again_h=REMINDER_H,
    )


def held_incident(dataset: str) -> str:
    """Name the incident of a dataset's held deliveries: it is one as long as any is held."""
    return f"held deliveries of {dataset}"


def quarantine_alert(dataset: str, waiting: int, rows: int) -> Alert:
    """Return the alert about a quarantine that holds too much which nothing was decided about."""
    return Alert(
        incident=quarantine_incident(dataset),
        kind="quarantine growing",
        title=f"{waiting:,} rejected rows of {dataset} wait for a decision",
        details=(f"silver has {rows:,} rows",),
        do=f"see why: headworks quarantine show {dataset}. Fix the source or the rule, then headworks quarantine "
        f"release {dataset}; or discard them.",
    )


def quarantine_incident(dataset: str) -> str:
    """Name the incident of a dataset's quarantine."""
    return f"quarantine of {dataset}"


def lost_alert(incident: str, run_name: str, message: str, link: str) -> Alert:
    """Return the alert about a run that could not report its own end: it crashed, or failed before it began."""
    return Alert(
        incident=incident,
        kind="run failed",
        title=f"{incident}: the run {run_name} failed",
        details=(message or "It ended without a word.",),
        do="look at its log. Nothing has to be cleaned up: run it again, and it continues after its last commit.",
        link=link,
    )


def late_alert(incident: str, run_name: str, due: str, link: str) -> Alert:
    """Return the alert about a run that nobody has started, though it is due."""
    return Alert(
        incident=incident,
        kind="run late",
        title=f"{incident}: the run {run_name} is late",
        details=(f"It should have begun at {due}.",),
        do="see whether a worker serves its pool, and whether a limit of pool, queue or deployment is reached.",
        link=link,
    )


def breaker_alert(api: str, until: str, reason: str) -> Alert:
    """Return the alert about an API whose circuit breaker is open since it failed too often."""
    return Alert(
        incident=breaker_incident(api),
        kind="breaker open",
        title=f"{api} failed too often and is not asked before {until} UTC",
        details=(reason,) if reason else (),
        do=f"see what is wrong with it. It is asked again by itself; at once after: headworks breaker reset {api}",
    )


def breaker_incident(api: str) -> str:
    """Name the incident of an API's breaker."""
    return f"breaker of {api}"


def freshness_alert(report: FreshnessReport, incident: str) -> Alert | None:
    """Return the alert that late tables call for; None where every promise is kept."""
    if not report.late:
        return None
    return Alert(
        incident=incident,
        kind="freshness missed",
        title=f"{len(report.late)} of {len(report.tables)} tables are older than promised",
        details=tuple(f"{each.table}: {each.why}" for each in report.late),
        do="look at the newest runs of the flows that fill them, and at their sources.",
    )


def healed(incident: str, kind: Kind, link: str = "") -> Alert:
    """Return the word that an incident is over."""
    return Alert(incident=incident, kind=kind, title=f"{incident}: recovered", link=link, healed=True)


@dataclass(frozen=True)
class Rejected:
    """A rejected row as an example: whose it is, why it was rejected, and its raw record, which nobody is shown."""

    dataset: str
    reasons: tuple[str, ...]
    record: str

    def shown(self) -> str:
        """Return what people are shown of it: the dataset, the reasons, the names of its fields and their shapes."""
        return f"{self.dataset}, {', '.join(self.reasons)}: {masked(self.record)}"


def masked(record: str) -> str:
    """Show the shape of a record: letters become x and digits 9, so that nobody reads personal data in a mail.

    The names of a JSON object's own fields stay readable: they say which field is meant.
    """
    try:
        fields = json.loads(record)
    except (ValueError, RecursionError):
        fields = None
    if isinstance(fields, dict) and fields:
        parts = (
            f'"{_field(name)}": {_shape(json.dumps(value, ensure_ascii=False))}'
            for name, value in fields.items()
        )
        shape = f"{{{', '.join(parts)}}}"
    else:
        shape = _shape(record)
    return shape if len(shape) <= _LARGEST_EXAMPLE else f"{shape[:_LARGEST_EXAMPLE]}…"


def _field(name: str) -> str:
    """Return a field's name; what does not look like one may be a value, and is masked."""
    return name if _FIELD.fullmatch(name) else _shape(name)


def _shape(text: str) -> str:
    return "".join("x" if sign.isalpha() else "9" if sign.isdigit() else sign for sign in text)


def _link(report: RunReport) -> str:
    return next(iter(report.links.values()), "")
