"""The libraries of models are those that were chosen: a resolver that falls back to ancient ones would say nothing."""

from __future__ import annotations

import re
import subprocess
import sys
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


_WITHOUT = """
import importlib, pkgutil, sys

class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"sklearn", "lightgbm", "skops", "scipy", "joblib", "mlflow"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Gone())
import crm, flows, headworks, shop, tasks
packages = (headworks, shop, crm, tasks, flows)
names = [one.name for each in packages for one in pkgutil.walk_packages(each.__path__, each.__name__ + ".")]
for name in names:
    if not name.startswith("headworks.testing.suite"):
        importlib.import_module(name)
print(len(names))
"""


def test_every_module_can_be_imported_without_what_only_models_need() -> None:
    """So an image or a project without models can leave it out."""
    ran = subprocess.run(
        [sys.executable, "-c", _WITHOUT], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert int(ran.stdout.split()[-1]) > 200


def test_the_small_lock_is_the_image_s_without_what_models_need() -> None:
    whole, small = (
        set(
            re.findall(
                r"^[a-z0-9-]+(?:\[.*\])?==\S+", (CHECKOUT / f"locks/{name}.txt").read_text(), re.MULTILINE
            )
        )
        for name in ("runtime", "small")
    )
    assert small < whole
    left_out = {one.partition("==")[0] for one in whole - small}
    assert {"scikit-learn", "lightgbm", "skops", "scipy"} <= left_out
    assert not {"polars", "prefect", "pyarrow", "soda-core", "psycopg"} & left_out
