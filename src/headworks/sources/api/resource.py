"""A resource of an API, described: where it is, where its records are, how its pages follow each other, what is new.

A description is plain JSON: a deployment's parameter, and a form in the Prefect UI.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from headworks.settings import Settings
from headworks.sources.api.paginate import Pagination
from headworks.sources.api.paginate.base import Where
from headworks.sources.api.paths import FieldPath, RecordsPath, check_place

Format = Literal[
    "iso", "iso_s", "iso_ms", "date", "epoch", "epoch_ms", "epoch_us", "dotnet", "own", "number", "text"
]
"""How a cursor's values are written. Numbers and texts are compared as what they are, all others are moments: ISO with
microseconds, seconds or milliseconds, a day, seconds, milliseconds or microseconds since 1970, ``/Date(ms)/``, a
pattern.
"""

MOMENTS = frozenset({"iso", "iso_s", "iso_ms", "date", "epoch", "epoch_ms", "epoch_us", "dotnet", "own"})


class Incremental(Settings):
    """How the API is asked for what is new since the last reading.

    The next reading begins with the largest value of ``field`` that was seen, less the lookback. A parameter that
    leaves its own value out is sent the moment before it, so records that share the largest value are not lost.

    Example:
        >>> Incremental(parameter="updated_since", field="updated_at", lookback_s=300).format
        'iso'
    """

    parameter: str = Field(description="Parameter with the first value to read, such as since.")
    field: FieldPath = Field(description="Field of a record that it is compared with, such as updated_at.")
    send_in: Literal["query", "body", "header", "path", "text"] = Field(
        default="query", description="Whether it goes to query, body, header, path or a text."
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
    window_s: float | None = Field(
        default=None,
        gt=0,
        description="The longest time that one query may span, in seconds: longer ones are read window by window.",
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
        try:
            whole = "{}" in self.template and "\0" in self.template.format("\0")
        except (LookupError, ValueError):
            whole = False
        if not whole:
            raise ValueError(
                f"the template {self.template!r} must hold {{}} once where the value goes; write other braces twice"
            )
        moments = {self.format in MOMENTS, (self.parameter_format or self.format) in MOMENTS}
        if len(moments) > 1:
            raise ValueError("field and parameter must both be moments, or both be numbers or texts")
        if not self.is_moment and (self.lookback_s or self.until_parameter):
            raise ValueError("a lookback and an end need a cursor of moments")
        if self.window_s is not None and (self.until_parameter is None or self.start is None):
            raise ValueError(
                "window_s needs an until_parameter, and a start for the first window to begin with"
            )
        if "own" in (self.format, self.parameter_format):
            datetime.now(UTC).strftime(self.pattern)
        return self

    @property
    def is_moment(self) -> bool:
        """Return whether the cursor's values are moments."""
        return self.format in MOMENTS


_SURROGATE = re.compile(r"\\ud[89a-f][0-9a-f]{2}")

DELETED_FIELD = "_deleted"
"""Field that records get which lie in an array of deleted ones."""


class Tombstone(Settings):
    """How a record says that it was deleted; such a record deletes its key in silver."""

    field: FieldPath = Field(
        default=DELETED_FIELD, description="Field of a record, such as deleted or status."
    )
    records: RecordsPath | None = Field(
        default=None, description="Array of a page whose records are all deleted ones, such as removed."
    )
    values: tuple[bool | int | str, ...] = Field(
        default=(True,), description="Values of the field that mean deleted."
    )
    when_present: bool = Field(
        default=False,
        description="The field is there in deleted records alone, whatever its value, such as @removed.",
    )


class Sideload(Settings):
    """What a page has alongside its records and belongs into them, such as the author of each."""

    records: RecordsPath = Field(description="Path of the array in the page, such as users or included.")
    field: FieldPath = Field(description="Field of a record that says which one it means, such as author_id.")
    key: FieldPath = Field(default="id", description="Field that it is found by.")


