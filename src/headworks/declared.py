"""Datasets, sources and products declared in YAML: the same objects as those declared in Python.

Below the folder of a project, ``datasets/*.yml`` holds one dataset each with its source, and ``products/*.yml`` one
product each with its gold tables. ``declared(folder).project("acme")`` is the project that they make. What is not known
is an error that names file and field, so that a slip is no rule that silently does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import dataframely as dy
import polars as pl
import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from headworks.errors import SettingsError
from headworks.gold.curation import GoldTable
from headworks.ops.freshness import FreshnessPromise
from headworks.project import Api, Database, FileStore, Product, Project, Publish, Source
from headworks.publish.tables import PublishedTable
from headworks.quality.limits import AnomalyLimits
from headworks.settings import Settings
from headworks.silver.dataset import Dataset, Keeping, Reference
from headworks.silver.expressions import decimal, iso_date, number, utc_moment, whole_number
from headworks.sources.api.resource import Resource
from headworks.sources.files.selection import Files
from headworks.sources.sql.table import Table

M = TypeVar("M", bound=Settings)

_DECIMAL = re.compile(r"Decimal\((\d+), *(\d+)\)")
_PLAIN = ("String", "Int64", "Float64", "Boolean", "Datetime", "Date", "Json")


class ColumnOf(Settings):
    """A column of a dataset: its type, where it comes from, and what must hold of it; null passes, unless required."""

    type: str = Field(
        description="String, Int64, Float64, Boolean, Datetime (UTC), Date, Json, or Decimal(p,s)."
    )
    field: str | None = Field(
        default=None, description="The column or field of the source, where it has another name."
    )
    text: bool = Field(
        default=False,
        description="A database or Parquet has the column as text: it is read strictly, as one of a CSV file is.",
    )
    required: bool = Field(default=False, description="Null is rejected.")
    minimum: int | float | date | datetime | None = Field(
        default=None, description="Smaller values are rejected."
    )
    maximum: int | float | date | datetime | None = Field(
        default=None, description="Larger values are rejected."
    )
    values: tuple[str | int, ...] = Field(default=(), description="Other values than these are rejected.")
    pattern: str | None = Field(
        default=None, description="A regular expression that the whole text must match."
    )
    warns: bool = Field(
        default=False, description="What breaks a rule of this column is counted and goes through."
    )

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in _PLAIN and not _DECIMAL.fullmatch(value):
            raise ValueError(f"is none of {', '.join(_PLAIN)}, Decimal(p,s)")
        return value

    @model_validator(mode="after")
    def _fitting(self) -> ColumnOf:
        if self.pattern is not None and self.type != "String":
            raise ValueError("a pattern is for a String")
        if self.type in {"String", "Boolean", "Json"} and (
            self.minimum is not None or self.maximum is not None
        ):
            raise ValueError("minimum and maximum are for numbers, dates and moments")
        if self.values and self.type not in {"String", "Int64"}:
            raise ValueError("values are for a String or an Int64")
        return self


class ReferenceOf(Settings):
    """Columns that must be the key of a row in another dataset."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    reason: str | None = None
    optional: bool | None = None


class FreshnessOf(Settings):
    """What is promised of the dataset's silver table."""

    committed_within_h: float | None = Field(default=None, gt=0)
    event_column: str | None = None
    event_within_h: float | None = Field(default=None, gt=0)


class ApiOf(Settings):
    """A resource of an API."""

    block: str
    resource: Resource


class DatabaseOf(Settings):
    """A table or SELECT of a database."""

    block: str
    table: Table


class FilesOf(Settings):
    """Files of a folder or an object store."""

    block: str
    files: Files


class SourceOf(Settings):
    """Where a dataset is read from: one of the three."""

    api: ApiOf | None = None
    database: DatabaseOf | None = None
    files: FilesOf | None = None

    @model_validator(mode="after")
    def _one(self) -> SourceOf:
        if sum(each is not None for each in (self.api, self.database, self.files)) != 1:
            raise ValueError("name one of api, database and files")
        return self

    def source(self, into: str) -> Source:
        """Return the source that a project lists."""
        if self.api is not None:
            return Api(self.api.block, self.api.resource, into=into)
        if self.database is not None:
            return Database(self.database.block, self.database.table, into=into)
        assert self.files is not None
        return FileStore(self.files.block, self.files.files, into=into)

    @property
    def gives(self) -> Literal["records", "texts", "typed"]:
        """What bronze holds: JSON records, columns of text, or columns with the source's own types."""
        if self.api is not None:
            return "records"
        if self.files is not None:
            kinds: dict[str, Literal["records", "texts", "typed"]] = {"csv": "texts", "parquet": "typed"}
            return kinds.get(self.files.files.format, "records")
        return "typed"


