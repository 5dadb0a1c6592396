"""A resource of an API, described: where it is, where its records are, how its pages follow each other, what is new.

A description is plain JSON: a deployment's parameter, and a form in the Prefect UI. What belongs here: the description.
What does not: reading.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field, model_validator

from headworks.settings import Settings
from headworks.sources.api.paginate import Pagination
from headworks.sources.api.paths import FieldPath, RecordsPath

Format = Literal["iso", "date", "epoch", "epoch_ms", "own", "number", "text"]
"""How a cursor's values are written. Numbers and texts are compared as what they are, all others are moments."""

MOMENTS = frozenset({"iso", "date", "epoch", "epoch_ms", "own"})


class Incremental(Settings):
    """How the API is asked for what is new since the last reading.

    The next reading begins with the largest value of ``field`` that was seen, less the lookback. A parameter that
    leaves its own value out is sent the moment before it, so records that share the largest value are not lost.
    """

    parameter: str = Field(description="Parameter with the first value to read, such as since.")
    field: FieldPath = Field(description="Field of a record that it is compared with, such as updated_at.")
    send_in: Literal["query", "body", "header"] = Field(
        default="query", description="Whether it goes to query, body or header."
    )
    format: Format = Field(default="iso", description="How the field's values are written.")
    parameter_format: Format | None = Field(
        default=None, description="How the parameter's values are written, where it is another way."
    )
    pattern: str = Field(
        default="%Y-%m-%dT%H:%M:%S.%fZ", description="strftime pattern of the format 'own', in UTC."
    )
    template: str = Field(
        default="{}", description='Text around the parameter\'s value, such as updated_at>{} or "{}".'
    )
    inclusive: bool = Field(
        default=True, description="The API gives records with the parameter's own value too."
    )
    start: str | None = Field(
        default=None,
        description="Value that the very first reading begins with; none: without the parameter.",
    )
    lookback_s: float = Field(
        default=0.0, ge=0, description="How far each reading goes back for rows that came late, in seconds."
    )
    until_parameter: str | None = Field(
        default=None, description="Parameter with the end of what is read; it makes windows possible."
    )
    until_inclusive: bool = Field(
        default=False, description="The API gives records with the end's own value too."
    )
    clamp_future: bool = Field(
        default=True,
        description="A moment in the future does not move the next reading's beginning past now.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Incremental:
        if "{}" not in self.template:
            raise ValueError("the template must hold {} where the value goes")
        moments = {self.format in MOMENTS, (self.parameter_format or self.format) in MOMENTS}
        if len(moments) > 1:
            raise ValueError("field and parameter must both be moments, or both be numbers or texts")
        if not self.is_moment and (self.lookback_s or self.until_parameter):
            raise ValueError("a lookback and an end need a cursor of moments")
        if "own" in (self.format, self.parameter_format):
            datetime.now(UTC).strftime(self.pattern)
        return self

    @property
    def is_moment(self) -> bool:
        """Tell whether the cursor's values are moments."""
        return self.format in MOMENTS


class Tombstone(Settings):
    """How a record says that it was deleted; such a record deletes its key in silver."""

    field: FieldPath = Field(description="Field of a record, such as deleted or status.")
    values: tuple[bool | int | str, ...] = Field(
        default=(True,), description="Values of the field that mean deleted."
    )


class Completeness(Settings):
    """What the API announces, for telling whether all of it came."""

    total_field: FieldPath | None = Field(
        default=None, description="Path of the number of records in the body."
    )
    total_header: str | None = Field(default=None, description="Header with the number of records.")
    about: bool = Field(
        default=False,
        description="The number is an estimate: much less than it is reported, and does not fail the run.",
    )


class ResultCap(Settings):
    """The API gives no more than so many records of one query; larger windows are split until they fit."""

    most: int = Field(ge=1, description="The largest number of records that one query gives.")
    statuses: tuple[int, ...] = Field(default=(), description="Statuses that say that a query has more.")


class Resource(Settings):
    """One resource of an API, such as ``/v1/orders``."""

    path: str = Field(description="Path below the API's base URL, such as /v1/products; {name} for a value.")
    method: Literal["GET", "POST"] = Field(default="GET", description="How it is asked for.")
    parameters: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Query parameters of every request."
    )
    body: dict[str, Any] | None = Field(default=None, description="JSON body of every request, with POST.")
    headers: dict[str, str] = Field(default_factory=dict, description="Headers of every request; no secrets.")
    records: RecordsPath = Field(
        default="",
        description="Path of the records, such as data.items or edges[].node; empty for the body itself.",
    )
    pagination: Pagination = Field(description="How pages follow each other.")
    incremental: Incremental | None = Field(
        default=None, description="How the API is asked for what is new; none: every reading reads all."
    )
    key: tuple[FieldPath, ...] = Field(
        default=(), description="Fields that identify a record; what comes twice is then landed once."
    )
    tombstone: Tombstone | None = Field(default=None, description="How a record says that it was deleted.")
    completeness: Completeness = Field(
        default_factory=Completeness, description="What the API announces about the number of records."
    )
    cap: ResultCap | None = Field(
        default=None, description="The largest number of records of one query, if any."
    )
    conditional: bool = Field(
        default=False,
        description="The first page's ETag or Last-Modified stands for all of it: unchanged means nothing is new.",
    )
    empty_statuses: tuple[int, ...] = Field(
        default=(204,),
        description="Statuses that mean a page without records, such as 404 where the API says so.",
    )
    expired_statuses: tuple[int, ...] = Field(
        default=(410,),
        description="Statuses that mean, after the first page, that the scan expired; it is then begun again.",
    )
    error_fields: tuple[FieldPath, ...] = Field(
        default=("error", "errors"),
        description="Fields of an answer that, when they hold anything, say that it is an error whatever its status.",
    )
    records_may_be_absent: bool = Field(
        default=False, description="An answer without anything at the path of the records is an empty page."
    )
    identical_pages: bool = Field(
        default=False, description="Two pages may hold the very same records; else that is taken for a loop."
    )
    most_pages: int = Field(default=100_000, ge=1, description="An endless reading is stopped here.")

    @model_validator(mode="after")
    def _fits(self) -> Resource:
        if self.body is not None and self.method == "GET":
            raise ValueError("a body needs the method POST")
        if self.cap and not (self.incremental and self.incremental.until_parameter):
            raise ValueError("a cap needs incremental with an until_parameter, or no window can be split")
        return self
