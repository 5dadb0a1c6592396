"""A model's week in steps: prepare, train, judge, score. Each gives a small report, so a run can take them up again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from headworks.bronze.consumed import id_number
from headworks.errors import GateClosed, SettingsError, did_you_mean
from headworks.gold.table import Pins, Staged, pinned_inputs, read_staged
from headworks.models.champions import (
    Champion,
    Champions,
    champion_rows,
    read_champions,
    score,
    stage_rows,
    staged_place,
)
from headworks.models.checks import Checks
from headworks.models.current import usable
from headworks.models.features import CUT, LeakCheck, leaks, received_of
from headworks.models.judging import (
    Quality,
    data_checks,
    importance,
    prediction_checks,
    quality_checks,
)
from headworks.models.model import Model
from headworks.models.training import (
    LABEL,
    Asked,
    Matrix,
    Trained,
    check_columns,
    load,
    matrix,
    newest_cut,
    predict,
    predict_matrix,
    split,
    train,
)
from headworks.models.training_checks import training_checks
from headworks.ports import Clock, system_clock
from headworks.quality.contracts import run_contract
from headworks.quality.gate import decide, let_through
from headworks.reports import CheckReport, GateReport, Report, TableRef
from headworks.storage.store import Lake
from headworks.storage.translating import reading


class FeatureRef(Report):
    """The features of a run: a version of the gold table, or in a dry run a candidate."""

    table: TableRef
    staging_id: str = ""


class Accepted(Report):
    """Checks that a person lets through in this run, by their names, and why."""

    names: tuple[str, ...] = ()
    by: str = ""
    note: str = ""


@dataclass(frozen=True)
class Lesson:
    """What a run learns: a product's model, from which features and versions, what is asked, what is let through."""

    product: str
    model: Model
    features: FeatureRef
    asked: Asked
    pins: Pins
    accepted: Accepted = field(default_factory=Accepted)

    def frame(self, lake: Lake) -> pl.DataFrame:
        """Return the features."""
        return feature_frame(lake, self.model, self.features)


class Verdict(Report):
    """What the gate decided about a challenger, and the model that scores now: the challenger, or the champion.

    There is none where the challenger was refused, and there is no champion or it cannot predict.
    """

    gate: GateReport
    promoted: bool
    champion: Champion | None
    champions: Champions


class Scored(Report):
    """Scores and champions as candidates for their tables, and the gate's decision about the scores."""

    gate: GateReport
    scores: Staged
    champions: Staged | None


def asked_of(
    model: Model, *, cut: datetime | None, horizon_days: float | None, seed: int, dry_run: bool
) -> Asked:
    """Return what a run asks; raises `SettingsError` where it would publish an answer to another question."""
    horizon = model.horizon if horizon_days is None else timedelta(days=horizon_days)
    if horizon <= timedelta(0):
        raise SettingsError("A horizon lies after its cut.", where=model.scope, do="ask for days above 0.")
    if cut is not None and cut.tzinfo is None:
        raise SettingsError(
            f"The cut {cut} has no time zone, so it is not known which moment it is.",
            where=model.scope,
            do=f"give one, such as {cut.isoformat()}Z.",
        )
    if not dry_run and cut is not None:
        raise SettingsError(
            f"Scores as of {cut:%Y-%m-%d %H:%M} were asked for: readers would take them for those of now.",
            where=model.scope,
            do="ask with dry_run; to show again what was published then, use headworks rollback.",
        )
    if not dry_run and horizon != model.horizon:
        raise SettingsError(
            f"The model is declared with a horizon of {model.horizon.days} days, and {horizon_days:g} were asked for: "
            "readers would take its scores for those of the declared one.",
            where=model.scope,
            do="ask with dry_run, or change the declaration.",
        )
    return Asked(cut=cut, horizon=horizon, seed=seed)


def feature_frame(lake: Lake, model: Model, features: FeatureRef) -> pl.DataFrame:
    """Return the features that a reference names."""
    if features.staging_id:
        return read_staged(lake, model.features.name, features.staging_id)
    table = lake.must_open("gold", model.features.name, features.table.version)
    with reading(table.name):
        return table.scan().collect()


