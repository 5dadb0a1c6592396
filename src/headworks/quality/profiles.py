"""The profile of a candidate: what it looks like in numbers, small enough to be kept for ever and compared later.

Histograms have fixed bins that grow by a quarter each, so that any two can be compared bin by bin and added up.
Values of text columns are kept only where there are few different ones: names and addresses are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import log
from typing import Literal, TypeVar

import polars as pl
from pydantic import Field

from headworks.names import OF_WINDOWS, OWN_IN_SILVER
from headworks.quality.copies import copies_in
from headworks.quality.relations import combinations_of, ratios_of, relations_of
from headworks.reports import Report

MOST_CATEGORIES = 60
"""A column with more different values than this is no set of categories, and its values are not kept."""

OF_DAYS = {"live", *OF_WINDOWS}
"""Kinds of which it is known how many days of the source they cover."""

SAMPLE = 250_000
"""Of more rows than this a sample is profiled: it says the same about shares, and costs no more than this."""

_STEP = 1.25
_ZERO = 1_000
"""Bins of positive numbers are above this, those of negative ones below -1,000; so each bin is one whole number."""

_MOJIBAKE = r"Ã[\x{0080}-\x{00BF}]|Â[\x{0080}-\x{00BF}]|â€|Ã\w|ï¿½|ðŸ"
_PLACEHOLDERS = ("n/a", "na", "null", "none", "nan", "unknown", "undefined", "-", "?", "tbd", "test", "xxx")

K = TypeVar("K")
Kind = Literal["number", "text", "moment", "day", "flag", "other"]
Histogram = dict[int, int]


class ColumnProfile(Report):
    """One column of a candidate in numbers."""

    name: str
    dtype: str
    kind: Kind
    identifier: bool = Field(
        default=False, description="A key or a reference: its values have no distribution."
    )
    nulls: int = 0
    distinct: int = 0
    top: int = Field(default=0, description="Rows with the commonest value.")
    negatives: int = 0
    zeros: int = 0
    low: float | None = None
    high: float | None = None
    low_key: str = Field(default="", description="The key of the row with the lowest value.")
    high_key: str = Field(default="", description="The key of the row with the highest value.")
    mean: float | None = None
    quantiles: tuple[float, ...] = Field(default=(), description="At 1, 5, 25, 50, 75, 95 and 99 %.")
    bins: Histogram = Field(
        default_factory=dict,
        description="Of numbers, of the lengths of text, or of the hours before the cursor.",
    )
    hours: tuple[int, ...] = Field(default=(), description="Rows in each hour of the day, for moments.")
    categories: dict[str, int] | None = Field(default=None, description="Rows by value, where there are few.")
    damage: dict[str, int] = Field(
        default_factory=dict, description="Rows with damaged text, or in the future."
    )


class Profile(Report):
    """A candidate in numbers, and what the range that it was made from was like."""

    scope: str = Field(description="The table that the candidate was for.")
    kind: str = Field(
        description="live, full, window, backfill, initial or whole: only equal kinds are compared."
    )
    run_id: str
    moment: datetime = Field(description="When the candidate was made.")
    read_at: datetime | None = Field(
        default=None, description="When its newest row was read from the source, however late it is judged."
    )
    newest: datetime | None = Field(default=None, description="The newest cursor that is not in the future.")
    days: float | None = Field(default=None, description="How many days of the source the range covers.")
    rows: int = Field(description="Rows of the candidate.")
    counts: dict[str, int] = Field(default_factory=dict, description="What became of the rows of the range.")
    reasons: dict[str, int] = Field(default_factory=dict, description="Rejected rows by reason.")
    fields: dict[str, int] = Field(
        default_factory=dict, description="Rows in which the source gave each field."
    )
    by_day: dict[str, int] = Field(
        default_factory=dict, description="Rows by day of the cursor, if not too many."
    )
    columns: tuple[ColumnProfile, ...] = ()
    streams: dict[str, int] = Field(default_factory=dict, description="Rows by source stream, of live ones.")
    relations: dict[str, tuple[int, int]] = Field(
        default_factory=dict,
        description="What holds between columns: rows in which it does, and of which it could be said.",
    )
    pairs: dict[str, dict[str, int]] = Field(
        default_factory=dict, description="Rows by combination of values, of each two columns with few."
    )
    ratios: dict[str, Histogram] = Field(default_factory=dict, description="Ratios of numbers, by bin.")
    copies: dict[str, int] = Field(
        default_factory=dict, description="Rows with the same content as another under another key."
    )
    sketch: tuple[int, ...] = Field(default=(), description="The smallest hashes of the rows' contents.")
    by_key: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="Of a small table: the number of each column, by what it is about."
    )
    delivery: str = Field(
        default="", description="The delivery that it is of; empty where it is of a whole table."
    )
    vouched: bool = Field(
        default=False, description="A person has said that this is what the table looks like."
    )
    warned: tuple[str, ...] = Field(default=(), description="The checks that found an anomaly in it.")

    @property
    def as_of(self) -> datetime:
        """The moment that the data is of: the newest cursor, or else when it was read."""
        return self.newest or self.moment

    @property
    def landed(self) -> int:
        """Rows that came in, whatever became of them."""
        return self.counts.get("landed", self.rows)

    def column(self, name: str) -> ColumnProfile | None:
        """Return a column's profile; None where there is no such column."""
        return next((column for column in self.columns if column.name == name), None)


