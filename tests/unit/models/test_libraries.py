"""The libraries of models are those that were chosen: a resolver that falls back to ancient ones would say nothing."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]


def _declared() -> dict[str, tuple[int, ...]]:
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    found = {}
    for requirement in extras["models"]:
        match = re.fullmatch(r"([a-z-]+)>=([\d.]+)", requirement)
        assert match, f"{requirement} has no lower bound alone"
        found[match[1]] = _parts(match[2])
    return found


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


@pytest.mark.parametrize("name", ["scikit-learn", "lightgbm", "skops"])
def test_the_installed_version_is_at_least_the_declared_one(name: str) -> None:
    assert _parts(metadata.version(name)) >= _declared()[name]
