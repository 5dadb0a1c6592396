"""Pytest of a suite in a folder of its own, with this checkout's plugins and none of the variables of this run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_CHECKOUT = Path(__file__).parents[2]


def run_suite(
    folder: Path, *arguments: str, variables: Mapping[str, str | None]
) -> subprocess.CompletedProcess[str]:
    """Run pytest in `folder`; a variable that is None is not set."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADWORKS_")}
    given = {name: value for name, value in variables.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(_CHECKOUT), **given},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
