"""What people say about anomalies: this one is accepted, that one was an incident. Kept in ``ops.judgements``.

Nothing is changed or deleted: a judgement is taken back by another one that withdraws it, with a name and a reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

import polars as pl
from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from headworks.errors import SettingsError
from headworks.reports import Report
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from headworks.storage.translating import collected, refused_when_stale

JUDGEMENTS = pl.Schema(
    {
        "number": pl.Int64(),
        "verdict": pl.String(),
        "scope": pl.String(),
        "check": pl.String(),
        "start": pl.Datetime("us", "UTC"),
        "end": pl.Datetime("us", "UTC"),
        "reason": pl.String(),
        "by": pl.String(),
        "decided_at": pl.Datetime("us", "UTC"),
        "withdraws": pl.Int64(),
    }
)
_SEQUENCE = "judgements"
ANY = "*"

OF_TABLES = (
    "volume",
    "freshness",
    "nothing new",
    "rejected rows",
    "rows read again",
    "deleted by a full read",
    "deleted over time",
    "deletions over time",
    "rows updated",
    "copies",
    "copies at other times",
    "copies of earlier rows",
    "drift of volume",
)
"""The anomaly checks of a whole table, by their names."""

OF_WHAT_COMES = ("rejected as ", "field ", "rows of ", "stream ", "cold start: ")
"""What the names of checks begin with that end with a reason, a field of the source, a day, or a stream."""

OF_SEVERAL = ("relation ", "combinations of ", "ratio ", "share of ", "drift of ", "values of ")
"""What the names of checks begin with that name columns somewhere after it."""

OF_COLUMNS = (
    "nulls in",
    "distinct values of",
    "commonest value of",
    "mean of",
    "1 % quantile of",
    "5 % quantile of",
    "50 % quantile of",
    "95 % quantile of",
    "99 % quantile of",
    "outliers in",
    "hours of",
    "distribution of",
    "new values of",
    "missing values of",
    "largest value of",
    "negatives in",
    "zeros in",
    "one value in",
    "future in",
    "mojibake in",
    "replaced in",
    "blank in",
    "padded in",
    "placeholder in",
    "numeric in",
)
"""What the names of checks begin with that end with a column."""


_JUDGED: tuple[Literal["silver", "gold"], ...] = ("silver", "gold")


class Judgement(Report):
    """One judgement: an accepted anomaly, a new normal, an incident, or the withdrawal of an earlier one."""

    number: int = 0
    verdict: Literal["accept", "normal", "incident", "withdraw"] = Field(
        description="accept: let through for a time. normal: the check compares with what came since its start. "
        "incident: that time is in no baseline."
    )
    scope: str = Field(description="The table, such as silver.shop.orders.")
    check: str = Field(default=ANY, description="The check's name, or * for all of the table.")
    start: datetime = Field(description="First moment of the data that this is about.")
    end: datetime = Field(description="First moment that it is not about any more.")
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3)]
    by: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = Field(
        description="Who says so."
    )
    decided_at: datetime
    withdraws: int | None = None

    @field_validator("start", "end", "decided_at")
    @classmethod
    def _zoned(cls, moment: datetime) -> datetime:
        if moment.tzinfo is None:
            raise ValueError("a judgement's times have a time zone")
        return moment

    @model_validator(mode="after")
    def _ordered(self) -> Judgement:
        if self.start >= self.end:
            raise ValueError(f"the start ({self.start}) must lie before the end ({self.end})")
        return self

    def accepts(self, check: str, moment: datetime) -> bool:
        """Return whether an anomaly that a check finds in data of a moment is accepted by this."""
        return (
            self.verdict in {"accept", "normal"} and self.is_about(check) and self.start <= moment < self.end
        )

    def makes_normal(self, check: str, moment: datetime) -> bool:
        """Return whether this lets in what waits at the gate at a moment: the check's numbers are the new normal."""
        return self.verdict == "normal" and self.is_about(check) and self.start <= moment < self.end

    def is_about(self, check: str) -> bool:
        """Return whether this is about a check."""
        return self.check in {ANY, check}

    def labels(self, moment: datetime) -> bool:
        """Return whether data of a moment belongs to an incident, and so not to the baseline."""
        return self.verdict == "incident" and self.start <= moment < self.end


