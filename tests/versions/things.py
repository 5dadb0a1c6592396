"""What a sequence is about: datasets of things and their lines, of every shape, and the sources that give them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import dataframely as dy
import polars as pl

from headworks.bronze.nested import Nested
from headworks.gold.curation import Inputs
from headworks.quality.limits import AnomalyLimits
from headworks.settings import RejectLimits
from headworks.silver.dataset import Dataset, Keeping, Reference
from headworks.silver.expressions import decimal, iso_date, utc_moment, whole_number
from headworks.sources.base import Batch, Position
from tests.versions.oracle import Told

NAME, PARENTS, LINES, SHOWN, PRODUCT = "t.things", "t.parents", "t.lines", "t.shown", "things"
BEGINNING = datetime(2026, 1, 5, 8, tzinfo=UTC)
KEYS, PARENT_IDS, SKUS = range(1, 6), range(1, 4), range(1, 5)
QUIET = AnomalyLimits(enabled=False, future_hours=10_000)
ANY = RejectLimits(share=1.0)


@dataclass(frozen=True)
class CursorKind:
    """A type of cursor, and its values in the order of whole numbers."""

    name: str
    dtype: pl.DataType
    column: Callable[[], dy.Column]
    value: Callable[[int], Any]
    read: pl.Expr = field(default_factory=lambda: pl.col("at"))
    """How the field of a record is read."""

    def field_of(self, number: int | None) -> Any:
        """Return the value as a record of JSON has it."""
        if number is None:
            return None
        value = self.value(number)
        if isinstance(value, datetime):
            return f"{value:%Y-%m-%dT%H:%M:%SZ}"
        return value if isinstance(value, int | float) else str(value)


CURSORS = (
    CursorKind("int", pl.Int64(), lambda: dy.Int64(nullable=True), lambda n: n, whole_number("at")),
    CursorKind(
        "float",
        pl.Float64(),
        lambda: dy.Float64(nullable=True),
        lambda n: n / 8 - 1.5,
        pl.col("at").cast(pl.Float64, strict=False),
    ),
    CursorKind(
        "moment",
        pl.Datetime("us", "UTC"),
        lambda: dy.Datetime(nullable=True, time_unit="us", time_zone="UTC"),
        lambda n: BEGINNING + timedelta(seconds=7 * n - 40),
        utc_moment("at"),
    ),
    CursorKind(
        "day",
        pl.Date(),
        lambda: dy.Date(nullable=True),
        lambda n: date(2026, 1, 1) + timedelta(days=n),
        iso_date("at"),
    ),
    CursorKind("text", pl.String(), lambda: dy.String(nullable=True), lambda n: f"v{n:04}"),
    CursorKind(
        "decimal",
        pl.Decimal(30, 4),
        lambda: dy.Decimal(30, 4, nullable=True),
        lambda n: Decimal(n) / 16,
        decimal("at", 30, 4),
    ),
)
PLACES: dict[str, dict[Any, int]] = {kind.name: {kind.value(n): n for n in range(400)} for kind in CURSORS}
Carrier = Literal["table", "lined table", "records"]
"""A table, one with the lines in a column of JSON, or records of JSON with the lines in an array."""


@dataclass
class Listed:
    """A source of the rows in a list: the position is how many were read."""

    rows: list[Told]
    kind: CursorKind
    size: int = 2
    before_batch: Callable[[int], None] | None = None
    keys: tuple[int, ...] = ()
    key: tuple[str, ...] = ("id",)
    carrier: Carrier = "table"

    @property
    def schema(self) -> pl.Schema:
        """The columns of a thing as the source has them."""
        if self.carrier == "records":
            return pl.Schema({"record": pl.Binary()})
        lines = {"lines": pl.String()} if self.carrier == "lined table" else {}
        return pl.Schema(
            {
                "id": pl.String(), "v": pl.Int64(), "at": self.kind.dtype, "parent": pl.Int64(), "gone": pl.Boolean(),
                **lines,
            }
        )  # fmt: skip

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield what comes after the position."""
        at = position["n"] if position else 0
        number = 0
        while part := self.rows[at : at + self.size]:
            if self.before_batch is not None:
                self.before_batch(number)
            at, number = at + len(part), number + 1
            made = [(self._record(row),) if self.carrier == "records" else self._row(row) for row in part]
            yield Batch(pl.DataFrame(made, schema=self.schema, orient="row"), {"n": at}, read=len(part))

    def read_keys(self) -> Iterator[Batch]:
        """Yield the keys of all rows."""
        frame = pl.DataFrame({"id": [str(key) for key in self.keys]}, schema={"id": pl.String()})
        yield Batch(frame, {}, read=frame.height)

    def _cursor(self, row: Told) -> Any:
        return None if row.cursor is None else self.kind.value(row.cursor)

    def _row(self, row: Told) -> tuple[Any, ...]:
        made = (row.key, row.value, self._cursor(row), row.parent, row.gone)
        if self.carrier == "table":
            return made
        found = _array(row)
        # As a column of JSON has it.
        return (*made, None if found is None else found if isinstance(found, str) else json.dumps(found))

    def _record(self, row: Told) -> bytes:
        """Return a row as JSON; fields by the names of columns of ours, which say nothing, are among it."""
        made = {
            "id": row.key, "v": row.value, "at": self.kind.field_of(row.cursor), "parent": row.parent, "gone": row.gone,
            "_id": f"#{row.key}", "_deleted": row.value is not None and row.value % 2 == 0,
        }  # fmt: skip
        if row.form:
            made["lines"] = _array(row)
        return json.dumps(made).encode()


