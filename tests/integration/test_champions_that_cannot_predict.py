"""A champion whose file is lost or damaged, or whose column is gone, is no dead end: what the reasons name gets on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from crm import timelapse
from crm.churn import MODEL as CHURN
from crm.timelapse import Learned, learn_week
from headworks.errors import ConcurrentRun, EstimatorFailed, LakeUnusable, SettingsError
from headworks.gold.products import read_product, release, roll_back
from headworks.gold.table import commit_gold
from headworks.models import current, judging, learning
from headworks.models.champions import read_champions
from headworks.models.checks import Checks
from headworks.models.current import restored
from headworks.models.features import AsOf, PointInTime, feature_table
from headworks.models.learning import Accepted, asked_of
from headworks.models.model import LIGHTGBM, Model
from headworks.models.training import file_path, is_named
from headworks.ops.maintenance import MaintenanceSettings, maintain
from headworks.project import Product
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.support import shipments as late
from tests.support.shipments import FIRST, LATE, LIVED, MODEL, START, WEEK, receive, shipments

NOW = START + FIRST * WEEK + timedelta(days=1)


def _lake(root: Path) -> Lake:
    return Lake(LakeSettings(root=str(root)))


@pytest.fixture(scope="module")
def learned(late_champion: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with two champions, which has received a week more since; not to be changed, only copied."""
    root = tmp_path_factory.mktemp("learned") / "lake"
    shutil.copytree(late_champion, root)
    now = START + (FIRST - 1) * WEEK + timedelta(hours=5)
    second = learn_week(_lake(root), lambda: now, "second", seed=2, of=LATE)
    assert second.product is not None, second.reasons
    receive(_lake(root), shipments(LIVED), [FIRST], "more")
    return root


@pytest.fixture
def root(learned: Path, tmp_path: Path) -> Path:
    shutil.copytree(learned, tmp_path / "lake")
    return tmp_path / "lake"


def _other(seed: int) -> Any:
    """An estimator of other code: with it no file of the champions before can be made again."""
    made = late.estimator(seed)
    made.set_params(logisticregression__C=0.9)
    return made


OTHER = replace(LATE, models=(replace(MODEL, estimator=_other),))


def _learn(root: Path, run: str, of: Product = LATE, accept: tuple[str, ...] = (), seed: int = 1) -> Learned:
    accepted = Accepted(names=accept, by="me", note="known")
    return learn_week(_lake(root), lambda: NOW, run, seed=seed, of=of, accepted=accepted)


def _file(root: Path, model: Model = MODEL) -> Path:
    champion = read_champions(_lake(root), "late", model).newest
    assert champion is not None
    return root / file_path(model, champion.trained.file)


def _torn(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "lost": Path.unlink,
    "torn": _torn,
    "emptied": lambda file: file.write_bytes(b""),
    "of another": lambda file: file.write_bytes(b"PK" * 999),
}


def _checks(learned: Learned) -> dict[str, str]:
    return {check.name: check.outcome for gate in learned.gates for check in gate.checks}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_champion_s_file_is_made_again_from_what_it_learned_from(root: Path, damage: str) -> None:
    """Also where the challenger is refused: then that very champion scores."""
    file = _file(root)
    before = file.read_bytes()
    DAMAGES[damage](file)
    refusing = replace(LATE, models=(replace(MODEL, bounds=replace(MODEL.bounds, least=0.999)),))
    made = _learn(root, "third", refusing)
    assert made.product is not None
    assert file.read_bytes() == before
    assert _checks(made)["champion: file"] == "warned"
    assert made.verdict is not None
    assert not made.verdict.promoted
    again = _learn(root, "fourth", seed=7)
    assert again.product is not None, again.reasons
    assert _checks(again)["champion: file"] == "passed"


