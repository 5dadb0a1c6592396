"""Without the shop an empty kit remains: what docs/own-project.md says to delete, deleted, leaves all else working."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pools import CHECKOUT

PAGE = CHECKOUT / "docs" / "own-project.md"
ACME = """
from headworks.project import Project
ACME = Project("acme", flows={"pipeline": "flows.pipeline:pipeline"})
"""
IMPORT_ALL = """
import importlib, pathlib, sys
sys.modules["shop"] = None
sys.path[:0] = [".", "src"]
here, src = pathlib.Path(), pathlib.Path("src")
packages = [(here, "flows"), (here, "tasks"), (here, "blocks"), (here, "deployments"), (src, "headworks")]
names = [
    ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    for root, package in packages
    for path in sorted((root / package).rglob("*.py"))
]
for name in names:
    assert importlib.import_module(name).__file__.startswith(str(pathlib.Path().absolute())), name
print(len(names))
"""


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout's code without what the page says to delete, and with a project of its own."""
    root = tmp_path_factory.mktemp("kit")
    for folder in ("src", "flows", "tasks", "blocks", "deployments", "dashboard"):
        shutil.copytree(CHECKOUT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (command,) = re.findall(r"^    rm -r (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    for name in command.split():
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (root / "src" / "acme").mkdir()
    (root / "src" / "acme" / "project.py").write_text(ACME)
    return root


def _run(kit: Path, code: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HEADWORKS_")},
        "HEADWORKS_PROJECT": "acme.project:ACME",
        "HEADWORKS_LAKE_ROOT": str(kit / "lake"),
        "PREFECT_API_URL": "",
    }
    return subprocess.run(
        [sys.executable, "-c", code], cwd=kit, env=environment, capture_output=True, text=True, check=False
    )


def test_every_module_that_is_left_can_be_imported(kit: Path) -> None:
    done = _run(kit, IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 200


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["--help"], "begin a project:"),
        (["quarantine", "list"], "Nothing was written"),
        (["sql"], "Nothing was written"),
        (["stream", "show"], "Nothing was written"),
    ],
)
def test_the_commands_work(kit: Path, command: list[str], said: str) -> None:
    code = (
        "import sys; sys.modules['shop'] = None; sys.path[:0] = ['.', 'src']\n"
        f"from headworks.cli.main import main; raise SystemExit(main({command}))"
    )
    done = _run(kit, code)
    assert (done.returncode, said in done.stdout) == (0, True), done.stderr
