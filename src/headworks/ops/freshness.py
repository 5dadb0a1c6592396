"""Freshness: how long ago each table was written, and how old its newest event is, against what was promised.

Two ages, since either can hide the other: a flow that runs every hour and finds nothing keeps a table's last commit
young while its data grow old; a flow that stopped leaves data that may still look recent.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Literal

import polars as pl
from pydantic import Field, field_validator

from headworks.errors import SettingsError
from headworks.names import Layer, check_dataset
from headworks.ports import Clock, system_clock
from headworks.reports import Report
from headworks.settings import Settings
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from headworks.storage.translating import collected

LAYERS: tuple[Layer, ...] = ("bronze", "silver", "gold")


class FreshnessPromise(Settings):
    """What is promised of one table: how old its last commit and its newest event may be."""

    table: str = Field(description="Layer and dataset, such as gold.sales.daily.")
    committed_within_h: float | None = Field(
        default=None, gt=0, description="Longest time since the last commit, in hours; none for no promise."
    )
    event_column: str | None = Field(
        default=None, description="Column with the time or day of an event, such as ordered_at."
    )
    event_within_h: float | None = Field(
        default=None,
        gt=0,
        description="Longest time since the newest event, in hours; a day counts from its end.",
    )

    @field_validator("table")
    @classmethod
    def _known_layer(cls, table: str) -> str:
        layer, _, dataset = table.partition(".")
        if layer not in LAYERS or not dataset:
            raise ValueError(f"{table!r} is not a layer and a dataset, such as gold.sales.daily")
        check_dataset(dataset)
        return table


class TableFreshness(Report):
    """How fresh one table is, alongside what was promised."""

    table: str
    state: Literal["fresh", "stale", "missing", "no promise"]
    committed_at: datetime | None = None
    committed_age_h: float | None = None
    newest_event: datetime | None = None
    event_age_h: float | None = None
    why: str = ""


class FreshnessReport(Report):
    """How fresh the tables are."""

    measured_at: datetime
    tables: tuple[TableFreshness, ...]

    @property
    def late(self) -> tuple[TableFreshness, ...]:
        """The tables that do not keep their promise."""
        return tuple(each for each in self.tables if each.state in {"stale", "missing"})


def measure_freshness(
    lake: Lake, promises: list[FreshnessPromise], clock: Clock = system_clock
) -> FreshnessReport:
    """Measure each table of bronze, silver and gold, and compare those that something is promised of.

    Raises `SettingsError` where a promise names a column that its table does not have.
    """
    now = clock()
    promised = {promise.table: promise for promise in promises}
    found = [f"{layer}.{dataset}" for layer in LAYERS for dataset in lake.datasets(layer)]
    missing = [name for name in promised if name not in found]
    tables = [_measured(lake, name, promised.get(name), now) for name in found]
    tables += [TableFreshness(table=name, state="missing", why="there is no such table") for name in missing]
    return FreshnessReport(measured_at=now, tables=tuple(tables))


def _measured(lake: Lake, name: str, promise: FreshnessPromise | None, now: datetime) -> TableFreshness:
    layer, _, dataset = name.partition(".")
    table = lake.must_open(layer, dataset)  # type: ignore[arg-type]
    committed = table.written_at()
    event = _newest_event(table, promise.event_column) if promise and promise.event_column else None
    ages = {"last commit": _age_h(committed, now), "newest event": _age_h(event, now)}
    limits = {
        "last commit": promise.committed_within_h if promise else None,
        "newest event": promise.event_within_h if promise else None,
    }
    broken = [_broken(what, ages[what], limit) for what, limit in limits.items() if limit is not None]
    why = "; ".join(text for text in broken if text)
    return TableFreshness(
        table=name,
        state="stale" if why else "fresh" if promise else "no promise",
        committed_at=committed,
        committed_age_h=_shown(ages["last commit"]),
        newest_event=event,
        event_age_h=_shown(ages["newest event"]),
        why=why,
    )


def _broken(what: str, age_h: float | None, limit_h: float) -> str:
    if age_h is None:
        return f"{what}: there is none, promised is one within {limit_h:g} h"
    return f"{what}: {age_h:.1f} h ago, promised is within {limit_h:g} h" if age_h > limit_h else ""


def _age_h(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else (now - moment).total_seconds() / 3600


def _shown(age_h: float | None) -> float | None:
    return None if age_h is None else round(age_h, 2)


def _newest_event(table: Table, column: str) -> datetime | None:
    if column not in table.columns:
        raise SettingsError(
            f"There is no column {column!r} to measure by.",
            where=table.name,
            do=f"choose one of {', '.join(table.columns)}.",
        )
    newest = collected(table.scan().select(pl.col(column).max()), table.name).item()
    if newest is None:
        return None
    if isinstance(newest, datetime):
        return newest.replace(tzinfo=UTC) if newest.tzinfo is None else newest.astimezone(UTC)
    if isinstance(newest, date):
        return datetime(newest.year, newest.month, newest.day, tzinfo=UTC) + timedelta(days=1)
    raise SettingsError(
        f"Column {column!r} holds {type(newest).__name__}, which is no time.",
        where=table.name,
        do="choose a column of times or days.",
    )