def judgement(**values: object) -> Judgement:
    """Make a judgement out of what a person typed; raises `SettingsError` where that makes no sense."""
    try:
        return Judgement.model_validate(values)
    except ValidationError as problem:
        wrong = "; ".join(str(error["msg"]) for error in problem.errors())
        raise SettingsError(f"The judgement makes no sense: {wrong}.", do="correct the options.") from problem


def withdraw(lake: Lake, number: int, by: str, reason: str, moment: datetime) -> Judgement:
    """Withdraw a judgement: from now on it does not hold; it and its withdrawal are kept."""
    found = next((one for one in all_judgements(lake) if one.number == number), None)
    if found is None:
        raise SettingsError(
            f"There is no judgement {number} that could be withdrawn.",
            where="ops.judgements",
            do="list them: headworks anomaly list.",
        )
    said = found.model_dump() | {"verdict": "withdraw", "withdraws": number, "by": by, "reason": reason}
    return record_judgement(lake, judgement(**(said | {"decided_at": moment})))


def record_judgement(lake: Lake, said: Judgement) -> Judgement:
    """Append a judgement and return it with its number.

    Raises `SettingsError` for a table that the lake does not have, or a check that the table cannot have: such a
    judgement would never be about anything, and nobody would learn of it.
    """
    if said.verdict != "withdraw":
        _check_known(lake, said)
    table = lake.ensure("ops", "judgements", JUDGEMENTS)
    numbered = said.model_copy(update={"number": table.transaction(_SEQUENCE) + 1})
    # The number is a transaction too: of two judgements at once one is refused, and no two have the same number.
    with refused_when_stale(table.name):
        table.append(
            pl.DataFrame([numbered.model_dump()], schema=JUDGEMENTS), {_SEQUENCE: numbered.number}, retries=0
        )
    return numbered


def _check_known(lake: Lake, said: Judgement) -> None:
    known = [f"{layer}.{dataset}" for layer in _JUDGED for dataset in lake.datasets(layer)]
    if said.scope not in known:
        raise SettingsError(
            f"There is no table {said.scope!r} that anomalies are looked for in.",
            where=f"lake {lake.settings.root}",
            do=f"use one of {', '.join(known)}."
            if known
            else "run a flow first: the lake has no such table yet.",
        )
    layer, _, dataset = said.scope.partition(".")
    table = lake.must_open("silver" if layer == "silver" else "gold", dataset)
    if said.check != ANY and not _is_check(said.check, table):
        columns = [column for column in table.columns if not column.startswith("_")]
        names = ", ".join((ANY, *OF_TABLES, *(f"{words}…" for words in OF_WHAT_COMES)))
        of_columns = ", ".join(f"{words.rstrip()} COLUMN" for words in (*OF_COLUMNS, *OF_SEVERAL))
        raise SettingsError(
            f"{said.scope} has no check {said.check!r}.",
            where=said.scope,
            do=f"use one of {names}, {of_columns}; the columns are {', '.join(columns)}.",
        )


def _is_check(name: str, table: Table) -> bool:
    if name in OF_TABLES or any(name.startswith(words) and name != words for words in OF_WHAT_COMES):
        return True
    if any(name.startswith(words) for words in OF_SEVERAL):
        words = set(name.split())
        return any(column in words for column in table.columns)
    return any(name == f"{words} {column}" for words in OF_COLUMNS for column in table.columns)


def all_judgements(lake: Lake) -> tuple[Judgement, ...]:
    """Return every judgement that was ever made, the withdrawn ones and the withdrawals included, oldest first."""
    table = lake.open("ops", "judgements")
    if table is None:
        return ()
    rows = collected(table.scan().sort("number"), table.name)
    return tuple(Judgement.model_validate(row) for row in rows.iter_rows(named=True))


def accepted_numbers(said: Iterable[Judgement]) -> str:
    """Return which judgements accept anything, as a text that changes with each further one."""
    return ".".join(str(one.number) for one in said if one.verdict in {"accept", "normal"})


def judgements(lake: Lake, scope: str) -> tuple[Judgement, ...]:
    """Return the judgements about a table that hold: neither withdrawn nor a withdrawal."""
    said = all_judgements(lake)
    withdrawn = {one.withdraws for one in said}
    return tuple(
        one
        for one in said
        if one.scope == scope and one.verdict != "withdraw" and one.number not in withdrawn
    )