def _array(row: Told) -> Any:
    """Return what a row has in its field of lines."""
    if row.lines is None or row.form == "null":
        return NO_ARRAYS.get(row.form)
    array = [{"sku": element.sku, "w": element.w} for element in row.lines]
    return json.dumps(array) if row.form == "text" else array


NO_ARRAYS: dict[str, Any] = {"object": {"sku": "1", "w": 1}, "number": 7, "word": "none", "truth": True}
"""What is in the place of an array, and is none."""


@dataclass(frozen=True)
class Shape:
    """What kind of dataset a sequence is about."""

    keeps: Keeping
    kind: CursorKind | None
    referring: bool
    marked: bool
    """Whether the source says of a row that it is gone."""
    carrier: Carrier
    lines_refer: bool
    lines_order: bool
    """Whether the lines have their thing's cursor."""
    lines_keep: Keeping
    contract: Path | None
    """What must hold for the table after a merge: no value below 0."""

    @property
    def records(self) -> bool:
        """Whether the source gives records of JSON."""
        return self.carrier == "records"

    @property
    def lined(self) -> bool:
        """Whether things have lines."""
        return self.carrier != "table"

    @property
    def shown(self) -> CursorKind:
        """The type of the column that may be the cursor."""
        return self.kind or CURSORS[0]


def things(shape: Shape, *, loose: bool) -> Dataset:
    """Declare the dataset, with its rule or without it."""
    columns: dict[str, dy.Column] = {
        "id": dy.Int64(nullable=True),
        "v": dy.Int64(nullable=False) if loose else dy.Int64(nullable=False, min=0),
        "at": shape.shown.column(),
        "parent": dy.Int64(nullable=True),
    }
    if shape.records:
        columns["_id"] = dy.String(nullable=True)
    read = {
        "id": whole_number("id"),
        "v": whole_number("v"),
        "at": shape.shown.read if shape.records else pl.col("at"),
        "parent": whole_number("parent"),
        "_id": pl.col("_id"),
    }
    gone = pl.col("gone") == "true" if shape.records else pl.col("gone")
    return Dataset(
        name=NAME,
        key=("id",),
        schema=type("Thing", (dy.Schema,), {**columns}),
        columns={name: read[name] for name in columns},
        fields=("id", "v", "at", "parent", "gone", "_id", "_deleted") if shape.records else (),
        cursor="at" if shape.kind else None,
        keeps=shape.keeps,
        deleted_when=gone if shape.marked else None,
        references=(Reference(("parent",), PARENTS, ("id",), "no_parent"),) if shape.referring else (),
        table_contract=shape.contract,
        limits=ANY,
        anomalies=QUIET,
    )


def lines(shape: Shape, *, loose: bool) -> Dataset:
    """Declare the lines of things, with their rule or without it."""
    columns: dict[str, dy.Column] = {
        "id": dy.Int64(nullable=False),
        "sku": dy.Int64(nullable=False),
        "w": dy.Int64(nullable=False) if loose else dy.Int64(nullable=False, min=0),
        "at": shape.shown.column(),
    }
    return Dataset(
        name=LINES,
        key=("id", "sku"),
        schema=type("Line", (dy.Schema,), {**columns}),
        columns={**{name: whole_number(name) for name in ("id", "sku", "w")}, "at": shape.shown.read},
        fields=("id", "sku", "w", "at"),
        cursor="at" if shape.lines_order else None,
        keeps=shape.lines_keep,
        references=(Reference(("id",), NAME, ("id",), "no_thing"),) if shape.lines_refer else (),
        nested=Nested(NAME, "lines", {"id": "id", "at": "at"}),
        limits=ANY,
        anomalies=QUIET,
    )


def shown_in_gold(inputs: Inputs) -> pl.LazyFrame:
    """Return the things as they are shown."""
    rows = inputs[NAME]
    names = rows.collect_schema().names()
    return (rows.filter("current") if "current" in names else rows).select(
        "id", "v", *(name for name in ("_id",) if name in names)
    )


CONTRACT = """\
dataset: lake/{table}
columns:
- name: {column}
  checks:
  - {check}
"""
PARENT = Dataset(
    name=PARENTS,
    key=("id",),
    schema=type("Parent", (dy.Schema,), {"id": dy.Int64(nullable=False)}),
    columns={"id": pl.col("id").cast(pl.Int64)},
    deleted_when=pl.col("gone"),
    limits=ANY,
    anomalies=QUIET,
)


@dataclass
class ParentRows:
    rows: list[tuple[str, bool]]
    schema: pl.Schema = field(default_factory=lambda: pl.Schema({"id": pl.String(), "gone": pl.Boolean()}))

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        at = position["n"] if position else 0
        if self.rows[at:]:
            frame = pl.DataFrame(self.rows[at:], schema=self.schema, orient="row")
            yield Batch(frame, {"n": len(self.rows)}, read=frame.height)
