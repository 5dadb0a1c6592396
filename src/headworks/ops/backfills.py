"""Backfills: a range of time split into windows, and what became of each.

A backfill has a name, and each of its windows is read once under that name: its stream is called by it, so a window
that was read and then cut short further down is not read again. What became of each window is kept in
``ops.backfills``, append-only; the newest row of a window counts, by its number and not by a machine's clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from headworks.errors import SettingsError
from headworks.names import Window
from headworks.reports import Report
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from headworks.storage.translating import collected

Every = Literal["hour", "day", "week", "month"]
State = Literal["planned", "done", "failed"]

SCHEMA = pl.Schema(
    {
        "backfill": pl.String(),
        "flow": pl.String(),
        "start": pl.Datetime("us", "UTC"),
        "end": pl.Datetime("us", "UTC"),
        "state": pl.String(),
        "message": pl.String(),
        "at": pl.Datetime("us", "UTC"),
        "number": pl.Int64(),
    }
)
_LARGEST = 10_000


class PlannedWindow(Report):
    """One window of a backfill, and what became of it so far."""

    window: Window
    state: State = "planned"
    message: str = ""


def split(start: datetime, end: datetime, every: Every, zone: str = "UTC") -> tuple[Window, ...]:
    """Split [start, end) into windows that begin where hours, days, weeks or months begin in ``zone``.

    The first and the last may be shorter. A time without a zone counts as one of ``zone``. Raises `SettingsError` for
    an unknown zone, an end that is not after the start, and a split into more than 10,000 windows.
    """
    try:
        local = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as problem:
        raise SettingsError(
            f"There is no time zone {zone!r}.", where="zone", do="write one such as Europe/Berlin."
        ) from problem
    first, last = (
        moment.replace(tzinfo=local) if moment.tzinfo is None else moment.astimezone(local)
        for moment in (start, end)
    )
    if first.astimezone(UTC) >= last.astimezone(UTC):
        raise SettingsError(
            f"The end ({end}) is not after the start ({start}).", where="backfill", do="exchange them."
        )
    found: list[Window] = []
    for begins, ends in _steps(first, last, every):
        if len(found) == _LARGEST:
            raise SettingsError(
                f"That would be more than {_LARGEST} windows.", where="backfill", do="choose longer windows."
            )
        found.append(Window(start=begins, end=ends))
    return tuple(found)


def _steps(first: datetime, last: datetime, every: Every) -> Iterator[tuple[datetime, datetime]]:
    """Yield each step's two ends in UTC, where an hour that a zone repeats or leaves out is no trouble."""
    here, stop = first.astimezone(UTC), last.astimezone(UTC)
    while here < stop:
        following = min(_next(here, every, first.tzinfo), stop)
        yield here, following
        here = following


def _next(here: datetime, every: Every, zone: object) -> datetime:
    if every == "hour":
        return here.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    local = here.astimezone(zone)  # type: ignore[arg-type]
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if every == "day":
        following = midnight + timedelta(days=1)
    elif every == "week":
        following = midnight + timedelta(days=7 - midnight.weekday())
    else:
        following = (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
    return following.astimezone(UTC)


def plan(lake: Lake, backfill: str, flow: str, windows: tuple[Window, ...]) -> tuple[PlannedWindow, ...]:
    """Return the windows of a backfill with what became of each; a window that it never heard of is planned.

    Raises `SettingsError` where the name was used for another flow: it would take its windows for done.
    """
    table = lake.open("ops", "backfills")
    known: dict[tuple[datetime, datetime], tuple[State, str]] = {}
    if table is not None:
        noted = _rows(table).filter(pl.col("backfill") == backfill)
        rows = collected(noted.sort("number", "at", nulls_last=False, maintain_order=True), table.name)
        for row in rows.iter_rows(named=True):
            if row["flow"] != flow:
                raise SettingsError(
                    f"A backfill of the name {backfill!r} was made of the flow {row['flow']}.",
                    where=f"backfill of {flow}",
                    do="give this one another name.",
                )
            known[(row["start"], row["end"])] = (row["state"], row["message"])
    return tuple(_planned(each, known.get((each.start, each.end))) for each in windows)


def remember(lake: Lake, backfill: str, flow: str, window: PlannedWindow, at: datetime) -> None:
    """Append what became of a window."""
    table = lake.ensure("ops", "backfills", SCHEMA)
    newest = collected(_rows(table).select(pl.col("number").max()), table.name).item() or 0
    row = {
        "backfill": backfill,
        "flow": flow,
        "start": window.window.start,
        "end": window.window.end,
        "state": window.state,
        "message": window.message[:2000],
        "at": at,
        "number": newest + 1,
    }
    table.append(pl.DataFrame([row], schema=SCHEMA), {})


def _rows(table: Table) -> pl.LazyFrame:
    """Return what was noted; rows from before they were numbered come first."""
    rows = table.scan()
    return rows if "number" in table.columns else rows.with_columns(pl.lit(None, pl.Int64).alias("number"))


def _planned(window: Window, known: tuple[State, str] | None) -> PlannedWindow:
    state, message = known or ("planned", "")
    return PlannedWindow(window=window, state=state, message=message)