class DatasetOf(Settings):
    """One dataset with its source."""

    dataset: str
    key: tuple[str, ...]
    columns: dict[str, ColumnOf]
    source: SourceOf | None = None
    cursor: str | None = None
    keeps: Keeping = "newest"
    references: tuple[ReferenceOf, ...] = ()
    contract: str | None = Field(default=None, description="File of a contract, relative to this one.")
    anomalies: AnomalyLimits = Field(default_factory=AnomalyLimits)
    freshness: FreshnessOf | None = None
    owner: str = ""

    def made(self, folder: Path) -> Dataset:
        """Return the dataset, after the merge declared in Python."""
        gives = self.source.gives if self.source is not None else "records"
        fields = tuple(each.field or name for name, each in self.columns.items())
        members: dict[str, Any] = {}
        warns: list[str] = []
        for name, column in self.columns.items():
            members[name] = _typed(column, required=column.required or name in self.key)
            for rule, holds in _rules(name, column).items():
                members[rule] = dy.rule()(_always(holds))
                warns += [rule] if column.warns else []
        return Dataset(
            name=self.dataset,
            key=self.key,
            schema=type("Declared", (dy.Schema,), members),
            columns={
                name: _read(name, column, typed=gives == "typed" and not column.text)
                for name, column in self.columns.items()
            },
            fields=tuple(dict.fromkeys(fields)) if gives == "records" else (),
            cursor=self.cursor,
            references=tuple(
                Reference(
                    one.columns,
                    one.parent,
                    one.parent_columns,
                    one.reason or f"missing_{one.parent.rpartition('.')[2]}",
                    one.optional,
                )
                for one in self.references
            ),
            contract=folder / self.contract if self.contract else None,
            keeps=self.keeps,
            anomalies=self.anomalies,
            warnings=tuple(warns),
        )


class TableOf(Settings):
    """A gold table: a file with a SELECT, its key, and its contract."""

    name: str
    sql: str
    key: tuple[str, ...]
    contract: str
    totals: str | None = None
    published_as: str | None = Field(default=None, description="Its name where the product is published.")


class PublishOf(Settings):
    """Where a product is published."""

    block: str
    schema_name: str = Field(alias="schema")


class ProductOf(Settings):
    """One product."""

    product: str
    tables: tuple[TableOf, ...]
    publish: PublishOf | None = None
    owner: str = ""

    def made(self, folder: Path) -> Product:
        """Return the product, after the merge declared in Python."""
        tables = tuple(
            GoldTable.from_sql(
                one.name,
                folder / one.sql,
                one.key,
                folder / one.contract,
                folder / one.totals if one.totals else None,
            )
            for one in self.tables
        )
        if self.publish is None:
            return Product(self.product, tables, owner=self.owner)
        published = tuple(
            PublishedTable(one.name, one.published_as or one.name.rpartition(".")[2], one.key)
            for one in self.tables
        )
        target = Publish(self.publish.block, self.publish.schema_name, published)
        return Product(self.product, tables, target, self.owner)


@dataclass(frozen=True)
class Declared:
    """What the files of a project declare."""

    sources: tuple[Source, ...] = ()
    datasets: tuple[Dataset, ...] = ()
    products: tuple[Product, ...] = ()
    freshness: tuple[FreshnessPromise, ...] = ()

    def project(
        self,
        name: str,
        *,
        sources: tuple[Source, ...] = (),
        datasets: tuple[Dataset, ...] = (),
        products: tuple[Product, ...] = (),
        freshness: tuple[FreshnessPromise, ...] = (),
        **more: Any,
    ) -> Project:
        """Return the project of all that is declared, with what is declared in Python in addition."""
        return Project(
            name,
            sources=(*self.sources, *sources),
            datasets=(*self.datasets, *datasets),
            products=(*self.products, *products),
            freshness=(*self.freshness, *freshness),
            **more,
        )


def declared(folder: Path) -> Declared:
    """Read all that the files below a folder declare; raises `SettingsError` that names file and field.

    Args:
        folder: of the project's package, with ``datasets``, ``products`` and ``gold`` below it.

    Example:
        >>> declared(Path("src/acme")).datasets
        ()
    """
    read = [(file, _model(file, DatasetOf)) for file in sorted((folder / "datasets").glob("*.yml"))]
    promises = (_promise(file, one.dataset, one.freshness) for file, one in read if one.freshness is not None)
    return Declared(
        sources=tuple(one.source.source(one.dataset) for _, one in read if one.source is not None),
        datasets=tuple(one.made(file.parent) for file, one in read),
        products=tuple(
            _model(file, ProductOf).made(file.parent) for file in sorted((folder / "products").glob("*.yml"))
        ),
        freshness=tuple(promises),
    )


