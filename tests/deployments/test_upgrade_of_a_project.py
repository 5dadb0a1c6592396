"""A project that an older wheel made is upgraded by this one: edits stay, conflicts are named, the lake opens.

Two wheels are really built, and each is all of headworks that its processes see. The older one is of two kinds. One is
made of the present source with an older number and other templates, so that every checkout has it, a shallow one too,
and what differs is known line by line. The other is of an earlier commit, where the checkout has that commit.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.pools import CHECKOUT

EARLIER = "bf23a58adb75d642a954abd2d898337587bbdbc1"
"""A commit of 0.2.0 before its release."""

PARTS = ("src", "flows", "tasks", "blocks", "deployments", "pyproject.toml", "README.md", "LICENSE")

OLDER = {
    "pyproject.toml": [('version = "0.2.0"', 'version = "0.1.99"')],
    "flows/pipeline.py": [("import annotations\n", "import annotations\n\nWRITTEN_BY_THE_OLDER = True\n")],
    "src/headworks/template/prefect.yaml.tmpl": [("      limit: 1\n", "      limit: 2\n")],
    "src/headworks/template/README.md.tmpl": [("The data pipelines of", "All pipelines of")],
}
"""What the older of the two was like, where that is known: text of today, and of then."""

EDITS = {
    "flows/pipeline.py": ("", "\n\nOURS = 'a line of the company'\n"),
    "prefect.yaml": (r"(collision_strategy|limit): .*\n", r"\g<0>      # a line of the company\n"),
    "Makefile": ("", "\nours: ## A line of the company\n\t@true\n"),
}
"""What the company changed in three files: where, and its own text; at the end where there is no place."""

COMPOSE = ("deployments/compose.yaml", "deployments/compose.env.example")
"""Files that a project did not have when it had no deployment that alerts."""

ALERTS = (
    r"  # A run that crashed, that failed before it began.*?(?=  - &maintenance-nightly\n)",
    r"    # Looked at right after a publication too.*?(?=\n  - <<: \*freshness-hourly\n)",
)
"""What prefect.yaml did not have then: the deployments that alert, and when freshness is looked at in addition."""

OWN = """
  # Of the company.
  - <<: *pipeline
    name: lemons-weekly
    description: Weigh the lemons.
    parameters: {product: demo}
    schedules: []
"""

FILL = """
import sys
from lemon.project import PROJECT
from headworks.bronze.ingest import IngestRequest, ingest
from headworks.bronze.readers import FileIngest
from headworks.settings import FilesSettings, LakeSettings
from headworks.silver.refinement import Refinement, refine
from headworks.sources.files.location import Location
from headworks.sources.files.source import FileSource
from headworks.storage.format import ensure_format
from headworks.storage.shelf import LakeShelf
from headworks.storage.store import Lake

lake, (source,), run = Lake(LakeSettings(root="lake")), PROJECT.sources, sys.argv[1]
ensure_format(lake)
files = FileSource(Location(FilesSettings(root="data")), source.files, LakeShelf(lake, source.into))
ingest(IngestRequest(lake, source.into, run), FileIngest(files))
outcome = refine(Refinement(lake, run), PROJECT.dataset(source.into))
print(outcome.report.committed, outcome.gate is None or outcome.gate.open, outcome.report.inserted)
"""


@dataclass(frozen=True)
class Headworks:
    """A wheel, unpacked: what its processes import comes from it before all else."""

    home: Path

    def python(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python in a project with this headworks."""
        paths = os.pathsep.join((str(self.home), str(folder / "src"), str(folder)))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADWORKS_")}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env={**environment, "PYTHONPATH": paths, "HEADWORKS_LAKE_ROOT": str(folder / "lake")},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def command(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command in a project."""
        return self.python(folder, "-m", "headworks.cli", *arguments)


