"""The public interface: each name is there, says what it is, and costs nothing until it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import headworks

HEAVY = ("prefect", "soda_core", "deltalake", "polars", "duckdb", "pydantic", "sqlalchemy", "httpx")


BY_NEED = (
    "soda_core",
    "streamlit",
    "duckdb",
    "aiohttp",
    "psycopg",
    "asyncpg",
    "sqlalchemy.orm",
    "prefect_sqlalchemy",
    "pandas",
    "pyarrow.dataset",
)
"""What a run imports once it needs it: Soda alone takes longer than all the rest."""


@pytest.mark.parametrize("what", ["headworks.prefect.running", "headworks.prefect.stages", "flows.sales"])
def test_a_run_imports_what_takes_long_only_once_it_needs_it(what: str) -> None:
    """A run that finds nothing new, and one that reads files, need neither drivers nor contracts."""
    code = f"import sys, {what}; print([name for name in {BY_NEED} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", headworks.__all__)
def test_a_public_name_is_there_and_has_a_docstring(name: str) -> None:
    found = getattr(headworks, name)
    assert found.__doc__
    assert found.__doc__.strip().partition("\n")[0].endswith((".", ":"))


def test_what_a_type_checker_sees_is_what_is_imported() -> None:
    tree = ast.parse(Path(headworks.__file__).read_text(encoding="utf-8"))
    checked = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    seen = {
        alias.name: str(node.module).removeprefix("headworks.")
        for block in checked
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == headworks._PLACES


def test_importing_it_imports_nothing_that_takes_long() -> None:
    code = f"import headworks, sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_imports_nothing_that_takes_long_before_it_knows_what_to_do() -> None:
    code = (
        "import sys; from headworks.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        headworks.Nothing  # noqa: B018
    assert {*headworks.__all__} <= {*dir(headworks)}
