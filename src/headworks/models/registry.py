"""Champions in an MLflow registry: each one a version of a registered model, and an alias on the one that scores.

The lake stays the truth: what the product names is shown there, after it was published, and a rollback moves the alias
back. Registering is comparing, so a run that was killed in between leaves what the next one finishes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headworks.errors import CredentialsRefused, PublicationRefused, SettingsError, SourceUnavailable
from headworks.models.champions import Champion, champion_rows, read_champions
from headworks.models.model import Model, Registry
from headworks.models.training import file_path
from headworks.redaction import redacted
from headworks.reports import Report
from headworks.storage.store import Lake

ADDRESS = "MLFLOW_TRACKING_URI"
"""MLflow's own variable with the address of the server; its further ones say who we are."""

_CHAMPION = "headworks.champion"
_UNAUTHORIZED, _FORBIDDEN, _SERVER_ERRORS = 401, 403, 500


class Registered(Report):
    """A champion as the registry shows it."""

    name: str
    version: int
    alias: str
    champion: int
    new: bool


def register(lake: Lake, product: str, model: Model) -> Registered | None:
    """Show the champion that the product names in the model's registry; None where there is no champion or registry.

    Raises `SourceUnavailable` where the server does not answer, `CredentialsRefused` where it does not let us in, and
    `PublicationRefused` where it takes the model not.
    """
    registry = model.registry
    champion = read_champions(lake, product, model).newest
    if registry is None or champion is None:
        return None
    client = _client(registry)
    with _translated(registry):
        identity = f"{lake.must_open('gold', model.champions).id}/{champion.sequence}"
        known = _version_of(client, registry, identity)
        version = known or _made(client, lake, model, registry, champion, identity)
        if client.get_registered_model(registry.name).aliases.get(registry.alias) != str(version):
            client.set_registered_model_alias(registry.name, registry.alias, str(version))
    return Registered(
        name=registry.name,
        version=int(version),
        alias=registry.alias,
        champion=champion.sequence,
        new=known is None,
    )


def _client(registry: Registry) -> Any:
    address = registry.address or os.environ.get(ADDRESS, "")
    if not address:
        raise SettingsError(
            "No MLflow server is named.",
            where=f"registry {registry.name}",
            do=f"set {ADDRESS}, or the address of the model's registry.",
        )
    try:
        # It takes most of a second to import, which only runs that register pay.
        from mlflow import MlflowClient
    except ModuleNotFoundError as problem:
        raise SettingsError(
            "Registering a model needs mlflow-skinny, which is not installed.",
            where=f"registry {registry.name}",
            do="pip install 'headworks[mlflow]'.",
        ) from problem
    return MlflowClient(tracking_uri=address, registry_uri=address)


def _version_of(client: Any, registry: Registry, identity: str) -> int | None:
    # By the tag alone: MLflow's filters know no way to write a name with a quote.
    found = client.search_model_versions(f"tags.`{_CHAMPION}` = '{identity}'")
    return min((int(each.version) for each in found if each.name == registry.name), default=None)


def _made(
    client: Any, lake: Lake, model: Model, registry: Registry, champion: Champion, identity: str
) -> int:
    """Make a run with the model's file, card, parameters and metrics, and a version that points to it."""
    _ensure_named(client, registry, model)
    experiment = client.get_experiment_by_name(registry.name)
    place = client.create_experiment(registry.name) if experiment is None else experiment.experiment_id
    run = client.create_run(place, run_name=f"champion {champion.sequence}", tags={_CHAMPION: identity})
    number, good, trained = run.info.run_id, champion.measured, champion.trained
    for name, value in (
        ("file", trained.file),
        ("seed", trained.seed),
        ("code", trained.code),
        ("horizon_days", trained.horizon_days),
        ("rows", trained.rows),
        ("features", f"{champion.features.table} version {champion.features.version}"),
        ("run", champion.run_id),
    ):
        client.log_param(number, name, value)
    for name, measured in (
        (good.metric, good.value),
        (f"{good.metric}_low", good.low),
        (f"{good.metric}_high", good.high),
        ("lift", good.lift),
        ("calibration_error", good.calibration_error),
        ("brier", good.brier),
    ):
        client.log_metric(number, name, measured)
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        (there / f"{model.name}.skops").write_bytes(lake.get_bytes(file_path(model, trained.file)))
        (there / "card.md").write_text(str(champion_rows(model, [champion]).get_column("card")[0]))
        (there / "trained.json").write_text(trained.model_dump_json())
        client.log_artifacts(number, folder, "model")
    client.update_run(number, status="FINISHED")
    version = client.create_model_version(
        registry.name,
        f"{run.info.artifact_uri}/model",
        run_id=number,
        tags={_CHAMPION: identity, "headworks.file": trained.file},
        description=model.about,
    )
    return int(version.version)


def _ensure_named(client: Any, registry: Registry, model: Model) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(registry.name, description=model.about)
    except MlflowException as problem:
        if problem.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def _translated(registry: Registry) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    where = f"registry {registry.name}"
    try:
        yield
    except MlflowException as problem:
        status, said = problem.get_http_status_code(), redacted(str(problem).splitlines()[0])
        if status in {_UNAUTHORIZED, _FORBIDDEN}:
            raise CredentialsRefused(
                f"The MLflow server does not let us in: {said}", where=where, do="set its own variables."
            ) from problem
        if status >= _SERVER_ERRORS:
            raise SourceUnavailable(
                f"The MLflow server does not answer: {said}",
                where=where,
                do="nothing, if it heals: the next run registers what was published.",
            ) from problem
        raise PublicationRefused(
            f"The MLflow server refused the model: {said}", where=where, do="change what it names."
        ) from problem