def _built(source: Path, place: Path) -> Headworks:
    """Build the wheel of a source without any network, and unpack it."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(place / "dist")],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = (place / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(place / "home")
    return Headworks(place / "home")


def _copied(place: Path, changes: Mapping[str, list[tuple[str, str]]]) -> Path:
    """Copy what a wheel is built of, with other texts."""
    for part in PARTS:
        source = CHECKOUT / part
        if source.is_dir():
            shutil.copytree(source, place / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, place / part)
    for path, texts in changes.items():
        text = (place / path).read_text()
        for today, then in texts:
            assert text.count(today) >= 1, (path, today)
            text = text.replace(today, then, 1)
        (place / path).write_text(text)
    return place


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Headworks:
    """This headworks, as a wheel."""
    place = tmp_path_factory.mktemp("newer")
    return _built(_copied(place / "source", {}), place)


@pytest.fixture(scope="module", params=["other templates", "an earlier commit"])
def older(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Headworks:
    """An older headworks, as a wheel."""
    place = tmp_path_factory.mktemp("older")
    if request.param == "other templates":
        return _built(_copied(place / "source", OLDER), place)
    packed = subprocess.run(
        ["git", "-C", str(CHECKOUT), "archive", EARLIER, *PARTS], capture_output=True, check=False
    )
    if packed.returncode != 0:
        pytest.skip("this checkout has no earlier commits; the wheel with other templates shows the same")
    (place / "source").mkdir()
    subprocess.run(["tar", "-x"], cwd=place / "source", input=packed.stdout, check=True)
    return _built(place / "source", place)


@pytest.fixture(scope="module")
def project(older: Headworks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that the older one made, with three files that the company changed and rows in its lake."""
    place = tmp_path_factory.mktemp("company")
    made = older.command(place, "init", "lemon")
    assert made.returncode == 0, made.stderr
    folder = place / "lemon"
    for path, (where, own) in EDITS.items():
        text = (folder / path).read_text()
        (folder / path).write_text(re.sub(where, own, text, count=1) if where else text + own)
    later = folder / "data/orders-2024-05-02.csv"
    later.rename(folder / "later.csv")
    filled = older.python(folder, "-c", FILL, "run-1")
    assert filled.returncode == 0, filled.stderr
    assert filled.stdout.startswith("True True"), filled.stdout
    return folder


def _lines_of_the_company(folder: Path) -> dict[str, int]:
    return {path: (folder / path).read_text().lower().count("a line of the company") for path in EDITS}


def _rows(headworks: Headworks, folder: Path) -> int:
    asked = headworks.command(folder, "sql", "SELECT count(*) AS n FROM silver.example.orders", "--json")
    assert asked.returncode == 0, asked.stderr
    found: int = json.loads(asked.stdout)["n"]
    return found


