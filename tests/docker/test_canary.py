"""A secret in a block is seen neither in what Docker shows, nor in what the server holds, nor in the image."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.docker.conftest import DEPLOYMENT, POOL, Pool, docker
from tests.support import canaries
from tests.support.held import Operated
from tests.support.pools import CHECKOUT

pytestmark = [pytest.mark.docker, pytest.mark.server, pytest.mark.campaign]

CANARY = "canary-9d2f4b"


def test_neither_a_run_that_went_well_nor_one_that_failed_shows_a_secret(pool: Pool) -> None:
    made = pool.stack._secrets()
    secrets = [
        made.postgres_password.get_secret_value(),
        made.api_token.get_secret_value(),
        f"{CANARY}-token",
        f"{CANARY}-unused",
    ]
    given = {**pool.stack.variables(), "HEADWORKS_LAKE_ROOT": "/data/lake"}
    well = pool.run_flow()
    wrong = {"HEADWORKS_SHOP_API_TOKEN": f"{CANARY}-token", "HEADWORKS_SPARE_API_TOKEN": f"{CANARY}-unused"}
    pool.stack.live(1)
    name = "headworks-test-canary"
    kept = (f'volumes=["{pool.volume}:/data"]', "auto_remove=false", f'name="{name}"')
    try:
        pool.operator.run("headworks.prefect.deploying.register_blocks", environment={**given, **wrong})
        failed = pool.operator.ask(
            DEPLOYMENT, *[word for variable in kept for word in ("--job-variable", variable)]
        )
        worker = pool.operator.work_once(POOL)
        assert pool.operator.read(f"flow_runs/{failed}")["state_type"] == "FAILED", worker
    finally:
        pool.operator.run("headworks.prefect.deploying.register_blocks", environment=given)
    shown = {"the worker": worker}
    for container in (well.name, name):
        shown[f"inspect {container}"] = docker("inspect", container)
        shown[f"logs {container}"] = docker("logs", container)
    assert canaries.seen(iter(shown.items()), secrets) == []
    # The block was changed back and nothing was deployed: the next run uses it.
    pool.run_flow()
    server = Operated(pool.stack.api_url)
    assert canaries.seen(canaries.server_texts(server), secrets) == []


def test_what_lies_in_a_checkout_beside_the_code_is_in_no_layer_of_the_image(
    image: str, tmp_path: Path
) -> None:
    """Secrets in the places where people keep them, and the image built from there."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("src", "flows", "tasks", "blocks", "deployments", "locks"):
        shutil.copytree(CHECKOUT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(CHECKOUT / name, checkout / name)
    for place in (".env", "deployments/compose.env", ".headworks/secrets.json", ".git/config", "prod.env"):
        path = checkout / place
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"TOKEN={CANARY}\n")
    tag = "headworks-test:canary"
    docker(
        "build",
        "--tag",
        tag,
        *os.environ.get("DOCKER_BUILD_OPTIONS", "").split(),
        str(checkout),
        timeout_s=900,
    )
    try:
        saved = tmp_path / "image.tar"
        docker("save", "--output", str(saved), tag, timeout_s=600)
        assert _files_with(saved, CANARY.encode()) == []
        # So that a pass means something: what does belong inside is found in the same way.
        assert _files_with(saved, b"def sales(") != []
    finally:
        docker("image", "rm", tag)


def _files_with(saved: Path, wanted: bytes) -> list[str]:
    """Return the files of all layers, and the image's own descriptions, that hold some bytes."""
    found = []
    with tarfile.open(saved) as image:
        for member in image:
            content = image.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            if member.name.endswith("layer.tar") or "blobs" in member.name:
                found += _layer_files_with(content, wanted)
            elif wanted in content.read():
                found.append(member.name)
    return found


def _layer_files_with(layer: object, wanted: bytes) -> list[str]:
    try:
        with tarfile.open(fileobj=layer) as files:  # type: ignore[call-overload]
            return [
                one.name
                for one in files
                if one.isfile() and wanted in (files.extractfile(one) or _Nothing()).read()
            ]
    except tarfile.ReadError:
        # A description, which is JSON.
        return ["a description"] if wanted in json.dumps(_json(layer)).encode() else []


def _json(blob: object) -> object:
    blob.seek(0)  # type: ignore[attr-defined]
    try:
        return json.load(blob)  # type: ignore[arg-type]
    except ValueError:
        return None


class _Nothing:
    def read(self) -> bytes:
        return b""
