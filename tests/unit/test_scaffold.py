"""A new project holds nothing of the shop and fits together; an upgrade keeps what a company changed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from headworks import scaffold
from headworks.errors import SettingsError
from headworks.scaffold import REMEMBERED, SHARED, generated, init, upgrade, written_by
from tests.support.pools import CHECKOUT

COMPOSE, EXAMPLE = "deployments/compose.yaml", "deployments/compose.env.example"
OLD = "alpha\nbeta\ngamma\ndelta\nepsilon\n"


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What headworks generates, which a test changes as another version would."""
    found = {"flows/pipeline.py": OLD, "Makefile": OLD, "prefect.yaml": OLD, "README.md": OLD, "gone.py": OLD}
    monkeypatch.setattr(scaffold, "generated", lambda name: dict(found))
    return found


def test_no_file_of_a_new_project_speaks_of_the_shop_and_each_names_the_company() -> None:
    files = generated("lemon")
    assert {"flows/pipeline.py", "src/lemon/project.py", "Dockerfile", ".env.example", "prefect.yaml"} <= set(
        files
    )
    assert {".github/workflows/ci.yml", "README.md", "tests/test_project.py"} <= set(files)
    for path, text in files.items():
        assert not re.search(r"\bshop\b|acme|@VERSION@", path + text, re.IGNORECASE), path


def test_what_the_wheel_packs_is_what_a_project_is_made_of() -> None:
    built = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    assert built["packages"] == ["src/headworks"]
    assert built["force-include"] == {path: f"headworks/template/root/{path}" for path in SHARED}


def test_the_deployments_that_a_project_shares_with_this_repository_are_the_same() -> None:
    ours = {
        one["name"]: one for one in yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())["deployments"]
    }
    made = {one["name"]: one for one in yaml.safe_load(generated("lemon")["prefect.yaml"])["deployments"]}
    shared = set(ours) & set(made)
    assert {"maintenance-nightly", "freshness-hourly", "replay-quarantine", "alert", "alert-docker"} <= shared
    for name in shared:
        for field in ("entrypoint", "tags", "schedules", "triggers"):
            assert ours[name][field] == made[name][field], (name, field)
    for name in ("alert", "alert-docker"):
        pools = [each[name]["work_pool"] for each in (ours, made)]
        assert [(pool["name"], pool["work_queue_name"]) for pool in pools] == [
            (pools[0]["name"], "alerts")
        ] * 2


def test_a_project_is_on_one_host_as_this_repository_is_but_for_its_image_and_the_shop_s_dashboard() -> None:
    files = generated("lemon")
    image = re.compile(r"headworks:\d[\d.]+|lemon:0\.1\.0")
    ours, made = (
        yaml.safe_load(image.sub("IMAGE", text))
        for text in ((CHECKOUT / COMPOSE).read_text(), files[COMPOSE])
    )
    del ours["services"]["dashboard"]
    assert ours == made
    assert "image: lemon:0.1.0" in files["prefect.yaml"]
    # The set begins with the same variables, and the file that holds their values is kept out of git and the image.
    asked = [
        re.findall(r"^#?([A-Z_]+=)", text, re.MULTILINE)
        for text in ((CHECKOUT / EXAMPLE).read_text(), files[EXAMPLE])
    ]
    assert asked[0] == asked[1] != []
    assert "deployments/compose.env" in files[".gitignore"].splitlines()
    assert "**/*.env" in files[".dockerignore"].splitlines()


@pytest.mark.parametrize("name", ["Acme", "2go", "a-b", "flows", "headworks", "json", "class", "", "x" * 41])
def test_a_name_that_no_package_can_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not a valid name"):
        init(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SettingsError, match="not empty"):
        init("lemon", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_new_project_is_found_and_checks_itself(tmp_path: Path) -> None:
    init("lemon", tmp_path / "lemon")
    done = subprocess.run(
        [sys.executable, "-m", "headworks.cli", "check"],
        cwd=tmp_path / "lemon",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "nothing was found" in done.stdout) == (0, True), done.stdout + done.stderr


# What the company did, what headworks did, what becomes of the file, and what it holds then.
WAYS: dict[str, tuple[str | None, str, str, str | None]] = {
    "neither": (OLD, OLD, "unchanged", OLD),
    "headworks alone": (OLD, OLD.replace("beta", "BETA"), "updated", OLD.replace("beta", "BETA")),
    "the company alone": (OLD.replace("delta", "mine"), OLD, "unchanged", OLD.replace("delta", "mine")),
    "both, in different places": (
        OLD.replace("epsilon", "mine"),
        OLD.replace("alpha", "ALPHA"),
        "merged",
        OLD.replace("epsilon", "mine").replace("alpha", "ALPHA"),
    ),
    "both, in the same place": (
        OLD.replace("gamma", "mine"),
        OLD.replace("gamma", "GAMMA"),
        "conflict",
        OLD.replace("gamma", "mine"),
    ),
    "both, the same": (
        OLD.replace("gamma", "X"),
        OLD.replace("gamma", "X"),
        "unchanged",
        OLD.replace("gamma", "X"),
    ),
    "the company deleted it": (None, OLD.replace("gamma", "X"), "kept", None),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_upgrade_keeps_what_the_company_changed(tmp_path: Path, files: dict[str, str], way: str) -> None:
    mine, theirs, change, then = WAYS[way]
    folder = tmp_path / "lemon"
    init("lemon", folder)
    file = folder / "flows/pipeline.py"
    if mine is None:
        file.unlink()
    else:
        file.write_text(mine)
    files["flows/pipeline.py"] = theirs
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {one.path: one.change for one in upgrade(folder, dry_run=True)}["flows/pipeline.py"] == change
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    outcomes = {one.path: one for one in upgrade(folder)}
    assert outcomes["flows/pipeline.py"].change == change
    assert (file.read_text() if file.exists() else None) == then
    marked = folder / "flows/pipeline.py.conflict"
    assert marked.exists() == (change == "conflict")
    if change == "conflict":
        assert {"<<<<<<< yours", ">>>>>>> headworks"} <= set(marked.read_text().splitlines())
    # Again nothing is left to do.
    assert {one.change for one in upgrade(folder)} <= {"unchanged", "kept"}


def test_files_that_come_and_go_are_made_and_taken_away_unless_they_are_the_company_s(
    tmp_path: Path, files: dict[str, str]
) -> None:
    folder = tmp_path / "lemon"
    init("lemon", folder)
    (folder / "README.md").write_text("mine\n")
    (folder / "new.py").write_text("the company's\n")
    for name in ("gone.py", "README.md"):
        del files[name]
    files |= {"new.py": "ours\n", "newer.py": "ours\n"}
    changes = {one.path: one.change for one in upgrade(folder)}
    assert (changes["gone.py"], changes["README.md"]) == ("removed", "kept")
    assert (changes["new.py"], changes["newer.py"]) == ("kept", "created")
    assert (folder / "README.md").read_text() == "mine\n"
    assert (folder / "new.py").read_text() == "the company's\n"
    assert not (folder / "gone.py").exists()


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"name": 1}'])
def test_a_folder_that_no_init_made_is_an_error_that_says_so(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / REMEMBERED).write_text(content)
    with pytest.raises(SettingsError, match="cannot be read"):
        upgrade(tmp_path)


def test_the_version_that_wrote_a_project_is_known(tmp_path: Path) -> None:
    assert written_by(tmp_path) is None
    init("lemon", tmp_path / "lemon")
    assert written_by(tmp_path / "lemon")
