"""What every data flow has in common: the run's record, conflicts with other runs, and the state it ends in."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, TypeVar

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import TerminationSignal
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from headworks.errors import (
    CandidateStale,
    ConcurrentRun,
    GateClosed,
    HeadworksError,
    LakeUnavailable,
    LakeUnusable,
    RunStopped,
    SettingsError,
)
from headworks.gold.products import rollbacks
from headworks.names import Window
from headworks.ops.leases import PATIENCE_S, Leasing, heartbeat
from headworks.ops.recorder import Recorder
from headworks.prefect import placement, stopping
from headworks.prefect.costs import costs_of, kept_costs
from headworks.prefect.policy import without_thread_warnings
from headworks.prefect.steps.alerting import alert_about
from headworks.prefect.steps.extract import Run
from headworks.prefect.steps.report import record
from headworks.reconcile import reconcile
from headworks.redaction import redacted, redacted_error
from headworks.reports import RUN_LINK, GateReport, RunReport, RunStatus
from headworks.silver.refinement import RefineOutcome
from headworks.storage.format import check_format, ensure_format

T = TypeVar("T")

OnConflict = Literal["refuse", "wait"]

RUNNER = placement.step_runner()
"""What runs the steps that flows submit."""
THREADS = placement.THREADS
"""The same without a choice, for flows that were written before there was one."""

_ended: list[RunReport] = []

_WAITS_S = (5, 15, 45, 120)
REFUSED = "Refused"


@dataclass
class RunContext:
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


def run_flow(
    flow: str,
    run: Run,
    window: Window | None,
    on_conflict: OnConflict,
    steps: Callable[[RunContext], None],
    *,
    on: str,
) -> RunReport | State[RunReport]:
    """Run a story, record what it did however it ends, and return its report.

    ``on`` names what the story works on, a dataset or a product: a lease on it keeps other runs from doing the same
    work at the same time, where they read the same window. A conflict with another run ends in the state ``Refused``
    (completed: nothing was lost, the other run does the work), or is waited out and begun again, as ``on_conflict``
    says. Everything else that goes wrong is raised.
    """
    forget()
    try:
        at_work = _lease(flow, run, window, on_conflict, on)
    except ConcurrentRun as problem:
        return _refused(RunContext(run, _recorder(flow, run, window, on), window), problem)
    with at_work, without_thread_warnings(), kept_costs(run.run_id):
        try:
            return _run_steps(flow, run, window, on_conflict, steps, on)
        except TerminationSignal:
            # The lease is given back when nothing is at work any more.
            get_run_logger().warning("Asked to stop: batches in hand are finished, nothing else is begun.")
            stopping.stop()
            _drain()
            raise
        finally:
            run.forget_rehearsal()


def _run_steps(
    flow: str,
    run: Run,
    window: Window | None,
    on_conflict: OnConflict,
    steps: Callable[[RunContext], None],
    on: str,
) -> RunReport | State[RunReport]:
    for wait_s in (*_WAITS_S, None):
        # Read again in each round, since each makes all that it publishes again.
        began = run.model_copy(update={"rolled_back": rollbacks(run.open_lake())})
        context = RunContext(began, _recorder(flow, run, window, on), window)
        try:
            steps(context)
        except (ConcurrentRun, CandidateStale) as problem:
            if on_conflict == "wait" and wait_s is not None:
                get_run_logger().warning("%s Trying again in %d s.", problem, wait_s)
                stopping.sleep(wait_s)
                continue
            return _refused(context, problem)
        except GateClosed as problem:
            _closed(context, "gate closed", str(problem))
            raise
        except RunStopped:
            # Not a failure: the run's state says what became of it, and the next run continues.
            raise
        except Exception as problem:  # noqa: BLE001 - raised below, without secrets
            _closed(context, "failed", f"{type(problem).__name__}: {problem}")
            failed = redacted_error(problem)
        else:
            return _finished(context)
        # Outside of the clause that caught it, or Python would chain the two.
        raise failed
    raise AssertionError("unreachable: the last round returns or raises")


def _drain() -> None:
    """Wait for tasks that are at work in threads, and let none begin."""
    context = FlowRunContext.get()
    if isinstance(runner := getattr(context, "task_runner", None), ThreadPoolTaskRunner):
        runner.cancel_all()


def _lease(
    flow: str, run: Run, window: Window | None, on_conflict: OnConflict, on: str
) -> AbstractContextManager[None]:
    """Take the lease of what a run works on, and return what keeps it; a dry run changes nothing and needs none."""
    if run.dry_run:
        return nullcontext()
    name = f"{on}@{window.start:%Y%m%dT%H%M%S}-{window.end:%Y%m%dT%H%M%S}" if window else on
    patience_s = PATIENCE_S if on_conflict == "wait" else 0.0
    what = f"{flow}, {_link() or run.run_id}"
    logger = get_run_logger()
    try:
        lease = Leasing(run.open_lake(), sleep=stopping.sleep).take(
            name, run.run_id, what, patience_s=patience_s
        )
    except (LakeUnusable, LakeUnavailable) as problem:
        logger.warning("The run continues without a lease, which saves work and no more: %s", problem)
        return nullcontext()

    def lost() -> None:
        logger.warning("Another run took the lease on %s, as if this one were dead.", name)

    return heartbeat(lease, lost=lost)


def _refused(context: RunContext, problem: HeadworksError) -> State[RunReport]:
    report = _closed(context, "refused", str(problem))
    return Completed(name=REFUSED, message=problem.what, data=report)


def begin(lake: str, mode: Literal["incremental", "full"], *, dry_run: bool) -> Run:
    """Begin a run under the id of its flow run; a lake that cannot be written is reported before anything is read."""
    if dry_run and placement.is_elsewhere():
        raise SettingsError(
            "A dry run keeps what it makes on one machine, and its steps would run on several.",
            where=placement.ADDRESS,
            do="run it without this variable and HEADWORKS_SCALE.",
        )
    run = Run(run_id=str(flow_run.id or uuid.uuid4()), lake=lake, mode=mode, dry_run=dry_run)
    opened = run.open_lake()
    if placement.is_elsewhere():
        run = run.model_copy(update={"root": opened.settings.root})
    if dry_run:
        check_format(opened)
    else:
        opened.check_writable()
        ensure_format(opened)
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


def _finished(context: RunContext) -> RunReport:
    report = context.recorder.report(_status(context))
    try:
        reconcile(report)
    except HeadworksError as problem:
        _closed(context, "failed", str(problem))
        raise
    record(context.run, report)
    _alert(context, report)
    return report


def _status(context: RunContext) -> RunStatus:
    if context.run.dry_run:
        return "dry run"
    if context.recorder.changed():
        return "published"
    return "landed" if context.recorder.landed() else "unchanged"


def _closed(context: RunContext, status: RunStatus, message: str) -> RunReport:
    """Record a run that did not reach its end; that the record fails must not hide why the run did."""
    report = context.recorder.report(status, redacted(message))
    _ended[:] = [report]
    try:
        record(context.run, report)
    except Exception as problem:  # noqa: BLE001 - the first problem is the one to be raised
        get_run_logger().warning("the run's record could not be written: %s", problem)
    _alert(context, report)
    return report


def _alert(context: RunContext, report: RunReport) -> None:
    """Notify people, if anybody wants to be notified; that this fails must not change how the run ends."""
    if context.run.dry_run or report.status == "refused":
        return
    try:
        alert_about(context.run, report)
    except Exception as problem:  # noqa: BLE001 - the run's own end is what counts
        get_run_logger().warning("nobody could be notified: %s", problem)


def ended() -> RunReport | None:
    """Return the account of the last run of this process that did not reach its end, for a program to show."""
    return _ended[-1] if _ended else None


def forget() -> None:
    """Forget the account of a run before."""
    _ended.clear()


def _recorder(flow: str, run: Run, window: Window | None, on: str) -> Recorder:
    root, costs = run.open_lake().settings.root, costs_of(run.run_id)
    recorder = Recorder(run.run_id, flow, run.mode, root, window, on=on, costs=costs)
    link = _link()
    if link is not None:
        recorder.links[RUN_LINK] = link
    return recorder


def _link() -> str | None:
    """Return where the UI shows this run; None with a server of the run's own, for which Prefect says "None/…"."""
    link: str | None = flow_run.ui_url if get_current_settings().ui_url else None
    return link
