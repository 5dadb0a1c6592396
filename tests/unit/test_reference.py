"""The reference in the docs is what the code says: every command, parameter and setting is in it."""

from __future__ import annotations

import argparse
import itertools
import re
from pathlib import Path

import pytest

from headworks.cli.main import the_parser
from headworks.cli.reference import page
from headworks.cli.running import OWN
from tests.support.pools import CHECKOUT

PAGE = CHECKOUT / "docs" / "reference.md"


@pytest.fixture(scope="module")
def made() -> str:
    """The page as the code makes it."""
    return page(the_parser())


def test_the_reference_is_what_the_code_says(made: str) -> None:
    assert PAGE.read_text(encoding="utf-8") == made, "make it again: headworks reference > docs/reference.md"


def test_no_secret_and_no_path_of_this_machine_is_a_default(made: str) -> None:
    assert str(CHECKOUT) not in made
    assert "**********" not in made
    assert " at 0x" not in made


@pytest.mark.parametrize(
    "text",
    [
        "### headworks delivery release",
        "### headworks deploy",
        "`--by-hand`",
        "`--like RECIPE`",
        "### backfill",
        "`--on-conflict`",
        "#### Incremental",
        "`false_alarms`",
        "`committed_within_h`",
        "`token` | secret text",
    ],
)
def test_what_a_user_looks_for_is_in_it(made: str, text: str) -> None:
    assert text in made


PAGES = (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md")))


def _named(text: str) -> list[tuple[str, ...]]:
    """Return the commands that a page names as code: the words after ``headworks``."""
    inline = re.findall(r"`headworks ([a-z][^`]*)`", text)
    fenced = "\n".join(re.findall(r"```(?:sh|bash)?\n(.*?)```", text, re.DOTALL))
    indented = "\n".join(re.findall(r"^(?: {4,})(\S.*)$", text, re.MULTILINE))
    lines = re.findall(r"^(?:.*\bbin/)?headworks ([a-z].*)$", f"{fenced}\n{indented}", re.MULTILINE)
    # What the Makefile says where Python is too old begins like a command.
    inline = [each for each in inline if not each.startswith("needs Python")]
    return [tuple(re.split(r"\s+", one.strip())) for one in [*inline, *lines]]


def _paths(parser: argparse.ArgumentParser) -> dict[str, dict[str, object]]:
    """Return the commands, and those below each."""
    (commands,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    found: dict[str, dict[str, object]] = {}
    for name, inner in commands.choices.items():
        below = [one for one in inner._actions if isinstance(one, argparse._SubParsersAction)]
        found[name] = dict.fromkeys(below[0].choices) if below else {}
    return found


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_each_command_that_a_page_names_exists(file: Path) -> None:
    known = _paths(the_parser())
    for command in _named(file.read_text(encoding="utf-8")):
        name, second = command[0], command[1] if len(command) > 1 else ""
        alternatives = [re.sub(r"\W+$", "", each) for each in name.split("|")]
        for each in alternatives:
            assert each in known, f"headworks {' '.join(command)}"
        if len(alternatives) == 1 and known[alternatives[0]] and re.fullmatch(r"[a-z|]+", second):
            for each in second.split("|"):
                assert each in known[alternatives[0]], f"headworks {' '.join(command)}"


FREE = {"--account", "--param", "--help", "--lake", "--json", "--project", "--product"}
"""What ``headworks run`` takes in addition to the parameters of a flow."""


def _leaf(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> argparse.ArgumentParser:
    """Return the parser that reads a command's options."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) and words and words[0] in action.choices:
            return _leaf(action.choices[words[0]], words[1:])
    return parser


@pytest.fixture(scope="module")
def of_flows(made: str) -> set[str]:
    """The options of all flows, as the reference lists them."""
    return {
        *re.findall(
            r"^\| `(--[\w-]+)", made.partition("## Flows")[2].partition("## Settings")[0], re.MULTILINE
        )
    }


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_each_option_of_a_command_that_a_page_names_exists(file: Path, of_flows: set[str], made: str) -> None:
    wrong = []
    for command in _named(file.read_text(encoding="utf-8")):
        own = itertools.takewhile(lambda word: word not in {"|", "||", "&&", ";", "#"}, command)
        options = [
            re.sub(r"[=,.\]]+.*$", "", word.lstrip("[("))
            for word in own
            if word.lstrip("[(").startswith("--")
        ]
        if command[0] in {"run", *OWN}:
            known = of_flows | FREE
        elif command[0] == "deploy":
            known = {
                *re.findall(r"`(--[\w-]+)", made.partition("### headworks deploy")[2].partition("### ")[0]),
                "--help",
            }
        else:
            leaf = _leaf(the_parser(), tuple(command))
            known = {text for action in leaf._actions for text in action.option_strings}
        wrong += [
            f"headworks {' '.join(command)}: {one}" for one in options if one not in known and one != "--"
        ]
    assert not wrong


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_each_make_target_and_module_that_a_page_names_exists(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    targets = {
        *re.findall(r"^([a-z][\w-]*):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE),
        *re.findall(
            r"^([a-z][\w-]*):", (CHECKOUT / "src/headworks/template/Makefile.tmpl").read_text(), re.MULTILINE
        ),
    }
    code = [
        *re.findall(r"`([^`\n]+)`", text),
        *re.findall(r"^(?: {4,}|\| )?(.*\bmake [a-z].*)$", text, re.MULTILINE),
    ]
    named = {word for one in code for word in re.findall(r"(?:^|&& |`)make ([a-z][a-z-]+)", one)}
    assert named <= targets, named - targets
    ours = r"python -m ((?:headworks|tests|deployments|benchmarks|tools)[\w.]*)"
    modules = {word for one in code for word in re.findall(ours, one)}
    missing = {word for word in modules if not _is_there(word)}
    assert not missing


def _is_there(module: str) -> bool:
    path = module.replace(".", "/")
    places = [root / path for root in (CHECKOUT, CHECKOUT / "src")]
    return any(place.is_dir() or place.with_suffix(".py").exists() for place in places)
