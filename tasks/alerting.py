"""Telling people: one alert when a flow stops doing its work, and one when it does it again."""

from __future__ import annotations

from prefect import get_run_logger, task

from blocks import alert_channels
from headworks.errors import HeadworksError
from headworks.lake.incidents import heal, tell
from headworks.lake.quarantine import pending_rows
from headworks.lake.store import Lake
from headworks.observe.alerts import Alert, alert_of, incident_of
from headworks.observe.report import RunReport
from tasks.extract import Run
from tasks.policy import EFFECT

_EXAMPLES = 3


@task(name="alert", task_run_name="alert about {report.status}", **EFFECT)
def alert_about(run: Run, report: RunReport) -> bool:
    """Tell people how a run ended, where it calls for that; returns whether anybody was told.

    What a channel does not take is logged and tried again by the next run: an alert that fails must not hide the run's
    own end.
    """
    alert = alert_of(report, _examples(run.open_lake(), report))
    return _told(run, alert, incident_of(report))


def _told(run: Run, alert: Alert | None, incident: str) -> bool:
    channels = alert_channels()
    if not channels:
        return False
    try:
        if alert is None:
            return heal(run.open_lake(), channels, incident)
        return tell(run.open_lake(), channels, alert)
    except HeadworksError as problem:
        get_run_logger().warning("nobody could be told: %s", problem)
        return False


@task(name="alert-freshness", task_run_name="alert about freshness", **EFFECT)
def alert_freshness(run: Run, incident: str, alert: Alert | None) -> bool:
    """Tell people that a promise of freshness is broken, or that all are kept again."""
    return _told(run, alert, incident)


def _examples(lake: Lake, report: RunReport) -> tuple[str, ...]:
    """Return a few raw records of those that a closed gate was closed for; their shape alone is told."""
    if report.status != "gate closed":
        return ()
    found: list[str] = []
    for gate in report.gates:
        layer, _, dataset = gate.scope.partition(".")
        rows = pending_rows(lake, dataset, lake.open("silver", dataset)) if layer == "silver" else None
        if rows is not None and not gate.open:
            found += rows.head(_EXAMPLES).collect().get_column("record").drop_nulls().to_list()
    return tuple(found[:_EXAMPLES])