def prepare(lake: Lake, lesson: Lesson, clock: Clock = system_clock) -> GateReport:
    """Judge the features before anything is learned from them or scored: a closed gate leaves all as it is."""
    model, asked, frame = lesson.model, lesson.asked, lesson.frame(lake)
    check_columns(model, frame)
    champion = read_champions(lake, lesson.product, model).newest
    inputs = pinned_inputs(lake, lesson.pins, model.features.inputs, receipts=True)
    cuts = _looked_at(frame, asked)
    found = leaks(model.features, inputs, model.columns, cuts) if cuts else LeakCheck()
    profile = None if champion is None else champion.trained.profile
    received = received_of(model.features, {name: rows.collect() for name, rows in inputs.items()})
    checks = data_checks(model, frame, asked, profile, found, clock(), received)
    return _decided(model, checks, lesson.accepted)


def _looked_at(frame: pl.DataFrame, asked: Asked) -> list[datetime]:
    """Return the cuts that are made again: the newest one, and one in the middle of the others."""
    scored = newest_cut(frame, asked)
    cuts = [cut for cut in frame.get_column(CUT).unique().sort().to_list() if scored is None or cut <= scored]
    return sorted({cuts[-1], cuts[len(cuts) // 2], cuts[(len(cuts) * 3) // 4]}) if cuts else []


def _decided(model: Model, checks: Sequence[CheckReport], accepted: Accepted) -> GateReport:
    return decide(model.scope, _let(checks, accepted), contract_required=False)


def _let(checks: Sequence[CheckReport], accepted: Accepted) -> list[CheckReport]:
    """Return checks, those that a person lets through as accepted."""
    return [
        let_through(check, accepted.by, accepted.note)
        if check.name in accepted.names and check.outcome in {"failed", "not evaluated"}
        else check
        for check in checks
    ]


def _as_champions(checks: Sequence[CheckReport]) -> tuple[CheckReport, ...]:
    """Return checks of scores by the names that they have where the champion scores, its challenger refused."""
    return tuple(check.model_copy(update={"name": f"champion: {check.name}"}) for check in checks)


def _unknown(model: Model, accepted: Accepted, checks: Sequence[CheckReport]) -> tuple[CheckReport, ...]:
    """Warn of names that are to be let through and that no check has: a slip would be without any effect."""
    made = Checks(model)
    names = sorted({check.name for check in checks})
    for each in accepted.names:
        if each not in names:
            made.warn("accept: names checks", f"no check is called {each!r}.{did_you_mean(each, names)}")
    return tuple(made.made)


def train_model(lake: Lake, lesson: Lesson) -> Trained:
    """Train a challenger, or find the one that was trained from just this already."""
    return train(lake, lesson.model, lesson.frame(lake), lesson.asked, _name_of(lesson.features))


def _name_of(features: FeatureRef) -> str:
    # By the rows and not by the version: a commit that changed nothing gives the same model.
    return features.staging_id or f"{features.table.id}@{features.table.change}"


def judge(
    lake: Lake, lesson: Lesson, trained: Trained, data: GateReport, run_id: str, clock: Clock = system_clock
) -> Verdict:
    """Judge a challenger; the model that scores is the challenger where the gate is open, else the champion."""
    model, asked, frame = lesson.model, lesson.asked, lesson.frame(lake)
    champions = read_champions(lake, lesson.product, model)
    current = champions.newest
    parts = split(model, frame, asked)
    checks = list(training_checks(model, trained, parts, current.trained if current else None))
    challenger = load(lake, model, trained.file, _challenger(trained))
    scores = _predicted(challenger, trained, parts.holdout)
    theirs, kept, able = None, None, True
    if current is not None:
        found = usable(lake, lesson.product, model, current, frame.columns)
        checks.append(found.check)
        able = found.estimator is not None
        if current.trained.horizon_days == trained.horizon_days:
            theirs = _predicted(found.estimator, current.trained, parts.holdout) if able else None
            kept = None if able else current.measured
    quality: Quality = quality_checks(
        model, parts.holdout, scores, theirs, champions.promises, asked.seed, kept
    )
    checks += quality.checks
    newest = frame.filter(pl.col(CUT) == newest_cut(frame, asked))
    of_scores = prediction_checks(model, scores, _predicted(challenger, trained, newest))
    checks += of_scores
    later = () if current is None else _as_champions(of_scores)
    checks += _unknown(model, lesson.accepted, [*data.checks, *checks, *later])
    gate = _decided(model, [*data.checks, *checks], lesson.accepted)
    if not gate.open:
        # A champion that cannot predict cannot score either: what is published stays.
        stays = current if able else None
        return Verdict(gate=gate, promoted=False, champion=stays, champions=champions)
    if (
        current is not None
        and current.trained.file == trained.file
        and current.trained.made_from == trained.made_from
    ):
        # The same model from the same rows: it is the champion already.
        return Verdict(gate=gate, promoted=False, champion=current, champions=champions)
    values = matrix(trained.columns, trained.vocabulary, parts.holdout)
    labels = parts.holdout.get_column(LABEL).cast(pl.Float64).to_numpy()
    promoted = Champion(
        sequence=champions.last_sequence + 1,
        trained=trained,
        measured=quality.challenger,
        features=lesson.features.table,
        promoted_at=clock(),
        run_id=run_id,
        checks=gate.checks,
        importance=importance(
            model, lambda rows: predict_matrix(challenger, rows, model.name), values, labels, asked.seed
        ),
    )
    return Verdict(gate=gate, promoted=True, champion=promoted, champions=champions)


def score_newest(lake: Lake, lesson: Lesson, verdict: Verdict) -> Scored:
    """Score the newest cut by the model that the verdict names, and stage scores and champions.

    Raises `GateClosed` where there is no model to score with.
    """
    model, asked, features, champion = lesson.model, lesson.asked, lesson.features, verdict.champion
    if champion is None:
        raise GateClosed(
            f"The challenger was refused, and there is no champion that can score: {'; '.join(verdict.gate.reasons)}.",
            where=model.scope,
            do="correct what the reasons name, and run again; nothing was published.",
        )
    frame = lesson.frame(lake)
    rows = frame.filter(pl.col(CUT) == newest_cut(frame, asked))
    scores = score(lake, model, champion, rows, features.table)
    made_from = id_number(f"{champion.trained.file} {champion.sequence} {_name_of(features)} {asked.cut}")
    staged = stage_rows(lake, model.scores, scores, model.key, model.code(), made_from)
    candidate = staged_place(lake, staged)
    scope = f"gold.{model.scores}"
    checks = run_contract(model.contract, Path(candidate) if lake.drafts.settings.is_local else scores, scope)
    parts = split(model, frame, asked)
    estimator = load(lake, model, champion.trained.file, f"champion {champion.sequence}")
    before = _predicted(estimator, champion.trained, parts.holdout)
    of_scores = prediction_checks(model, before, scores.get_column("score").to_numpy())
    # What a person lets through of the challenger's scores is let through of the very same scores here: where the gate
    # is open, the champion is the challenger. Those of a champion that stays are others, under names of their own.
    checks += _let(of_scores if verdict.gate.open else _as_champions(of_scores), lesson.accepted)
    checks.append(_one_model(scope, scores, champion.sequence, rows.height))
    gate = decide(scope, checks, contract_required=True)
    table = None
    if verdict.promoted:
        rows_of = champion_rows(model, [*verdict.champions.known, champion])
        table = stage_rows(
            lake,
            model.champions,
            rows_of,
            ("sequence",),
            model.code(),
            made_from,
            verdict.champions.base_version,
        )
    return Scored(gate=gate, scores=staged, champions=table)


def _challenger(trained: Trained) -> str:
    return f"the challenger of {trained.last_cut:%Y-%m-%d} (seed {trained.seed})"


def _predicted(estimator: Any, trained: Trained, rows: pl.DataFrame) -> Matrix:
    return predict(estimator, trained.columns, trained.vocabulary, rows, trained.model)


def _one_model(scope: str, scores: pl.DataFrame, sequence: int, rows: int) -> CheckReport:
    whole = (
        scores.height == rows
        and scores.get_column("champion").n_unique() <= 1
        and bool(np.all(scores.get_column("champion").to_numpy() == sequence))
    )
    return CheckReport(
        scope=scope,
        name="scores are of one model, one for each row of features",
        kind="account",
        outcome="passed" if whole and rows else "failed",
        detail=f"{scores.height} scores of {rows} rows",
        value=scores.height,
        expected=rows,
    )
