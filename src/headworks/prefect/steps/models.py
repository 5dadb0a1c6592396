"""A model's week: judge its features, train, judge the challenger, score, commit.

A training is kept under what it was made from, and scores are made by parts; so a step that is tried again, or a run
after one that was killed, takes up what is there.
"""

from __future__ import annotations

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact

from headworks.errors import ConcurrentRun
from headworks.gold.products import rollbacks
from headworks.gold.table import Staged, commit_gold
from headworks.models import learning
from headworks.models.champions import champion_rows, forget_parts
from headworks.models.learning import Lesson, Scored, Verdict
from headworks.models.model import Model
from headworks.models.registry import Registered, register
from headworks.models.training import Trained
from headworks.prefect.steps.extract import Run
from headworks.reports import CurateReport, GateReport


def prepare_model(run: Run, lesson: Lesson) -> GateReport:
    """Judge the features of the cut that is scored; a closed gate is returned, not raised."""
    gate = learning.prepare(run.open_lake(), lesson)
    _log_gate(lesson.model, "features", gate)
    return gate


def train_model(run: Run, lesson: Lesson) -> Trained:
    """Train a challenger, or find the one that was trained from just this already."""
    trained = learning.train_model(run.open_lake(), lesson)
    get_run_logger().info(
        "%s: learned from %d rows, %d with the outcome, up to %s; file %s",
        lesson.model.name,
        trained.rows,
        trained.positives,
        f"{trained.last_cut:%Y-%m-%d}",
        trained.file[:12],
    )
    return trained


def judge_model(run: Run, lesson: Lesson, trained: Trained, data: GateReport) -> Verdict:
    """Judge the challenger against the champion; a refusal is returned, not raised: then the champion scores."""
    verdict = learning.judge(run.open_lake(), lesson, trained, data, run.run_id)
    _log_gate(lesson.model, "challenger", verdict.gate)
    if verdict.champion is not None:
        what = "promoted" if verdict.promoted else "stays"
        get_run_logger().info("%s: champion %d %s", lesson.model.name, verdict.champion.sequence, what)
    return verdict


def score_model(run: Run, lesson: Lesson, verdict: Verdict) -> Scored:
    """Score the newest cut and stage what comes of it; a closed gate is returned, not raised."""
    scored = learning.score_newest(run.open_lake(), lesson, verdict)
    _log_gate(lesson.model, "scores", scored.gate)
    return scored


def commit_model(run: Run, lesson: Lesson, scored: Scored, verdict: Verdict) -> tuple[CurateReport, ...]:
    """Replace the tables of scores and champions, each in one commit; readers see them when the product names them."""
    lake = run.open_lake()
    if rollbacks(lake).get(lesson.product, 0) != verdict.champions.rolled_back:
        # A flow that is taken up again reads what is published now, and has the verdict of before.
        raise ConcurrentRun(
            "The product was rolled back since the challenger was judged against its champion.",
            where=f"product {lesson.product}",
            do="run again: it begins with what is published now.",
        )
    reports = [_committed(run, scored.scores)]
    if scored.champions is not None:
        reports.append(_committed(run, scored.champions))
    elif (stays := verdict.champions.table) is not None:
        reports.append(CurateReport(table=stays, rows=len(verdict.champions.known), changed=False))
    forget_parts(lake, lesson.model)
    _show_card(lesson.model, verdict)
    return tuple(reports)


def register_model(run: Run, product: str, model: Model) -> Registered | None:
    """Show the champion that was published in the model's registry, where it has one."""
    registered = register(run.open_lake(), product, model)
    if registered is not None:
        get_run_logger().info(
            "%s: champion %d is version %d of %s in MLflow, by the alias %s",
            model.name,
            registered.champion,
            registered.version,
            registered.name,
            registered.alias,
        )
    return registered


def _committed(run: Run, staged: Staged) -> CurateReport:
    reference = commit_gold(run.open_lake(), staged)
    get_run_logger().info("%s: %d rows at version %d", staged.dataset, staged.rows, reference.version)
    return CurateReport(table=reference, rows=staged.rows, changed=staged.changed)


def _show_card(model: Model, verdict: Verdict) -> None:
    if verdict.promoted and verdict.champion is not None:
        text = str(champion_rows(model, [verdict.champion]).get_column("card")[0])
        create_markdown_artifact(
            text, key=f"model-card-{model.name.replace('_', '-')}", description=model.about
        )


def _log_gate(model: Model, what: str, gate: GateReport) -> None:
    if gate.open:
        get_run_logger().info("%s: %s: %d checks passed", model.name, what, len(gate.checks))
    else:
        get_run_logger().error("%s: %s: gate closed: %s", model.name, what, "; ".join(gate.reasons))
