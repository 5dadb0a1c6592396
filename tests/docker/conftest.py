"""Fixtures of the Docker suite: an engine, the image, and a stack whose flow runs are done in containers."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.support.operated import OperatedStack
from tests.support.pools import CHECKOUT, Operator
from tests.support.screens import chromium, page, screen

__all__ = ["chromium", "page", "screen"]

POOL = "headworks-docker"
DEPLOYMENT = "sales/sales-daily-docker"
_BUILD_S = 900
_COMMAND_S = 120


def docker(*arguments: str, timeout_s: float = _COMMAND_S) -> str:
    """Run a ``docker`` command; returns what it printed, and fails with it where it failed."""
    done = subprocess.run(
        ["docker", *arguments],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def remove_volume(volume: str) -> None:
    """Remove a volume, and all containers that have it."""
    left = docker("ps", "--all", "--quiet", "--filter", f"volume={volume}").split()
    if left:
        docker("rm", "--force", *left)
    docker("volume", "rm", "--force", volume)


@pytest.fixture(scope="session")
def engine() -> str:
    """The engine's version; without an engine all that needs one is skipped."""
    try:
        done = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        done = None
    if done is None or done.returncode != 0:
        pytest.skip(f"No Docker engine answers (DOCKER_HOST={os.environ.get('DOCKER_HOST', 'not set')}).")
    return done.stdout.strip()


@pytest.fixture(scope="session")
def image(engine: str) -> str:
    """The image that prefect.yaml names: built from this checkout, unless HEADWORKS_IMAGE_BUILT says that it is."""
    document = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text(encoding="utf-8"))
    named: str = document["deployments"][1]["work_pool"]["job_variables"]["image"]
    if os.environ.get("HEADWORKS_IMAGE_BUILT") != named:
        docker(
            "build",
            "--tag",
            named,
            *os.environ.get("DOCKER_BUILD_OPTIONS", "").split(),
            ".",
            timeout_s=_BUILD_S,
        )
    return named


@dataclass(frozen=True)
class Container:
    """What a flow run left behind: the run and its container."""

    flow_run: str
    name: str


@dataclass(frozen=True)
class Pool:
    """A Docker work pool with the flow deployed to it, and the volume that its lake lies in."""

    operator: Operator
    volume: str

    @property
    def stack(self) -> OperatedStack:
        """The stack whose server the pool belongs to."""
        assert isinstance(self.operator.stack, OperatedStack)
        return self.operator.stack

    def run_flow(self, *arguments: str) -> Container:
        """Let a worker run the flow in a container, which is kept for a look."""
        name = f"headworks-test-{uuid.uuid4().hex[:8]}"
        kept = ("volumes=" + f'["{self.volume}:/data"]', "auto_remove=false", f'name="{name}"')
        chosen = [word for variable in kept for word in ("--job-variable", variable)]
        flow_run = self.operator.ask(DEPLOYMENT, *chosen, *arguments)
        log = self.operator.work_once(POOL)
        self.operator.assert_completed(flow_run, log)
        return Container(flow_run, name)


@pytest.fixture(scope="session")
def pool(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """The flow deployed to a Docker pool of a server on Postgres; all of it is stopped and removed at the end."""
    folder = tmp_path_factory.mktemp("docker")
    stack = OperatedStack(folder / ".headworks")
    volume = f"headworks-test-{uuid.uuid4().hex[:8]}"
    operator = Operator(stack, folder / "operator")
    try:
        stack.up()
        deploy(operator, volume)
        yield Pool(operator, volume)
    finally:
        stack.down()
        remove_volume(volume)


def deploy(operator: Operator, volume: str, **variables: str) -> None:
    """Deploy all that there is for containers, which keep what they write in a volume or a folder of the tests.

    Nothing comes by its schedule: it would come in between.
    """
    given = {**operator.stack.variables(), "HEADWORKS_LAKE_ROOT": "/data/lake", **variables}
    operator.run("headworks.prefect.deploying.deploy", "--no-image", environment=given)
    for found in operator.post("deployments/filter", {}):
        path = f"deployments/{found['id']}"
        for schedule in found["schedules"]:
            operator.patch(f"{path}/schedules/{schedule['id']}", {"active": False})
        operator.patch(path, {"job_variables": {**found["job_variables"], "volumes": [f"{volume}:/data"]}})


@pytest.fixture
def deployment(pool: Pool) -> dict[str, Any]:
    """The deployment of the sales."""
    found: dict[str, Any] = pool.operator.read(f"deployments/name/{DEPLOYMENT}")
    return found
