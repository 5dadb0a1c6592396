"""How far a landing is, as a progress artifact and in the log: pages, records, rate, and when it will be done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import cast
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from headworks.prefect.stopping import go_on
from headworks.reports import LandingReport

_EVERY_S = 2.0


class Progress:
    """The progress of one ingestion; it is shown with the first batch, then every few seconds."""

    def __init__(self, dataset: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._key = f"progress-{dataset.replace('.', '-').replace('_', '-')}"
        self._monotonic = monotonic
        self._begun = monotonic()
        self._shown = float("-inf")
        self._artifact: UUID | None = None

    def show(self, report: LandingReport) -> None:
        """Show how far a stream is, if that was not done just now."""
        now = self._monotonic()
        if now - self._shown >= _EVERY_S:
            self._shown = now
            self._put(percent(report), progress_text(report, now - self._begun))

    def done(self, reports: Sequence[LandingReport]) -> None:
        """Show the end, where anything was shown before."""
        if self._artifact is not None:
            self._put(
                100.0,
                "; ".join(
                    progress_text(each, self._monotonic() - self._begun, done=True) for each in reports
                ),
            )

    def _put(self, progress: float, description: str) -> None:
        if self._artifact is None:
            self._artifact = cast(UUID, create_progress_artifact(progress, self._key, description))
        else:
            # Prefect's own function for this leaves a connection open each time.
            with get_client(sync_client=True) as client:
                client.update_artifact(self._artifact, ArtifactUpdate(data=progress, description=description))


def percent(report: LandingReport) -> float:
    """Return how much of what was announced is read; 0 where nothing is."""
    return min(100.0, 100.0 * report.read / report.expected) if report.expected else 0.0


def progress_text(report: LandingReport, seconds: float, *, done: bool = False) -> str:
    """Report pages, records and rate of a stream, and about when it will be done."""
    rate = report.read / seconds if seconds > 0 else 0.0
    text = f"{report.stream}: {report.pages:,} pages, {report.read:,} records, {rate:,.0f} records/s"
    if done:
        return f"{text}, done"
    if report.expected is None or rate == 0:
        return f"{text}, the API does not say how many there are"
    left_s = max(0.0, report.expected - report.read) / rate
    return f"{text}, {report.expected:,} announced, about {left_s:,.0f} s left"


def log_batch(report: LandingReport) -> None:
    """Log a batch that was committed, for who looks closely; where the process was asked to stop, it stops here."""
    get_run_logger().debug(
        "%s: %d rows landed by now, sequence %d", report.stream, report.landed, report.last_sequence
    )
    go_on()


def log_landings(reports: Sequence[LandingReport]) -> None:
    """Log each landing once, in one line, and after it what is to be known of it."""
    logger = get_run_logger()
    for report in reports:
        logger.info(
            "%s: %d read, %d landed in %d batches, %d refused, %d read again, %d would land",
            report.stream,
            report.read,
            report.landed,
            report.batches,
            report.refused,
            report.repeated,
            report.would_land,
        )
        for warning in report.warnings:
            logger.warning("%s: %s", report.stream, warning)
        if report.null_cursor:
            logger.warning(
                "%s: %d rows have no cursor value; a full read takes them.", report.stream, report.null_cursor
            )
        if report.later:
            logger.info(
                "%s: %d rows lie after what this run could read; later runs take them.",
                report.stream,
                report.later,
            )