def _promise(file: Path, dataset: str, freshness: FreshnessOf) -> FreshnessPromise:
    return _checked(file, lambda: FreshnessPromise(table=f"silver.{dataset}", **freshness.model_dump()))


def read_dataset(file: Path) -> Dataset:
    r"""Read one dataset; raises `SettingsError` that names file and field.

    Args:
        file: a dataset in YAML.

    Example:
        >>> _ = Path("contacts.yml").write_text("dataset: crm.contacts\nkey: [id]\ncolumns: {id: {type: Int64}}\n")
        >>> read_dataset(Path("contacts.yml")).key
        ('id',)
    """
    return _model(file, DatasetOf).made(file.parent)


def _model(file: Path, model: type[M]) -> M:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise SettingsError(
            f"The file cannot be read: {problem}.", where=str(file), do="correct it."
        ) from problem
    return _checked(file, lambda: model.model_validate(content))


V = TypeVar("V")


def _checked(file: Path, make: Callable[[], V]) -> V:
    try:
        return make()
    except ValidationError as problem:
        faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problem.errors())
        raise SettingsError(
            f"What the file declares does not fit: {faults}.", where=str(file), do="correct these fields."
        ) from None


def _typed(column: ColumnOf, *, required: bool) -> dy.Column:
    if found := _DECIMAL.fullmatch(column.type):
        return dy.Decimal(int(found[1]), int(found[2]), nullable=not required)
    if column.type == "Datetime":
        return dy.Datetime(nullable=not required, time_unit="us", time_zone="UTC")
    kinds: dict[str, type[dy.Column]] = {
        "String": dy.String,
        "Int64": dy.Int64,
        "Float64": dy.Float64,
        "Boolean": dy.Bool,
        "Date": dy.Date,
        "Json": dy.String,
    }
    return kinds[column.type](nullable=not required)


def _rules(name: str, column: ColumnOf) -> dict[str, pl.Expr]:
    """Return what must hold of a column's values; a rule's name is what the quarantine shows."""
    value = pl.col(name)
    found: dict[str, pl.Expr] = {}
    if column.minimum is not None:
        found[f"{name}_below_{_word(column.minimum)}"] = value >= _bound(column, column.minimum)
    if column.maximum is not None:
        found[f"{name}_above_{_word(column.maximum)}"] = value <= _bound(column, column.maximum)
    if column.values:
        found[f"unknown_{name}"] = value.is_in(list(column.values))
    if column.pattern is not None:
        found[f"malformed_{name}"] = value.str.contains(f"^(?:{column.pattern})$")
    return found


def _always(holds: pl.Expr) -> Callable[[object], pl.Expr]:
    """Return a rule that gives this expression, whatever the schema."""

    def rule(cls: object) -> pl.Expr:
        return holds

    return rule


def _word(value: object) -> str:
    return re.sub(r"\W", "_", str(value).replace("-", "minus_", 1) if str(value)[0] == "-" else str(value))


def _bound(column: ColumnOf, value: object) -> pl.Expr:
    if column.type == "Datetime" and isinstance(value, date):
        text = value.isoformat() if isinstance(value, datetime) else f"{value.isoformat()}T00:00:00"
        return pl.lit(text).str.to_datetime(time_unit="us", strict=True).dt.replace_time_zone("UTC")
    return pl.lit(value)


def _read(name: str, column: ColumnOf, *, typed: bool) -> pl.Expr:
    """Return the expression that makes a column out of bronze's; what does not read becomes null and is rejected."""
    source = column.field or name
    if typed and column.type == "Datetime":
        # A database's timestamp without a zone counts as UTC. A cast would take numbers for microseconds, too.
        return pl.col(source).dt.convert_time_zone("UTC")
    if typed:
        return pl.col(source)
    if found := _DECIMAL.fullmatch(column.type):
        return decimal(source, int(found[1]), int(found[2]))
    if column.type == "Boolean":
        words = {"true": True, "false": False, "t": True, "f": False, "1": True, "0": False}
        return pl.col(source).str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
    readers: dict[str, Callable[[str], pl.Expr]] = {
        "Int64": whole_number,
        "Float64": number,
        "Date": iso_date,
        "Datetime": utc_moment,
    }
    return readers.get(column.type, pl.col)(source)
