"""``headworks reference``: the commands, the flows' parameters, and all settings, made of the code itself."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from headworks.cli.running import OWN
from headworks.cli.shared import Commands

if TYPE_CHECKING:
    from pydantic import BaseModel

_PAGE = """# Reference

All commands with their options, the parameters of the flows that a project begins with, and all settings. This page is
made of the code by `headworks reference > docs/reference.md`; a test fails where it is not what the code says.
"""
_OF_BLOCKS = """A block of a Prefect server, or variables `HEADWORKS_<BLOCK>_<FIELD>`, such as
`HEADWORKS_CRM_API_TOKEN` for the block `crm-api`; with `_FILE` at its end a variable names a file that holds the value.
A database has the variables `HEADWORKS_<BLOCK>_URL` and `HEADWORKS_<BLOCK>_SSLMODE`.
"""
_SETTINGS = (
    ("A dataset in YAML (`src/<project>/datasets/*.yml`)", "headworks.declared:DatasetOf"),
    ("A product in YAML (`src/<project>/products/*.yml`)", "headworks.declared:ProductOf"),
    ("A resource of an API", "headworks.sources.api.resource:Resource"),
    ("A table of a database", "headworks.sources.sql.table:Table"),
    ("Files", "headworks.sources.files.selection:Files"),
    ("Limits on rejected rows", "headworks.settings:RejectLimits"),
    ("Limits on anomalies", "headworks.quality.limits:AnomalyLimits"),
    ("A promise of freshness", "headworks.ops.freshness:FreshnessPromise"),
    ("Maintenance", "headworks.ops.maintenance:MaintenanceSettings"),
)
_BLOCKS = (
    ("A lake", "headworks.prefect.blocks.lake:LakeLocation"),
    ("An API", "headworks.prefect.blocks.api:ApiCredentials"),
    ("Files", "headworks.prefect.blocks.files:FileLocation"),
    ("Alerts", "headworks.prefect.blocks.alerts:AlertChannel"),
)


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parser in."""
    reference = commands.add_parser(
        "reference", help="print all commands, parameters and settings as a page of Markdown"
    )
    reference.add_argument(
        "--python", action="store_true", help="print the public names of the library instead"
    )
    reference.set_defaults(command=_reference)


def _reference(options: argparse.Namespace) -> int:
    from headworks.cli import interface
    from headworks.cli.main import the_parser

    print(interface.page() if options.python else page(the_parser()), end="")
    return 0


def page(parser: argparse.ArgumentParser) -> str:
    """Return the reference as Markdown."""
    lines = [_PAGE, "## Commands", ""]
    for command in _commands(parser):
        lines += _command(command)
    lines += ["## Flows", "", "`headworks run NAME`, each parameter as an option.", ""]
    for name in _flows():
        lines += _flow(name)
    lines += ["## Settings", ""]
    seen: set[type[BaseModel]] = set()
    for title, place in _SETTINGS:
        lines += _model(title, _at(place), seen, level=3)
    lines += ["## Blocks", "", _OF_BLOCKS]
    for title, place in _BLOCKS:
        lines += _model(title, _at(place), seen, level=3)
    return "\n".join(lines).rstrip() + "\n"


def _at(place: str) -> type[BaseModel]:
    module, _, name = place.partition(":")
    found: type[BaseModel] = getattr(import_module(module), name)
    return found


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Return each command that has no further commands below it, with what it is for."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            about = {each.dest: each.help or "" for each in action._choices_actions}
            for name, inner in action.choices.items():
                if inner.prog == "headworks deploy":
                    # Its parser is made where it is used, since that takes long to import.
                    yield _of_deploy(), about[name]
                    continue
                below = [*_commands(inner)]
                yield from below or [(inner, about.get(name, ""))]


def _of_deploy() -> argparse.ArgumentParser:
    from headworks.prefect.deploying.deploy import the_parser

    return the_parser()


def _command(found: tuple[argparse.ArgumentParser, str]) -> list[str]:
    parser, about = found
    lines = [f"### {parser.prog}", "", _sentence(parser.description or about), ""]
    rows = [
        (_written(action), action.help or "")
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction) and action.help != argparse.SUPPRESS
    ]
    if rows:
        lines += ["| | |", "|---|---|", *(f"| `{_cell(name)}` | {_cell(text)} |" for name, text in rows), ""]
    name = parser.prog.removeprefix("headworks ")
    if name in OWN:
        lines += [f"Its options are the parameters of the flow [{name}](#{name}).", ""]
    if name == "run":
        lines += ["Its options are the parameters of the [flow](#flows).", ""]
    if parser.epilog:
        lines += [_sentence(parser.epilog), ""]
    return lines