def profile_columns(
    rows: pl.DataFrame,
    identifiers: Sequence[str],
    moment: datetime,
    future: timedelta,
    cursor: str | None = None,
    factor: float = 1.0,
) -> tuple[ColumnProfile, ...]:
    """Profile the columns of ``rows`` that are not metadata.

    ``cursor`` names a column of moments: other moments are measured by how many hours they lie before it. Of very many
    rows a sample is profiled, always the same one, and its counts are scaled; so they are by ``factor``, where ``rows``
    is a sample already.
    """
    latest = moment + future
    names = [name for name in rows.columns if name not in OWN_IN_SILVER]
    if cursor is not None and not isinstance(rows.schema.get(cursor), pl.Datetime):
        cursor = None
    sample = rows if rows.height <= SAMPLE else rows.sample(SAMPLE, seed=0)
    profiles = (_column(sample, name, name in identifiers, latest, cursor) for name in names)
    return tuple(_scaled(one, factor * rows.height / max(sample.height, 1)) for one in profiles)


MOST_BY_KEY = 100
"""A table with no more rows than this is small: each of its numbers is compared with the one before."""


def profile_rows(
    rows: pl.DataFrame,
    columns: Sequence[ColumnProfile],
    key: Sequence[str],
    identifiers: Sequence[str],
    cursor: str | None,
    factor: float = 1.0,
) -> dict[str, object]:
    """Profile what holds between columns and between rows: fields of a profile."""
    names = [name for name in rows.columns if name not in OWN_IN_SILVER]
    there = rows.select(names)
    kinds = {one.name: one for one in columns}
    few = [
        name for name in names if kinds[name].categories is not None and 1 < kinds[name].distinct <= _CHOICES
    ]
    sample = there if there.height <= SAMPLE else there.sample(SAMPLE, seed=0)
    copies, sketch = copies_in(sample, [*key, *([cursor] if cursor else [])])
    return {
        "relations": relations_of(there, identifiers, names),
        "pairs": combinations_of(there, identifiers, few),
        "ratios": ratios_of(there, identifiers),
        "copies": {
            name: round(count * factor * there.height / max(sample.height, 1))
            for name, count in copies.items()
        },
        "sketch": sketch,
        "by_key": _by_key(there, columns, key, identifiers),
    }


_CHOICES = 30


