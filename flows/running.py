"""What every data flow has in common: the run's record, conflicts with other runs, and the state it ends in.

What belongs here: the frame around a story. What does not: any story.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from headworks.errors import CandidateStale, ConcurrentRun, GateClosed, HeadworksError
from headworks.names import Window
from headworks.observe.reconcile import reconcile
from headworks.observe.recorder import Recorder
from headworks.observe.report import RUN_LINK, GateReport, RunReport, RunStatus
from headworks.refine.refinement import RefineOutcome
from tasks.alerting import alert_about
from tasks.extract import Run
from tasks.policy import without_thread_warnings
from tasks.report import record

T = TypeVar("T")

OnConflict = Literal["refuse", "wait"]

# Sources are read and datasets refined side by side; more threads would only wait for the same cores.
THREADS = cast(TaskRunner[PrefectFuture[Any]], ThreadPoolTaskRunner(max_workers=4))

_WAITS_S = (5, 15, 45, 120)
REFUSED = "Refused"


@dataclass
class Story:
    """A run and its record, as it is handed from step to step."""

    run: Run
    recorder: Recorder
    window: Window | None = None

    def refined(self, outcome: RefineOutcome) -> None:
        """Keep what a refinement did and what its gate said."""
        self.recorder.refinements.append(outcome.report)
        self.recorder.gate(outcome.gate)

    def require_open(self, gate: GateReport | None) -> None:
        """Keep a gate's decision, and raise `GateClosed` where it is closed."""
        self.recorder.gate(gate)
        if gate is not None and not gate.open:
            raise GateClosed(
                f"The gate is closed: {'; '.join(gate.reasons)}.",
                where=gate.scope,
                do="read the account and the quarantine; consumers keep the last good version. "
                "Correct the source, the rules or the contract, and run again.",
            )


def tell(
    flow: str,
    run: Run,
    window: Window | None,
    on_conflict: OnConflict,
    story: Callable[[Story], None],
) -> RunReport | State[RunReport]:
    """Run a story, record what it did however it ends, and return its report.

    A conflict with another run ends in the state ``Refused`` (completed: nothing was lost, the other run does the
    work), or is waited out and begun again, as ``on_conflict`` says. Everything else that goes wrong is raised.
    """
    for wait_s in (*_WAITS_S, None):
        told = Story(run, _recorder(flow, run, window), window)
        try:
            with without_thread_warnings():
                story(told)
        except (ConcurrentRun, CandidateStale) as problem:
            if on_conflict == "wait" and wait_s is not None:
                get_run_logger().warning("%s Trying again in %d s.", problem, wait_s)
                time.sleep(wait_s)
                continue
            report = _closed(told, "refused", str(problem))
            return Completed(name=REFUSED, message=problem.what, data=report)
        except GateClosed as problem:
            _closed(told, "gate closed", str(problem))
            raise
        except Exception as problem:
            _closed(told, "failed", f"{type(problem).__name__}: {problem}")
            raise
        return _finished(told)
    raise AssertionError("unreachable: the last round returns or raises")


def begin(lake: str, mode: Literal["incremental", "full"], *, dry_run: bool) -> Run:
    """Begin a run under the id of its flow run; a lake that cannot be written is told before anything is read."""
    run = Run(run_id=str(flow_run.id or uuid.uuid4()), lake=lake, mode=mode, dry_run=dry_run)
    if not dry_run:
        run.open_lake().check_writable()
    return run


def results(futures: list[PrefectFuture[T]], keep: Callable[[T], None] | None = None) -> list[T]:
    """Wait for all, then return their results: the first failure is raised, and none goes unnoticed.

    ``keep`` is given each result before that: what some did is on record even though another failed.
    """
    for future in futures:
        future.wait()
    if keep is not None:
        for future in futures:
            if future.state.is_completed():
                keep(future.result())
    return [future.result() for future in futures]


def _finished(told: Story) -> RunReport:
    report = told.recorder.report(_status(told))
    try:
        reconcile(report)
    except HeadworksError as problem:
        _closed(told, "failed", str(problem))
        raise
    record(told.run, report)
    _alert(told, report)
    return report


def _status(told: Story) -> RunStatus:
    if told.run.dry_run:
        return "dry run"
    if told.recorder.changed():
        return "published"
    return "landed" if told.recorder.landed() else "unchanged"


def _closed(told: Story, status: RunStatus, message: str) -> RunReport:
    """Record a run that did not reach its end; that the record fails must not hide why the run did."""
    report = told.recorder.report(status, message)
    try:
        record(told.run, report)
    except Exception as problem:  # noqa: BLE001 - the first problem is the one to be raised
        get_run_logger().warning("the run's record could not be written: %s", problem)
    _alert(told, report)
    return report


def _alert(told: Story, report: RunReport) -> None:
    """Tell people, if anybody wants to be told; that this fails must not change how the run ends."""
    if told.run.dry_run or report.status == "refused":
        return
    try:
        alert_about(told.run, report)
    except Exception as problem:  # noqa: BLE001 - the run's own end is what counts
        get_run_logger().warning("nobody could be told: %s", problem)


def _recorder(flow: str, run: Run, window: Window | None) -> Recorder:
    recorder = Recorder(run.run_id, flow, run.mode, run.open_lake().settings.root, window)
    if flow_run.ui_url:
        recorder.links[RUN_LINK] = flow_run.ui_url
    return recorder
