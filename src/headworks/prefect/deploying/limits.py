"""Limits: of the whole server by name, and of task runs by tag."""

from __future__ import annotations

from collections.abc import Iterator

from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from headworks.prefect.deploying.declared import GlobalLimit, Server, TagLimit
from headworks.prefect.deploying.outcomes import Change, Outcome


def apply_limits(client: SyncPrefectClient, server: Server, *, dry_run: bool) -> Iterator[Outcome]:
    """Make the limits as they are declared; others are left alone."""
    for limit in server.global_limits:
        kind = "rate limit" if limit.slot_decay_per_second else "global limit"
        yield Outcome(kind, limit.name, _global(client, limit, dry_run=dry_run))
    for tag in server.tag_limits:
        yield Outcome("tag limit", tag.tag, _tag(client, tag, dry_run=dry_run))


def _global(client: SyncPrefectClient, wanted: GlobalLimit, *, dry_run: bool) -> Change:
    try:
        found = client.read_global_concurrency_limit_by_name(wanted.name)
    except ObjectNotFound:
        change: Change = "created"
    else:
        same = (found.limit, found.slot_decay_per_second) == (wanted.limit, wanted.slot_decay_per_second)
        if same:
            return "unchanged"
        change = "updated"
    if not dry_run:
        client.upsert_global_concurrency_limit_by_name(
            wanted.name, wanted.limit, wanted.slot_decay_per_second
        )
    return change


def _tag(client: SyncPrefectClient, wanted: TagLimit, *, dry_run: bool) -> Change:
    try:
        found = client.read_concurrency_limit_by_tag(wanted.tag)
    except ObjectNotFound:
        change: Change = "created"
    else:
        if found.concurrency_limit == wanted.limit:
            return "unchanged"
        change = "updated"
    if not dry_run:
        client.create_concurrency_limit(wanted.tag, wanted.limit)
    return change
