"""Takes each rule out of the code, one at a time, and insists that its tests then fail.

``python -m tests.rules.out`` (``make test-rules``) works on a copy; ``--rule PART`` chooses by name.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.rules import all_rules
from tests.rules.base import Rule

CHECKOUT = Path(__file__).parents[2]
_COPIED = ("src", "flows", "tasks", "blocks", "deployments", "dashboard", "tests", "pyproject.toml")
_LONGEST_S = 300


def holds(tested: Rule, folder: Path) -> str | None:
    """Take a rule out of a copy and run its tests; returns what is wrong, None where each of them fails as it must."""
    target = folder / tested.file
    text = target.read_text()
    try:
        target.write_text(without(tested, text))
        for test in tested.tests:
            done = _pytest(folder, test)
            if done.returncode != 1:
                return f"{test} ended with {done.returncode} and not with a failure:\n{done.stdout[-1500:]}"
        return None
    finally:
        target.write_text(text)


def without(tested: Rule, text: str) -> str:
    """Return a module's text without the rule; raises where the rule is not found just once."""
    for old, new in tested.taken:
        if text.count(old) != 1:
            raise ValueError(f"{tested.name}: found {text.count(old)} times in {tested.file}: {old!r}")
        text = text.replace(old, new)
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Take out the chosen rules one after another; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.rules.out", description=__doc__)
    parser.add_argument("--rule", default="", help="only the rules with this in their name")
    chosen = [each for each in all_rules() if parser.parse_args(arguments).rule in each.name]
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for copied in _COPIED:
            source = CHECKOUT / copied
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / copied)
        for number, each in enumerate(chosen, start=1):
            problem = holds(each, folder)
            failed += problem is not None
            print(f"{number:>3}/{len(chosen)}  {'NOT HELD' if problem else 'held':<9}{each.name}", flush=True)
            if problem:
                print(problem, flush=True)
    return 1 if failed else 0


def _pytest(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=line", test]
    paths = os.pathsep.join((str(folder / "src"), str(folder)))
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_LONGEST_S,
    )


if __name__ == "__main__":
    sys.exit(main())
