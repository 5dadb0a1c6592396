"""The public names of the library as a page of Markdown, made of their docstrings and signatures."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from typing import Any

GROUPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "A project": ("headworks", ("Project", "Product", "Publish", "PublishedTable")),
    "Sources": (
        "headworks",
        ("Api", "Resource", "Incremental", "Completeness", "Database", "Table", "FileStore", "Files", "Window"),
    ),
    "Silver": (
        "headworks",
        ("Dataset", "Reference", "Agreement", "Nested", "RejectLimits", "AnomalyLimits"),
    ),
    "Gold": ("headworks", ("GoldTable", "Sql")),
    "Declarations in YAML": ("headworks.declared", ("declared", "read_dataset")),
    "The lake": ("headworks", ("open_lake", "query", "open_product", "Lake")),
    "Models": ("headworks.models", ("Model", "Bounds", "feature_table", "AsOf")),
    "Tests of your own": ("headworks.testing", ("try_rows", "try_transform", "SourceSuite")),
    "Errors": (
        "headworks",
        (
            "HeadworksError", "SettingsError", "CredentialsRefused", "GateClosed", "SourceUnavailable",
            "LakeUnavailable", "LakeUnusable", "ReadIncomplete",
        ),
    ),
}  # fmt: skip
"""The public names by what they are for, each with the package that it is imported from."""

_PAGE = r"""# Python reference

The public names, each with its parameters and an example; everything else may change from one version to the next.
This page is made of the docstrings by `headworks reference --python > docs/reference-python.md`; a test fails where it
is not what they say, and runs the examples. These begin with

```python
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest

from headworks import *
from headworks.errors import RetryError, StopError
from headworks.models import *
from headworks.testing import *

contract = Path("contract.yml")
_ = contract.write_text("dataset: lake/gold/any\ncolumns: [{name: id}]\n")
```

A name that ends in `_s` is a number of seconds, in `_h` of hours, in `_mb` of megabytes; a share is from 0 to 1.
"""


_BELOW = "see below"


@dataclass
class Said:
    """A docstring in its parts."""

    first: str = ""
    prose: list[str] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    example: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What it says apart from its first sentence, the parameters and the example."""
        return "\n".join(self.prose).strip()


def names() -> Iterator[tuple[str, str, Any]]:
    """Return each public name with the package that it is imported from, and what it is."""
    for package, group in GROUPS.values():
        for name in group:
            yield package, name, getattr(import_module(package), name)


def said_of(found: Any) -> Said:
    """Return the docstring of a public name in its parts."""
    lines = inspect.cleandoc(found.__doc__ or "").splitlines()
    said, part = Said(), ""
    for line in lines:
        if line in {"Args:", "Example:"}:
            part = line
        elif part == "Example:":
            said.example.append(line.removeprefix("    "))
        elif part == "Args:" and (named := re.match(r"    (\w+): (.*)", line)):
            said.parameters[named[1]] = named[2]
        elif part == "Args:" and line.startswith("     ") and said.parameters:
            last = next(reversed(said.parameters))
            said.parameters[last] += f" {line.strip()}"
        else:
            part = "" if line.strip() else part
            said.prose.append(line)
    text = "\n".join(said.prose)
    said.first, _, rest = text.partition("\n\n")
    said.first = " ".join(said.first.split())
    said.prose = rest.splitlines()
    return said


@dataclass(frozen=True)
class Parameter:
    """A parameter of a public name."""

    name: str
    type: str
    default: str
    about: str


def parameters_of(found: Any) -> list[Parameter]:
    """Return the parameters of a public name; for those that are explained in the text ``about`` is empty."""
    from pydantic import BaseModel

    from headworks.cli.reference import default_of, fields_of, type_of

    if isinstance(found, type) and issubclass(found, BaseModel):
        return [
            Parameter(
                name,
                type_of(each.annotation),
                "needed" if each.is_required() else default_of(each.get_default(call_default_factory=True)),
                each.description or "",
            )
            for name, each in fields_of(found).items()
        ]
    if isinstance(found, type) and (issubclass(found, Exception) or not _is_made_by_hand(found)):
        said = said_of(found)
        return [Parameter(name, "str", "", about) for name, about in said.parameters.items()]
    said = said_of(found)
    made = []
    for name, each in inspect.signature(found).parameters.items():
        default = "needed" if each.default is each.empty else _shown(each.default)
        if each.kind in {each.VAR_KEYWORD, each.VAR_POSITIONAL}:
            default = ""
        made.append(Parameter(name, _annotation(each.annotation), default, said.parameters.get(name, "")))
    return made


def _is_made_by_hand(found: type) -> bool:
    """Return whether somebody calls a class: a suite of tests is subclassed instead."""
    return bool(inspect.signature(found).parameters)


def _shown(value: Any) -> str:
    if value in (None, "", ()) or type(value).__name__ == "_HAS_DEFAULT_FACTORY_CLASS":
        return ""
    if isinstance(value, timedelta):
        return f"`{value.days} days`" if value.days != 1 else "`1 day`"
    return f"`{value}`"


def _annotation(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return f"`{text}`"


def says_what_it_raises(said: Said) -> bool:
    """Return whether a docstring says itself which errors there are."""
    return re.search(r"\braises\b", f"{said.first} {said.text}", re.IGNORECASE) is not None


def raises_of(found: Any) -> str:
    """Return which errors a declaration raises where its docstring does not say so itself."""
    from pydantic import BaseModel

    if isinstance(found, type) and issubclass(found, BaseModel):
        return "Raises `pydantic.ValidationError`, which names each field that cannot be."
    is_checked = not isinstance(found, type) or "__post_init__" in vars(found)
    if is_checked or issubclass(found, Exception):
        return ""
    return "Raises nothing by itself: the `Project` that names it checks whether it fits."


def page() -> str:
    """Return the reference as Markdown."""
    lines = [_PAGE]
    for title, (package, group) in GROUPS.items():
        lines += [f"## {title}", ""]
        for name in group:
            lines += _entry(package, name, getattr(import_module(package), name))
    return "\n".join(lines).rstrip() + "\n"


def _entry(package: str, name: str, found: Any) -> list[str]:
    said, parameters = said_of(found), parameters_of(found)
    lines = [f"### {name}", "", f"`from {package} import {name}`", "", said.first, ""]
    if parameters:
        lines += ["| parameter | type | default | |", "|---|---|---|---|"]
        lines += [
            f"| `{each.name}` | {_cell(each.type)} | {_cell(each.default)} | {_cell(each.about or _BELOW)} |"
            for each in parameters
        ]
        lines.append("")
    if said.text:
        lines += [said.text, ""]
    if not says_what_it_raises(said) and (raised := raises_of(found)):
        lines += [raised, ""]
    advice = getattr(found, "advice", "")
    if advice:
        lines += [f"What to do, where nothing better is known: {advice}", ""]
    return [*(line.replace("``", "`") for line in lines), "```pycon", *said.example, "```", ""]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
