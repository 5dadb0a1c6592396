"""Notifying people: one alert when a flow stops doing its work, and one when it does it again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from prefect import get_run_logger, task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.runtime import deployment
from prefect.settings import get_current_settings

from headworks.errors import HeadworksError, LakeUnavailable, LakeUnusable, SettingsError
from headworks.ops.alerts import Alert, alert_of, flow_incident, late_alert, lost_alert
from headworks.ops.channels import Sends
from headworks.ops.incidents import heal, notify, open_incidents
from headworks.ops.notices import consumers, rejected_examples, seen
from headworks.prefect.blocks import alert_channels, lake_settings
from headworks.prefect.policy import EFFECT, shielded
from headworks.prefect.steps.extract import Run
from headworks.project import project
from headworks.reports import RunReport
from headworks.storage.store import Lake

LATE = "Late"


@task(name="alert", task_run_name="alert about {report.status}", **EFFECT)
@shielded
def alert_about(run: Run, report: RunReport) -> bool:
    """Notify people how a run ended and what it showed, where that calls for it; returns whether anybody was notified.

    What a channel does not take is logged and tried again by the next run: an alert that fails must not hide the run's
    own end.
    """
    channels = alert_channels()
    if not channels:
        return False
    lake, incident = run.open_lake(), incident_of(report.flow)
    alert = alert_of(report, rejected_examples(lake, report))
    if alert is not None and alert.kind == "gate closed":
        old = consumers(lake, _products_behind(report), datetime.now(UTC))
        alert = alert.model_copy(update={"details": (*alert.details, *old)})
    notified = [
        _notified(lake, channels, incident, alert and alert.model_copy(update={"incident": incident}))
    ]
    found = seen(lake, report)
    notified += [_notified(lake, channels, each.incident, each) for each in found.alerts]
    notified += [_notified(lake, channels, each, None) for each in found.over]
    return any(notified)


def _products_behind(report: RunReport) -> tuple[str, ...]:
    """Return the products of the project that a closed gate keeps as they are."""
    here = project()
    closed = {gate.scope for gate in report.gates if not gate.open}
    if here is None:
        return ()
    return tuple(
        product.name
        for product in here.products
        if any(f"silver.{name}" in closed for name in product.inputs)
        or any(f"gold.{table.name}" in closed for table in product.tables)
    )


@task(name="alert-freshness", task_run_name="alert about freshness", **EFFECT)
@shielded
def alert_freshness(run: Run, incident: str, alert: Alert | None) -> bool:
    """Notify people that a promise of freshness is broken, or that all are kept again."""
    channels = alert_channels()
    return bool(channels) and _notified(run.open_lake(), channels, incident, alert)


@task(name="recovered", task_run_name="recovered: {incident}", **EFFECT)
@shielded
def recovered(run: Run, incident: str) -> bool:
    """Notify people that a flow without an account does its work again, if they know that it did not."""
    channels = alert_channels()
    return bool(channels) and _notified(run.open_lake(), channels, incident, None)


@task(name="alert-flow-run", task_run_name="alert about {flow_run}", **EFFECT)
@shielded
def alert_flow_run(flow_run: UUID) -> str:
    """Notify people of a run that could not do so itself; returns in words what was done.

    Raises `SettingsError` where the server has no such run.
    """
    channels = alert_channels()
    if not channels:
        return "there is no block of alerts, so nobody is notified"
    with get_client(sync_client=True) as client:
        run, incident, is_late = _read(client, flow_run)
    if run.parameters.get("dry_run") is True:
        return "it was a dry run"
    if not (is_late or run.state is None or run.state.is_failed() or run.state.is_crashed()):
        return f"it is {run.state.name} by now"
    alert = _alert(run, incident, is_late)
    try:
        lake = Lake(lake_settings(str(run.parameters.get("lake", "lake"))))
        failed = run.state is not None and run.state.is_failed()
        if failed and any(each.incident == incident for each in open_incidents(lake)):
            return "people know of it already"
        return "reported" if _notified(lake, channels, incident, alert) else "people know of it already"
    except (LakeUnusable, LakeUnavailable, SettingsError) as problem:
        # What was reported is remembered in the lake. Without it, reported twice is better than never.
        get_run_logger().warning("the lake cannot be asked what people know already: %s", problem)
        _send(lambda: [channel.send(alert) for channel in channels])
        return "reported, without the lake"


def incident_of(flow: str) -> str:
    """Name the incident of the flow that runs, in the deployment that it runs in."""
    return flow_incident(flow, str(deployment.name or ""))


def _read(client: SyncPrefectClient, flow_run: UUID) -> tuple[FlowRun, str, bool]:
    try:
        run = client.read_flow_run(flow_run)
    except ObjectNotFound as problem:
        raise SettingsError(
            "There is no such flow run.", where=str(flow_run), do="give the id of a flow run of this server."
        ) from problem
    flow = client.read_flow(run.flow_id).name.replace("-", "_")
    name = client.read_deployment(run.deployment_id).name if run.deployment_id else ""
    return run, flow_incident(flow, name), run.state is not None and run.state.name == LATE


def _alert(run: FlowRun, incident: str, is_late: bool) -> Alert:
    ui_url = get_current_settings().ui_url
    link = f"{ui_url}/runs/flow-run/{run.id}" if ui_url else ""
    if is_late:
        return late_alert(incident, run.name, f"{run.expected_start_time:%Y-%m-%d %H:%M:%S} UTC", link)
    return lost_alert(incident, run.name, (run.state.message or "") if run.state else "", link)


def _notified(lake: Lake, channels: tuple[Sends, ...], incident: str, alert: Alert | None) -> bool:
    if alert is None:
        return _send(lambda: heal(lake, channels, incident))
    return _send(lambda: notify(lake, channels, alert))


def _send(send: Callable[[], object]) -> bool:
    try:
        return bool(send())
    except (LakeUnusable, LakeUnavailable):
        raise
    except HeadworksError as problem:
        get_run_logger().warning("nobody could be notified: %s", problem)
        return False