@pytest.mark.parametrize("damage", ["lost", "torn"])
def test_one_that_cannot_be_made_again_closes_the_gate_and_what_the_reason_names_gets_on(
    root: Path, damage: str
) -> None:
    DAMAGES[damage](_file(root))
    before = read_product(_lake(root), "late")
    closed = _learn(root, "third", OTHER)
    assert closed.product is None
    (reason,) = [one for one in closed.reasons if one.startswith("champion: file")]
    assert "headworks run late --accept '[\"champion: file\"]' --note" in reason
    assert read_product(_lake(root), "late") == before
    accepted = _learn(root, "fourth", OTHER, accept=("champion: file",))
    assert accepted.product is not None, accepted.reasons
    assert accepted.verdict is not None
    assert accepted.verdict.promoted
    assert _checks(accepted)["champion: file"] == "accepted"
    assert "was promoted with" in next(
        check.detail
        for check in accepted.verdict.gate.checks
        if check.name == "quality: against the champion"
    )
    again = _learn(root, "fifth", OTHER, seed=3)
    assert again.product is not None, again.reasons
    assert _checks(again)["champion: file"] == "passed"


def test_the_rollback_that_the_reason_names_gets_on(root: Path) -> None:
    _file(root).unlink()
    (reason,) = [one for one in _learn(root, "third", OTHER).reasons if one.startswith("champion: file")]
    named = re.search(r"headworks rollback late --to (\S+) ", reason)
    assert named is not None, reason
    roll_back(_lake(root), "late", named[1], "the file is lost")
    release(_lake(root), "late")
    again = _learn(root, "fourth", OTHER)
    assert again.product is not None, again.reasons


def test_without_any_file_of_before_the_reason_names_no_rollback(root: Path) -> None:
    for file in (root / "_headworks/models/late").glob("*.skops"):
        file.unlink()
    (reason,) = [one for one in _learn(root, "third", OTHER).reasons if one.startswith("champion: file")]
    assert "rollback" not in reason
    assert _learn(root, "fourth", OTHER, accept=("champion: file",)).product is not None


def test_what_is_accepted_of_a_lost_champion_lets_no_worse_challenger_in(learned: Path) -> None:
    """Its own check alone is let through: the challenger is held against what the champion was measured by."""
    blind = Checks(MODEL)
    champion = read_champions(_lake(learned), "late", MODEL).newest
    assert champion is not None
    for worse, outcome in ((0.04, "passed"), (0.06, "failed")):
        mine = champion.measured.model_copy(update={"value": champion.measured.value - worse})
        judging._check_against_kept(blind, mine, champion.measured, known=True)
        assert blind.made[-1].outcome == outcome
    judging._check_against_kept(blind, champion.measured, champion.measured, known=False)
    assert blind.made[-1].outcome == "not evaluated"


@pytest.mark.parametrize("damage", ["lost", "torn"])
def test_a_challenger_s_damaged_file_is_put_again_by_the_next_run(root: Path, damage: str) -> None:
    """As after a kill between the training and the judging, on a disk that did not keep what it was given."""
    folder = root / "_headworks/models/late"
    before = {*folder.glob("*.skops")}
    _learn(
        root,
        "killed",
        replace(LATE, models=(replace(MODEL, bounds=replace(MODEL.bounds, least=0.999)),)),
        seed=5,
    )
    (file,) = {*folder.glob("*.skops")} - before
    DAMAGES[damage](file)
    again = _learn(root, "next", seed=5)
    assert again.product is not None, again.reasons
    assert is_named(file.read_bytes(), file.stem)
    for record in (folder / "trained").glob("*.json"):
        record.write_text("{}")
    assert _learn(root, "again", seed=5).product is not None


def _without_a_column() -> Product:
    def features(known: AsOf) -> pl.LazyFrame:
        return late.features(known).drop("on_their_way")

    table = feature_table(
        "late.features",
        of=(late.SHIPMENTS,),
        features=features,
        outcomes=late.outcomes,
        key=("shipment_id",),
        contract=late.CONTRACTS / "gold_late_features.yml",
    )
    model = replace(MODEL, features=table, numbers=("weight_kg", "age_days", "lately_h"))
    return replace(LATE, tables=(table,), models=(model,))


