"""The compose file: what it starts may do no more than it must, and its secrets come from outside alone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.pools import CHECKOUT

FILE = CHECKOUT / "deployments/compose.yaml"
EXAMPLE = CHECKOUT / "deployments/compose.env.example"
OURS = ("server", "worker", "dashboard")
SECRETS = ("PREFECT_API_AUTH_STRING", "PREFECT_SERVER_ENCRYPTION_KEY", "HEADWORKS_SERVER_DATABASE_PASSWORD")


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
    return found


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_no_more_rights_than_a_flow_run(name: str) -> None:
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["init"] is True
    assert "privileged" not in service
    assert "user" not in service, "the image's own user, who is not root"


def test_the_docker_socket_is_in_the_worker_alone() -> None:
    with_socket = {name for name, each in services().items() if "docker.sock" in yaml.safe_dump(each)}
    assert with_socket == {"worker"}


def test_what_listens_does_so_on_this_machine_alone_and_the_database_not_at_all() -> None:
    ports = {name: each.get("ports", []) for name, each in services().items()}
    assert ports["postgres"] == []
    assert services()["postgres"]["networks"] == ["server"]
    assert yaml.safe_load(FILE.read_text())["networks"]["server"]["internal"] is True
    for published in [*ports["server"], *ports["dashboard"]]:
        assert ":-127.0.0.1:" in published


def test_every_image_can_be_replaced_and_no_secret_has_a_default() -> None:
    text = FILE.read_text()
    for service in services().values():
        assert re.fullmatch(r"\$\{HEADWORKS_[A-Z]+_IMAGE:-[a-z-]+:[\d.]+\}", service["image"])
    for name in SECRETS:
        assert re.search(rf"\$\{{{name}:\?", text)
        assert not re.search(rf"\$\{{{name}(:?-|\}})", text), "it would start without it"
        assert re.search(rf"^{name}=$", EXAMPLE.read_text(), re.MULTILINE), "the example holds a secret"
    assert "deployments/compose.env" in (CHECKOUT / ".gitignore").read_text().splitlines()


def test_compose_itself_takes_the_file_and_refuses_to_start_without_secrets(
    tmp_path: Path, compose_command: tuple[str, ...]
) -> None:
    filled = tmp_path / "compose.env"
    filled.write_text(re.sub(r"=$", "=given", EXAMPLE.read_text(), flags=re.MULTILINE))
    command = [*compose_command, "--env-file", str(filled), "-f", str(FILE), "config"]
    whole = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert whole.returncode == 0, whole.stderr
    assert "postgresql+asyncpg://prefect:given@postgres:5432/prefect" in whole.stdout
    for secret in SECRETS:
        filled.write_text(re.sub(rf"^{secret}=.*$", "", filled.read_text(), flags=re.MULTILINE))
        part = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert part.returncode != 0
        filled.write_text(filled.read_text() + f"{secret}=given\n")
