"""What to read of a database: one table or SELECT, its key, its cursor, and the policies for what may go wrong.

The model is a deployment parameter and a form in the UI, so each field is described here and nowhere else. Each kind of
database has a reader of its own alongside this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import polars as pl
from pydantic import Field, model_validator

from headworks.errors import SourceMissing, did_you_mean
from headworks.settings import Settings
from headworks.sources.column_types import TYPES, column_type
from headworks.sources.sql.clocks import zone_of

Drift = Literal["evolve", "freeze", "ignore"]
"""What happens where the source's columns are not those of bronze; see `Table.drift`."""

Extremes = Literal["refuse", "beside"]
"""What happens to values that no column type holds; see `Table.extremes`."""

_MIB = 2**20
_TYPES = {**TYPES, "naive_datetime": pl.Datetime("us"), "binary": pl.Binary()}


class Table(Settings):
    """A table or a SELECT of a database, and how it is read.

    Without a cursor column it is read whole in each run; with one, incrementally in the order of (cursor, key).

    Example:
        >>> Table(name="orders", schema_name="shop", key=("id",), cursor="updated_at").drift
        'evolve'
    """

    name: str | None = Field(default=None, description="The table or view. Either this or a query is given.")
    schema_name: str | None = Field(
        default=None,
        description="The table's schema; without one, the first that the user's search path finds.",
    )
    query: str | None = Field(
        default=None,
        description="A SELECT in place of a table, without a semicolon. Each of its columns needs a name of its own.",
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="The type of each column of a query, where the database is not Postgres, which shows them itself: "
        "text, int64, float64, boolean, date, datetime (UTC), naive_datetime (without a zone), binary, decimal(p,s).",
    )
    key: tuple[str, ...] = Field(
        default=(),
        description="The columns that identify rows. Left empty, the table's primary key is used if it has one.",
    )
    cursor: str | None = Field(
        default=None,
        description="The column that grows with each change: a timestamp, a date or a whole number. None reads "
        "everything each time.",
    )
    lookback_s: float = Field(
        default=0.0,
        ge=0,
        description="How far before the last cursor value a run begins again, in seconds (for dates in begun days), "
        "for sources that write late. Rows landed before are recognised.",
    )
    cursor_zone: str | None = Field(
        default=None,
        description="The time zone of the clock that a cursor without a zone is written by, such as UTC or "
        "Europe/Berlin. Left empty, both UTC and the database's own zone are considered, and a run looks back further.",
    )
    commit_lag_s: float = Field(
        default=5.0,
        ge=0,
        description="How far a run stays behind the present, in seconds, so that rows which commit late are not "
        "skipped. Postgres also waits for its oldest running transaction, however old.",
    )
    batch_rows: int = Field(
        default=500_000,
        ge=1,
        description="Largest number of rows in one commit. A killed run reads one batch again.",
    )
    batch_bytes: int = Field(
        default=48 * _MIB,
        ge=1,
        description="Largest size of the rows of one commit in memory, in bytes. Bounds the memory.",
    )
    ranges: int = Field(
        default=1,
        ge=1,
        le=16,
        description="How many parts of a whole read are read at the same time, all from one snapshot.",
    )
    largest_vanishing_share: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Largest share of the known keys that may vanish at once when keys are compared. More closes the "
        "gate, since an emptied table is more often an accident than a wish.",
    )
    drift: Drift = Field(
        default="evolve",
        description="What happens when columns change. evolve: new columns are added, dropped ones stay empty, a "
        "changed type is refused. freeze: every change is refused. ignore: new columns are left out. Wider types are "
        "taken by evolve and ignore.",
    )
    extremes: Extremes = Field(
        default="refuse",
        description="What happens to rows with infinite dates, years before 1 or after 9999, numerics that are NaN, "
        "and other values that their column's type does not hold. refuse: such a row is refused and kept, with a "
        "warning, and all others land. beside: the row lands, its column stays empty, and the value goes as text "
        "into a column <name>_text.",
    )

    @model_validator(mode="after")
    def _table_or_query(self) -> Table:
        if (self.name is None) == (self.query is None):
            raise ValueError("give either a table's name or a query")
        if self.query is not None and self.schema_name is not None:
            raise ValueError("a query names its schemas itself; leave schema_name out")
        if self.query is not None and self.query.rstrip().endswith(";"):
            raise ValueError("write the query without a semicolon")
        if self.query is None and self.columns:
            raise ValueError("columns are declared of a query; those of a table are known, leave them out")
        if self.cursor_zone is not None:
            zone_of(self.cursor_zone)
        self.types()
        return self

    def types(self) -> dict[str, pl.DataType]:
        """Return the types of the columns that are declared."""
        return {name: column_type(word, _TYPES) for name, word in self.columns.items()}

    def check_columns(self, key: Sequence[str], names: Sequence[str], where: str) -> None:
        """Raise `SourceMissing` where the key or the cursor is not among the columns that there are."""
        for name in (*key, *([self.cursor] if self.cursor else [])):
            if name not in names:
                raise SourceMissing(
                    f"There is no column {name!r}.{did_you_mean(name, names)}",
                    where=where,
                    do=f"choose among {', '.join(names)}.",
                )

    @property
    def label(self) -> str:
        """The table's name as errors and logs show it."""
        if self.name is None:
            return "the query"
        return f"{self.schema_name}.{self.name}" if self.schema_name else self.name
