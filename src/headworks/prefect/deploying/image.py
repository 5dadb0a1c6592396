"""The image: built from this checkout, and pushed where a registry is named."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from headworks.errors import SettingsError
from headworks.prefect.deploying.outcomes import Change, Outcome

REGISTRY = "HEADWORKS_REGISTRY"
_BUILD_S = 3600
_QUICK_S = 60


def image_name(plain: str, registry: str) -> str:
    """Return an image's whole name: with the registry that it is pushed to and pulled from, if there is one."""
    return f"{registry.rstrip('/')}/{plain}" if registry else plain


def ensure_image(checkout: Path, name: str, *, push: bool, dry_run: bool) -> Outcome:
    """Build the image, and push it; where nothing changed, Docker's cache gives the same image again.

    Raises `SettingsError` where there is no Docker, or where it fails; the output of the build is shown as it comes.
    """
    if shutil.which("docker") is None:
        raise SettingsError(
            "There is no docker command here, and a Docker pool needs an image.",
            where=name,
            do="install Docker; or use --no-image where the image is there already, or --pool headworks-local.",
        )
    before = _identity(name)
    if dry_run:
        return Outcome("image", name, "unchanged" if before else "created", "would be built")
    options = os.environ.get("DOCKER_BUILD_OPTIONS", "").split()
    _docker("build", "--tag", name, *_labels(checkout), *options, str(checkout))
    after = _identity(name)
    if push:
        _docker("push", name)
    change: Change = "unchanged" if after == before else "updated" if before else "created"
    return Outcome("image", name, change, "pushed" if push else "")


def _labels(checkout: Path) -> list[str]:
    """Say which commit is inside, and of when: not the time of the build, which would make each image another one."""
    labels = []
    for label, form in (("revision", "%H"), ("created", "%cI")):
        command = ["git", "-C", str(checkout), "log", "-1", f"--format={form}"]
        found = subprocess.run(command, capture_output=True, text=True, check=False) if _has_git() else None
        if found is not None and found.returncode == 0:
            labels += ["--label", f"org.opencontainers.image.{label}={found.stdout.strip()}"]
    return labels


def _has_git() -> bool:
    return shutil.which("git") is not None


def _identity(name: str) -> str:
    found = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Id}}", name],
        capture_output=True,
        text=True,
        check=False,
        timeout=_QUICK_S,
    )
    return found.stdout.strip() if found.returncode == 0 else ""


def _docker(*arguments: str) -> None:
    try:
        _run(["docker", *arguments])
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as problem:
        raise SettingsError(
            f"docker {arguments[0]} failed: {type(problem).__name__}.",
            where="above are its own words",
            do="see whether the Docker engine runs (docker version) and whether you are logged in to the registry.",
        ) from problem


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, timeout=_BUILD_S)
