"""A project: what a company declares, in one object by which flows, commands and deployments find everything.

A `Project` lists sources, datasets, products and flows. It checks itself when it is made, so that a slip shows at
import and not in the night, and answers what a product needs and in which order. Nothing else keeps such a list.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from importlib.metadata import entry_points
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar

from headworks.errors import HeadworksError, SettingsError, did_you_mean
from headworks.gold.curation import GoldTable
from headworks.gold.holding import published_name
from headworks.models.model import Model
from headworks.names import check_dataset
from headworks.ops.freshness import FreshnessPromise
from headworks.place import naming
from headworks.publish.tables import PublishedTable
from headworks.silver.dataset import Dataset
from headworks.sources.api.resource import Resource
from headworks.sources.files.selection import Files
from headworks.sources.sql.table import Table

VARIABLE = "HEADWORKS_PROJECT"
"""Names the project as ``module:NAME``, in the place of what ``pyproject.toml`` says."""

_ENTRY_POINTS = "headworks.project"

BlockKind = Literal["lake", "api", "database", "files", "alerts"]
"""What a block describes."""

N = TypeVar("N", Dataset, "Product")


@dataclass(frozen=True)
class Api:
    """A resource of an API, and the bronze dataset that it lands in.

    Args:
        block: the name of the block, or of the variables, by which the API is reached.
        resource: what of it is read, and how.
        into: the dataset that it lands in.

    Example:
        >>> deals = Resource(path="/v1/deals", records="data", pagination={"kind": "single"})
        >>> Api("crm-api", deals, into="crm.deals").kind
        'api'
    """

    block: str
    resource: Resource
    into: str
    kind: BlockKind = field(default="api", init=False)

    @property
    def takes_windows(self) -> bool:
        """Whether it can be read from one moment to another."""
        return self.resource.incremental is not None and self.resource.incremental.until_parameter is not None


@dataclass(frozen=True)
class Database:
    """A table or SELECT of a database, and the bronze dataset that it lands in.

    Args:
        block: the name of the block, or of the variables, by which the database is reached.
        table: what of it is read, and how.
        into: the dataset that it lands in.

    Example:
        >>> Database("shop-database", Table(name="orders", cursor="updated_at"), into="shop.orders").kind
        'database'
    """

    block: str
    table: Table
    into: str
    kind: BlockKind = field(default="database", init=False)

    @property
    def takes_windows(self) -> bool:
        """Whether it can be read from one moment to another."""
        return self.table.cursor is not None


@dataclass(frozen=True)
class FileStore:
    """Files of a folder or an object store, and the bronze dataset that they land in.

    Args:
        block: the name of the block, or of the variables, that says where the files are.
        files: which of them are read, and how.
        into: the dataset that they land in.

    Example:
        >>> FileStore("till-files", Files(format="csv", pattern="*.csv"), into="shop.receipts").kind
        'files'
    """

    block: str
    files: Files
    into: str
    kind: BlockKind = field(default="files", init=False)

    @property
    def takes_windows(self) -> bool:
        """Whether they can be read from one moment to another: by when they were modified."""
        return True


Source = Api | Database | FileStore


@dataclass(frozen=True)
class Publish:
    """Where a product is published: the block of a Postgres database, the schema, and the tables there.

    Args:
        block: the name of the block of the database.
        schema: the schema, which is there already.
        tables: the gold tables, and what they are called there.

    Example:
        >>> daily = PublishedTable("sales.daily", "daily", key=("day",))
        >>> Publish("analytics-database", "analytics", (daily,)).tables[0].name
        'daily'
    """

    block: str
    schema: str
    tables: tuple[PublishedTable, ...]


@dataclass(frozen=True)
class Product:
    """Gold tables that belong together and are published as one; ``owner`` is whom to ask about them.

    ``models`` are learned from its tables and add theirs: scores, and the champions that gave them.

    Args:
        name: one lower-case word, such as ``sales``.
        tables: made and published together, or not at all.
        publish: to which database; None: it is in the lake alone.

    Example:
        >>> by_status = Sql("SELECT status, count(*) AS orders FROM shop.orders GROUP BY status")
        >>> table = GoldTable("sales.by_status", by_status.inputs, by_status, ("status",), contract)
        >>> Product("sales", (table,), owner="sales-data@acme.example").publish is None
        True
    """

    name: str
    tables: tuple[GoldTable, ...]
    publish: Publish | None = None
    owner: str = ""
    models: tuple[Model, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The silver datasets that its tables are made from, each once."""
        return tuple(dict.fromkeys(chain.from_iterable(table.inputs for table in self.tables)))

    @property
    def made(self) -> tuple[str, ...]:
        """What is made for it, as it is called where it is held: its gold tables, and the published ones."""
        published = () if self.publish is None else self.publish.tables
        schema = "" if self.publish is None else self.publish.schema
        return (
            *(f"gold.{table.name}" for table in self.tables),
            *(published_name(schema, table.name) for table in published),
        )


