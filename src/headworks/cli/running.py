"""``headworks run``: a product of the project or a flow, and the flows that have a command of their own.

A flow has a parser of its own, made of its parameters, and imports Prefect. So these commands are no subparsers: they
take all that follows their name.
"""

from __future__ import annotations

import ast
import json
import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headworks.errors import SettingsError, did_you_mean

if TYPE_CHECKING:
    from headworks.project import Project

OWN: Mapping[str, str] = {
    "maintenance": "join small files, delete what has aged, remove what nothing needs",
    "freshness": "measure how old the tables are, and fail where one is older than promised",
    "backfill": "ingest a range of time again, window by window",
}
"""The flows that have a command of their own, with what they do."""

_PACKAGE = "flows"


def run(given: Sequence[str]) -> int:
    """Run what the first argument names: a product by the flow ``pipeline``, else a flow; the exit code."""
    from headworks.project import this_project

    project = this_project()
    if not given or given[0] in {"-h", "--help"}:
        print(_listing(project))
        return 0
    name, rest = given[0], given[1:]
    if name.startswith("-"):
        return _run(project, "pipeline", given, "headworks run")
    if name in {product.name for product in project.products}:
        chosen = ["--product", json.dumps(name), *rest]
        return _run(project, "pipeline", chosen, f"headworks run {name}")
    return run_flow_named(name, rest, f"headworks run {name}", project)


def run_flow_named(name: str, given: Sequence[str], prog: str, project: Project | None = None) -> int:
    """Run a flow of the project by its name, ``flows.NAME`` or ``NAME``; the exit code."""
    from headworks.project import this_project

    return _run(project or this_project(), name.removeprefix(f"{_PACKAGE}.").replace("-", "_"), given, prog)


def _run(project: Project, name: str, given: Sequence[str], prog: str) -> int:
    from headworks.prefect.console import run_as_program

    return run_as_program(_flow(project, name), given, prog=prog)


def _flow(project: Project, name: str) -> Any:
    """Return a flow that the project names, or that is a module of its package ``flows``."""
    if name in project.flows:
        return project.load_flow(name)
    there = modules()
    if name in there:
        found = getattr(import_module(f"{_PACKAGE}.{name}"), name, None)
        if found is not None:
            return found
    products = [product.name for product in project.products]
    known = [*products, *sorted({*project.flows, *there})]
    raise SettingsError(
        f"There is no product and no flow {name!r}.{did_you_mean(name, known)}",
        where=f"project {project.name}",
        do=f"use one of the products {', '.join(products) or '(none)'}, or of the flows "
        f"{', '.join(sorted({*project.flows, *there})) or '(none)'}.",
    )


def modules() -> dict[str, Path]:
    """Return the modules of the package ``flows`` that this place has, without importing them."""
    spec = find_spec(_PACKAGE)
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    return {
        found.name: Path(place) / f"{found.name}.py"
        for place in places
        for found in pkgutil.iter_modules([place])
        if not found.name.startswith("_")
    }


def _listing(project: Project) -> str:
    lines = [
        "usage: headworks run PRODUCT|FLOW [OPTION …]",
        "",
        "Run a product of the project, or a flow. Each of them says more: headworks run NAME --help",
        "",
        f"products of {project.name}:",
        *(f"  {each.name:<20}{each.owner and f'of {each.owner}'}".rstrip() for each in project.products),
        "",
        "flows:",
    ]
    products = {product.name for product in project.products}
    for name, file in sorted(modules().items()):
        shown = f"{_PACKAGE}.{name}" if name in products else name
        own = f" (headworks {name})" if name in OWN else ""
        lines.append(f"  {shown:<20}{first_line(file)}{own}")
    lines += [f"  {name:<20}" for name in sorted({*project.flows} - {*modules()})]
    return "\n".join(lines)


def first_line(file: Path) -> str:
    """Return what a module's docstring begins with, without importing it."""
    try:
        text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ""
    return text.partition("\n")[0]
