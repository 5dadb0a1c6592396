"""The deployments of prefect.yaml, each written only where the server holds another.

They are written as ``prefect deploy`` writes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import (
    ConcurrencyLimitConfig,
    ConcurrencyLimitStrategy,
    DeploymentSchedule,
    VersionInfo,
)
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentTriggerTypes
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.exceptions import ObjectNotFound
from pydantic import TypeAdapter

from headworks.prefect.deploying.automations import same_automation
from headworks.prefect.deploying.declared import Declared
from headworks.prefect.deploying.outcomes import Change, Outcome

_trigger: TypeAdapter[Any] = TypeAdapter(DeploymentTriggerTypes)


def ensure_deployment(
    client: SyncPrefectClient, declared: Declared, *, dry_run: bool, by_hand: bool = False
) -> Iterator[Outcome]:
    """Make a deployment as it is declared, with its schedules and triggers.

    ``by_hand``: a new schedule begins paused, and triggers are made only where the server has some of this deployment.
    """
    made = _made(declared)
    schedules = [_schedule(one) for one in declared.schedules]
    found = _find(client, made.full_name)
    if by_hand and (found is None or not _related(client, found.id, declared)):
        declared = declared.model_copy(update={"triggers": ()})
    if found is None:
        if by_hand:
            schedules = [{**one, "active": False} for one in schedules]
        if not dry_run:
            made.apply(schedules=schedules, version_info=_version(made))
            _bring_triggers(client, client.read_deployment_by_name(made.full_name).id, declared)
        yield Outcome("deployment", made.full_name, "created")
        yield from (Outcome("trigger", _trigger_name(declared, one), "created") for one in declared.triggers)
        return
    same = _same(found, made, declared)
    triggers = _compared(client, found.id, declared)
    if not same and not dry_run:
        # Prefect takes away the deployment's triggers whenever it writes the deployment.
        made.apply(schedules=schedules, version_info=_version(made))
        _remove_schedules(client, found, declared)
    if not dry_run and (not same or any(one.change != "unchanged" for one in triggers)):
        _bring_triggers(client, found.id, declared)
    yield Outcome("deployment", made.full_name, "unchanged" if same else "updated", _paused(found))
    yield from triggers


def _find(client: SyncPrefectClient, full_name: str) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(full_name)
    except ObjectNotFound:
        return None


def _paused(found: DeploymentResponse) -> str:
    """Say which schedules stay paused, since nothing else would say why nothing runs."""
    paused = sorted(one.slug or "a schedule" for one in found.schedules if not one.active)
    return f"paused, and stays so: {', '.join(paused)}" if paused else ""


def _made(declared: Declared) -> RunnerDeployment:
    limit = declared.concurrency_limit
    return RunnerDeployment.from_entrypoint(
        declared.entrypoint,
        declared.name,
        description=declared.description,
        tags=declared.tags,
        parameters=declared.parameters,
        concurrency_limit=ConcurrencyLimitConfig(
            limit=limit.limit, collision_strategy=ConcurrencyLimitStrategy(limit.collision_strategy)
        ),
        work_pool_name=declared.work_pool.name,
        work_queue_name=declared.work_pool.work_queue_name,
        job_variables=declared.work_pool.job_variables,
    )


def _version(made: RunnerDeployment) -> VersionInfo:
    # Prefect would take the commit, in a clone with a remote: each commit would rewrite every deployment.
    return VersionInfo(type="prefect:simple", version=made.version or "")


def _schedule(one: Any) -> dict[str, Any]:
    # Not `active`: a schedule that somebody paused stays paused.
    return {
        "slug": one.slug,
        "schedule": CronSchedule(cron=one.cron, timezone=one.timezone),
        "parameters": one.parameters,
    }


def _same(found: DeploymentResponse, made: RunnerDeployment, declared: Declared) -> bool:
    limit, options = found.global_concurrency_limit, found.concurrency_options
    here = (
        found.description,
        sorted(found.tags),
        found.entrypoint,
        found.work_pool_name,
        found.work_queue_name,
        found.version,
        found.enforce_parameter_schema,
        limit.limit if limit else None,
        options.collision_strategy.value if options else None,
        found.pull_steps or [],
        _json(found.parameters),
        _json(found.job_variables),
        _json(found.parameter_openapi_schema),
        sorted(map(_told, found.schedules)),
    )
    there: tuple[Any, ...] = (
        made.description,
        sorted(made.tags),
        made.entrypoint,
        made.work_pool_name,
        made.work_queue_name,
        made.version,
        made.enforce_parameter_schema,
        declared.concurrency_limit.limit,
        declared.concurrency_limit.collision_strategy,
        [],
        _json(made.parameters),
        _json(made.job_variables),
        _json(made._parameter_openapi_schema.model_dump(mode="json", exclude_unset=True)),
        sorted(_json([one.slug, one.cron, one.timezone, one.parameters]) for one in declared.schedules),
    )
    return here == there


def _told(found: DeploymentSchedule) -> str:
    schedule = found.schedule
    if not isinstance(schedule, CronSchedule):
        return _json([found.slug, str(schedule)])
    return _json([found.slug, schedule.cron, schedule.timezone, found.parameters])


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _remove_schedules(client: SyncPrefectClient, found: DeploymentResponse, declared: Declared) -> None:
    """Take away schedules that are no longer declared, which Prefect itself leaves."""
    slugs = {one.slug for one in declared.schedules}
    for one in found.schedules:
        if one.slug not in slugs and one.id is not None:
            client.delete_deployment_schedule(found.id, one.id)


def _compared(client: SyncPrefectClient, deployment_id: UUID, declared: Declared) -> list[Outcome]:
    """Compare the automations that start a deployment with those that are declared."""
    found = _related(client, deployment_id, declared)
    wanted = _automations(deployment_id, declared)
    names = {one.name for one in wanted}
    old = [one.name for one in found if one.name not in names]
    return [
        *(Outcome("trigger", one.name, _change(one, found)) for one in wanted),
        *(Outcome("trigger", name, "removed") for name in old),
    ]


def _related(client: SyncPrefectClient, deployment_id: UUID, declared: Declared) -> list[Automation]:
    """Return the automations that were made of a deployment's triggers."""
    mine = _trigger_name(declared, {"name": ""})
    related = client.read_resource_related_automations(_owner(deployment_id))
    return [one for one in related if one.name.startswith(mine)]


def _bring_triggers(client: SyncPrefectClient, deployment_id: UUID, declared: Declared) -> None:
    """Make the automations that start a deployment; they belong to it, as those that ``prefect deploy`` makes."""
    # The server does not report which of them belong to the deployment, but takes away all that do.
    client.delete_resource_owned_automations(_owner(deployment_id))
    for one in _automations(deployment_id, declared):
        client.create_automation(one)


def _automations(deployment_id: UUID, declared: Declared) -> list[AutomationCore]:
    made = []
    for trigger in declared.triggers:
        named = _trigger.validate_python({**trigger, "name": _trigger_name(declared, trigger)})
        named.set_deployment_id(deployment_id)
        made.append(named.as_automation())
    return made


def _owner(deployment_id: UUID) -> str:
    return f"prefect.deployment.{deployment_id}"


def _trigger_name(declared: Declared, trigger: Mapping[str, Any]) -> str:
    return f"{declared.name}: {trigger['name']}"


def _change(wanted: AutomationCore, found: Sequence[Automation]) -> Change:
    known = [one for one in found if one.name == wanted.name]
    if not known:
        return "created"
    return "unchanged" if len(known) == 1 and same_automation(known[0], wanted) else "updated"
