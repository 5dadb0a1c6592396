"""The check of a project: whether its declarations fit together, and what of it is deprecated."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from headworks.errors import HeadworksError
from headworks.moved import place_of
from headworks.project import Project, this_project
from headworks.scaffold import REMEMBERED, changed_files, written_by

_OF_A_PROJECT = ("src", "flows", "tasks", "blocks", "deployments", "tests")


@dataclass(frozen=True)
class Finding:
    """Something that a person should know of a project."""

    severity: Literal["wrong", "deprecated", "note"]
    where: str
    text: str


def check(folder: Path) -> list[Finding]:
    """Return what is wrong with the project in a folder, and what is deprecated; nothing is run and no source asked."""
    try:
        project = this_project(folder)
    except HeadworksError as problem:
        return [Finding("wrong", problem.where or str(folder), problem.what), *_deprecated(folder)]
    return [*_flows(project), *_deployments(folder, project), *_deprecated(folder), *_behind(folder)]


def _flows(project: Project) -> Iterator[Finding]:
    for name in project.flows:
        try:
            project.load_flow(name)
        except HeadworksError as problem:
            yield Finding("wrong", f"flows of project {project.name}", problem.what)


def _deployments(folder: Path, project: Project) -> Iterator[Finding]:
    file = folder / "prefect.yaml"
    if not file.exists():
        yield Finding("note", "prefect.yaml", "there is none, so nothing runs by a schedule")
        return
    try:
        declared: list[dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))["deployments"]
    except (yaml.YAMLError, KeyError, TypeError) as problem:
        yield Finding("wrong", "prefect.yaml", f"it cannot be read: {problem}")
        return
    products = {product.name for product in project.products}
    scheduled: set[str] = set()
    for one in declared:
        name, entrypoint = str(one.get("name")), str(one.get("entrypoint"))
        module, _, _ = entrypoint.rpartition(".")
        if not (folder / f"{module.replace('.', '/')}.py").exists():
            yield Finding("wrong", f"prefect.yaml, {name}", f"there is no flow {entrypoint}")
        parameters = one.get("parameters") or {}
        for missing in sorted({*_named(parameters, "product")} - products):
            yield Finding("wrong", f"prefect.yaml, {name}", f"there is no product {missing!r}")
        for table in _named(parameters.get("promises"), "table"):
            if not _is_known(project, table):
                yield Finding("wrong", f"prefect.yaml, {name}", f"nothing makes {table}, which is promised")
        product = parameters.get("product")
        if product is not None and one.get("schedules"):
            scheduled.add(str(product))
    for product in sorted(products - scheduled):
        if not any(one.get("schedules") and product in str(one.get("name")) for one in declared):
            yield Finding("note", "prefect.yaml", f"no deployment runs the product {product} by a schedule")


def _named(value: Any, name: str) -> Iterator[str]:
    """Find the texts under a name, at whatever depth: a backfill has the parameters of another flow in its own."""
    if isinstance(value, dict):
        for key, below in value.items():
            if key == name and isinstance(below, str):
                yield below
            else:
                yield from _named(below, name)
    elif isinstance(value, list):
        for below in value:
            yield from _named(below, name)


def _is_known(project: Project, table: str) -> bool:
    """Return whether a table, such as gold.sales.daily, is made by the project; a whole schema has its prefix."""
    layer, _, name = table.partition(".")
    if layer == "gold":
        return any(name == one.name for product in project.products for one in product.tables)
    into = [source.into for source in project.sources]
    known = {*into, *(dataset.name for dataset in project.datasets)}
    return name in known or any(name.startswith(f"{one}.") for one in into)


def _deprecated(folder: Path) -> Iterator[Finding]:
    """Find imports by names that are going away."""
    for top in _OF_A_PROJECT:
        for file in sorted((folder / top).rglob("*.py")):
            try:
                tree = ast.parse(file.read_text(encoding="utf-8"))
            except (SyntaxError, UnicodeDecodeError) as problem:
                yield Finding("wrong", str(file.relative_to(folder)), f"it cannot be read: {problem}")
                continue
            for node in ast.walk(tree):
                for name in _imported(node):
                    if (now := place_of(name)) is not None:
                        where = f"{file.relative_to(folder)}:{getattr(node, 'lineno', 0)}"
                        yield Finding("deprecated", where, f"{name} is {now} now")


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (each.name for each in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
        yield from (f"{node.module}.{each.name}" for each in node.names)


def _behind(folder: Path) -> Iterator[Finding]:
    if not (folder / REMEMBERED).exists():
        return
    try:
        stale = changed_files(folder)
    except HeadworksError as problem:
        yield Finding("wrong", REMEMBERED, problem.what)
        return
    if stale:
        yield Finding(
            "note",
            REMEMBERED,
            f"{len(stale)} files were made by headworks {written_by(folder)} and are others now: headworks upgrade",
        )
