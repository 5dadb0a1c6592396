"""The policy of tasks: what is retried is decided by the error's class, and a landing is never taken from a cache."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from prefect import Task, flow
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed

from headworks import errors
from headworks.errors import HeadworksError, RetryError
from headworks.prefect.policy import RETRIES, heals, without_thread_warnings
from headworks.prefect.steps import alerting, backfill, care, report
from tasks import database, deliveries, extract, gold, models, publish, refine, replay

MODULES = (
    alerting,
    backfill,
    care,
    report,
    database,
    deliveries,
    extract,
    gold,
    models,
    publish,
    refine,
    replay,
)
TASKS: list[Task[Any, Any]] = [
    value for module in MODULES for value in vars(module).values() if isinstance(value, Task)
]
CACHED = {"stage-gold", "audit-gold"}


def subclasses(kind: type[HeadworksError]) -> Iterator[type[HeadworksError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from subclasses(below)


def failed(problem: BaseException) -> Any:
    return Failed(data=problem)


@pytest.mark.parametrize("kind", list(subclasses(HeadworksError)), ids=lambda kind: kind.__name__)
def test_only_what_can_heal_is_retried(kind: type[HeadworksError]) -> None:
    run = None
    assert heals(TASKS[0], run, failed(kind("what"))) is issubclass(kind, RetryError)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "problem", [ValueError("x"), KeyError("x"), MemoryError(), OSError("the commit failed")]
)
def test_what_nobody_foresaw_is_not_retried(problem: Exception) -> None:
    assert heals(TASKS[0], None, failed(problem)) is False  # type: ignore[arg-type]


def test_the_text_of_an_error_decides_nothing() -> None:
    lying = errors.StopError("try again: timeout, connection reset, 503")
    assert heals(TASKS[0], None, failed(lying)) is False  # type: ignore[arg-type]
    assert heals(TASKS[0], None, failed(errors.SourceUnavailable("never retry this"))) is True  # type: ignore[arg-type]


def test_there_are_the_tasks_that_are_looked_at_here() -> None:
    assert {task.name for task in TASKS} == {
        "alert",
        "alert-freshness",
        "alert-flow-run",
        "recovered",
        "plan-backfill",
        "maintain-lake",
        "measure-freshness",
        "choose-tables",
        "ingest-table",
        "mirror-table",
        "replay",
        "decide",
        "decide-gold",
        "extract-files",
        "extract-table",
        "extract-resource",
        "refine",
        "pin-silver",
        "stage-gold",
        "audit-gold",
        "commit-gold",
        "judge-features",
        "train",
        "judge-model",
        "score",
        "commit-model",
        "check-publication",
        "name-product",
        "publish-postgres",
        "record-run",
        "register-model",
    }


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_retries_with_backoff_and_jitter_has_a_timeout_a_name_and_a_json_result(
    task: Task[Any, Any],
) -> None:
    assert task.retries == RETRIES == 3
    assert task.retry_condition_fn is heals
    assert task.retry_delay_seconds == [2, 4, 8]
    assert task.retry_jitter_factor is not None
    assert task.retry_jitter_factor > 0
    assert task.timeout_seconds == 3600
    assert task.result_serializer == "json"
    assert task.persist_result is True
    assert task.task_run_name
    assert (task.fn.__doc__ or "").strip()


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_what_has_an_effect_is_never_cached_and_what_is_cached_has_a_key_and_an_end(
    task: Task[Any, Any],
) -> None:
    if task.name in CACHED:
        assert task.cache_key_fn is not None
        assert task.cache_expiration is not None
        assert task.cache_expiration.total_seconds() == 3600
    else:
        assert task.cache_policy == NO_CACHE
        assert task.cache_key_fn is None


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_tasks_take_and_return_references_and_no_frames(task: Task[Any, Any]) -> None:
    signature = inspect.signature(task.fn, eval_str=True)
    output = [parameter.annotation for parameter in signature.parameters.values()]
    text = " ".join(str(annotation) for annotation in (*output, signature.return_annotation))
    assert "Frame" not in text
    assert "polars" not in text


@pytest.mark.server
@pytest.mark.parametrize(("healing", "calls"), [(True, 3), (False, 1)])
def test_a_task_with_the_policy_is_tried_again_until_it_heals_or_not_at_all(
    prefect_server: str, healing: bool, calls: int
) -> None:
    """The policy as Prefect carries it out, and not only as it is declared."""
    from prefect import task

    from headworks.prefect.policy import EFFECT

    made: list[int] = []

    def flaky() -> int:
        made.append(1)
        if len(made) < 3:
            raise errors.SourceUnavailable("busy") if healing else errors.SettingsError("wrong")
        return len(made)

    options = {**EFFECT, "retry_delay_seconds": 0, "retry_jitter_factor": None}
    tried = task(name="flaky", **options)(flaky)

    @flow(name="policy")
    def story() -> int:
        return tried()

    if healing:
        assert story() == 3
    else:
        with pytest.raises(errors.SettingsError):
            story()
    assert len(made) == calls


def test_the_warning_about_threads_is_kept_out_and_all_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logger = logging.getLogger("prefect.task_runs")
    seen: list[str] = []

    class Seeing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    # Without Prefect's own handlers, which would send the lines to a server.
    monkeypatch.setattr(logger, "handlers", [Seeing()])
    monkeypatch.setattr(logger, "propagate", False)
    with without_thread_warnings():
        logger.warning("Timeout of 1 seconds configured, but the task is running in a worker thread.")
        logger.warning("something else")
    logger.warning("the task is running in a worker thread, afterwards")
    assert seen == ["something else", "the task is running in a worker thread, afterwards"]
