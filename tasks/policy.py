"""How tasks retry and when: decided by the class of the error, never by its text.

What belongs here: the retry condition and the options shared by all tasks. What does not: tasks.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from headworks.errors import RetryError

RETRIES = 3
_BACKOFF_FACTOR_S = 2
_JITTER = 0.5
_HOUR = 3600

PINNED_FOR = timedelta(hours=1)
"""How long the result of a step with pinned input is kept for another run."""


def heals(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Tell whether a failed task may be tried again: only for what can heal."""
    try:
        state.result()
    except RetryError:
        return True
    except BaseException:  # noqa: BLE001 - an exception in here would mean no retry, and hide the first one
        return False
    return False


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
