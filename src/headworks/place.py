"""Where the project of this place is: the folder whose ``pyproject.toml`` names one."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path


def reach_project(start: Path | None = None) -> Path | None:
    """Let the modules of the project around ``start`` be imported, as ``python -m`` in its folder does; its folder.

    That is the folder whose ``pyproject.toml`` names a project, and its ``src``. None where there is none.
    """
    root = next((folder for folder, _ in naming(start or Path.cwd())), None)
    for place in () if root is None else (str(root / "src"), str(root)):
        if place not in sys.path:
            sys.path.insert(0, place)
    return root


def naming(start: Path) -> Iterator[tuple[Path, str]]:
    """Find the folders in and above ``start`` whose ``pyproject.toml`` names a project, with its name."""
    for folder in (start.absolute(), *start.absolute().parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            tool = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {})
            found = tool.get("headworks", {}).get("project")
            if found is not None:
                yield folder, str(found)
