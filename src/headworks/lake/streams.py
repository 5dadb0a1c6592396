"""Streams as an operator sees them: where each stands, and setting one back.

A stream is set back by going on: the next sequence carries no rows and another position. So the protocol holds, bronze
keeps what it has, and silver recognises what is read again as unchanged.

What belongs here: looking and setting back. What does not: landing.
"""

from __future__ import annotations

from pydantic import Field

from headworks.errors import ConcurrentRun, SettingsError
from headworks.lake.delta import Table
from headworks.lake.landing import Landing, checkpoint_id, put_checkpoint, read_head
from headworks.lake.store import Lake
from headworks.observe.report import Report
from headworks.sources.base import Position


class StreamState(Report):
    """Where one stream stands."""

    stream: str
    dataset: str
    sequence: int
    consumed: int = Field(description="The last sequence that silver has taken; 0 without a silver table.")
    position: Position | None


def show_streams(lake: Lake, dataset: str) -> tuple[StreamState, ...]:
    """Return where each stream of a dataset stands, the live one first.

    Raises `LakeUnusable` where the dataset has no bronze table.
    """
    bronze, silver = lake.must_open("bronze", dataset), lake.open("silver", dataset)
    streams = sorted({dataset, *bronze.streams()})
    return tuple(_state(lake, bronze, silver, dataset, stream) for stream in streams)


def reset_stream(landing: Landing, position: Position | None = None) -> StreamState:
    """Set a stream to ``position``, or to the beginning, by a commit without rows.

    Raises `SettingsError` where the stream has landed nothing, `ConcurrentRun` where a run moved it meanwhile.
    """
    table = landing.lake.must_open("bronze", landing.dataset)
    head = read_head(landing.lake, table, landing.dataset, landing.stream)
    if head.sequence == 0:
        known = ", ".join(sorted({landing.dataset, *table.streams()}))
        raise SettingsError(
            f"The stream {landing.stream} has landed nothing, so there is nothing to set back.",
            where=f"bronze.{landing.dataset}",
            do=f"choose one of {known}.",
        )
    token = landing.token()
    put_checkpoint(landing, head.sequence + 1, token, position)
    try:
        table.append(
            table.scan().head(0).collect(),
            {landing.stream: head.sequence + 1, checkpoint_id(landing.stream): token},
        )
    except Exception as problem:
        fresh = landing.lake.must_open("bronze", landing.dataset)
        if fresh.transaction(checkpoint_id(landing.stream)) != token:
            raise ConcurrentRun(
                "The stream was not set back: another run moved it at the same moment, or the commit failed.",
                where=f"bronze.{landing.dataset}, stream {landing.stream}",
                do="wait until no run is at work on it, and try again.",
            ) from problem
    fresh, silver = (
        landing.lake.must_open("bronze", landing.dataset),
        landing.lake.open("silver", landing.dataset),
    )
    return _state(landing.lake, fresh, silver, landing.dataset, landing.stream)


def _state(lake: Lake, bronze: Table, silver: Table | None, dataset: str, stream: str) -> StreamState:
    head = read_head(lake, bronze, dataset, stream)
    return StreamState(
        stream=stream,
        dataset=dataset,
        sequence=head.sequence,
        consumed=silver.transaction(stream) if silver else 0,
        position=head.position,
    )