def test_a_column_that_features_and_model_no_longer_have_can_be_let_go(root: Path) -> None:
    dropped = _without_a_column()
    closed = _learn(root, "third", dropped)
    assert closed.product is None
    (reason,) = [one for one in closed.reasons if one.startswith("champion: features")]
    assert "on_their_way" in reason
    assert "headworks run late --accept '[\"champion: features\"]' --note" in reason
    accepted = _learn(root, "fourth", dropped, accept=("champion: features",))
    assert accepted.product is not None, accepted.reasons
    again = _learn(root, "fifth", dropped, seed=3)
    assert again.product is not None, again.reasons


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_rollback_makes_lost_files_again_and_names_those_that_it_cannot(root: Path, damage: str) -> None:
    """What was published is shown again in either case: its scores are in the tables."""
    lake = _lake(root)
    for file in (root / "_headworks/models/late").glob("*.skops"):
        DAMAGES[damage](file)
    back, lost = current.roll_back(lake, "late", "first", "a test", OTHER.models)
    assert [one.partition(" (")[0] for one in lost] == ["champion 1 of late"]
    shown = read_product(lake, "late")
    assert shown is not None
    assert (shown.sequence, shown.run_id, shown.held) == (back.sequence, "first", "a test")
    back, lost = current.roll_back(lake, "late", "first", "a test", LATE.models)
    assert lost == []
    assert is_named(_file(root).read_bytes(), _file(root).stem)


def test_a_file_that_is_made_again_as_another_one_is_not_put_in_the_place_of_the_lost_one(root: Path) -> None:
    """Its code and libraries are those of then, and what came of them is something else all the same."""
    lake, file = _lake(root), _file(root)
    champion = read_champions(lake, "late", MODEL).newest
    assert champion is not None
    file.unlink()
    # What the code's number cannot show, such as a setting of the machine, stands as another seed here.
    other = champion.model_copy(update={"trained": champion.trained.model_copy(update={"seed": 99})})
    assert not restored(lake, MODEL, other)
    assert not file.exists()
    assert restored(lake, MODEL, champion)
    assert is_named(file.read_bytes(), file.stem)


@pytest.fixture
def drifted(monkeypatch: pytest.MonkeyPatch) -> Model:
    """The model, whose scores drift in each run."""
    kept = judging._psi
    monkeypatch.setattr(
        judging, "_psi", lambda now, then, limit: (9.0, limit) if limit < 0 else kept(now, then, limit)
    )
    return replace(MODEL, bounds=replace(MODEL.bounds, prediction_drift=-9.0))


def test_scores_that_are_let_through_are_let_through_to_the_end(root: Path, drifted: Model) -> None:
    """Also by a run that finds its challenger to be the champion already, and so promotes none."""
    of = replace(LATE, models=(drifted,))
    closed = _learn(root, "third", of)
    assert any(one.startswith("scores: drift") for one in closed.reasons)
    for run, promoted in (("fourth", True), ("fifth", False)):
        accepted = _learn(root, run, of, accept=("scores: drift",))
        assert accepted.product is not None, accepted.reasons
        assert accepted.product.run_id == "fourth"
        assert accepted.verdict is not None
        assert accepted.verdict.promoted == promoted


def test_what_is_accepted_of_a_refused_challenger_s_scores_lets_no_scores_of_the_champion_through(
    root: Path, drifted: Model
) -> None:
    """They are others, which nobody has looked at; what lets them through is their own name."""
    of = replace(LATE, models=(replace(drifted, bounds=replace(drifted.bounds, least=0.999)),))
    before = read_product(_lake(root), "late")
    closed = _learn(root, "third", of, accept=("scores: drift",))
    assert closed.product is None
    assert any(one.startswith("champion: scores: drift") for one in closed.reasons)
    assert read_product(_lake(root), "late") == before
    accepted = _learn(root, "fourth", of, accept=("champion: scores: drift",))
    assert accepted.product is not None, accepted.reasons
    checks = _checks(accepted)
    assert checks["champion: scores: drift"] == "accepted"
    assert "accept: names checks" not in checks, "it names a check"


