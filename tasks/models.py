"""Models: features judged, a challenger trained and judged, the newest cut scored, the tables committed, registered.

A training is found again by what it was made from, so its task needs no cache of Prefect's.
"""

from __future__ import annotations

from prefect import task

from headworks.models.learning import Lesson, Scored, Verdict
from headworks.models.model import Model
from headworks.models.registry import Registered
from headworks.models.training import Trained
from headworks.prefect.policy import EFFECT, shielded
from headworks.prefect.steps import models as steps
from headworks.prefect.steps.extract import Run
from headworks.reports import CurateReport, GateReport


@task(name="judge-features", task_run_name="judge features of {lesson.model.name}", **EFFECT)
@shielded
def prepare_model(run: Run, lesson: Lesson) -> GateReport:
    """Judge the features of the cut that is scored; a closed gate is returned, not raised."""
    return steps.prepare_model(run, lesson)


@task(name="train", task_run_name="train {lesson.model.name}", **EFFECT)
@shielded
def train_model(run: Run, lesson: Lesson) -> Trained:
    """Train a challenger, or find the one that was trained from just this already."""
    return steps.train_model(run, lesson)


@task(name="judge-model", task_run_name="judge {lesson.model.name}", **EFFECT)
@shielded
def judge_model(run: Run, lesson: Lesson, trained: Trained, data: GateReport) -> Verdict:
    """Judge the challenger against the champion; a refusal is returned, not raised: then the champion scores."""
    return steps.judge_model(run, lesson, trained, data)


@task(name="score", task_run_name="score by {lesson.model.name}", **EFFECT)
@shielded
def score_model(run: Run, lesson: Lesson, verdict: Verdict) -> Scored:
    """Score the newest cut and stage what comes of it; a closed gate is returned, not raised."""
    return steps.score_model(run, lesson, verdict)


@task(name="commit-model", task_run_name="commit {lesson.model.name}", **EFFECT)
@shielded
def commit_model(run: Run, lesson: Lesson, scored: Scored, verdict: Verdict) -> tuple[CurateReport, ...]:
    """Replace the tables of scores and champions, each in one commit."""
    return steps.commit_model(run, lesson, scored, verdict)


@task(name="register-model", task_run_name="register {model.name}", **EFFECT)
@shielded
def register_model(run: Run, product: str, model: Model) -> Registered | None:
    """Show the champion that was published in the model's registry, where it has one."""
    return steps.register_model(run, product, model)
