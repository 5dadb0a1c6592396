"""Errors say what, where and what to do, survive a trip between processes, and their tree is the one that is drawn."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from headworks import errors
from headworks.errors import HeadworksError, RetryError, SourceUnavailable, StopError


def tree(kind: type[HeadworksError] = HeadworksError, depth: int = 0) -> Iterator[tuple[str, int]]:
    yield kind.__name__, depth
    for below in kind.__subclasses__():
        yield from tree(below, depth + 1)


def drawn() -> list[tuple[str, int]]:
    """Read the tree in the module's docstring: names and depths."""
    found = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^ {4}([│├└─ ]*)([A-Z]\w+)", line)
        if match:
            found.append((match[2], len(match[1]) // 4))
    return found


def test_the_drawn_tree_is_the_real_one() -> None:
    assert sorted(drawn()) == sorted(tree())


KINDS = [getattr(errors, name) for name, _ in tree()]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_decision_in_one_sentence_and_survives_pickling(kind: type[HeadworksError]) -> None:
    assert (kind.__doc__ or "").strip().partition("\n\n")[0].endswith(".")
    sent = pickle.loads(pickle.dumps(kind("It broke.", where="bronze.x", do="fix it.")))
    assert (type(sent), str(sent)) == (kind, "It broke. [bronze.x] What to do: fix it.")


def test_parts_that_are_not_given_are_left_out() -> None:
    assert str(HeadworksError("It broke.")) == "It broke."
    assert str(HeadworksError("It broke.", do="fix it.")) == "It broke. What to do: fix it."


def test_what_stops_is_never_what_may_be_tried_again() -> None:
    assert not any(issubclass(kind, StopError) and issubclass(kind, RetryError) for kind in KINDS)


def test_a_source_may_ask_for_a_wait() -> None:
    assert SourceUnavailable("busy").wait_s is None


SOURCES = sorted(Path(errors.__file__).parent.rglob("*.py"))


def _made(file: Path) -> Iterator[tuple[ast.Call, type[HeadworksError]]]:
    """Return the places of a module that make an error of ours."""
    kinds = {kind.__name__: kind for kind in KINDS}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in kinds:
                yield node, kinds[name]


def test_every_error_that_is_made_says_what_to_do_about_it() -> None:
    """Where it is made, or by its class: nobody reads a problem without a way on."""
    made = [(file, *each) for file in SOURCES for each in _made(file)]
    silent = [
        f"{file.name}:{node.lineno} {kind.__name__}"
        for file, node, kind in made
        if not kind.advice and not any(one.arg in {"do", None} for one in node.keywords)
    ]
    assert len(made) > 300
    assert not silent, silent


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.advice], ids=lambda kind: kind.__name__)
def test_what_a_class_advises_gives_way_to_what_is_known_where_it_is_raised(
    kind: type[HeadworksError],
) -> None:
    assert str(kind("It broke.")) == f"It broke. What to do: {kind.advice}"
    assert kind.advice.endswith(".")
    assert kind("It broke.", do="fix it.").do == "fix it."
    assert pickle.loads(pickle.dumps(kind("It broke."))).do == kind.advice
