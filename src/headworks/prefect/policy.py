"""How tasks retry and when: decided by the class of the error, never by its text."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from headworks.errors import RetryError
from headworks.prefect.costs import noted_cost
from headworks.redaction import redacted_error

P = ParamSpec("P")
R = TypeVar("R")

RETRIES = 3
_BACKOFF_FACTOR_S = 2
_JITTER = 0.5
_HOUR = 3600

PINNED_FOR = timedelta(hours=1)
"""How long the result of a step with pinned input is kept for another run."""


def heals(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Return whether a failed task may be tried again: only for what can heal."""
    try:
        state.result()
    except RetryError:
        return True
    except BaseException:  # noqa: BLE001 - an exception in here would mean no retry, and hide the first one
        return False
    return False


@contextmanager
def without_thread_warnings() -> Iterator[None]:
    """Keep out of the log, once per task, that Prefect's timeout cannot interrupt a thread.

    The drivers have deadlines of their own for each statement and request (``headworks.settings``), which do interrupt;
    the task's timeout is the last bound, that fails a task which has outlived it once its call returns.
    """
    logger = logging.getLogger("prefect.task_runs")
    logger.addFilter(_is_no_thread_warning)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_thread_warning)


def _is_no_thread_warning(record: logging.LogRecord) -> bool:
    return "the task is running in a worker thread" not in str(record.msg)


def shielded(step: Callable[P, R]) -> Callable[P, R]:
    """Let no secret out of a task by its error: Prefect writes it, and what it was raised from, to log and state.

    What the step costs is noted for the account of its run, its first argument.
    """

    @wraps(step)
    def clean(*args: P.args, **kwargs: P.kwargs) -> R:
        run = args[0] if args else kwargs.get("run")
        try:
            with noted_cost(getattr(run, "run_id", ""), step.__name__) as returned:
                result = step(*args, **kwargs)
                returned.append(result)
            return result
        except Exception as problem:  # noqa: BLE001 - raised below, without secrets
            failed = redacted_error(problem)
        # Outside of the clause that caught it, or Python would chain the two.
        raise failed

    return clean


RETRYING: dict[str, Any] = {
    "retries": RETRIES,
    "retry_delay_seconds": exponential_backoff(backoff_factor=_BACKOFF_FACTOR_S),
    "retry_jitter_factor": _JITTER,
    "retry_condition_fn": heals,
    "timeout_seconds": _HOUR,
    "result_serializer": "json",
    "persist_result": True,
}
"""Options of every task that may be repeated: three retries with backoff and jitter, results kept as JSON."""

EFFECT: dict[str, Any] = {**RETRYING, "cache_policy": NO_CACHE}
"""Options of a task with an effect: the protocol makes it cheap to repeat, and a cached one would miss new data."""
