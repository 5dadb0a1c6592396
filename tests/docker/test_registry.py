"""The image is pushed where a registry is named: a real registry, Debian's, on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from headworks.errors import SettingsError
from headworks.prefect.deploying.image import ensure_image, image_name
from headworks.prefect.local.processes import free_port, start, stop, wait_until
from tests.docker.conftest import docker

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]

_PLAIN = "headworks-push-test:1"
_START_S = 60
_CONFIGURATION = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The address of an empty registry; Docker takes one of this machine without TLS."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("No registry is installed: apt-get install docker-registry")
    address, log = f"127.0.0.1:{free_port(5055)}", tmp_path / "registry.log"
    file = tmp_path / "registry.yml"
    file.write_text(_CONFIGURATION.format(folder=tmp_path / "registry", port=address.partition(":")[2]))
    process = start([program, "serve", str(file)], {}, log)
    try:
        wait_until(lambda: _answers(address), process, "The registry", log, _START_S)
        yield address
    finally:
        stop(process)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/v2/").is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that makes an image in a moment."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "content").write_text(str(tmp_path))
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY content /\n")
    return folder


def test_an_image_is_pushed_under_the_registrys_name_and_another_machine_gets_it(
    registry: str, checkout: Path
) -> None:
    name = image_name(_PLAIN, f"{registry}/team/")
    try:
        made = ensure_image(checkout, name, push=True, dry_run=False)
        assert (made.name, made.change, made.note) == (f"{registry}/team/{_PLAIN}", "created", "pushed")
        listed = httpx.get(f"http://{registry}/v2/team/headworks-push-test/tags/list").json()
        assert listed["tags"] == ["1"]
        pushed = docker("image", "inspect", "--format", "{{.Id}}", name)
        docker("rmi", "--force", name)
        docker("pull", name)
        assert docker("image", "inspect", "--format", "{{.Id}}", name) == pushed
        assert ensure_image(checkout, name, push=True, dry_run=False).change == "unchanged"
    finally:
        docker("rmi", "--force", name)


def test_a_dry_run_pushes_nothing(registry: str, checkout: Path) -> None:
    ensure_image(checkout, image_name(_PLAIN, registry), push=True, dry_run=True)
    assert httpx.get(f"http://{registry}/v2/_catalog").json() == {"repositories": []}


def test_a_registry_that_does_not_answer_is_said_with_what_to_do(checkout: Path) -> None:
    name = image_name(_PLAIN, f"127.0.0.1:{free_port(5056)}")
    try:
        with pytest.raises(SettingsError, match=r"docker push failed.*logged in to the registry"):
            ensure_image(checkout, name, push=True, dry_run=False)
    finally:
        docker("rmi", "--force", name)
