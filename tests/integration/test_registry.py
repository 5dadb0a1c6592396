"""Champions in a real MLflow server: a version for each, an alias on the one that scores, whatever ends on the way."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crm.timelapse import learn_week
from headworks.errors import SettingsError, SourceUnavailable
from headworks.gold.products import roll_back
from headworks.models.champions import read_champions
from headworks.models.model import Model, Registry
from headworks.models.registry import ADDRESS, Registered, register
from headworks.models.training import loaded
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.servers.process import free_port
from tests.support.mlflow_server import mlflow_server
from tests.support.shipments import LATE, MODEL, receive, shipments

FIRST = 18


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with two champions; not to be changed, only copied."""
    root = tmp_path_factory.mktemp("late") / "lake"
    lake = Lake(LakeSettings(root=str(root)))
    now = receive(lake, shipments(FIRST + 1), range(1, FIRST), "history")
    for seed in (1, 2):
        done = learn_week(lake, lambda: now, f"seed-{seed}", seed=seed, of=LATE)
        assert done.product is not None, done.reasons
    return root


@pytest.fixture
def lake(learned: Path, tmp_path: Path) -> Lake:
    shutil.copytree(learned, tmp_path / "lake")
    return Lake(LakeSettings(root=str(tmp_path / "lake")))


def _model(server: str, name: str) -> Model:
    return replace(MODEL, registry=Registry(name, server))


def _client(server: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=server, registry_uri=server)


def _registered(lake: Lake, model: Model) -> Registered:
    found = register(lake, "late", model)
    assert found is not None
    return found


def test_a_champion_is_registered_with_its_file_and_card_and_a_rollback_moves_the_alias(
    server: str, lake: Lake, tmp_path: Path
) -> None:
    model, client = _model(server, "late arrivals, it's said"), _client(server)
    name = model.registry.name if model.registry else ""
    first = _registered(lake, model)
    assert (first.version, first.champion, first.new) == (1, 2, True)
    assert not _registered(lake, model).new, "a run without a new champion registers nothing"
    shown = client.get_model_version_by_alias(name, "champion")
    assert int(shown.version) == 1
    champion = read_champions(lake, "late", MODEL).newest
    assert champion is not None
    run = client.get_run(shown.run_id)
    assert run.data.metrics["roc_auc"] == pytest.approx(champion.measured.value)
    assert run.data.params["file"] == champion.trained.file
    got = Path(client.download_artifacts(shown.run_id, "model", str(tmp_path)))
    assert loaded((got / "late.skops").read_bytes(), champion.trained.file, MODEL.trusted)
    assert "champion 2" in (got / "card.md").read_text()
    roll_back(lake, "late", "seed-1", "a test")
    back = _registered(lake, model)
    assert (back.champion, back.version) == (1, 2)
    assert int(client.get_model_version_by_alias(name, "champion").version) == 2
    assert {int(each.version) for each in client.search_model_versions() if each.name == name} == {1, 2}


class _Killed(BaseException):
    """As if the process had ended here."""


@contextmanager
def _killed_at(place: int) -> Iterator[list[str]]:
    """End what runs after the n-th request that changes something."""
    from mlflow import MlflowClient

    passed: list[str] = []

    def counted(name: str, request: Callable[..., Any]) -> Callable[..., Any]:
        def made(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = request(self, *args, **kwargs)
            passed.append(name)
            if len(passed) == place:
                raise _Killed
            return result

        return made

    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "create_registered_model",
            "create_experiment",
            "create_run",
            "log_artifacts",
            "create_model_version",
            "set_registered_model_alias",
        ):
            patch.setattr(MlflowClient, name, counted(name, getattr(MlflowClient, name)))
        yield passed


@pytest.mark.parametrize("place", range(1, 7))
def test_killed_after_any_request_the_next_run_leaves_one_version_and_its_alias(
    server: str, lake: Lake, place: int
) -> None:
    model, client = _model(server, f"killed-{place}"), _client(server)
    with _killed_at(place), pytest.raises(_Killed):
        register(lake, "late", model)
    after = _registered(lake, model)
    versions = client.search_model_versions(f"name = 'killed-{place}'")
    assert [int(each.version) for each in versions] == [after.version] == [1]
    assert int(client.get_model_version_by_alias(f"killed-{place}", "champion").version) == 1


def test_a_model_without_a_registry_needs_no_server(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADDRESS, raising=False)
    assert register(lake, "late", MODEL) is None
    with pytest.raises(SettingsError, match=ADDRESS):
        register(lake, "late", replace(MODEL, registry=Registry("late")))


def test_a_server_that_does_not_answer_can_heal(
    server: str, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(SourceUnavailable, match="does not answer"):
        register(lake, "late", _model(f"http://127.0.0.1:{free_port()}", "late"))
