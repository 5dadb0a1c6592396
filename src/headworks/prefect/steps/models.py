"""A model's week: judge its features, train, judge the challenger, score, commit.

A training is kept under what it was made from, and scores are made by parts; so a step that is tried again, or a run
after one that was killed, takes up what is there.
"""

from __future__ import annotations

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact

from headworks.gold.table import Pins, Staged, commit_gold
from headworks.models import learning
from headworks.models.champions import champion_rows, forget_parts
from headworks.models.learning import Accepted, FeatureRef, Scored, Verdict
from headworks.models.model import Model
from headworks.models.training import Asked, Trained
from headworks.prefect.steps.extract import Run
from headworks.reports import CurateReport, GateReport


def prepare_model(
    run: Run, product: str, model: Model, features: FeatureRef, pins: Pins, asked: Asked, accepted: Accepted
) -> GateReport:
    """Judge the features of the cut that is scored; a closed gate is returned, not raised."""
    gate = learning.prepare(run.open_lake(), product, model, features, pins, asked, accepted)
    _log_gate(model, "features", gate)
    return gate


def train_model(run: Run, model: Model, features: FeatureRef, asked: Asked) -> Trained:
    """Train a challenger, or find the one that was trained from just this already."""
    trained = learning.train_model(run.open_lake(), model, features, asked)
    get_run_logger().info(
        "%s: learned from %d rows, %d with the outcome, up to %s; file %s",
        model.name,
        trained.rows,
        trained.positives,
        f"{trained.last_cut:%Y-%m-%d}",
        trained.file[:12],
    )
    return trained


def judge_model(
    run: Run,
    product: str,
    model: Model,
    features: FeatureRef,
    trained: Trained,
    asked: Asked,
    accepted: Accepted,
    data: GateReport,
) -> Verdict:
    """Judge the challenger against the champion; a refusal is returned, not raised: then the champion scores."""
    verdict = learning.judge(
        run.open_lake(), product, model, features, trained, asked, accepted, run.run_id, data
    )
    _log_gate(model, "challenger", verdict.gate)
    if verdict.champion is not None:
        what = "promoted" if verdict.promoted else "stays"
        get_run_logger().info("%s: champion %d %s", model.name, verdict.champion.sequence, what)
    return verdict


def score_model(run: Run, model: Model, features: FeatureRef, verdict: Verdict, asked: Asked) -> Scored:
    """Score the newest cut and stage what comes of it; a closed gate is returned, not raised."""
    scored = learning.score_newest(run.open_lake(), model, features, verdict, asked)
    _log_gate(model, "scores", scored.gate)
    return scored


def commit_model(run: Run, model: Model, scored: Scored, verdict: Verdict) -> tuple[CurateReport, ...]:
    """Replace the tables of scores and champions, each in one commit; readers see them when the product names them."""
    lake = run.open_lake()
    reports = [_committed(run, scored.scores)]
    if scored.champions is not None:
        reports.append(_committed(run, scored.champions))
    elif (stays := verdict.champions.table) is not None:
        reports.append(CurateReport(table=stays, rows=len(verdict.champions.known), changed=False))
    forget_parts(lake, model)
    _show_card(model, verdict)
    return tuple(reports)


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
