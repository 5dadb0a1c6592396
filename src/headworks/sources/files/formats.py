"""What the files of a source hold, as their owner declares it."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import Field, field_validator, model_validator

from headworks.settings import Settings
from headworks.sources.column_types import column_type
from headworks.sources.files.delta_types import Nanoseconds
from headworks.sources.files.encodings import known
from headworks.sources.files.values import Forms, checked_form

Format = Literal["csv", "ndjson", "json", "parquet"]
Compression = Literal["auto", "none", "gz", "zst"]


class CsvOptions(Settings):
    """How the CSV files are written."""

    delimiter: str = Field(
        default=",", description="What separates two fields: one to four ASCII characters, such as , or ||."
    )
    quote: str | None = Field(
        default='"', description="What encloses fields, doubled inside of them; null: nothing does."
    )
    header: bool = Field(default=True, description="Whether the first record holds the columns' names.")
    encoding: str = Field(default="utf-8", description="The files' encoding, by Python's name for it.")
    null_values: tuple[str, ...] = Field(
        default=("",), description="Unquoted fields that represent null, exactly as written."
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Types by column: text, int64, float64, boolean, date, datetime, decimal(p,s). Columns that are "
        "not named are text. Without a header these are all columns, in order.",
    )
    escape: str | None = Field(
        default=None,
        description="A character after which the next one is taken as it is, such as a backslash; null: there is none.",
    )
    skip_lines: int = Field(default=0, ge=0, description="Lines above the header that are no records.")
    comment: str | None = Field(
        default=None, description="Lines that begin with this are no records, such as #; null: all are."
    )
    trailing_delimiter: bool = Field(
        default=False, description="Whether records may end with one more delimiter than they need."
    )
    decimal_comma: bool = Field(
        default=False, description="Whether numbers are written with a comma, as in 1,50."
    )
    date_format: str = Field(
        default="%Y-%m-%d", description="How dates are written, such as %d.%m.%Y for 31.12.2024."
    )
    datetime_format: str | None = Field(
        default=None,
        description="How moments are written, such as %d.%m.%Y %H:%M:%S; without a zone they count as UTC. "
        "Null: ISO 8601, with T or a space.",
    )

    @field_validator("quote", "escape")
    @classmethod
    def _one_ascii_character(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or not value.isascii() or value in "\r\n"):
            raise ValueError("must be one ASCII character, and no line break")
        return value

    @field_validator("delimiter")
    @classmethod
    def _ascii(cls, value: str) -> str:
        if not 1 <= len(value) <= 4 or not value.isascii() or set(value) & set("\r\n"):
            raise ValueError("must be one to four ASCII characters, and no line break")
        return value

    @field_validator("comment")
    @classmethod
    def _some_ascii(cls, value: str | None) -> str | None:
        if value is not None and (not value or not value.isascii() or set(value) & set("\r\n")):
            raise ValueError("must be ASCII characters, and no line break")
        return value

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        return known(value)

    @field_validator("date_format")
    @classmethod
    def _gives_a_day(cls, value: str) -> str:
        return checked_form(value, of_dates=True)

    @field_validator("datetime_format")
    @classmethod
    def _gives_a_moment(cls, value: str | None) -> str | None:
        return None if value is None else checked_form(value, of_dates=False)

    @model_validator(mode="after")
    def _types_are_known(self) -> CsvOptions:
        for word in self.columns.values():
            column_type(word)
        if self.quote is not None and self.quote in self.delimiter:
            raise ValueError("the delimiter and the quote must not be the same character")
        if self.escape is not None and self.escape in (self.quote, *self.delimiter):
            raise ValueError("the escape must be another character than the delimiter and the quote")
        return self

    def types(self) -> dict[str, pl.DataType]:
        """Return the declared columns' types."""
        return {name: column_type(word) for name, word in self.columns.items()}

    def forms(self) -> Forms:
        """Return how values are written."""
        return Forms(self.date_format, self.datetime_format, self.decimal_comma)


class ParquetOptions(Settings):
    """How Parquet files are read."""

    nanoseconds: Nanoseconds = Field(
        default="refuse",
        description="What becomes of times with a part below a microsecond, which Delta does not hold: refuse the "
        "file, cut that part, or keep all such columns as text.",
    )