class Delta(Settings):
    """A token that the API gives at the end of a reading, with which the next one gets what has changed since.

    Where the API no longer knows the token, all is read again.
    """

    token_field: FieldPath = Field(
        description='Path of the token or the address for the next run, such as nextSyncToken or "@odata.deltaLink".'
    )
    parameter: str | None = Field(
        default=None,
        description="Where the token is sent; none: it is an address that is asked for as it is.",
    )
    send_in: Where = Field(
        default="query", description="Whether the token goes to query, body, header or path."
    )
    alone: bool = Field(default=False, description="The token is sent without the other parameters.")
    path: str | None = Field(
        default=None, description="Path that changes are asked for at; none: that of the resource."
    )
    method: Literal["GET", "POST"] | None = Field(
        default=None, description="Method that changes are asked for with; none: that of the resource."
    )
    expired_statuses: tuple[int, ...] = Field(
        default=(410,), description="Statuses that say that the API no longer knows the token."
    )

    @model_validator(mode="after")
    def _fits(self) -> Delta:
        if self.parameter is None and (self.alone or self.path or self.send_in != "query"):
            raise ValueError(
                "a token that is an address is asked for as it is: name a parameter, or leave the rest out"
            )
        return self


class Export(Settings):
    """Records are asked for as a job: the resource's own request submits it, and its result is got when it is done."""

    job_field: FieldPath = Field(
        default="id", description="Path of the job's id in the answer to the submission."
    )
    status_path: str = Field(description="Path that says how the job is doing, such as /jobs/{job}.")
    state_field: FieldPath = Field(default="state", description="Path of the job's state in that answer.")
    done: tuple[str | bool | int, ...] = Field(min_length=1, description="States that mean that it is done.")
    failed: tuple[str | bool | int, ...] = Field(
        default=(), description="States that mean that it failed or expired; it is then submitted again."
    )
    result_path: str | None = Field(
        default=None,
        description="Path of the result, such as /jobs/{job}/results; it is paged as pagination says.",
    )
    file_field: RecordsPath | None = Field(
        default=None,
        description="Path of the result's address, or of several, in the answer about the state.",
    )
    file_hosts: tuple[str, ...] = Field(
        default=(),
        description="Other hosts that files may be at, such as *.amazonaws.com; no credentials are sent there.",
    )
    total_field: FieldPath | None = Field(
        default=None, description="Path of the number of records in the answer about the state."
    )
    poll_s: float = Field(default=10.0, gt=0, description="How often the state is asked for, in seconds.")
    longest_s: float = Field(
        default=3600.0,
        gt=0,
        description="How long one run waits for the job, in seconds; the next one waits for the same job.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Export:
        if (self.result_path is None) == (self.file_field is None):
            raise ValueError("an export has either a result_path or a file_field")
        if "{job}" not in self.status_path or "{job}" not in (self.result_path or "{job}"):
            raise ValueError("status_path and result_path need {job} where the job's id goes")
        if set(self.done) & set(self.failed):
            raise ValueError("a state cannot mean both that the job is done and that it failed")
        return self


class Completeness(Settings):
    """What the API announces, to know whether all of it came.

    Example:
        >>> Completeness(total_field="meta.total").about
        False
    """

    total_field: FieldPath | None = Field(
        default=None, description="Path of the number of records in the body."
    )
    total_header: str | None = Field(default=None, description="Header with the number of records.")
    uncapped: bool = Field(
        default=False,
        description="The API gives all records of a query, also where their number looks like the most that it gives.",
    )
    about: bool = Field(
        default=False,
        description="The number is an estimate: much less than it is reported, and does not fail the run.",
    )


class ResultCap(Settings):
    """The API gives no more than so many records of one query; larger windows are split until they fit."""

    most: int = Field(ge=1, description="The largest number of records that one query gives.")
    statuses: tuple[int, ...] = Field(default=(), description="Statuses that say that a query has more.")


class Listing(Settings):
    """One list of an API that is asked for by itself, such as ``/v1/orders``."""

    path: str = Field(description="Path below the API's base URL, such as /v1/products; {name} for a value.")
    method: Literal["GET", "POST"] = Field(default="GET", description="How it is asked for.")
    parameters: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Query parameters of every request."
    )
    body: dict[str, Any] | None = Field(default=None, description="Body of every request, with POST.")
    body_format: Literal["json", "form"] = Field(
        default="json", description="Whether bodies are sent as JSON or as a form."
    )
    headers: dict[str, str] = Field(default_factory=dict, description="Headers of every request; no secrets.")
    records: RecordsPath = Field(
        default="",
        description="Path of the records, such as data.items or edges[].node; empty for the body itself.",
    )
    format: Literal["json", "ndjson", "csv", "xml"] = Field(
        default="json", description="What pages are written in; any of them may be packed with gzip."
    )
    delimiter: str = Field(
        default=",", min_length=1, max_length=1, description="What separates values in CSV."
    )
    columns: RecordsPath | tuple[str, ...] = Field(
        default="",
        description="Names of the values of records that are arrays: the path of theirs in the page, or the names.",
    )
    header_row: bool = Field(
        default=False, description="The first record of each page has the names of its columns."
    )
    arrays: tuple[RecordsPath, ...] = Field(
        default=(), description="Further arrays of a page whose records belong to it too, such as modified."
    )
    sideloads: dict[str, Sideload] = Field(
        default_factory=dict,
        description="What a page has alongside its records, by the name of the field that they get with it.",
    )
    pagination: Pagination = Field(description="How pages follow each other.")
    incremental: Incremental | None = Field(
        default=None, description="How the API is asked for what is new; none: every reading reads all."
    )
    export: Export | None = Field(
        default=None, description="Records are the result of a job that is submitted, waited for and got."
    )
    delta: Delta | None = Field(
        default=None, description="A token that is kept from run to run, for what has changed since."
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
        description="The first page's ETag or Last-Modified represents all of it: unchanged means nothing is new.",
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
    def _fits(self) -> Self:
        if _SURROGATE.search(repr(self.model_dump())):
            raise ValueError("a text holds half a character (a lone surrogate), which cannot be sent")
        if self.body is not None and self.method == "GET":
            raise ValueError("a body needs the method POST")
        if self.body_format == "form" and any(
            isinstance(one, (dict, list)) for one in (self.body or {}).values()
        ):
            raise ValueError("a form has names and texts, and nothing in its values that holds others")
        if self.delta is not None and self.incremental is not None:
            raise ValueError("delta and incremental both say where the next run begins: name one of them")
        if self.delta is not None and self.conditional:
            raise ValueError(
                "conditional asks whether anything has changed, and so does delta: name one of them"
            )
        self._check_texts()
        self._check_places()
        self._check_format()
        if self.export is not None:
            if self.delta is not None or self.conditional or self.cap is not None:
                raise ValueError("an export goes with neither delta nor conditional nor cap")
            if self.export.file_field is not None and self.pagination.kind != "single":
                raise ValueError(
                    "the files of an export are each read as a whole: use pagination of kind single"
                )
        if self.cap and not (self.incremental and self.incremental.until_parameter):
            raise ValueError("a cap needs incremental with an until_parameter, or no window can be split")
        return self

    def _check_format(self) -> None:
        """Raise where pages are described in a way that their format has not."""
        lines = self.format in ("csv", "ndjson")
        if lines and (self.records or self.arrays or self.sideloads or self.header_row):
            raise ValueError(
                f"pages of {self.format} have no paths: leave out records, arrays, sideloads, header_row"
            )
        if lines and (self.pagination.fields or self.completeness.total_field or self.delta):
            raise ValueError(
                f"pages of {self.format} have no fields around their records: use a pagination by header, number, "
                "offset or key, and total_header"
            )
        if self.format == "csv" and isinstance(self.columns, str) and self.columns:
            raise ValueError("CSV has its columns in its first line: leave columns out, or give their names")
        if self.header_row and self.columns:
            raise ValueError("header_row and columns both name the columns: leave one of them out")
        if self.format == "xml" and not self.records:
            raise ValueError("pages of XML need the path of their records, such as feed.entry")
        tombstone = self.tombstone
        if tombstone and tombstone.records is None and "field" not in tombstone.model_fields_set:
            raise ValueError("a tombstone needs the field that says so, or the array of deleted records")
        if (
            tombstone
            and tombstone.records is not None
            and tombstone.records not in (self.records, *self.arrays)
        ):
            raise ValueError(
                f"the tombstone's records {tombstone.records!r} are not among records and arrays"
            )

    def _check_places(self) -> None:
        """Raise where a value is to be put into the body or the path, and has no place there."""
        paths = self.path + "".join(
            getattr(one, "next_path", None) or ""
            for one in getattr(self.pagination, "cursors", [self.pagination])
        )
        for role, where, name in _placed(self.pagination, self.incremental, self.delta):
            if where == "body":
                try:
                    check_place(self.body or {}, name)
                except ValueError as problem:
                    raise ValueError(f"{role}: {problem}") from problem
            if where == "path" and role != "delta.parameter" and "{" + name + "}" not in paths:
                raise ValueError(
                    f"{role}: send_in path puts {name} where {{{name}}} is in the path, which is nowhere"
                )

    def _check_texts(self) -> None:
        """Raise where a value is to be written into texts of the request, and none has its place."""
        texts = json.dumps([self.parameters, self.body, self.path], ensure_ascii=False)
        for name in _in_texts(self.pagination, self.incremental):
            if "{" + name + "}" not in texts:
                raise ValueError(
                    f"send_in text puts {name} where {{{name}}} is in a parameter or in the body, and it is nowhere"
                )


class Each(Settings):
    """A resource is read once for each record of another one: the items of each order, the detail of each entry."""

    of: Listing = Field(
        description="The parents: how they are asked for and paged, and what is new among them."
    )
    fields: dict[str, FieldPath] = Field(
        min_length=1,
        description="Fields of a parent by the name that they have as {name} in the path, parameters or body.",
    )
    add: dict[str, FieldPath] = Field(
        default_factory=dict,
        description="Fields of the parent that are written into each of its children, by the name that they get there.",
    )
    skip_statuses: tuple[int, ...] = Field(
        default=(),
        description="Statuses that say that a parent's children are not to be had, such as 404 or 403.",
    )


class Resource(Listing):
    """One resource of an API, such as ``/v1/orders``.

    Example:
        >>> pages = {"kind": "page_numbers", "size_parameter": "limit", "size": 100}
        >>> Resource(path="/v1/orders", records="data", pagination=pages, key=("id",)).path
        '/v1/orders'
    """

    each: Each | None = Field(
        default=None, description="The parents for each of which the resource is read, if any."
    )

    @model_validator(mode="after")
    def _each_fits(self) -> Resource:
        if self.each is None:
            return self
        if self.incremental is not None or self.delta is not None or self.conditional:
            raise ValueError(
                "what is new is asked for among the parents: move incremental or delta to each.of"
            )
        if self.export is not None or self.each.of.export is not None:
            raise ValueError("an export has no parents and is none: describe it by itself")
        texts = json.dumps([self.path, self.parameters, self.body], ensure_ascii=False)
        for name in self.each.fields:
            if "{" + name + "}" not in texts:
                raise ValueError(
                    f"each.fields has {name}, and {{{name}}} is neither in the path nor in what is sent"
                )
        return self


_PARAMETERS = ("page_parameter", "offset_parameter", "cursor_parameter", "key_parameter")
_SIZES = ("size_parameter", "limit_parameter")


def _placed(
    pagination: Any, incremental: Incremental | None, delta: Delta | None
) -> Iterator[tuple[str, str, str]]:
    """Yield what is put into requests: what the description calls it, where it goes, and its name there."""
    for one in getattr(pagination, "cursors", (pagination,)):
        where = getattr(one, "send_in", "query")
        for role in (*_PARAMETERS, *_SIZES):
            name = getattr(one, role, None)
            if name:
                at = getattr(one, "size_in", where) if role in _SIZES else where
                yield f"pagination.{role}", at, name
    if incremental is not None:
        for role in ("parameter", "until_parameter"):
            if getattr(incremental, role):
                yield f"incremental.{role}", incremental.send_in, getattr(incremental, role)
    if delta is not None and delta.parameter is not None:
        yield "delta.parameter", delta.send_in, delta.parameter


def _in_texts(pagination: Any, incremental: Incremental | None) -> list[str]:
    """Return what is written into the texts of a request."""
    names = []
    for one in getattr(pagination, "cursors", (pagination,)):
        if getattr(one, "send_in", None) == "text":
            called = ("page_parameter", "offset_parameter", "cursor_parameter", "key_parameter")
            names += [str(getattr(one, name)) for name in called if getattr(one, name, None)]
            if hasattr(one, "limit_parameter") or one.kind == "page_numbers":
                names += [
                    str(name)
                    for name in (getattr(one, "limit_parameter", None), getattr(one, "size_parameter", None))
                    if name
                ]
            elif getattr(one, "first", None) is None:
                raise ValueError("send_in text needs a first value, or the first request has an empty place")
    if incremental is not None and incremental.send_in == "text":
        if incremental.start is None:
            raise ValueError("send_in text needs a start, or the first request has an empty place")
        names += [name for name in (incremental.parameter, incremental.until_parameter) if name]
    return names
