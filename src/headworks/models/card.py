"""The model card: one page about a model, generated from what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from headworks.models.judging import Measured
from headworks.models.model import Model
from headworks.models.training import Trained
from headworks.reports import CheckReport, TableRef


def card(
    model: Model,
    trained: Trained,
    measured: Measured,
    importance: Mapping[str, float],
    checks: Sequence[CheckReport],
    sequence: int,
    promoted_at: datetime,
    run_id: str,
    features: TableRef,
) -> str:
    """Return a page in Markdown about a promoted model."""
    lines = [
        f"# {model.name}, champion {sequence}",
        "",
        model.about or "No description was declared.",
        "",
        "| what | value |",
        "|---|---|",
        f"| predicts | the outcome within {trained.horizon_days:g} days after a cut |",
        f"| promoted | {promoted_at:%Y-%m-%d %H:%M} UTC by run {run_id} |",
        f"| learned from | {trained.rows} rows, {trained.positives} with the outcome, cuts of "
        f"{trained.first_cut:%Y-%m-%d} to {trained.last_cut:%Y-%m-%d} |",
        f"| judged by | {measured.rows} rows, {measured.positives} with the outcome, cuts of "
        f"{', '.join(f'{cut:%Y-%m-%d}' for cut in measured.cuts)}; it has seen none of them |",
        f"| {measured.metric} | {measured.value:.3f} ({measured.low:.3f} to {measured.high:.3f}) |",
        f"| lift of the highest tenth | {measured.lift:.1f} |",
        f"| calibration error | {measured.calibration_error:.3f} |",
        f"| features | {features.table} version {features.version} |",
        f"| file | {trained.file} |",
        f"| code, seed | {trained.code}, {trained.seed} |",
        f"| libraries | {', '.join(f'{name} {version}' for name, version in sorted(trained.libraries.items()))} |",
        "",
        "## What it looks at",
        "What is lost of the metric when a feature's values are exchanged between rows.",
        "",
        "| feature | importance |",
        "|---|---|",
        *(
            f"| {name} | {value:.3f} |"
            for name, value in sorted(importance.items(), key=lambda pair: -pair[1])
        ),
        "",
        "## Calibration",
        "| rows | predicted | happened |",
        "|---|---|---|",
        *(
            f"| {each['rows']:.0f} | {each['predicted']:.1%} | {each['happened']:.1%} |"
            for each in measured.calibration
        ),
        "",
        "## Lift",
        "Of so many rows with the highest scores: how many times the base rate the outcome happens among them, and "
        "which part of all outcomes they have.",
        "",
        "| rows | lift | part of the outcomes |",
        "|---|---|---|",
        *(
            f"| {each['share']:.0%} | {each['lift']:.2f} | {each['found']:.0%} |"
            for each in measured.lift_curve[1::2]
        ),
        "",
        "## Segments",
        "| segment | rows | with the outcome | metric | predicted | happened |",
        "|---|---|---|---|---|---|",
        *(
            f"| {each['segment']} | {each['rows']} | {each['positives']} | "
            f"{'not known' if each['value'] is None else format(each['value'], '.3f')} | {each['predicted']:.1%} | "
            f"{each['happened']:.1%} |"
            for each in measured.segments
        ),
        "",
        "## The gate",
        "| check | outcome | detail |",
        "|---|---|---|",
        *(f"| {check.name} | {check.outcome} | {check.detail.replace('|', '/')} |" for check in checks),
        "",
        "## Not known",
        "Whether a reason is a cause: the model ranks by what went together with the outcome before. What comes after "
        "the last delivery is not in the features. A segment without enough rows was not judged apart.",
        "",
    ]
    return "\n".join(lines)
