"""Work pools and their queues.

A pool that somebody paused stays paused: nothing is said of it here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import WorkQueue
from prefect.exceptions import ObjectNotFound

from headworks.errors import SettingsError
from headworks.prefect.deploying.declared import Pool, Queue
from headworks.prefect.deploying.outcomes import Change, Outcome


def ensure_pool(
    client: SyncPrefectClient, pool: Pool, template: dict[str, Any], *, dry_run: bool
) -> Iterator[Outcome]:
    """Make a pool as it is declared, then its queues; raises `SettingsError` where it is of another type."""
    wanted: dict[str, Any] = {
        "description": pool.description,
        "base_job_template": template,
        "concurrency_limit": pool.concurrency_limit,
    }
    try:
        found = client.read_work_pool(pool.name)
    except ObjectNotFound:
        if not dry_run:
            client.create_work_pool(WorkPoolCreate(name=pool.name, type=pool.type, **wanted))
        yield Outcome("work pool", pool.name, "created")
    else:
        if found.type != pool.type:
            raise SettingsError(
                f"The pool is of the type {found.type}, and {pool.type} is wanted.",
                where=f"work pool {pool.name}",
                do="delete it if nothing needs it, or deploy with a profile.",
            )
        same = all(getattr(found, field) == value for field, value in wanted.items())
        if not same and not dry_run:
            client.update_work_pool(pool.name, WorkPoolUpdate(**wanted))
        yield Outcome("work pool", pool.name, "unchanged" if same else "updated")
    for queue in pool.queues:
        yield Outcome("work queue", f"{pool.name}/{queue.name}", _queue(client, pool, queue, dry_run=dry_run))


def _queue(client: SyncPrefectClient, pool: Pool, queue: Queue, *, dry_run: bool) -> Change:
    # Each pool has a queue named default from its first moment, which is then brought in line.
    found = _find(client, pool.name, queue.name)
    wanted: dict[str, Any] = {
        "description": queue.description,
        "priority": queue.priority,
        "concurrency_limit": queue.concurrency_limit,
    }
    if found is None:
        if not dry_run:
            client.create_work_queue(queue.name, work_pool_name=pool.name, **wanted)
        return "created"
    if all(getattr(found, field) == value for field, value in wanted.items()):
        return "unchanged"
    if not dry_run:
        client.update_work_queue(found.id, **wanted)
    return "updated"


def _find(client: SyncPrefectClient, pool: str, name: str) -> WorkQueue | None:
    try:
        return client.read_work_queue_by_name(name, work_pool_name=pool)
    except ObjectNotFound:
        return None
