"""When things run next: what the chosen Prefect server has scheduled."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings

_MOST = 200


def next_runs() -> dict[str, str]:
    """Return when each product and dataset runs next, by its name; empty without a server that answers.

    A deployment whose schedules are paused has no next run, and says so.
    """
    if not get_current_settings().api.url:
        return {}
    found: dict[str, str] = {}
    try:
        with get_client(sync_client=True) as client:
            ours = DeploymentFilter(tags=DeploymentFilterTags(any_=["headworks"]))
            for one in client.read_deployments(deployment_filter=ours, limit=_MOST):
                name = one.parameters.get("product") or one.parameters.get("dataset")
                if not name or not one.schedules:
                    continue
                times = [
                    each
                    for schedule in one.schedules
                    if schedule.active and not one.paused
                    for each in [_next(schedule.schedule)]
                    if each is not None
                ]
                text = f"{min(times):%Y-%m-%d %H:%M}" if times else "paused"
                if found.get(str(name), "paused") == "paused":
                    found[str(name)] = text
    except (httpx.HTTPError, PrefectHTTPStatusError):
        return {}
    return found


def _next(schedule: object) -> datetime | None:
    import asyncio

    from prefect.server.schemas.schedules import CronSchedule

    cron = getattr(schedule, "cron", None)
    if cron is None:
        return None
    ours = CronSchedule(cron=cron, timezone=getattr(schedule, "timezone", None) or "UTC")
    dates = asyncio.run(ours.get_dates(n=1, start=datetime.now(UTC)))
    return dates[0].astimezone(UTC) if dates else None