def test_a_name_that_no_check_has_is_said_since_it_lets_nothing_through(root: Path) -> None:
    made = _learn(root, "third", accept=("scores drift",), seed=4)
    assert made.product is not None, made.reasons
    (said,) = [check for gate in made.gates for check in gate.checks if check.name == "accept: names checks"]
    assert said.outcome == "warned"
    assert "scores: drift" in said.detail


@pytest.mark.parametrize("refused", [False, True])
def test_a_run_under_way_does_not_bring_back_a_champion_that_was_rolled_back_and_released(
    root: Path, monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    real = learning.judge

    def judged(lake: Lake, *more: Any) -> Any:
        verdict = real(lake, *more)
        roll_back(lake, "late", "first", "champion 2 is bad")
        release(lake, "late")
        return verdict

    monkeypatch.setattr(timelapse, "judge", judged)
    least = 0.999 if refused else MODEL.bounds.least
    of = replace(LATE, models=(replace(MODEL, bounds=replace(MODEL.bounds, least=least)),))
    with pytest.raises(ConcurrentRun, match="rolled back while"):
        _learn(root, "third", of, seed=4)
    champion = read_champions(_lake(root), "late", MODEL).newest
    assert champion is not None
    assert champion.sequence == 1
    monkeypatch.undo()
    again = _learn(root, "fourth", seed=5)
    assert again.product is not None, again.reasons


def test_the_first_maintenance_between_staging_and_committing_holds_no_run(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It changes no row, so the candidate is as good as before."""
    moved: list[int] = []

    def committed(lake: Lake, staged: Any) -> Any:
        if not moved:
            before = lake.must_open("gold", staged.dataset).version
            maintain(lake, MaintenanceSettings(compact_from_files=2), clock=lambda: datetime.now(UTC))
            moved.append(lake.must_open("gold", staged.dataset).version - before)
        return commit_gold(lake, staged)

    monkeypatch.setattr(timelapse, "commit_gold", committed)
    made = _learn(root, "third", seed=4)
    assert made.product is not None, made.reasons
    assert moved[0] > 0, "maintenance committed nothing, so this shows nothing"


class _Odd:
    """An estimator that does one thing wrong."""

    def __init__(self, how: str) -> None:
        self.how = how

    def fit(self, values: Any, labels: Any) -> None:
        if self.how == "raises in fit":
            raise KeyError("weights")

    def predict_proba(self, values: Any) -> Any:
        if self.how == "raises in predict_proba":
            raise ZeroDivisionError("division by zero")
        shape = {"one column": (len(values), 1), "three columns": (len(values), 3)}.get(
            self.how, (len(values) - 1, 2) if self.how == "fewer rows" else (len(values),)
        )
        return np.full(shape, 0.5)


@pytest.mark.parametrize(
    "how",
    ["raises in fit", "raises in predict_proba", "one column", "three columns", "fewer rows", "no columns"],
)
def test_an_estimator_that_fails_is_named_with_its_model(how: str) -> None:
    from headworks.models.training import fit, predict, split
    from tests.unit.models.weeks import ASKED, rows_of

    model = replace(CHURN, estimator=lambda seed: _Odd(how))
    parts = split(model, rows_of(5, 30), ASKED)

    def used() -> None:
        estimator, words = fit(model, parts, ASKED)
        predict(estimator, model.columns, words, parts.holdout, model.name)

    with pytest.raises(EstimatorFailed, match="estimator of the model churn"):
        used()


def test_an_old_cut_is_a_question_and_no_publication_and_a_moment_needs_its_zone() -> None:
    aware = NOW - 4 * WEEK
    asked = asked_of(MODEL, cut=aware, horizon_days=None, seed=1, dry_run=True)
    assert asked.cut == aware
    for cut, dry_run, said in (
        (aware, False, "with dry_run"),
        (aware.replace(tzinfo=None), True, "2026-04-14T00:00:00Z"),
        (aware.replace(tzinfo=None), False, "2026-04-14T00:00:00Z"),
    ):
        with pytest.raises(SettingsError) as caught:
            asked_of(MODEL, cut=cut, horizon_days=None, seed=1, dry_run=dry_run)
        assert said in caught.value.do
    for days in (0.0, -3.0):
        with pytest.raises(SettingsError, match="after its cut"):
            asked_of(MODEL, cut=None, horizon_days=days, seed=1, dry_run=True)


def _of_lightgbm(seed: int) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(deterministic=True, random_state=seed, n_estimators=20, verbose=-1)


def test_an_estimator_of_types_that_are_not_trusted_is_named_with_its_model_and_what_to_do(
    root: Path,
) -> None:
    """A challenger fails the run; a champion that was trusted once closes the gate and says how to go on."""
    strict = replace(LATE, models=(replace(MODEL, estimator=_of_lightgbm, trusted=()),))
    with pytest.raises(
        LakeUnusable, match=r"the challenger of 2026-\d\d-\d\d \(seed 1\) of the model late"
    ) as caught:
        _learn(root, "third", strict)
    assert "'lightgbm.sklearn.LGBMClassifier' to trusted" in caught.value.do
    trusting = replace(LATE, models=(replace(MODEL, estimator=_of_lightgbm, trusted=LIGHTGBM, bounds=WIDE),))
    assert (made := _learn(root, "fourth", trusting)).product is not None, made.reasons
    closed = _learn(root, "fifth", replace(LATE, models=(replace(MODEL, trusted=()),)), seed=3)
    assert closed.product is None
    (reason,) = [one for one in closed.reasons if one.startswith("champion: file")]
    assert "champion 3 cannot be loaded: The file of champion 3 of the model late holds types" in reason
    assert "could not be made again" not in reason
    assert "add 'collections.OrderedDict', 'lightgbm.basic.Booster'" in reason
    assert "--accept '[\"champion: file\"]'" in reason


def _nothing_of(column: str) -> Product:
    """The product with features of which one has no value at all, and an estimator that can live with that."""

    def features(known: AsOf) -> pl.LazyFrame:
        return late.features(known).with_columns(pl.lit(None, dtype=pl.Float64).alias(column))

    transform = LATE.tables[0].transform
    assert isinstance(transform, PointInTime)
    table = replace(LATE.tables[0], transform=replace(transform, features=features))
    numbers = (*dict.fromkeys((*MODEL.numbers, column)),)
    model = replace(MODEL, features=table, numbers=numbers, estimator=_of_lightgbm, bounds=WIDE)
    model = replace(model, trusted=LIGHTGBM)
    return replace(LATE, tables=(table,), models=(model,))


WIDE = replace(MODEL.bounds, worse_by=0.5, calibration=0.5, prediction_drift=9.0)
VALUES = "training: features have values"


def test_a_feature_that_is_null_in_each_row_closes_the_gate_until_a_person_lets_it_through(
    root: Path,
) -> None:
    """It would be trained on as if it said something; what a person let through once is a warning from then on."""
    of = _nothing_of("insured")
    closed = _learn(root, "third", of)
    assert closed.verdict is not None
    assert not closed.verdict.promoted
    (reason,) = [one for one in closed.verdict.gate.reasons if one.startswith(VALUES)]
    assert "insured is null in each of the" in reason
    assert "take it out of the model's numbers" in reason
    accepted = _learn(root, "fourth", of, accept=(VALUES,))
    assert accepted.verdict is not None
    assert accepted.verdict.promoted, accepted.verdict.gate.reasons
    again = _learn(root, "fifth", of, seed=3)
    assert _checks(again)[VALUES] == "warned"
    assert again.verdict is not None
    assert again.verdict.promoted, again.verdict.gate.reasons


def test_an_estimator_that_cannot_live_with_a_feature_without_values_fails_with_its_name(root: Path) -> None:
    of = _nothing_of("insured")
    plain = replace(of, models=(replace(of.models[0], estimator=late.estimator),))
    with pytest.raises(EstimatorFailed, match=r"insured had no value in any row that is learned from\."):
        _learn(root, "third", plain)
