"""The public names in the docs are what the docstrings say, each is explained whole, and each example runs."""

from __future__ import annotations

import ast
import doctest
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from headworks.cli.interface import names, page, parameters_of, raises_of, said_of, says_what_it_raises
from tests.support.pools import CHECKOUT

PAGE = CHECKOUT / "docs" / "reference-python.md"
PUBLIC = {name: found for _, name, found in names()}
PACKAGES = ("headworks", "headworks.models", "headworks.testing")


def test_the_page_is_what_the_docstrings_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "make it again: headworks reference --python > docs/reference-python.md"
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_it(package: str) -> None:
    module = import_module(package)
    assert {*module.__all__} == {name for where, name, _ in names() if where == package}
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        module.Nothing  # noqa: B018


@pytest.mark.parametrize("package", PACKAGES[1:])
def test_what_a_type_checker_sees_is_what_is_imported(package: str) -> None:
    module = import_module(package)
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    seen = {
        alias.name: str(node.module).removeprefix(f"{package}.")
        for block in ast.walk(tree)
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == module._PLACES


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_explained_whole(name: str) -> None:
    """A sentence first, each parameter by its field, its entry or in the text, what it raises, and an example."""
    found = PUBLIC[name]
    said = said_of(found)
    assert said.first.endswith("."), said.first
    silent = [
        each.name
        for each in parameters_of(found)
        if not each.about and f"``{each.name}``" not in f"{said.first}\n{said.text}"
    ]
    assert not silent, f"say what these are: {silent}"
    assert {*said.parameters} <= {each.name for each in parameters_of(found)}
    is_error = isinstance(found, type) and issubclass(found, Exception)
    assert is_error or says_what_it_raises(said) or raises_of(found), "say what it raises"
    assert any(line.startswith(">>>") for line in said.example), "show it"


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page says that its examples begin with, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(compile(page().partition("```python\n")[2].partition("```")[0], "the page", "exec"), found)
    return found


@pytest.mark.parametrize("name", PUBLIC)
def test_an_example_runs_as_it_is_printed(name: str, begun: dict[str, Any]) -> None:
    """After the imports of the page, and that of the name itself."""
    text = "\n".join(said_of(PUBLIC[name]).example) + "\n"
    example = doctest.DocTestParser().get_doctest(text, {**begun, name: PUBLIC[name]}, name, None, 0)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    done = runner.run(example, out=said.append)
    assert done.attempted > 0
    assert done.failed == 0, "".join(said)
