"""Streams as an operator sees them: the position of each, and setting one back.

A stream is set back by continuing: the next sequence carries no rows and another position. So the protocol holds,
bronze keeps what it has, and silver recognises what is read again as unchanged.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
from pydantic import Field

from headworks.bronze.consumed import check_not_set_back, checkpoint_id, rows_id, set_back_id
from headworks.bronze.landing import Head, Landing, put_checkpoint, read_head
from headworks.errors import CheckpointLost, ConcurrentRun, SettingsError
from headworks.reports import Report
from headworks.sources.base import Position
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from headworks.storage.translating import reading

_SHOWN = 200


class StreamState(Report):
    """The position of one stream."""

    stream: str
    dataset: str
    sequence: int
    consumed: int = Field(description="The last sequence that silver has taken; 0 without a silver table.")
    position: Position | None
    lost: bool = Field(default=False, description="Whether the object with its position is gone.")


def show_streams(lake: Lake, dataset: str) -> tuple[StreamState, ...]:
    """Return the position of each stream of a dataset, the live one first.

    Raises `LakeUnusable` where the dataset has no bronze table.
    """
    bronze, silver = lake.must_open("bronze", dataset), lake.open("silver", dataset)
    streams = sorted({dataset, *bronze.streams()})
    return tuple(_state(lake, bronze, silver, dataset, stream) for stream in streams)


def reset_stream(landing: Landing, position: Position | None = None) -> StreamState:
    """Set a stream to ``position``, or to the beginning, by a commit without rows.

    Raises `SettingsError` where the stream has landed nothing, or the position is not of the form of its source or lies
    after the present one, and `ConcurrentRun` where a run moved it meanwhile.
    """
    table = landing.lake.must_open("bronze", landing.dataset)
    check_not_set_back(landing.lake, landing.dataset, table)
    head, lost = _head(landing.lake, table, landing.dataset, landing.stream)
    if head.sequence == 0:
        known = ", ".join(sorted({landing.dataset, *table.streams()}))
        raise SettingsError(
            f"The stream {landing.stream} has landed nothing, so there is nothing to set back.",
            where=f"bronze.{landing.dataset}",
            do=f"choose one of {known}.",
        )
    form_known = head.form_known and not lost
    if position is not None and form_known:
        check_position(position, head.position, f"stream {landing.stream}")
    silver = landing.lake.open("silver", landing.dataset)
    token = landing.token()
    put_checkpoint(landing, head.sequence + 1, token, position, form_known=form_known)
    try:
        table.append(
            pl.DataFrame(schema=table.schema),
            {
                landing.stream: head.sequence + 1,
                checkpoint_id(landing.stream): token,
                set_back_id(landing.stream): head.sequence + 1,
                **_counted_again(table, silver, landing.stream),
            },
        )
    except Exception as problem:
        fresh = landing.lake.must_open("bronze", landing.dataset)
        if fresh.transaction(checkpoint_id(landing.stream)) != token:
            raise ConcurrentRun(
                "The stream was not set back: another run moved it at the same moment, or the commit failed.",
                where=f"bronze.{landing.dataset}, stream {landing.stream}",
                do="wait until no run is at work on it, and try again.",
            ) from problem
    fresh = landing.lake.must_open("bronze", landing.dataset)
    return _state(landing.lake, fresh, silver, landing.dataset, landing.stream)


@dataclass(frozen=True)
class _Form:
    """The form of a kind of source's positions: the names that it must have, and those that it may have."""

    source: str
    must: frozenset[str]
    may: frozenset[str]


_FORMS = (
    _Form("a database", frozenset({"cursor"}), frozenset({"seen", "key", "earlier"})),
    _Form("files", frozenset({"segments", "recent", "parts"}), frozenset()),
    _Form(
        "an API",
        frozenset({"v", "done", "mark"}),
        frozenset(
            {"expected", "validators", "spans", "state", "count", "pages", "high", "overlap", "anchors"}
        ),
    ),
)


