"""Automations: found by their name, since creating one again makes a second of the same.

An automation that somebody switched off stays switched off. An action of the type ``alert`` is the one thing that
Prefect does not know: it becomes a notification by the block that the alerts' own block is copied to, since the server
can send by Prefect's blocks alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.types import SecretDict

from headworks.prefect.blocks.alerts import AlertChannel
from headworks.prefect.blocks.profiles import Profile
from headworks.prefect.blocks.resolve import saved_block
from headworks.prefect.deploying.declared import DeclaredAutomation
from headworks.prefect.deploying.outcomes import Outcome, holds

ALERTS = "alerts"
_HEALED = "(recovered)"


def ensure_notifier(profile: Profile, *, dry_run: bool) -> Iterator[Outcome]:
    """Copy the block of the alerts to one that the server itself can send by; nothing where the server cannot."""
    name = notifier_name(profile)
    made = _notifier(saved_block(AlertChannel, profile.name(ALERTS)))
    if made is None:
        return
    saved = saved_block(CustomWebhookNotificationBlock, name)
    if saved is not None and _content(saved) == _content(made):
        yield Outcome("block", name, "unchanged")
        return
    if not dry_run:
        made.save(name, overwrite=True)
    yield Outcome("block", name, "created" if saved is None else "updated")


def notifier_name(profile: Profile) -> str:
    """Return the name of the block that the server sends alerts by."""
    return profile.name("headworks-alerts-of-the-server")


def ensure_automation(
    client: SyncPrefectClient, declared: DeclaredAutomation, profile: Profile, *, dry_run: bool
) -> Outcome:
    """Make an automation as it is declared, if what it sends by is there."""
    notifier = saved_block(CustomWebhookNotificationBlock, notifier_name(profile))
    needs = any(action["type"] == "alert" for action in declared.actions)
    if needs and notifier is None:
        note = f"needs the block {profile.name(ALERTS)} of the kind webhook or slack"
        return Outcome("automation", declared.name, "missing", note)
    actions = [
        _action(action, notifier._block_document_id if notifier else None) for action in declared.actions
    ]
    wanted = AutomationCore.model_validate(
        {
            "name": declared.name,
            "description": declared.description,
            "trigger": declared.trigger,
            "actions": actions,
        }
    )
    return Outcome("automation", declared.name, _bring(client, wanted, dry_run=dry_run))


def _bring(client: SyncPrefectClient, wanted: AutomationCore, *, dry_run: bool) -> Any:
    found = client.read_automations_by_name(wanted.name)
    if not found:
        if not dry_run:
            client.create_automation(wanted)
        return "created"
    first, *more = found
    for double in more:
        if not dry_run:
            client.delete_automation(double.id)
    if same_automation(first, wanted):
        return "updated" if more else "unchanged"
    if not dry_run:
        client.update_automation(first.id, wanted.model_copy(update={"enabled": first.enabled}))
    return "updated"


def same_automation(found: Automation, wanted: AutomationCore) -> bool:
    """Return whether an automation is as it is wanted, whether it is switched on or off."""
    fields = {"description", "trigger", "actions"}
    return holds(_plain(found, fields), _plain(wanted, fields))


def _plain(automation: AutomationCore, fields: set[str]) -> Any:
    dumped = automation.model_dump(mode="json", include=fields)
    return _without_ids(in_order(dumped))


def in_order(value: Any) -> Any:
    """Sort what the server keeps as a set, and each of its processes gives in an order of its own."""
    if isinstance(value, dict):
        return {
            name: sorted(inner)
            if name in {"after", "expect", "for_each"} and isinstance(inner, list)
            else in_order(inner)
            for name, inner in value.items()
        }
    return [in_order(one) for one in value] if isinstance(value, list) else value


def _without_ids(value: Any) -> Any:
    """Leave out the ids that triggers are given when they are made."""
    if isinstance(value, dict):
        return {name: _without_ids(inner) for name, inner in value.items() if name != "id"}
    return [_without_ids(one) for one in value] if isinstance(value, list) else value


def _action(action: dict[str, Any], block_id: UUID | None) -> dict[str, Any]:
    if action["type"] != "alert":
        return action
    subject = f"{action['title']} {_HEALED}" if action.get("healed") else action["title"]
    return {
        "type": "send-notification",
        "block_document_id": str(block_id),
        "subject": subject,
        "body": action["details"],
    }


def _notifier(alerts: AlertChannel | None) -> CustomWebhookNotificationBlock | None:
    if alerts is None or alerts.kind == "mail" or alerts.url is None:
        return None
    text = {"text": "{{subject}}\n{{body}}"}
    more = {"kind": "workers", "title": "{{subject}}"} if alerts.kind == "webhook" else {}
    # The address is a secret of its own, so the block's readable part holds its name alone.
    return CustomWebhookNotificationBlock(
        name="headworks",
        url="{{address}}",
        json_data={**text, **more},
        headers=None,
        cookies=None,
        secrets=SecretDict({"address": alerts.url.get_secret_value()}),
    )


def _content(block: CustomWebhookNotificationBlock) -> str:
    fields = block.model_dump(mode="json", include={"url", "json_data", "name"})
    return json.dumps([fields, block.secrets.get_secret_value()], sort_keys=True)
