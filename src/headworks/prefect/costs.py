"""What each step of a run costs: how long it took, how many rows it had in hand, and how far memory had grown by then.

Steps run in the process of their flow, in threads. Of a step that ran elsewhere, as with a runner of processes, and of
one whose result was kept by an earlier run, nothing is known here, and nothing is said.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prefect.context import TaskRunContext

from headworks.gold.table import Staged
from headworks.reports import CurateReport, LandingReport, PublishReport, StepCost
from headworks.silver.refinement import RefineOutcome

_lock = threading.Lock()
_kept: dict[str, list[StepCost]] = {}
_MB = 1_000_000


@contextmanager
def kept_costs(run_id: str) -> Iterator[list[StepCost]]:
    """Keep what the steps of a run cost, in the order in which they ended, until the run has ended."""
    costs: list[StepCost] = []
    with _lock:
        _kept[run_id] = costs
    try:
        yield costs
    finally:
        with _lock:
            del _kept[run_id]


def costs_of(run_id: str) -> list[StepCost]:
    """Return the list that the costs of a run's steps are kept in; one of its own where nobody keeps them."""
    with _lock:
        return _kept.get(run_id, [])


@contextmanager
def noted_cost(
    run_id: str, name: str, clock: Callable[[], float] = time.perf_counter
) -> Iterator[list[object]]:
    """Note what a step cost, however it ends; what it returns is put into the list, if it returns."""
    returned: list[object] = []
    began = clock()
    try:
        yield returned
    finally:
        cost = StepCost(
            step=_task_run_name() or name,
            seconds=round(clock() - began, 3),
            rows=rows_of(returned[0]) if returned else None,
            peak_mb=_peak_mb(),
            failed=not returned,
        )
        with _lock:
            if run_id in _kept:
                _kept[run_id].append(cost)


def rows_of(result: object) -> int | None:
    """Return how many rows a step had in hand, by what it returned; None for one that is not about rows."""
    match result:
        case tuple() if result:
            landings = [one for one in result if isinstance(one, LandingReport)]
            return sum(one.read for one in landings) if len(landings) == len(result) else None
        case RefineOutcome(report=report):
            return report.landed + report.released
        case Staged(parts=parts) if parts is not None and result.fresh:
            return parts.rows
        case Staged(rows=rows, fresh=fresh):
            return rows if fresh else 0
        case CurateReport(rows=rows, changed=changed):
            return rows if changed else 0
        case PublishReport(tables=tables):
            return sum(table.inserted + table.removed for table in tables)
    landed = getattr(result, "landings", None)
    return None if landed is None else rows_of(landed)


def _task_run_name() -> str:
    context = TaskRunContext.get()
    return context.task_run.name if context is not None else ""


def _peak_mb() -> int | None:
    """Return the most memory that this process had at once until now; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in kilobytes, macOS in bytes.
    return round(peak * (1 if sys.platform == "darwin" else 1024) / _MB)
