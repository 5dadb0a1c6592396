"""Writes the hash-pinned locks from pyproject.toml, or says whether they are up to date (``--check``).

``locks/runtime.txt`` is what the image installs, ``locks/small.txt`` the same without what models need,
``locks/dashboard.txt`` what the dashboard's image installs, and ``locks/dev.txt`` is everything, at the same versions.
All are made for every platform and Python at once, and name no package index.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RUNTIME, DEV, DASHBOARD = "locks/runtime.txt", "locks/dev.txt", "locks/dashboard.txt"
SMALL = "locks/small.txt"
_COMPILE = [
    "pip",
    "compile",
    "--quiet",
    "--universal",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-header",
    # The machine's own certificates too, as pip takes them: many networks have one of theirs.
    "--system-certs",
]
_OPTIONS = {
    RUNTIME: ["--extra", "docker", "--extra", "shop", "--extra", "models"],
    SMALL: ["--extra", "docker", "--extra", "shop", "--constraint", RUNTIME],
    DEV: ["--all-extras", "--constraint", RUNTIME],
    DASHBOARD: ["--extra", "dashboard", "--extra", "shop", "--constraint", DEV],
}


def main() -> int:
    """Write or check the locks; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing, fail where a lock is out of date"
    )
    parser.add_argument("--upgrade", action="store_true", help="take newer versions where they are allowed")
    options = parser.parse_args()
    here = Path()
    if not options.check:
        _compile(here, upgrade=options.upgrade)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        alongside = Path(folder)
        shutil.copy(here / "pyproject.toml", alongside)
        shutil.copytree(here / "locks", alongside / "locks")
        _compile(alongside, upgrade=False)
        stale = [name for name in _OPTIONS if (here / name).read_text() != (alongside / name).read_text()]
    if stale:
        print(f"Out of date: {', '.join(stale)}. Write them again with: make lock", file=sys.stderr)
        return 1
    print("Locks are up to date.")
    return 0


def _compile(folder: Path, *, upgrade: bool) -> None:
    uv = Path(sys.executable).with_name("uv")
    for name, options in _OPTIONS.items():
        command = [str(uv), *_COMPILE, "--python-version", "3.11", *options, "pyproject.toml", "-o", name]
        done = subprocess.run([*command, *(["--upgrade"] if upgrade else [])], cwd=folder, check=False)
        if done.returncode != 0:
            sys.exit(f"{name} could not be made; uv says above why. It needs the package index.")


if __name__ == "__main__":
    sys.exit(main())