def test_a_project_of_an_older_wheel_is_upgraded_with_its_edits_and_its_lake(
    project: Path, newer: Headworks, request: pytest.FixtureRequest
) -> None:
    """Tried first, done, done again; then the next file lands in the lake that the older one filled."""
    assert _lines_of_the_company(project) == dict.fromkeys(EDITS, 1)
    before = {
        path: path.read_bytes()
        for path in project.rglob("*")
        if path.is_file() and "__pycache__" not in str(path)
    }
    tried = newer.command(project, "upgrade", "--dry-run")
    assert {path: path.read_bytes() for path in before} == before
    done = newer.command(project, "upgrade")
    assert tried.returncode == done.returncode, tried.stderr + done.stderr
    assert _lines_of_the_company(project) == dict.fromkeys(EDITS, 1)
    conflicts = sorted(str(path.relative_to(project)) for path in project.rglob("*.conflict"))
    for path in conflicts:
        assert path.removesuffix(".conflict") in done.stdout
    assert (done.returncode == 1) == bool(conflicts), done.stdout + done.stderr
    if "other templates" in request.node.name:
        assert conflicts == ["prefect.yaml.conflict"]
        assert "WRITTEN_BY_THE_OLDER" not in (project / "flows/pipeline.py").read_text()
        assert (project / "README.md").read_text().count("The data pipelines of") == 1
    again = newer.command(project, "upgrade")
    assert again.returncode == 0, again.stdout + again.stderr
    assert _lines_of_the_company(project) == dict.fromkeys(EDITS, 1)
    checked = newer.command(project, "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    rows = _rows(newer, project)
    assert rows > 0
    (project / "later.csv").rename(project / "data/orders-2024-05-02.csv")
    filled = newer.python(project, "-c", FILL, "run-2")
    assert filled.returncode == 0, filled.stderr
    committed, is_open, inserted = filled.stdout.split()
    assert (committed, is_open) == ("True", "True")
    assert _rows(newer, project) == rows + int(inserted)


@pytest.fixture(scope="module")
def before_alerts(tmp_path_factory: pytest.TempPathFactory) -> Headworks:
    """This headworks, as it was when a new project had neither a deployment that alerts nor a compose file."""
    place = tmp_path_factory.mktemp("before-alerts")
    source = _copied(place / "source", {"pyproject.toml": OLDER["pyproject.toml"]})
    template = source / "src/headworks/template"
    text = (template / "prefect.yaml.tmpl").read_text()
    for part in ALERTS:
        text, found = re.subn(part, "", text, count=1, flags=re.DOTALL)
        assert found, part
    (template / "prefect.yaml.tmpl").write_text(text)
    for path in COMPOSE:
        (template / f"{path}.tmpl").unlink()
    return _built(source, place)


def _edited(headworks: Headworks, folder: Path, edits: Mapping[str, str]) -> tuple[Path, str]:
    """Make a project and change its prefect.yaml; returns its folder and that file's text."""
    made = headworks.command(folder, "init", "lemon")
    assert made.returncode == 0, made.stderr
    text = (folder / "lemon/prefect.yaml").read_text()
    assert not re.search(r"alert|freshness-after", text)
    assert not any((folder / "lemon" / path).exists() for path in COMPOSE)
    for then, now in edits.items():
        assert text.count(then) == 1, then
        text = text.replace(then, now)
    (folder / "lemon/prefect.yaml").write_text(text)
    return folder / "lemon", text


def _deployments(text: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in yaml.safe_load(text)["deployments"]}


def test_an_upgrade_adds_deployments_triggers_and_files_that_a_project_did_not_have_to_an_edited_prefect_yaml(
    before_alerts: Headworks, newer: Headworks, tmp_path: Path
) -> None:
    """Its own schedule, its own deployment and another limit stay; what is new is all there, and nothing twice."""
    own = {
        '        cron: "15 5 * * *"': '        cron: "20 6 * * 1"      # a line of the company',
        "      limit: 1\n": "      limit: 3\n",
        "    name: freshness-hourly-docker\n    work_pool: *docker\n": (
            f"    name: freshness-hourly-docker\n    work_pool: *docker\n{OWN}"
        ),
    }
    project, text = _edited(before_alerts, tmp_path, own)
    done = newer.command(project, "upgrade")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(project.rglob("*.conflict"))
    merged = (project / "prefect.yaml").read_text()
    # Each line of the company's file is there still, in its order.
    lines = iter(merged.splitlines())
    assert all(line in lines for line in text.splitlines())
    names = [one["name"] for one in yaml.safe_load(merged)["deployments"]]
    assert len(names) == len(set(names))
    assert set(names) - set(_deployments(text)) == {"alert", "alert-docker"}
    found = _deployments(merged)
    assert found["demo-daily"]["schedules"][0]["cron"] == "20 6 * * 1"
    assert found["alert"]["concurrency_limit"]["limit"] == 3
    assert found["lemons-weekly"]["parameters"] == {"product": "demo"}
    assert [one["name"] for one in found["alert"]["triggers"]] == ["alert-about-runs"]
    for name in ("freshness-hourly", "freshness-hourly-docker"):
        assert [one["name"] for one in found[name]["triggers"]] == ["freshness-after-publication"]
    for path in COMPOSE:
        assert (project / path).exists()
        assert path in done.stdout
    checked = newer.command(project, "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_an_upgrade_names_a_deployment_of_the_company_that_is_where_a_new_one_would_be(
    before_alerts: Headworks, newer: Headworks, tmp_path: Path
) -> None:
    """The company's prefect.yaml stays as it is to the byte, its merge with marks is next to it, the rest is done."""
    place = "    name: backfill-docker\n    work_pool: *docker\n"
    project, text = _edited(before_alerts, tmp_path, {place: f"{place}{OWN}"})
    done = newer.command(project, "upgrade")
    assert done.returncode == 1, done.stdout
    assert "prefect.yaml.conflict" in done.stdout
    assert (project / "prefect.yaml").read_text() == text
    assert [path.name for path in project.rglob("*.conflict")] == ["prefect.yaml.conflict"]
    marked = (project / "prefect.yaml.conflict").read_text()
    assert "<<<<<<< yours\n" in marked
    assert ">>>>>>> headworks\n" in marked
    both = re.sub(r"^(<<<<<<<|=======|>>>>>>>).*\n", "", marked, flags=re.MULTILINE)
    # Taking away the marks alone keeps both: what a person does here.
    assert {"lemons-weekly", "alert", "alert-docker"} <= set(_deployments(both))
    assert [one["name"] for one in _deployments(both)["freshness-hourly"]["triggers"]] == [
        "freshness-after-publication"
    ]
    assert all((project / path).exists() for path in COMPOSE)
