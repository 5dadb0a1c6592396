"""What the files of a source hold, as their owner declares it.

What belongs here: the declarations. What does not: reading.
"""

from __future__ import annotations

import codecs
from typing import Literal

import polars as pl
from pydantic import Field, field_validator, model_validator

from headworks.settings import Settings
from headworks.sources.column_types import column_type

Format = Literal["csv", "ndjson", "json", "parquet"]
Compression = Literal["auto", "none", "gz", "zst"]


class CsvOptions(Settings):
    """How the CSV files are written."""

    delimiter: str = Field(default=",", description="What stands between two fields: one ASCII character.")
    quote: str | None = Field(
        default='"', description="What encloses fields, doubled inside of them; null: nothing does."
    )
    header: bool = Field(default=True, description="Whether the first record holds the columns' names.")
    encoding: str = Field(default="utf-8", description="The files' encoding, by Python's name for it.")
    null_values: tuple[str, ...] = Field(
        default=("",), description="Unquoted fields that stand for null, exactly as written."
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Types by column: text, int64, float64, boolean, date, datetime, decimal(p,s). Columns that are "
        "not named are text. Without a header these are all columns, in order.",
    )

    @field_validator("delimiter", "quote")
    @classmethod
    def _one_ascii_character(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or not value.isascii() or value in "\r\n"):
            raise ValueError("must be one ASCII character, and no line break")
        return value

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            return codecs.lookup(value).name
        except LookupError:
            raise ValueError("is not the name of an encoding that Python knows") from None

    @model_validator(mode="after")
    def _types_are_known(self) -> CsvOptions:
        for word in self.columns.values():
            column_type(word)
        if self.delimiter == self.quote:
            raise ValueError("the delimiter and the quote must not be the same character")
        return self

    def types(self) -> dict[str, pl.DataType]:
        """Return the declared columns' types."""
        return {name: column_type(word) for name, word in self.columns.items()}


def typed(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a text column as its declared type, null where the text cannot be read as one."""
    text = pl.col(name)
    if dtype == pl.Boolean():
        lowered = text.str.to_lowercase()
        return (
            pl.when(lowered.is_in(["true", "t", "1", "yes", "y"]))
            .then(pl.lit(True))
            .when(lowered.is_in(["false", "f", "0", "no", "n"]))
            .then(pl.lit(False))
            .alias(name)
        )
    if dtype == pl.Date():
        return text.str.to_date("%Y-%m-%d", strict=False)
    if dtype == pl.Datetime("us", "UTC"):
        return _moment(text)
    return text.cast(dtype, strict=False)


def _moment(text: pl.Expr) -> pl.Expr:
    """Read ISO 8601 with T or a space; a time without a zone counts as UTC."""
    iso = text.str.replace(r"^(\d{4}-\d{2}-\d{2}) ", "${1}T").str.replace(r"[Zz]$", "+00:00")
    zoned = pl.when(iso.str.contains(r"[+-]\d{2}:\d{2}$")).then(iso).otherwise(iso + "+00:00")
    return zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC", strict=False)
