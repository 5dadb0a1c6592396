"""A module's name of 0.1 is the module itself, wherever it is now."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from headworks.moved import MACHINERY, PLACES


@pytest.mark.parametrize("old", PLACES)
def test_an_old_name_is_the_module_itself_and_says_where_it_is(old: str) -> None:
    sys.modules.pop(f"headworks.{old}", None)
    with pytest.warns(DeprecationWarning, match=f"is headworks.{PLACES[old]} now"):
        found = import_module(f"headworks.{old}")
    assert found is import_module(f"headworks.{PLACES[old]}")
    assert found.__spec__ is not None
    assert found.__name__ == found.__spec__.name == f"headworks.{PLACES[old]}"


def test_old_names_are_imported_in_every_way() -> None:
    code = """
import headworks.storage.store
from headworks.gold import table as gold
from headworks.gold import products as named
from headworks.silver.dataset import Dataset
from headworks.reports import RunReport
import headworks.gold.table, headworks.silver.dataset
assert gold is headworks.gold.table and Dataset is headworks.silver.dataset.Dataset
assert headworks.storage.store.Lake.__module__ == "headworks.storage.store"
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["lake.nothing", "nothing", "refine.lake"])
def test_what_never_was_is_not_found(name: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        import_module(f"headworks.{name}")


@pytest.mark.parametrize("old", MACHINERY)
def test_the_machinery_is_found_by_the_name_that_0_1_installed(old: str) -> None:
    if old == "deployments.execute":
        pytest.importorskip("prefect.runner._starter_engine")
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is {MACHINERY[old]} now"):
        found = import_module(old)
    assert found is import_module(MACHINERY[old])
    package, _, name = old.rpartition(".")
    assert getattr(import_module(package), name) is found


def test_the_machinery_still_runs_as_a_program_by_its_old_name() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deployments.register_blocks", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Write the flows' blocks" in done.stdout) == (0, True), done.stderr