@dataclass(frozen=True)
class Needs:
    """What a product needs: the sources to land, and its datasets in the ranks in which silver is made.

    No dataset of a rank refers to another one of it, so a rank can be refined side by side.
    """

    sources: tuple[Source, ...]
    ranks: tuple[tuple[Dataset, ...], ...]


@dataclass(frozen=True)
class Project:
    """What a company declares.

    ``flows`` names the flows that a backfill may run, each as ``module:NAME``. ``lake`` is the block of the lake, and
    ``other_blocks`` names blocks that no source or product uses, with their kinds. ``freshness`` is what is promised of
    tables, which ``headworks status`` holds them to.

    Raises `SettingsError` with one line for each slip: a name twice, a parent or an input that is not declared, a
    circle of references, a dataset that nothing fills, a table that is published and not made.

    Args:
        name: the company's, or the team's.
        sources: `Api`, `Database` and `FileStore`, each with the dataset that it lands in.
        datasets: what becomes of bronze in silver.
        products: what is made of silver, and published.

    Example:
        >>> orders = Database("shop-database", Table(name="orders"), into="raw.orders")
        >>> Project("acme", sources=(orders,)).blocks()
        {'lake': 'lake', 'shop-database': 'database'}
    """

    name: str
    sources: tuple[Source, ...] = ()
    datasets: tuple[Dataset, ...] = ()
    products: tuple[Product, ...] = ()
    flows: Mapping[str, str] = field(default_factory=dict)
    lake: str = "lake"
    other_blocks: Mapping[str, BlockKind] = field(default_factory=dict)
    freshness: tuple[FreshnessPromise, ...] = ()

    def __post_init__(self) -> None:
        """Check the declarations against one another."""
        slips = [*self._slips()]
        if slips:
            raise SettingsError(
                "\n".join(
                    (f"The project {self.name} does not fit together:", *(f"- {slip}" for slip in slips))
                ),
                where=f"project {self.name}",
                do="correct the declarations; each line names one slip.",
            )

    def dataset(self, name: str) -> Dataset:
        """Return a dataset by its name; raises `SettingsError` with those that there are."""
        return _named("dataset", name, self.datasets)

    def product(self, name: str) -> Product:
        """Return a product by its name; raises `SettingsError` with those that there are."""
        return _named("product", name, self.products)

    def ranks(self, wanted: Iterable[str] | None = None) -> tuple[tuple[Dataset, ...], ...]:
        """Return the datasets in the order in which silver is made, parents before those that refer to them.

        With ``wanted``, only those and what they refer to, over any number of steps.
        """
        by_name = {dataset.name: dataset for dataset in self.datasets}
        known = set(by_name if wanted is None else _closure(wanted, by_name))
        order = TopologicalSorter(
            {name: _referred(dataset) & known for name, dataset in by_name.items() if name in known}
        )
        order.prepare()
        ranks: list[tuple[Dataset, ...]] = []
        while order.is_active():
            ready = set(order.get_ready())
            ranks.append(tuple(dataset for dataset in self.datasets if dataset.name in ready))
            order.done(*ready)
        return tuple(ranks)

    def needs(self, product: str) -> Needs:
        """Return what a product needs; raises `SettingsError` for one that is not declared."""
        ranks = self.ranks(self.product(product).inputs)
        by_name = {dataset.name: dataset for dataset in self.datasets}
        filled = {_filled_from(dataset, by_name) for dataset in chain.from_iterable(ranks)}
        return Needs(tuple(source for source in self.sources if source.into in filled), ranks)

    def products_of(self, dataset: str) -> tuple[Product, ...]:
        """Return the products that a change of a dataset may change: those made from it, or from what refers to it."""
        return tuple(
            product
            for product in self.products
            if any(each.name == dataset for rank in self.ranks(product.inputs) for each in rank)
        )

    def used_blocks(self) -> dict[str, BlockKind]:
        """Return the kind of each block that the lake, a source or a product is described by, by its name."""
        published = {product.publish.block for product in self.products if product.publish is not None}
        return {
            self.lake: "lake",
            **{source.block: source.kind for source in self.sources},
            **dict.fromkeys(sorted(published), "database"),
        }

    def blocks(self) -> dict[str, BlockKind]:
        """Return the kind of each block that the project knows, by its name: those that are used, and the others."""
        return {**self.used_blocks(), **self.other_blocks}

    def load_flow(self, name: str) -> Any:
        """Import a flow by its name; raises `SettingsError` for one that is not declared or cannot be imported."""
        if name not in self.flows:
            raise SettingsError(
                f"There is no flow {name!r}.{did_you_mean(name, self.flows)}",
                where=f"flows of project {self.name}",
                do=f"use one of {', '.join(self.flows) or 'none'}, or add it to the flows of the project.",
            )
        return _imported(self.flows[name], f"flows of project {self.name}", "flow")

    def _slips(self) -> Iterator[str]:
        by_name = {dataset.name: dataset for dataset in self.datasets}
        yield from _twice("datasets", (dataset.name for dataset in self.datasets))
        yield from _twice("products", (product.name for product in self.products))
        yield from _twice("sources into", (source.into for source in self.sources))
        yield from _twice("gold tables", (name for one in self.products for name in _made(one)))
        yield from _twice("models", (model.name for one in self.products for model in one.models))
        landed = {source.into for source in self.sources}
        for source in self.sources:
            try:
                check_dataset(source.into)
            except HeadworksError as problem:
                yield f"source of {source.block}: {problem.what}"
        for dataset in self.datasets:
            for name in sorted(_referred(dataset) - {*by_name}):
                yield f"dataset {dataset.name} refers to {name}, which is not declared"
            if (filled := _filled_from(dataset, by_name)) not in landed:
                yield f"dataset {dataset.name} is made from {filled}, into which no source lands"
        try:
            self.ranks()
        except CycleError as problem:
            yield f"datasets refer to one another in a circle: {' -> '.join(problem.args[1])}"
        for product in self.products:
            yield from _slips_of(product, [*by_name])
        kinds: dict[str, str] = {}
        for name, kind in chain(
            ((source.block, source.kind) for source in self.sources),
            ((one.publish.block, "database") for one in self.products if one.publish is not None),
        ):
            if kinds.setdefault(name, kind) != kind:
                yield f"block {name} is used as {kinds[name]} and as {kind}"


