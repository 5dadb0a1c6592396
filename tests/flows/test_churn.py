"""The churn flow on real parts: the API of a CRM, a lake that received it week by week, Postgres, and the gate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from crm.project import CHURN, CRM
from crm.world import World
from flows.pipeline import pipeline
from headworks.cli.main import main
from headworks.errors import GateClosed, HeadworksError
from headworks.gold.products import publications
from headworks.models.champions import read_champions
from headworks.models.model import Registry
from tests.conftest import PostgresServer
from tests.support.crm import MODEL, CrmPlace, copied, make_world, open_crm, receive
from tests.support.mlflow_server import mlflow_server

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def learned(world: World, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> CrmPlace:
    """A place whose first model is published; not to be changed, only copied."""
    place = CrmPlace(tmp_path_factory.mktemp("crm") / "lake", postgres.new_database())
    place.root.mkdir()
    receive(place.root, world)
    with open_crm(place, world) as served:
        report = served.run()
    assert report.status == "published"
    return place


@pytest.fixture
def place(learned: CrmPlace, world: World, postgres: PostgresServer, tmp_path: Path) -> Iterator[CrmPlace]:
    with open_crm(
        copied(learned, tmp_path / "lake", postgres.new_database(template=learned.analytics)), world
    ) as served:
        yield served


def test_a_first_run_publishes_a_champion_and_its_scores_with_their_reasons(learned: CrmPlace) -> None:
    learned.assert_whole()
    champion = learned.champions.newest
    assert champion is not None
    assert champion.sequence == 1
    assert champion.measured.value > 0.6
    assert champion.measured.rows > 500
    top = learned.scores.sort("rank").row(0, named=True)
    reasons = json.loads(top["reasons"])
    assert reasons
    assert {reason["feature"] for reason in reasons} <= {*MODEL.columns}
    assert json.loads(top["features"]).keys() == {*MODEL.columns}
    assert top["features_version"] == learned.product.table(MODEL.features.name).version


def test_the_same_rows_code_and_seed_give_the_same_file_and_bit_equal_scores_in_another_process(
    place: CrmPlace, tmp_path: Path
) -> None:
    program = """
import hashlib, sys
from crm.project import CHURN
from headworks.gold.products import read_product
from headworks.models import champions, learning
from headworks.models.training import dumped, fit, split, newest_cut
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
import polars as pl
lake = Lake(LakeSettings(root=sys.argv[1]))
(model,) = CHURN.models
version = read_product(lake, "churn")
champion = champions.read_champions(lake, "churn", model).newest
features = learning.FeatureRef(table=version.table(model.features.name))
frame = learning.feature_frame(lake, model, features)
asked = learning.asked_of(model, cut=None, horizon_days=None, seed=champion.trained.seed, dry_run=False)
estimator, _ = fit(model, split(model, frame, asked), asked)
print(hashlib.sha256(dumped(estimator)).hexdigest())
rows = frame.filter(pl.col("cut") == newest_cut(frame, asked))
made = champions.score(lake, model, champion, rows, features.table)
print(hashlib.sha256(made.get_column("score").to_numpy().tobytes()).hexdigest())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(place.root)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    file, scores = done.stdout.split()
    champion = place.champions.newest
    assert champion is not None
    assert file == champion.trained.file
    there = place.scores.sort("contact_id").get_column("score").to_numpy()
    assert scores == sha256(there.tobytes()).hexdigest()


def test_a_dry_run_trains_and_judges_and_changes_nothing_with_another_horizon_too(place: CrmPlace) -> None:
    before = {str(file): file.stat().st_mtime_ns for file in place.root.rglob("*") if file.is_file()}
    report = place.run(dry_run=True, horizon_days=14, seed=5)
    assert report.status == "dry run"
    assert [gate.scope for gate in report.gates if gate.scope == MODEL.scope]
    assert {str(file): file.stat().st_mtime_ns for file in place.root.rglob("*") if file.is_file()} == before


