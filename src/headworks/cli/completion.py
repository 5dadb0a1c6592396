"""``headworks completion``: what a shell offers at the Tab key, names of the project included.

A key press must not wait for Prefect, so the options of flows are read from their source, and what a command knows by
its parser alone is taken from there. Flows and products are the project's own.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from headworks.cli import running
from headworks.cli.shared import Commands

SHELLS = ("bash", "zsh", "fish")

ASKED = "_ARGCOMPLETE"
"""The variable by which a shell asks for what may follow."""

_HOW = """Put it where your shell reads it, and open a new one:

    bash   headworks completion bash >> ~/.bashrc
    zsh    headworks completion zsh >> ~/.zshrc          after compinit
    fish   headworks completion fish > ~/.config/fish/completions/headworks.fish

It completes commands and options, and products, flows, datasets and gold tables of the project that you are in."""

DEPLOY = ("--pool", "--profile", "--file", "--dry-run", "--by-hand", "--summary", "--no-image")
"""Options of ``headworks deploy``, whose parser takes long to import."""

OF_EVERY_FLOW = ("--account", "--json", "--param")
_OF_A_WINDOW = ("--start", "--end")
_FILES = {"file", "into", "account", "location"}
"""Arguments that are files or folders: the shell's own names are offered there."""


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parser in."""
    completion = commands.add_parser(
        "completion",
        help="print what makes your shell complete headworks",
        description="Print a script for a shell. " + _HOW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    completion.add_argument("shell", choices=SHELLS)
    completion.set_defaults(command=_completion)


def _completion(options: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode

    print(shellcode(["headworks"], shell=options.shell))
    return 0


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks what may follow, and end the process."""
    import argcomplete
    from argcomplete.completers import SuppressCompleter

    # The command that is being written; what another one would offer need not be found.
    given = os.environ.get("COMP_LINE", "").split()[1:2]
    argcomplete.autocomplete(
        whole(parser, *given), default_completer=SuppressCompleter(), exclude=("-h", "--help")
    )


def whole(parser: argparse.ArgumentParser, command: str = "") -> argparse.ArgumentParser:
    """Return the parser with what a command with a parser of its own takes, and with the project's names."""
    commands = _children(parser)
    if command in running.OWN:
        _take(commands[command], _taken_of(_flow_files().get(command)))
    elif command == "deploy":
        for option in DEPLOY:
            commands[command].add_argument(option)
    elif command == "run":
        _take_runs(commands[command])
    _offer_names(parser)
    return parser


def _take_runs(parser: argparse.ArgumentParser) -> None:
    """Have ``run`` take each product with the options of the flow ``pipeline``, and each flow with its own."""
    runs = parser.add_subparsers(metavar="PRODUCT|FLOW")
    pipeline = _taken_of(_flow_files().get("pipeline"))
    for name in _names("products"):
        _take(runs.add_parser(name, help="a product"), [one for one in pipeline if one.name != "product"])
    for name in _names("flows"):
        file = _flow_files().get(name)
        # As the list of `headworks run` writes a flow that has the name of a product.
        shown = f"flows.{name}" if name in _names("products") else name
        _take(runs.add_parser(shown, help=running.first_line(file) if file else ""), _taken_of(file))


class Taken:
    """A parameter of a flow, as a command's option: its name, what may be its value, and what it is for."""

    def __init__(self, name: str, choices: Sequence[str], *, switch: bool, on: bool, about: str) -> None:
        self.name, self.choices, self.switch, self.on, self.about = name, tuple(choices), switch, on, about

    @property
    def options(self) -> list[str]:
        """The option, and its opposite where it is on by itself."""
        option = f"--{self.name.replace('_', '-')}"
        return [option, f"--no-{option[2:]}"] if self.on else [option]


def _take(parser: argparse.ArgumentParser, parameters: Sequence[Taken]) -> None:
    names = {one.name for one in parameters}
    for one in parameters:
        for option in one.options:
            if one.switch:
                parser.add_argument(option, action="store_true", help=one.about)
            else:
                parser.add_argument(option, dest=one.name, choices=one.choices or None, help=one.about)
    # As the parser of a flow has them.
    window = _OF_A_WINDOW if "window" in names and not {"start", "end"} & names else ()
    for option in (*window, *OF_EVERY_FLOW):
        if option == "--json":
            parser.add_argument(option, action="store_true")
        else:
            parser.add_argument(option)


@cache
def _taken_of(file: Path | None) -> tuple[Taken, ...]:
    """Return the parameters of a flow, read from its source: that of the function that the module is named after."""
    if file is None:
        return ()
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == file.stem:
            about = _about(ast.get_docstring(node) or "")
            given = [*node.args.args, *node.args.kwonlyargs]
            defaults: list[ast.expr | None] = [
                *[None] * (len(node.args.args) - len(node.args.defaults)),
                *node.args.defaults,
                *node.args.kw_defaults,
            ]
            return tuple(
                _taken(one, default, about.get(one.arg, ""), tree)
                for one, default in zip(given, defaults, strict=True)
            )
    return ()


