"""Errors that a user meets in the first hour: one clear message that says what to do, an exit code, no traceback."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from flows.sales import sales
from headworks.prefect.console import FAILED, run_as_program
from tasks import extract
from tests.deployments.conftest import Demo

CHECKOUT = Path(__file__).parents[2]
WRONG = "wrong-and-never-shown"


@pytest.fixture
def at_the_demo(demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Demo]:
    """Run flows in this process against the demo's servers, in a folder of the test's own, without waiting."""
    assert demo.first.code == 0, demo.first.err
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADWORKS_PROJECT", "shop.project:SHOP")
    for task in (extract.extract_table, extract.extract_resource):
        monkeypatch.setattr(task, "retry_delay_seconds", 0)
        monkeypatch.setattr(task, "retry_jitter_factor", None)
    chosen = {
        PREFECT_API_URL: demo.stack.api_url,
        PREFECT_HOME: tmp_path / "home",
        PREFECT_LOCAL_STORAGE_PATH: tmp_path / "results",
    }
    with temporary_settings(chosen):
        yield demo


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the flow as a program, insist that it fails cleanly, and return its last message."""
    capsys.readouterr()
    code = run_as_program(sales, arguments)
    output = capsys.readouterr().err
    assert code == FAILED, output
    assert "Traceback" not in output
    assert WRONG not in output
    message = output.rstrip().splitlines()[-1]
    assert "What to do: " in message, output
    return message


@pytest.mark.server
def test_a_block_that_is_missing(at_the_demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(capsys, "--param", "lake=absent")
    assert message.startswith("SettingsError: There is no block headworks-lake/absent.")
    assert "HEADWORKS_ABSENT_ROOT" in message


@pytest.mark.server
def test_a_wrong_password_of_the_database(
    at_the_demo: Demo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = at_the_demo.stack._state().ports["postgres"]
    url = f"postgresql://headworks:{WRONG}@127.0.0.1:{port}/shop"
    monkeypatch.setenv("HEADWORKS_LOCKED_DATABASE_URL", url)
    message = fails(capsys, "--param", "shop_database=locked-database")
    assert message.startswith("CredentialsRefused: The database refuses: ")
    assert f"[postgresql://headworks@127.0.0.1:{port}/shop]" in message
    assert "check user, password and grants" in message


@pytest.mark.server
def test_a_wrong_token_of_the_api(
    at_the_demo: Demo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "HEADWORKS_LOCKED_API_BASE_URL", at_the_demo.stack.variables()["HEADWORKS_SHOP_API_BASE_URL"]
    )
    monkeypatch.setenv("HEADWORKS_LOCKED_API_TOKEN", WRONG)
    message = fails(capsys, "--param", "shop_api=locked-api")
    assert message.startswith("CredentialsRefused: The API answered 401")
    assert "check the credentials in the API's block" in message


@pytest.mark.server
def test_a_database_that_is_not_running(
    at_the_demo: Demo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWORKS_DOWN_DATABASE_URL", f"postgresql://u:{WRONG}@127.0.0.1:9/shop")
    message = fails(capsys, "--param", "shop_database=down-database")
    assert message.startswith("SourceUnavailable: The database cannot be reached: ")
    assert "check that it runs, its host and its port" in message


@pytest.mark.server
@pytest.mark.parametrize("kind", ["below a file", "in a place that nobody may write"])
def test_a_lake_that_is_not_writable(
    at_the_demo: Demo,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
) -> None:
    (tmp_path / "file").write_text("in the way")
    root = tmp_path / "file" / "lake" if kind == "below a file" else Path("/proc/headworks-lake")
    monkeypatch.setenv("HEADWORKS_SEALED_ROOT", str(root))
    message = fails(capsys, "--param", "lake=sealed")
    assert message.startswith("LakeUnusable: The lake cannot be used: ")
    assert str(root) in message
    assert "exists, is writable" in message


@pytest.mark.server
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--start", "2025-01-01"], "A window needs both its ends"),
        (["--end", "2025-01-01"], "A window needs both its ends"),
        (["--param", "lakes=x"], "There is no parameter 'lakes'"),
        (["--param", "lake"], "'lake' is not NAME=JSON"),
    ],
)
def test_a_parameter_that_is_wrong(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert said in fails(capsys, *arguments)


@pytest.mark.server
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--start", "2025-02-01", "--end", "2025-01-01"], "must lie before its end"),
        (["--start", "soon", "--end", "2025-01-01"], "window.start"),
        (["--param", 'window={"start": "2025-01-01"}'], "window.end"),
        (["--param", "on_conflict=maybe"], "on_conflict"),
        (["--param", "dry_run=perhaps"], "dry_run"),
    ],
)
def test_a_value_that_is_wrong(
    at_the_demo: Demo, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    code = run_as_program(sales, arguments)
    output = capsys.readouterr().err
    assert code == FAILED
    assert "A parameter is wrong" in output
    assert said in output
    assert "Traceback" not in output


def test_a_choice_that_does_not_exist_is_told_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_as_program(sales, ["--mode", "sideways"]) == FAILED, "2 is that of a closed gate"
    assert "incremental" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "said"),
    [("Python 3.9.18", "is Python 3.9.18"), (None, "is missing")],
)
def test_a_python_that_is_too_old_or_missing_is_told_before_anything_is_made(
    tmp_path: Path, version: str | None, said: str
) -> None:
    """The Makefile's own rule, with a program in Python's place that says it is old."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, tmp_path)
    (tmp_path / "locks").mkdir()
    shutil.copy(CHECKOUT / "locks" / "dev.txt", tmp_path / "locks")
    old = tmp_path / "python-old"
    if version is not None:
        old.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" && exit 0\nexit 1\n')
        old.chmod(old.stat().st_mode | stat.S_IXUSR)
    make = shutil.which("make")
    assert make is not None
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        [make, "demo", f"PYTHON={old}"], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "headworks needs Python 3.11 or newer" in output
    assert said in output
    assert "make PYTHON=python3.12 demo" in output
    assert "Traceback" not in output
    assert not (tmp_path / ".venv").exists()
