"""The page about other orchestrators is true: its code runs on a new project, with and without Prefect.

Airflow and Dagster run their files word for word where `make test-orchestrators` installed them, each into an
environment of its own without headworks; elsewhere these tests are skipped.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from headworks.ops.leases import Leasing
from headworks.scaffold import init
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
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


VERSIONS = {"airflow": "apache-airflow", "dagster": "dagster"}
CONTRACT = "src/acme/contracts/gold_demo_daily.yml"


@dataclass(frozen=True)
class Orchestrator:
    """One of them: where it is, how the page starts its file, and how it says that a run was not made."""

    name: str
    binary: Path
    command: tuple[str, ...]
    settings: dict[str, str]


@pytest.fixture(params=sorted(VERSIONS))
def orchestrator(request: pytest.FixtureRequest, project: Path, tmp_path: Path) -> Orchestrator:
    """Each of them, with a state of its own and the page's file in the place that its first line names."""
    binary = project / ".venv" / "bin"
    binary.mkdir(parents=True)
    # The project's own environment is that of the tests.
    (binary / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (binary / "python").chmod(0o755)
    name = request.param
    folder = os.environ.get(f"HEADWORKS_{name.upper()}")
    if folder is None:
        pytest.skip(f"{name} is not installed here: make test-orchestrators")
    binary = Path(folder).absolute() / "bin" / name
    (file,) = [block for block in blocks("python") if f"from {name}" in block]
    place = project / re.findall(r"^# (\S+)$", file, re.MULTILINE)[0]
    place.parent.mkdir()
    place.write_text(file.replace("/srv/acme", str(project)))
    (command,) = re.findall(rf"^    {name} (.*)$", PAGE, re.MULTILINE)
    home = tmp_path / "home"
    home.mkdir()
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(place.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    found = Orchestrator(name, binary, tuple(part.strip("'") for part in command.split()), settings)
    if name == "airflow":
        made = subprocess.run(
            [binary, "db", "migrate"],
            env=_variables(found, project),
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
    return found


def _variables(orchestrator: Orchestrator, project: Path) -> dict[str, str]:
    return environment(project) | orchestrator.settings


def run(orchestrator: Orchestrator, project: Path) -> tuple[int, str]:
    """Start it as the page does; its exit code and all that it said."""
    done = subprocess.run(
        [orchestrator.binary, *orchestrator.command],
        cwd=project,
        env=_variables(orchestrator, project),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    return done.returncode, done.stdout + done.stderr


@contextmanager
def another_run_at_work(lake: Lake) -> Iterator[None]:
    lease = Leasing(lake).take("demo", "another", "another run")
    yield
    lease.release()


# Not of the suite "server": where these packages are not installed, it is skipped.
def test_it_runs_a_product_and_says_how_each_run_ended(
    orchestrator: Orchestrator, project: Path, prefect_api_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Published; nothing new; another run at work; a closed gate, once and not again; opened again."""
    monkeypatch.setenv("ORCHESTRATED_SERVER", prefect_api_url)
    lake = Lake(LakeSettings(root=str(project / ".headworks/lake")))

    def ends() -> list[str]:
        runs = lake.open("ops", "runs")
        assert runs is not None
        return runs.scan().sort("finished_at").collect().get_column("status").to_list()

    for expected in (["published"], ["published", "unchanged"]):
        code, said = run(orchestrator, project)
        assert code == 0, said
        assert ends() == expected

    with another_run_at_work(lake):
        code, said = run(orchestrator, project)
    assert "another run" in said
    # Airflow knows skipped tasks; a Dagster asset is either made or not.
    assert code == (0 if orchestrator.name == "airflow" else 1), said

    contract = project / CONTRACT
    good = contract.read_text()
    contract.write_text(good.replace("must_be_greater_than: 0", "must_be_greater_than: 1000"))
    before = len(ends())
    code, said = run(orchestrator, project)
    assert code != 0, said
    assert ends()[before:] == ["gate closed"], "it is not tried again"
    assert "gold.demo.daily" in said

    contract.write_text(good)
    code, said = run(orchestrator, project)
    assert code == 0, said


def test_the_page_names_the_versions_that_the_target_installs() -> None:
    """Where none is installed this is all that is known, so it is a test of its own."""
    makefile = (CHECKOUT / "Makefile").read_text()
    for name, package in VERSIONS.items():
        (version,) = re.findall(rf"{package}==([\d.]+)", makefile)
        assert re.search(rf"{name} {re.escape(version)}", PAGE, re.IGNORECASE), name