def project(start: Path | None = None) -> Project | None:
    """Return the project of this place, or None where none is named.

    It is looked for in ``HEADWORKS_PROJECT``, in ``[tool.headworks]`` of the ``pyproject.toml`` in ``start`` (the
    working directory) or above it, and in the entry points ``headworks.project`` of what is installed. Raises
    `SettingsError` where it is named and cannot be had.
    """
    reference, where = _reference(start or Path.cwd())
    return None if reference is None else _loaded(reference, where)


def this_project(start: Path | None = None) -> Project:
    """Return the project of this place; raises `SettingsError` where none is named."""
    found = project(start)
    if found is None:
        raise SettingsError(
            "No project is named here.",
            where=str(start or Path.cwd()),
            do=f'write project = "module:NAME" below [tool.headworks] in pyproject.toml, or set {VARIABLE}.',
        )
    return found


def _reference(start: Path) -> tuple[str | None, str]:
    if given := os.environ.get(VARIABLE):
        return given, VARIABLE
    for folder, named in naming(start):
        return named, str(folder / "pyproject.toml")
    installed = sorted({each.value for each in entry_points(group=_ENTRY_POINTS)})
    if len(installed) > 1:
        raise SettingsError(
            f"Several projects are installed: {', '.join(installed)}.",
            where=f"entry points {_ENTRY_POINTS}",
            do=f"say which one with {VARIABLE}.",
        )
    return (installed[0], f"entry points {_ENTRY_POINTS}") if installed else (None, "")