def _by_key(
    rows: pl.DataFrame, columns: Sequence[ColumnProfile], key: Sequence[str], identifiers: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the numbers of a small table by what they are about: its key but for times, or a text that is unique."""
    if not 0 < rows.height <= MOST_BY_KEY:
        return {}
    lasting = [name for name in key if name in rows.columns and not rows.schema[name].is_temporal()]
    options = [lasting, *([one.name] for one in columns if one.kind == "text" and one.name not in key)]
    for about in options:
        if about and rows.select(about).n_unique() == rows.height:
            break
    else:
        return {}
    names = rows.select(
        pl.concat_str([pl.col(one).cast(pl.String) for one in about], separator="|", ignore_nulls=True)
    )
    numbers = [one.name for one in columns if one.kind == "number" and one.name not in {*identifiers, *about}]
    return {
        one: {
            str(name): float(value)
            for name, value in zip(names.to_series(), rows.get_column(one).cast(pl.Float64), strict=True)
            if value is not None
        }
        for one in numbers
    }


def with_extremes(
    columns: Sequence[ColumnProfile], rows: pl.DataFrame, key: Sequence[str]
) -> tuple[ColumnProfile, ...]:
    """Add the keys of the rows with the lowest and the highest number of each column, so that they can be named."""
    measures = [
        one.name for one in columns if one.kind == "number" and not one.identifier and one.high is not None
    ]
    if not measures or rows.is_empty() or not key:
        return tuple(columns)
    places = rows.select(
        *(pl.col(name).arg_max().alias(f"h{number}") for number, name in enumerate(measures)),
        *(pl.col(name).arg_min().alias(f"l{number}") for number, name in enumerate(measures)),
    ).row(0, named=True)

    def named(place: int | None) -> str:
        return "" if place is None else "|".join(str(value) for value in rows.select(key).row(place))

    found = {name: (named(places[f"l{n}"]), named(places[f"h{n}"])) for n, name in enumerate(measures)}
    return tuple(
        one.model_copy(update=dict(zip(("low_key", "high_key"), found[one.name], strict=True)))
        if one.name in found
        else one
        for one in columns
    )


def _scaled(column: ColumnProfile, factor: float) -> ColumnProfile:
    """Scale a sample's counts to all rows; how many values are different cannot be scaled, and is the sample's."""
    if factor == 1:
        return column

    def scaled(counts: Mapping[K, int]) -> dict[K, int]:
        return {name: round(count * factor) for name, count in counts.items()}

    return column.model_copy(
        update={
            "nulls": round(column.nulls * factor),
            "top": round(column.top * factor),
            "negatives": round(column.negatives * factor),
            "zeros": round(column.zeros * factor),
            "bins": scaled(column.bins),
            "hours": tuple(round(count * factor) for count in column.hours),
            "categories": None if column.categories is None else scaled(column.categories),
            "damage": scaled(column.damage),
        }
    )


def _column(
    rows: pl.DataFrame, name: str, identifier: bool, latest: datetime, cursor: str | None
) -> ColumnProfile:
    values = rows.get_column(name)
    kind = _kind(values.dtype)
    distinct = 0 if kind == "other" else values.drop_nulls().n_unique()
    base: dict[str, object] = {
        "name": name,
        "dtype": str(values.dtype),
        "kind": kind,
        "identifier": identifier,
        "nulls": values.null_count(),
        "distinct": distinct,
    }
    there = values.drop_nulls()
    if not there.is_empty() and kind != "other":
        base["top"] = there.to_frame("v").group_by("v").len().get_column("len").max()
    if there.is_empty() or kind == "other":
        return ColumnProfile.model_validate(base)
    if kind == "number":
        base |= _numbers(there.cast(pl.Float64))
    elif kind == "text":
        base |= _texts(there.cast(pl.String), few=distinct <= MOST_CATEGORIES and not identifier)
    elif kind == "flag":
        base["categories"] = _counted(there.cast(pl.String))
    else:
        base |= _moments(rows, name, latest, cursor)
    if identifier and kind in {"number", "text"} and _few_parents(distinct, there.len()):
        base["categories"] = _counted(there.cast(pl.String))
    return ColumnProfile.model_validate(base)


def _few_parents(distinct: int, rows: int) -> bool:
    """Return whether a reference is to few rows that many share: then it is known which of them had none."""
    return 1 < distinct <= MOST_CATEGORIES and rows >= _SHARED * distinct


_SHARED = 4


def _kind(dtype: pl.DataType) -> Kind:
    if dtype.is_numeric() or isinstance(dtype, pl.Decimal):
        return "number"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "text"
    if isinstance(dtype, pl.Datetime):
        return "moment"
    if isinstance(dtype, pl.Date):
        return "day"
    return "flag" if isinstance(dtype, pl.Boolean) else "other"


def _numbers(values: pl.Series) -> dict[str, object]:
    finite = values.filter(values.is_finite())
    if finite.is_empty():
        return {}
    points = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
    return {
        "negatives": int((finite < 0).sum()),
        "zeros": int((finite == 0).sum()),
        "low": finite.min(),
        "high": finite.max(),
        "mean": finite.mean(),
        "quantiles": tuple(finite.quantile(point, "nearest") for point in points),
        "bins": _histogram(finite),
    }


def _histogram(values: pl.Series) -> Histogram:
    """Count values by bins that grow by a quarter each."""
    size = pl.col("v").abs()
    bin_ = (size.log(_STEP).floor().clip(-_ZERO + 1, None).cast(pl.Int32) + _ZERO) * pl.col("v").sign().cast(
        pl.Int32
    )
    binned = pl.select(v=values).select(pl.when(size > 0).then(bin_).otherwise(0).alias("bin"))
    counted = binned.group_by("bin").len()
    return dict(zip(counted["bin"].to_list(), counted["len"].to_list(), strict=True))


def log_of_bin(bin_: int) -> float:
    """Return the logarithm of the middle of a positive number's bin."""
    return (bin_ - _ZERO + 0.5) * log(_STEP)


def bin_of(value: float) -> int:
    """Return the bin that a number is counted in."""
    return next(iter(_histogram(pl.Series([value], dtype=pl.Float64))))


def _texts(values: pl.Series, *, few: bool) -> dict[str, object]:
    text = pl.col("v")
    folded = text.str.strip_chars().str.to_lowercase()
    damage = pl.select(v=values).select(
        blank=(folded == "").sum(),
        padded=((text != text.str.strip_chars()) & (folded != "")).sum(),
        mojibake=text.str.contains(_MOJIBAKE).sum(),
        replaced=text.str.contains("\ufffd|\\?\\?", literal=False).sum(),
        numeric=folded.str.contains(r"^[+-]?\d+([.,]\d+)?$").sum(),
        placeholder=folded.is_in(_PLACEHOLDERS).sum(),
    )
    return {
        "bins": _histogram(values.str.len_chars().cast(pl.Float64)),
        "categories": _counted(values) if few else None,
        "damage": {name: int(count) for name, count in damage.row(0, named=True).items()},
    }


def _moments(rows: pl.DataFrame, name: str, latest: datetime, cursor: str | None) -> dict[str, object]:
    values = rows.get_column(name)
    found: dict[str, object] = {}
    if isinstance(values.dtype, pl.Datetime):
        # In UTC, whatever the machine's zone and the column's are: Polars compares moments of one zone alone.
        in_utc = values.dt.convert_time_zone("UTC")
        found["damage"] = {"future": int((in_utc > latest.astimezone(UTC)).sum())}
        counted = dict(values.drop_nulls().dt.hour().value_counts().iter_rows())
        found["hours"] = tuple(int(counted.get(hour, 0)) for hour in range(24))
    else:
        found["damage"] = {"future": int((values > latest.date()).sum())}
    if cursor is not None and cursor != name:
        here = (
            pl.col(name).cast(pl.Datetime("us"), strict=False)
            if values.dtype == pl.Date
            else pl.col(name).dt.replace_time_zone(None)
        )
        there = pl.col(cursor).dt.replace_time_zone(None)
        lag = rows.select(((there - here).dt.total_seconds() / 3600).alias("lag")).to_series().drop_nulls()
        # Lags within an hour are one bin: their logarithm would distinguish seconds.
        found["bins"] = _histogram(lag.sign() * (lag.abs() + 1))
    return found


def _counted(values: pl.Series) -> dict[str, int]:
    counted = values.value_counts(sort=True)
    return {str(value): int(count) for value, count in counted.iter_rows()}
