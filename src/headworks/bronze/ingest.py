"""Taking a source in: which streams a run reads, in which order, for each mode.

Incremental: the live stream, from its position. Full: a generation with a stream of its own, then the live stream
so that nothing written meanwhile is missed, then the end mark. A window: a stream of its own, which never moves the
live one. A dry run reads and counts, and lands nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol

import polars as pl

from headworks.bronze.generations import (
    begin_generation,
    complete_generation,
    left_by_run,
    window_reading,
)
from headworks.bronze.landing import Head, Landing, OnBatch, batch_counts, land, read_head, received
from headworks.names import Window
from headworks.ports import Clock, TokenMaker, random_token, system_clock
from headworks.reports import LandingReport, TableRef
from headworks.sources.base import Source, knowing
from headworks.storage.drift import Policy, wider
from headworks.storage.rehearsal import note_unknown
from headworks.storage.store import Lake

Mode = Literal["incremental", "full"]


_NOT_WHOLE = (
    "This full read is not shown to be complete, so it is not marked as complete, and nothing is deleted by it: what "
    "it did not show may only have been missed."
)


class Ingest(Protocol):
    """A source in its three variants."""

    def live(self) -> Source | None:
        """Return the source as it is read incrementally; None where it can only be read whole."""
        ...

    def whole(self) -> Source:
        """Return the source as it is read from beginning to end, whatever its position."""
        ...

    def within(self, window: Window) -> Source:
        """Return the source bounded to a window; raises `SettingsError` where it has no cursor to bound."""
        ...


@dataclass(frozen=True)
class IngestRequest:
    """One ingestion: where to, for which run, and how."""

    lake: Lake
    dataset: str
    run_id: str
    mode: Mode = "incremental"
    window: Window | None = None
    dry_run: bool = False
    drift: Policy = "evolve"
    largest_vanishing_share: float | None = None
    clock: Clock = system_clock
    token: TokenMaker = random_token

    def landing(self) -> Landing:
        """Return the landing in the live stream."""
        return Landing(
            self.lake,
            self.dataset,
            self.dataset,
            self.run_id,
            clock=self.clock,
            token=self.token,
            drift=self.drift,
            counts_on=True,
        )


def ingest(
    request: IngestRequest, intake: Ingest, on_batch: OnBatch | None = None
) -> tuple[LandingReport, ...]:
    """Take a source in as requested, and return a report for each stream that was read.

    Where an earlier try of the same run was cut short, what it landed is in the reports too.
    """
    landing = request.landing()
    if request.window is not None:
        source = intake.within(request.window)
        stream = window_reading(request.lake, request.dataset, request.window)
        return (_land(request, replace(landing, stream=stream), source, on_batch),)
    live = intake.live()
    if request.mode == "incremental" and live is not None:
        return (_land(request, landing, live, on_batch),)
    return _full(request, landing, intake, on_batch)


def _full(
    request: IngestRequest, landing: Landing, intake: Ingest, on_batch: OnBatch | None
) -> tuple[LandingReport, ...]:
    whole, live = intake.whole(), intake.live()
    if request.dry_run:
        return (_preview(landing, whole),)
    left = left_by_run(landing)
    generation = begin_generation(landing, whole.schema)
    report = land(replace(landing, stream=generation.stream), whole, on_batch=on_batch)
    caught_up = () if live is None else (land(landing, live, on_batch=on_batch),)
    report = report.model_copy(update={"generation": generation.number})
    if report.shown is False:
        return (*left, report.model_copy(update={"warnings": (*report.warnings, _NOT_WHOLE)}), *caught_up)
    complete_generation(landing, replace(generation, largest_share=request.largest_vanishing_share))
    return (*left, report, *caught_up)


def _land(
    request: IngestRequest, landing: Landing, source: Source, on_batch: OnBatch | None
) -> LandingReport:
    return _preview(landing, source) if request.dry_run else land(landing, source, on_batch=on_batch)


def _preview(landing: Landing, source: Source) -> LandingReport:
    """Read what a landing would read, and count it."""
    table = landing.lake.open("bronze", landing.dataset)
    head = read_head(landing.lake, table, landing.dataset, landing.stream) if table else Head(0, 0, None)
    report = LandingReport(
        dataset=landing.dataset,
        stream=landing.stream,
        table=TableRef(
            table=f"bronze.{landing.dataset}",
            version=table.version if table else 0,
            uri=landing.lake.uri("bronze", landing.dataset),
        ),
        last_sequence=head.sequence,
        position=head.position,
    )
    columns = received(table) if table else pl.Schema()
    for batch in knowing(source, columns, wider).read(head.position, None):
        read, repeated = report.read + batch.read, report.repeated + batch.repeated
        refused = report.refused + batch.refused
        counts = {"read": read, "repeated": repeated, "refused": refused}
        counts["would_land"] = read - repeated - refused
        report = report.model_copy(update={**counts, **batch_counts(report, batch)})
    if report.would_land:
        note_unknown(landing.lake, landing.dataset)
    return report
