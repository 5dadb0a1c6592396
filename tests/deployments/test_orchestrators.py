"""The page about other orchestrators is true: its code runs on a new project, with and without Prefect."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headworks.scaffold import init
from tests.support.pools import CHECKOUT

PAGE = (CHECKOUT / "docs" / "orchestrators.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    """Return the page's blocks of code of one kind."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A new project, with the function of the page in its package."""
    folder = tmp_path / "acme"
    init("acme", folder)
    (orchestrated,) = [block for block in blocks("python") if "def run_product" in block]
    (folder / "src/acme/orchestrated.py").write_text(orchestrated)
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Return variables that describe the project's blocks, and nothing of this checkout's."""
    given = {
        name: value for name, value in os.environ.items() if not name.startswith(("HEADWORKS", "PREFECT"))
    }
    return given | {
        "HEADWORKS_LAKE_ROOT": str(folder / ".headworks/lake"),
        "HEADWORKS_EXAMPLE_FILES_ROOT": str(folder / "data"),
        "PREFECT_HOME": str(folder / ".headworks/prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_API_URL": given.get("ORCHESTRATED_SERVER", ""),
        "PYTHONPATH": str(folder / "src"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{given['PATH']}",
    }


def ran(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the project."""
    return subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False, timeout=600
    )


def test_every_block_of_python_is_python() -> None:
    found = blocks("python")
    assert sum("airflow" in block or "dagster" in block for block in found) == 2
    for block in found:
        ast.parse(block)


def test_without_prefect_a_product_is_made_and_again_nothing_changes(project: Path) -> None:
    defined, used = [block for block in blocks("python") if "run_here" in block]
    for _ in range(2):
        done = ran(project, sys.executable, "-c", defined + used)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["1", "False"], (
            "a second run publishes nothing new, and no Prefect is imported"
        )


@pytest.mark.server
def test_the_function_and_the_script_of_the_page_run_a_product_and_say_how_it_ended(
    project: Path, prefect_api_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATED_SERVER", prefect_api_url)
    (used,) = [block for block in blocks("python") if block.startswith("account = run_product(")]
    called = ran(project, sys.executable, "-c", f"from acme.orchestrated import run_product\n{used}")
    assert called.returncode == 0, called.stderr
    assert called.stdout.split()[:2] == ["published", "['example.orders:"]

    refused = ran(
        project,
        sys.executable,
        "-c",
        "from acme.orchestrated import run_product\nrun_product('demoo')",
    )
    assert "Did you mean demo?" in refused.stderr

    (script,) = blocks("sh")
    file = project / "run.sh"
    file.write_text(script)
    file.chmod(0o755)
    binary = project / "bin"
    binary.mkdir()
    for code, wanted in ((0, 0), (1, 1), (2, 2), (3, 0)):
        (binary / "headworks").write_text(f"#!/bin/sh\nexit {code}\n")
        (binary / "headworks").chmod(0o755)
        given = environment(project)
        given["PATH"] = f"{binary}{os.pathsep}{given['PATH']}"
        assert subprocess.run([str(file), "demo"], env=given, check=False).returncode == wanted
