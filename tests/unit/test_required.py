"""A suite that was set up for and skipped all the same fails, and nothing else is changed by asking for that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.suites import run_suite

SUITE = """
import pytest

@pytest.fixture
def engine():
    pytest.skip("no engine answers")

@pytest.fixture
def image(engine):
    pass

@pytest.mark.docker
def test_marked():
    pytest.skip("not today")

def test_by_fixture(image):
    pass

def test_neither():
    pytest.skip("only on Mondays")

@pytest.mark.docker
@pytest.mark.xfail(strict=True)
def test_known():
    assert False
"""


def run(folder: Path, suite: str, require: str | None) -> tuple[int, str]:
    """Run a suite with the plugin; the exit code and what was printed."""
    (folder / "test_it.py").write_text(suite)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  docker\n")
    arguments = ("-p", "tests.support.required", "-ra")
    done = run_suite(folder, *arguments, variables={"HEADWORKS_REQUIRE": require})
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("require", "code", "failed"),
    [
        (None, 0, set()),
        ("browser", 0, set()),
        ("docker", 1, {"test_marked"}),
        ("engine", 1, {"test_by_fixture"}),
        ("docker, engine", 1, {"test_marked", "test_by_fixture"}),
    ],
)
def test_what_is_required_fails_where_it_is_skipped_and_the_rest_stays_skipped(
    tmp_path: Path, require: str | None, code: int, failed: set[str]
) -> None:
    ended, printed = run(tmp_path, SUITE, require)
    assert ended == code, printed
    assert set(re.findall(r"^(?:FAILED|ERROR) test_it\.py::(\w+)", printed, re.M)) == failed, printed
    assert f"{3 - len(failed)} skipped, 1 xfailed" in printed


def test_a_file_that_is_skipped_as_a_whole_fails_where_anything_is_required(tmp_path: Path) -> None:
    suite = "import pytest\npytest.importorskip('no_such_package')\n"
    assert run(tmp_path, suite, None)[0] == pytest.ExitCode.NO_TESTS_COLLECTED
    ended, printed = run(tmp_path, suite, "docker")
    assert ended == pytest.ExitCode.INTERRUPTED, printed
    assert "no file may be skipped as a whole here" in printed