def _written(action: argparse.Action) -> str:
    """Return an option or an argument as it is written."""
    choices = f"{{{','.join(map(str, action.choices))}}}" if action.choices else ""
    metavar = action.metavar if isinstance(action.metavar, str) else None
    value = metavar or choices or (action.dest.upper() if action.nargs != 0 else "")
    if not action.option_strings:
        return f"[{value}]" if action.nargs in {"?", "*"} else value
    return " ".join(filter(None, (", ".join(action.option_strings), "" if action.nargs == 0 else value)))


def _flows() -> list[str]:
    from headworks.scaffold import SHARED

    names = [path.removeprefix("flows/").removesuffix(".py") for path in SHARED if path.startswith("flows/")]
    return sorted(name for name in names if not name.startswith("_"))


def _flow(name: str) -> list[str]:
    from headworks.prefect.console import parameters_of

    flow = getattr(import_module(f"flows.{name}"), name)
    properties, needed = parameters_of(flow)
    about = inspect.cleandoc(flow.__doc__ or "").partition("\n")[0]
    rows = []
    for parameter, said in properties.items():
        default = "needed" if parameter in needed else default_of(said.get("default"))
        choices = " | ".join(map(str, said.get("enum", ())))
        rows.append((f"--{parameter.replace('_', '-')}", choices, default, said.get("description", "")))
    lines = [f"### {name}", "", about, "", "| option | one of | default | |", "|---|---|---|---|"]
    return [*lines, *(f"| `{row[0]}` | {' | '.join(_cell(cell) for cell in row[1:])} |" for row in rows), ""]


def _model(title: str, model: type[BaseModel], seen: set[type[BaseModel]], *, level: int) -> list[str]:
    """Return a model's fields, and after them the models that these hold, each once."""
    if model in seen:
        return []
    seen.add(model)
    about = inspect.cleandoc(model.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    lines = [f"{'#' * level} {title}", "", about, "", "| field | type | default | |", "|---|---|---|---|"]
    inner: dict[str, type[BaseModel]] = {}
    for name, field in fields_of(model).items():
        inner |= {each.__name__: each for each in _models(field.annotation)}
        default = (
            "needed" if field.is_required() else default_of(field.get_default(call_default_factory=True))
        )
        cells = (type_of(field.annotation), default, field.description or "")
        lines.append(f"| `{field.alias or name}` | {' | '.join(map(_cell, cells))} |")
    lines.append("")
    for name, each in inner.items():
        lines += _model(name, each, seen, level=4)
    return lines


def fields_of(model: type[BaseModel]) -> Mapping[str, Any]:
    """Return a model's own fields: those of a block are not those of Prefect."""
    from pydantic import BaseModel

    theirs = {
        name
        for base in model.__mro__[1:]
        if issubclass(base, BaseModel) and base.__module__.startswith("prefect.")
        for name in base.model_fields
    }
    return {name: field for name, field in model.model_fields.items() if name not in theirs}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def type_of(annotation: Any) -> str:
    """Return a type in few words."""
    if get_origin(annotation) is Annotated:
        return type_of(get_args(annotation)[0])
    if annotation is type(None):
        return "null"
    if isinstance(annotation, type) and annotation.__name__.startswith("Secret"):
        return "secret object" if annotation.__name__.endswith("Dict") else "secret text"
    if isinstance(annotation, type) and not get_args(annotation):
        words = {
            "str": "text",
            "int": "whole number",
            "float": "number",
            "bool": "true or false",
            "datetime": "moment",
        }
        return words.get(annotation.__name__, annotation.__name__)
    origin = getattr(annotation, "__origin__", None)
    inner = [type_of(each) for each in get_args(annotation) if each is not Ellipsis]
    name = getattr(origin, "__name__", "") or type(annotation).__name__
    if name in {"tuple", "list", "set", "frozenset", "Sequence"}:
        return f"list of {' or '.join(dict.fromkeys(inner)) or 'anything'}"
    if name in {"dict", "Mapping"}:
        return f"{inner[0]} to {inner[-1]}" if inner else "object"
    if name == "Literal":
        return " or ".join(f"`{each}`" for each in get_args(annotation))
    return " or ".join(dict.fromkeys(each for each in inner if each != "null")) or str(annotation)


def default_of(value: Any) -> str:
    from pydantic import BaseModel, Secret, SecretStr
    from pydantic_core import PydanticUndefined

    if value is PydanticUndefined or value in (None, "", (), [], {}) or isinstance(value, Secret | SecretStr):
        return ""
    if isinstance(value, BaseModel):
        return "its defaults"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, frozenset | set):
        value = sorted(value, key=str)
    return f"`{', '.join(map(str, value)) if isinstance(value, tuple | list) else value}`"


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    text = text[:1].upper() + text[1:]
    return text if not text or text.endswith((".", "?")) else f"{text}."


def _cell(text: str) -> str:
    return " ".join(str(text).replace("|", "\\|").replace("%%", "%").split())
