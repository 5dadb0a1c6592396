"""The compose file, started: all on one host, with stand-ins for what no registry gives here."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography.fernet import Fernet

from headworks.prefect.local.processes import free_port
from tests.docker.conftest import docker
from tests.support.held import HTTP_S
from tests.support.pools import FINAL, run_command

pytestmark = [pytest.mark.docker, pytest.mark.campaign]

_UP_S = 900
_RUN_S = 300
_POLL_S = 0.5
_USER, _PASSWORD = "operator", "canary-compose-password"
_DEPLOYMENT = "maintenance/maintenance-nightly-docker"


@dataclass(frozen=True)
class Compose:
    """The services of the compose file under a project of the tests' own."""

    command: tuple[str, ...]
    settings: Mapping[str, str]

    @property
    def api_url(self) -> str:
        """Where the server's API is."""
        return f"{self.settings['HEADWORKS_SERVER_ADDRESS']}/api"

    def run(self, *arguments: str) -> str:
        """Run a compose command; returns what it printed, and fails with it where it failed."""
        return run_command([*self.command, *arguments], {}, timeout_s=_UP_S)

    def deploy(self) -> str:
        """Deploy as the documentation says, with the variables of the set."""
        settings = {
            "PREFECT_API_URL": self.api_url,
            "PREFECT_API_AUTH_STRING": self.settings["PREFECT_API_AUTH_STRING"],
            "HEADWORKS_DOCKER_NETWORKS": self.settings["HEADWORKS_DOCKER_NETWORKS"],
            "HEADWORKS_LAKE_ROOT": "/data/lake",
            "COLUMNS": "400",
        }
        return run_command(
            [sys.executable, "-m", "headworks.prefect.deploying.deploy", "--no-image"], settings
        )

    def client(self, *, password: str = _PASSWORD) -> httpx.Client:
        """Return a client of the server's API."""
        return httpx.Client(base_url=f"{self.api_url}/", auth=(_USER, password), timeout=HTTP_S)


@pytest.fixture(scope="module")
def compose(
    compose_command: tuple[str, ...], image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Compose]:
    """Server, worker and dashboard of the compose file, all up, with everything deployed."""
    name = f"headworks-test-{uuid.uuid4().hex[:8]}"
    options = os.environ.get("DOCKER_BUILD_OPTIONS", "").split()
    stand_in, dashboard = f"{name}-postgres", f"{name}-dashboard"
    docker("build", "--tag", stand_in, *options, "tests/docker/postgres_stand_in", timeout_s=_UP_S)
    docker("build", "--tag", dashboard, *options, "--file", "dashboard/Dockerfile", ".", timeout_s=_UP_S)
    file = tmp_path_factory.mktemp("compose") / "compose.env"
    settings = {
        **_settings(name, image),
        "HEADWORKS_POSTGRES_IMAGE": stand_in,
        "HEADWORKS_DASHBOARD_IMAGE": dashboard,
    }
    file.write_text("".join(f"{key}={text}\n" for key, text in settings.items()))
    project = ("--project-name", name, "--env-file", str(file), "-f", "deployments/compose.yaml")
    compose = Compose((*compose_command, *project), settings)
    try:
        compose.run("up", "--detach", "--no-build", "postgres", "server")
        _answer(compose, "server", f"{compose.api_url}/health")
        compose.deploy()
        compose.run("up", "--detach", "--no-build")
        yield compose
    finally:
        compose.run("down", "--volumes", "--remove-orphans")
        docker("rmi", "--force", stand_in, dashboard)


def _settings(name: str, image: str) -> dict[str, str]:
    socket = Path(urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")).path)
    server, dashboard = free_port(4300), free_port(8600)
    return {
        "PREFECT_API_AUTH_STRING": f"{_USER}:{_PASSWORD}",
        "PREFECT_SERVER_ENCRYPTION_KEY": Fernet.generate_key().decode(),
        "HEADWORKS_SERVER_DATABASE_PASSWORD": uuid.uuid4().hex,
        "HEADWORKS_DOCKER_GROUP": str(socket.stat().st_gid),
        "HEADWORKS_DOCKER_SOCKET": str(socket),
        "HEADWORKS_DOCKER_NETWORKS": f"{name}-flows",
        "HEADWORKS_FLOWS_NETWORK": f"{name}-flows",
        "HEADWORKS_DATA_VOLUME": f"{name}-data",
        "HEADWORKS_SERVER_IMAGE": image,
        "HEADWORKS_WORKER_IMAGE": image,
        "HEADWORKS_SERVER_BIND": f"127.0.0.1:{server}",
        "HEADWORKS_SERVER_ADDRESS": f"http://127.0.0.1:{server}",
        "HEADWORKS_DASHBOARD_BIND": f"127.0.0.1:{dashboard}",
    }


def _answer(compose: Compose, service: str, address: str) -> str:
    """Return what a service says at an address, as soon as it answers well."""
    deadline = time.monotonic() + _RUN_S
    while True:
        try:
            answer = httpx.get(address, auth=(_USER, _PASSWORD), timeout=5)
            if answer.is_success:
                return answer.text
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, compose.run("logs", service)
        time.sleep(_POLL_S)


def test_the_server_lets_nobody_in_without_the_password(compose: Compose) -> None:
    with compose.client(password="another") as client:
        assert client.post("deployments/filter", json={}).status_code == 401


def test_a_deployed_flow_runs_in_a_container_of_the_worker(compose: Compose) -> None:
    """It reaches the server by its name in the network of the set, and the lake in its volume."""
    with compose.client() as client:
        deployment = client.get(f"deployments/name/{_DEPLOYMENT}").raise_for_status().json()
        kept = {
            **deployment["job_variables"],
            "volumes": [f"{compose.settings['HEADWORKS_DATA_VOLUME']}:/data"],
        }
        client.patch(f"deployments/{deployment['id']}", json={"job_variables": kept}).raise_for_status()
        asked = client.post(
            f"deployments/{deployment['id']}/create_flow_run", json={"state": {"type": "SCHEDULED"}}
        )
        run = _watched(client, asked.raise_for_status().json()["id"])
    assert run["state_type"] == "COMPLETED", f"{run['state']}\n{compose.run('logs', 'worker')}"
    assert run["infrastructure_pid"], "it did not run in a container"


def _watched(client: httpx.Client, flow_run: str) -> dict[str, Any]:
    deadline = time.monotonic() + _RUN_S
    while True:
        run: dict[str, Any] = client.get(f"flow_runs/{flow_run}").raise_for_status().json()
        if run["state_type"] in FINAL or time.monotonic() > deadline:
            return run
        time.sleep(_POLL_S)


def test_the_dashboard_is_served(compose: Compose) -> None:
    address = f"http://{compose.settings['HEADWORKS_DASHBOARD_BIND']}/_stcore/health"
    assert _answer(compose, "dashboard", address) == "ok"


def test_starting_it_again_changes_nothing(compose: Compose) -> None:
    before = compose.run("ps", "--quiet")
    compose.run("up", "--detach", "--no-build")
    assert compose.run("ps", "--quiet") == before