def test_another_horizon_is_no_publication(place: CrmPlace) -> None:
    with pytest.raises(HeadworksError, match="dry_run"):
        place.run(horizon_days=14)
    place.assert_whole()


def test_a_second_model_is_promoted_and_a_rollback_shows_the_former_scores_everywhere_in_one_step(
    place: CrmPlace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, scores = place.product, place.scores
    place.run(seed=2)
    place.assert_whole()
    newest = place.champions.newest
    assert newest is not None
    assert newest.sequence == 2
    assert not place.scores.get_column("score").equals(scores.get_column("score"))
    for name, value in place.variables().items():
        monkeypatch.setenv(name, value)
    assert main(["rollback", "churn", "--to", first.run_id, "--reason", "a test"]) == 0
    place.assert_whole()
    assert place.scores.equals(scores)
    back = place.champions.newest
    assert back is not None
    assert back.sequence == 1
    with pytest.raises(HeadworksError, match="held"):
        place.run(seed=3)
    place.assert_whole()
    assert place.scores.equals(scores)
    assert main(["product", "release", "churn"]) == 0
    place.run(seed=3)
    place.assert_whole()
    after = place.champions.newest
    assert after is not None
    assert after.sequence > 2, "a number names one model for ever"


def test_a_refused_challenger_leaves_the_champion_that_scores_and_fails_the_run_with_the_reason(
    place: CrmPlace, monkeypatch: pytest.MonkeyPatch
) -> None:

    strict = replace(MODEL, bounds=replace(MODEL.bounds, least=0.97))
    monkeypatch.setattr("flows.churn.CHURN", replace(CHURN, models=(strict,)))
    with pytest.raises(GateClosed, match="good enough"):
        place.run(seed=2)
    place.assert_whole()
    champions = read_champions(place.lake, "churn", MODEL)
    assert [one.sequence for one in champions.known] == [1]
    # A person may let a check through by its name; what was let through is kept with the champion.
    place.run(seed=2, accept=("quality: good enough",), note="a test")
    place.assert_whole()
    newest = place.champions.newest
    assert newest is not None
    assert newest.sequence == 2
    (let,) = [check for check in newest.checks if check.outcome == "accepted"]
    assert let.name == "quality: good enough"
    assert "a test" in let.detail


def test_a_promoted_model_is_a_version_in_mlflow_and_a_rollback_moves_its_alias(
    place: CrmPlace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with mlflow_server(tmp_path / "mlflow") as url:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=url, registry_uri=url)
        registered = replace(CHURN, models=(replace(MODEL, registry=Registry("churn")),))
        monkeypatch.setattr("flows.churn.CHURN", registered)
        monkeypatch.setattr("crm.project.CRM", replace(CRM, products=(registered,)))
        for name, value in {**place.variables(), "MLFLOW_TRACKING_URI": url}.items():
            monkeypatch.setenv(name, value)
        place.run(seed=2)
        second = client.get_model_version_by_alias("churn", "champion")
        assert second.tags["headworks.file"] == _file_of(place)
        assert main(["rollback", "churn", "--to", _first_run(place), "--reason", "a test"]) == 0
        back = client.get_model_version_by_alias("churn", "champion")
        assert back.tags["headworks.file"] == _file_of(place)
        assert back.version != second.version
        assert "in MLflow is champion" in capsys.readouterr().out


def _file_of(place: CrmPlace) -> str:
    champion = place.champions.newest
    assert champion is not None
    return champion.trained.file


def _first_run(place: CrmPlace) -> str:
    return next(each.run_id for each in publications(place.lake) if each.sequence == 1)


def test_the_flow_of_any_product_learns_too(place: CrmPlace) -> None:
    """A model needs no flow of its own."""
    report = place.run(pipeline, product="churn")
    assert report.status in {"published", "unchanged"}
    assert MODEL.scope in {gate.scope for gate in report.gates}
    place.assert_whole()