def _loaded(reference: str, where: str) -> Project:
    found = _imported(reference, where, "project")
    if not isinstance(found, Project):
        raise SettingsError(
            f"{reference} is a {type(found).__name__} and no Project.", where=where, do="name the Project."
        )
    return found


def _imported(reference: str, where: str, kind: str) -> Any:
    module, _, name = reference.partition(":")
    try:
        return getattr(import_module(module), name)
    except HeadworksError:
        raise
    except (ImportError, AttributeError, ValueError) as problem:
        raise SettingsError(
            f"The {kind} {reference} cannot be imported: {problem}.",
            where=where,
            do="write it as module:NAME, of a module that can be imported from here.",
        ) from problem


def _referred(dataset: Dataset) -> set[str]:
    """Return the other datasets that a dataset needs in silver before itself."""
    named = {reference.parent for reference in dataset.references} | {*dataset.contract_sees}
    return named - {dataset.name}


def _filled_from(dataset: Dataset, by_name: Mapping[str, Dataset]) -> str:
    """Return the bronze dataset that a source lands in for this one: its own, or that of what it is nested in."""
    passed: set[str] = set()
    while dataset.nested is not None and dataset.name not in passed:
        passed.add(dataset.name)
        if dataset.nested.parent not in by_name:
            return dataset.nested.parent
        dataset = by_name[dataset.nested.parent]
    return dataset.name


def _closure(wanted: Iterable[str], by_name: Mapping[str, Dataset]) -> set[str]:
    found: set[str] = set()
    left = [*wanted]
    while left:
        name = left.pop()
        if name not in found and name in by_name:
            found.add(name)
            left += _referred(by_name[name])
    return found


def _made(product: Product) -> list[str]:
    """Return the gold tables that a product consists of, those of its models among them."""
    return [
        *(table.name for table in product.tables),
        *(name for model in product.models for name in model.tables),
    ]


def _slips_of(product: Product, datasets: Sequence[str]) -> Iterator[str]:
    if not product.tables:
        yield f"product {product.name} has no table"
    for table in product.tables:
        for name in table.inputs:
            if name not in datasets:
                yield f"gold table {table.name} is made from {name}, which is not declared"
    for model in product.models:
        if model.features not in product.tables:
            yield f"model {model.name} learns from {model.features.name}, which product {product.name} does not have"
    made = _made(product)
    for published in product.publish.tables if product.publish is not None else ():
        if published.dataset not in made:
            yield f"product {product.name} publishes {published.dataset}, which is none of its tables"
    if product.publish is not None:
        yield from _twice(
            f"tables of {product.name} in {product.publish.schema}", (t.name for t in product.publish.tables)
        )


def _twice(what: str, names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"{what}: {name} is declared twice"
        seen.add(name)


def _named(kind: str, name: str, among: Sequence[N]) -> N:
    for one in among:
        if one.name == name:
            return one
    there = ", ".join(one.name for one in among) or "none"
    near = did_you_mean(name, (one.name for one in among))
    raise SettingsError(
        f"There is no {kind} {name!r}.{near}", where=f"{kind} {name}", do=f"use one of {there}."
    )
