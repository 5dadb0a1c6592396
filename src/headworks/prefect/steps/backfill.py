"""Backfills: the plan, and the windows run by the flow that takes them in, each a task."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, cast
from uuid import UUID

from prefect import Flow, get_run_logger, task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.exceptions import TerminationSignal

from headworks.errors import ConcurrentRun, SettingsError
from headworks.names import Window
from headworks.ops.backfills import PlannedWindow, plan, remember
from headworks.ops.escaping import markdown, table_cells
from headworks.ports import system_clock
from headworks.prefect import stopping
from headworks.prefect.policy import EFFECT, shielded
from headworks.prefect.steps.extract import Run
from headworks.project import this_project
from headworks.reports import RunReport


@task(name="plan-backfill", task_run_name="plan {name}", **EFFECT)
@shielded
def plan_backfill(run: Run, name: str, flow: str, windows: tuple[Window, ...]) -> tuple[PlannedWindow, ...]:
    """Find out which windows are done, and show the plan."""
    _flow_of(flow)
    planned = plan(run.open_lake(), name, flow, windows)
    _show(name, planned)
    done = sum(each.state == "done" for each in planned)
    get_run_logger().info("%s: %d windows, %d of them done already", name, len(planned), done)
    return planned


def run_windows(
    run: Run,
    name: str,
    flow: str,
    planned: tuple[PlannedWindow, ...],
    parameters: dict[str, Any],
    parallel: int,
) -> tuple[PlannedWindow, ...]:
    """Run the flow for each window that is not done, ``parallel`` side by side; one that fails stops no other.

    Those that failed are tried once more where others did not: what they lacked may have come with these.
    """
    target = _flow_of(flow)
    open_windows = [each for each in planned if each.state != "done"]
    progress = _Progress(len(planned), len(planned) - len(open_windows))

    def one(each: PlannedWindow) -> PlannedWindow:
        window = each.window.model_copy(update={"once": name})
        result = _run_one(target, window, {"lake": run.lake, "on_conflict": "wait", **parameters})
        # A window that was cut short is not done, and has not failed.
        stopping.go_on()
        outcome = each.model_copy(update={"state": "failed" if result else "done", "message": result})
        remember(run.open_lake(), name, flow, outcome, system_clock())
        if not result:
            progress.step()
        return outcome

    outcome = {each.window.start: each for each in _side_by_side(one, open_windows, parallel)}
    failed = [each for each in outcome.values() if each.state == "failed"]
    if 0 < len(failed) < len(outcome):
        get_run_logger().info("%s: %d windows failed and are tried once more", name, len(failed))
        outcome |= {each.window.start: each for each in _side_by_side(one, failed, parallel)}
    done = tuple(outcome.get(each.window.start, each) for each in planned)
    _show(name, done)
    return done


def _side_by_side(
    one: Callable[[PlannedWindow], PlannedWindow], windows: list[PlannedWindow], parallel: int
) -> list[PlannedWindow]:
    """Run ``one`` for each window, so many at once; asked to stop, those at work are stopped and no other is begun."""
    pool = ThreadPoolExecutor(parallel)
    try:
        # Each in a copy of this context, in which Prefect finds the run that the windows' runs belong to.
        futures = [pool.submit(copy_context().run, one, each) for each in windows]
        return [future.result() for future in futures]
    except TerminationSignal:
        stopping.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _run_one(target: Flow[..., Any], window: Window, parameters: dict[str, Any]) -> str:
    """Run one window; returns why it failed, or nothing."""
    try:
        report = target(window=window, **parameters)
        if isinstance(report, RunReport) and report.status == "refused":
            return f"{ConcurrentRun.__name__}: {report.message}"
    except Exception as problem:  # noqa: BLE001 - whatever stops one window is reported, and the others continue
        return f"{type(problem).__name__}: {problem}"
    return ""


class _Progress:
    """A progress bar in the UI that several threads move on."""

    def __init__(self, windows: int, done: int) -> None:
        self._windows, self._done = windows, done
        self._lock = threading.Lock()
        self._artifact = cast(
            UUID, create_progress_artifact(self._percent(), description=f"{windows} windows")
        )

    def step(self) -> None:
        with self._lock:
            self._done += 1
            update_progress_artifact(self._artifact, self._percent())

    def _percent(self) -> float:
        return 100.0 * self._done / max(self._windows, 1)


def _flow_of(name: str) -> Flow[..., Any]:
    """Return the flow of a name, as the project declares it, if it takes windows; raises `SettingsError` for others."""
    found = this_project().load_flow(name)
    if not isinstance(found, Flow) or "window" not in found.parameters.properties:
        raise SettingsError(
            f"The flow {name!r} takes no window.",
            where="backfill",
            do="name a flow that does, such as sales.",
        )
    return found


def _show(name: str, planned: tuple[PlannedWindow, ...]) -> None:
    create_table_artifact(
        table_cells(
            [
                {
                    "from": each.window.start.isoformat(),
                    "to": each.window.end.isoformat(),
                    "state": each.state,
                    "message": each.message,
                }
                for each in planned
            ]
        ),
        key="backfill",
        description=markdown(f"backfill {name}"),
    )
