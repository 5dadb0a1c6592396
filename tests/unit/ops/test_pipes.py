"""Where nobody reads a command's output any more it goes on with its work, and shows no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headworks.gold.products import read_product
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.support import golden
from tests.support.sources import items

SHORT = "import sys; from headworks.cli.main import main; sys.exit(main())"
EVERY = """
import argparse, sys
from headworks.cli.main import main, the_parser
from headworks.cli.running import OWN

def leaves(parser, path):
    below = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    if not below and path[:1] not in ([name] for name in ("run", "deploy", *OWN)):
        yield path
    for action in below:
        for name, inner in action.choices.items():
            yield from leaves(inner, [*path, name])

first = True
count = 0
for path in leaves(the_parser(), []):
    sys.argv = ["headworks", *path, "--help"]
    try:
        main() if first else main([*path, "--help"])
    except SystemExit as end:
        assert end.code in (0, None), (path, end.code)
    sys.stdout.flush()
    first, count = False, count + 1
assert count > 40, count
"""


def unread(
    code: str, *arguments: str, folder: Path, errors_too: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a program whose output nobody reads: the other end of its pipe is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=folder,
            stdout=writing,
            stderr=writing if errors_too else subprocess.PIPE,
            text=True,
            env={**os.environ, "HEADWORKS_LAKE_ROOT": str(folder / "lake"), "HEADWORKS_PROJECT": ""},
            timeout=300,
            check=False,
        )
    finally:
        os.close(writing)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with a product that was published twice."""
    lake = Lake(LakeSettings(root=str(tmp_path / "lake")))
    for number in (1, 2):
        golden.named(lake, tmp_path / "c", items(1, number), f"run-{number}")
    return lake


def test_no_command_minds_that_its_help_is_not_read(tmp_path: Path) -> None:
    """All of them, one after the other in one process."""
    done = unread(EVERY, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "errors_too"),
    [("product show {product}", False), ("account", True), ("reference", False), ("nothing", True)],
)
def test_a_command_that_is_not_read_ends_as_it_would_have(
    lake: Lake, tmp_path: Path, command: str, errors_too: bool
) -> None:
    arguments = command.format(product=golden.PRODUCT).split()
    read = subprocess.run(
        [sys.executable, "-c", SHORT, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "HEADWORKS_LAKE_ROOT": str(tmp_path / "lake"), "HEADWORKS_PROJECT": ""},
        timeout=300,
        check=False,
    )
    done = unread(SHORT, *arguments, folder=tmp_path, errors_too=errors_too)
    assert done.returncode == read.returncode
    assert errors_too or done.stderr == read.stderr


def test_a_decision_is_carried_out_though_nobody_reads_of_it(lake: Lake, tmp_path: Path) -> None:
    """It prints before it has kept the account of what it did."""
    done = unread(
        SHORT, "rollback", golden.PRODUCT, "--to", "run-1", "--reason", "looks wrong", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    version = read_product(lake, golden.PRODUCT)
    assert version is not None
    assert version.held is not None
    assert (tmp_path / ".headworks/account.json").exists()


def test_what_was_printed_is_out_when_the_process_is_killed_where_nothing_is_to_be_kept_back() -> None:
    """As PYTHONUNBUFFERED of a container asks for: its last lines say why it ended."""
    text = (
        "import os, signal; from headworks.ops.pipes import outlive_readers; outlive_readers()\n"
        "print('the last line'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", text],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-9, "the last line\n")