def _taken(argument: ast.arg, default: ast.expr | None, about: str, tree: ast.Module) -> Taken:
    kind = argument.annotation
    on = isinstance(default, ast.Constant) and default.value is True
    switch = isinstance(kind, ast.Name) and kind.id == "bool"
    return Taken(argument.arg, _choices(kind, tree), switch=switch, on=switch and on, about=about)


def _choices(kind: ast.expr | None, tree: ast.Module) -> tuple[str, ...]:
    """Return what a ``Literal`` may be, which may be written where it is used or have a name in another module."""
    if isinstance(kind, ast.Name):
        return _choices(*_named(kind.id, tree))
    if isinstance(kind, ast.Subscript) and ast.unparse(kind.value).endswith("Literal"):
        return tuple(str(one) for one in ast.literal_eval(f"[{ast.unparse(kind.slice).strip('()')}]"))
    return ()


def _named(name: str, tree: ast.Module) -> tuple[ast.expr | None, ast.Module]:
    """Return what a name is assigned in a module, or in the one that it is imported from, with that module."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(one) for one in node.targets] == [name]:
            return node.value, tree
        if isinstance(node, ast.ImportFrom) and name in {one.name for one in node.names}:
            source = _source(node.module or "")
            return (None, tree) if source is None else _named(name, source)
    return None, tree


def _source(module: str) -> ast.Module | None:
    """Return the source of a module, without importing it or the packages that it is in."""
    top, *below = module.split(".")
    spec = find_spec(top) if top else None
    for place in (spec.submodule_search_locations if spec else None) or ():
        file = Path(place, *below).with_suffix(".py")
        if file.is_file():
            return ast.parse(file.read_text(encoding="utf-8"))
    return None


def _about(docstring: str) -> dict[str, str]:
    """Return the first line of what a docstring says of each argument."""
    return dict(re.findall(r"^ +(\w+): (.*)$", docstring, re.MULTILINE))


@cache
def _flow_files() -> dict[str, Path]:
    """Return the flows of the package ``flows`` here, each with its file."""
    with contextlib.suppress(Exception):
        return dict(sorted(running.modules().items()))
    return {}


@cache
def _names(what: str) -> tuple[str, ...]:
    """Return names of the project of this place; none where there is no project, or where it cannot be imported."""
    # Whatever is wrong with a project, a key press shows no traceback: `headworks check` does.
    with contextlib.suppress(Exception):
        if what == "recipes":
            from headworks.sources.api.recipes import recipe_names

            return tuple(recipe_names())
        from headworks.project import project

        here = project()
        if here is None:
            return tuple(_flow_files()) if what == "flows" else ()
        gold = [table.name for product in here.products for table in product.tables]
        datasets = [one.name for one in here.datasets]
        found = {
            "products": [one.name for one in here.products],
            "datasets": datasets,
            "flows": [*here.flows, *_flow_files()],
            "tables": [*(f"silver.{one}" for one in datasets), *(f"gold.{one}" for one in gold)],
            "shown": [
                *datasets,
                *(f"gold.{one}" for one in gold),
                *(f"quarantine.{one}" for one in datasets),
            ],
            **{f"{kind} blocks": [n for n, k in here.blocks().items() if k == kind] for kind in _KINDS},
        }[what]
        return tuple(dict.fromkeys(found))
    return ()


_KINDS = ("lake", "api", "database", "files", "alerts")
_OF_DEST = {
    "product": "products",
    "dataset": "datasets",
    "stream": "datasets",
    "flow": "flows",
    "table": "tables",
    "lake": "lake blocks",
    "api": "api blocks",
    "like": "recipes",
    "recipe": "recipes",
}
"""Arguments by what they name."""

_OF_COMMAND = {("show", "dataset"): "shown", ("table", "table"): "", ("table", "database"): "database blocks"}
"""Where a command means something else by a name than the others do."""


def _offer_names(parser: argparse.ArgumentParser, command: str = "") -> None:
    """Have each argument that names something of the project offer what there is."""
    from argcomplete.completers import FilesCompleter

    for action in parser._actions:
        what = _OF_COMMAND.get((command, action.dest), _OF_DEST.get(action.dest, ""))
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                _offer_names(child, name)
        elif action.type is Path or action.dest in _FILES:
            action.completer = FilesCompleter()  # type: ignore[attr-defined]
        elif what and not action.choices:
            action.completer = _offer(what)  # type: ignore[attr-defined]


def _offer(what: str) -> Callable[..., Iterable[str]]:
    def offer(**_: Any) -> Iterable[str]:
        return _names(what)

    return offer


def _children(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (commands,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return commands.choices