def check_position(position: Position, present: Position | None, where: str) -> None:
    """Raise `SettingsError` unless a position has the form of a stream's source and does not lie after the present one.

    A position that its source cannot read would end every later run; one that lies ahead would pass rows by in silence.
    """
    fault = _fault(position, present)
    if fault:
        shown = f"The present one is {json.dumps(present, ensure_ascii=False)[:_SHOWN]}. " if present else ""
        raise SettingsError(
            f"This is no position of the stream: {fault}.",
            where=where,
            do=f"{shown}Write one in that form, from an earlier time, or leave it out to begin from the beginning.",
        )


def _fault(position: Position, present: Position | None) -> str:
    forms = [one for one in _FORMS if present is None or one.must <= set(present)]
    if present is not None and not forms:
        forms = [_Form("its source", frozenset(present), frozenset())]
    fitting = [one for one in forms if one.must <= set(position)]
    if not fitting:
        needed = " or ".join(f"of {one.source}: {', '.join(sorted(one.must))}" for one in forms)
        return f"it lacks names that a position has ({needed})"
    strange = set(position) - fitting[0].must - fitting[0].may - set(present or ())
    if strange:
        return f"a position of {fitting[0].source} has no {', '.join(sorted(strange))}"
    for name, value in position.items():
        if name == "cursor" and not isinstance(value, str):
            return "its cursor is not a text"
        if present is not None and name in present and not _is_like(value, present[name]):
            return f"its {name} is not of the same kind as the present one's"
    return _ahead(position, present)


def _ahead(position: Position, present: Position | None) -> str:
    """Return how far a position lies ahead of the present one, in words; empty where it does not."""
    for name in ("cursor", "mark", "n"):
        here, there = position.get(name), (present or {}).get(name)
        one, other = _ordered(here), _ordered(there)
        if one is not None and other is not None and type(one) is type(other) and one > other:
            return (
                f"its {name} {here} lies after the present one, {there}: what is between would never be read"
            )
    return ""


def _ordered(value: object) -> Any:
    """Return a value that can be compared: a whole number or a moment; None for any other."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return None
    if value.lstrip("-").isdigit():
        return int(value)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _is_like(value: object, present: object) -> bool:
    """Return whether a value is of the kind of the present one; nothing is like anything."""
    if value is None or present is None:
        return True
    if isinstance(present, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(present, bool)
    if isinstance(present, int | float):
        return isinstance(value, int | float)
    if isinstance(present, str) and isinstance(value, str):
        return _ordered(present) is None or type(_ordered(value)) is type(_ordered(present))
    return type(value) is type(present)


def _counted_again(bronze: Table, silver: Table | None, stream: str) -> dict[str, int]:
    """Count as landed what is there of what silver has not consumed: what was lost is read again after a reset."""
    consumed = silver.transaction(stream) if silver else 0
    counted = silver.transaction(rows_id(stream)) if silver else 0
    if consumed and not counted:
        return {}
    rows = bronze.scan().filter((pl.col("_stream") == stream) & (pl.col("_sequence") > consumed))
    with reading(bronze.name):
        return {rows_id(stream): (counted or 1) + int(rows.select(pl.len()).collect().item())}


def _state(lake: Lake, bronze: Table, silver: Table | None, dataset: str, stream: str) -> StreamState:
    head, lost = _head(lake, bronze, dataset, stream)
    return StreamState(
        stream=stream,
        dataset=dataset,
        sequence=head.sequence,
        consumed=silver.transaction(stream) if silver else 0,
        position=head.position,
        lost=lost,
    )


def _head(lake: Lake, bronze: Table, dataset: str, stream: str) -> tuple[Head, bool]:
    """Return where a stream is, and whether its position is lost."""
    try:
        return read_head(lake, bronze, dataset, stream), False
    except CheckpointLost:
        return Head(bronze.transaction(stream), bronze.transaction(checkpoint_id(stream)), None), True
