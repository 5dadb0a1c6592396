"""Incidents: what was reported to people and is not over yet, so that each is reported once, and once when it heals.

Kept in ``ops.incidents``, append-only; the newest row of an incident counts. An alert is sent first and noted then: a
crash in between shows it twice, never not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from headworks.errors import HeadworksError
from headworks.ops.alerts import Alert, Kind, healed
from headworks.ops.channels import Sends
from headworks.ports import Clock, system_clock
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from headworks.storage.translating import collected

SCHEMA = pl.Schema(
    {
        "incident": pl.String(),
        "kind": pl.String(),
        "state": pl.String(),
        "title": pl.String(),
        "alert": pl.String(),
        "at": pl.Datetime("us", "UTC"),
        "number": pl.Int64(),
    }
)


@dataclass(frozen=True)
class Incident:
    """Something that people were notified of of, and since when."""

    incident: str
    kind: Kind
    title: str
    since: datetime


def open_incidents(lake: Lake) -> tuple[Incident, ...]:
    """Return the incidents that are not over, the oldest first."""
    table = lake.open("ops", "incidents")
    if table is None:
        return ()
    # By their numbers: the clocks of two machines are never quite the same. Rows of 0.1.0 have none, and come before.
    newest = collected(
        _rows(table)
        .sort("number", "at", nulls_last=False, maintain_order=True)
        .unique("incident", keep="last", maintain_order=True)
        .filter(pl.col("state") == "open")
        .sort("at", maintain_order=True),
        table.name,
    )
    return tuple(
        Incident(row["incident"], row["kind"], row["title"], row["at"])
        for row in newest.iter_rows(named=True)
    )


def notify(lake: Lake, channels: Sequence[Sends], alert: Alert, clock: Clock = system_clock) -> bool:
    """Send an alert unless its incident is open with the same kind already; returns whether it was sent.

    One that is to be sent again at a rhythm is, once that time has passed since it was sent last.

    Raises the first error of a channel after all were tried; the incident then counts as not reported.
    """
    known = {(each.incident, each.kind): each.since for each in open_incidents(lake)}
    last = known.get((alert.incident, alert.kind))
    due = last is not None and alert.again_h is not None and clock() - last >= timedelta(hours=alert.again_h)
    if last is not None and not due:
        return False
    _send(channels, alert)
    _note(lake, alert, "open", clock())
    return True


def heal(
    lake: Lake, channels: Sequence[Sends], incident: str, link: str = "", clock: Clock = system_clock
) -> bool:
    """Say that an incident is over, if it was open; returns whether it was."""
    known = next((each for each in open_incidents(lake) if each.incident == incident), None)
    if known is None:
        return False
    word = healed(incident, known.kind, link)
    _send(channels, word)
    _note(lake, word, "healed", clock())
    return True


def _send(channels: Sequence[Sends], alert: Alert) -> None:
    problems: list[HeadworksError] = []
    for channel in channels:
        try:
            channel.send(alert)
        except HeadworksError as problem:
            problems.append(problem)
    if problems:
        raise problems[0]


def _rows(table: Table) -> pl.LazyFrame:
    rows = table.scan()
    return rows if "number" in table.columns else rows.with_columns(pl.lit(None, pl.Int64).alias("number"))


def _note(lake: Lake, alert: Alert, state: str, at: datetime) -> None:
    row = {
        "incident": alert.incident,
        "kind": alert.kind,
        "state": state,
        "title": alert.title,
        "alert": alert.model_dump_json(),
        "at": at,
    }
    table = lake.ensure("ops", "incidents", SCHEMA)
    row["number"] = (collected(_rows(table).select(pl.col("number").max()), table.name).item() or 0) + 1
    table.append(pl.DataFrame([row], schema=SCHEMA), {})
