"""Proposes how an API is added to a project: how it is reached and read, and which columns its records have.

A proposal is for a person, who reads why: from the answers of an address (``probe.py``), or from a recipe, whose
records are looked at where the API can be asked. Nothing is written and no secret is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from headworks.errors import SettingsError
from headworks.names import check_dataset
from headworks.sources.api.client import ApiClient
from headworks.sources.api.probe import probe, sampled, split_url
from headworks.sources.api.proposal import STAMPS
from headworks.sources.api.recipes import Recipe, recipe
from headworks.sources.api.records import value_of
from headworks.sources.api.settings import ApiSettings

ColumnType = Literal["String", "Int64", "Float64", "Decimal", "Boolean", "Datetime", "Date", "Json"]

_DEEPEST = 2
_INT64 = 2**63
_MOST_DIGITS = 6
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")
_VERSION = re.compile(r"v?\d[\d.-]*|api|rest|latest")


@dataclass(frozen=True)
class ProposedColumn:
    """A column that records have: its name, the path in a record, its type, and what speaks for it."""

    name: str
    field: str
    type: ColumnType
    nullable: bool
    evidence: str


@dataclass(frozen=True)
class ProposedApi:
    """How an API could be added. ``runnable``: the resource can be read as it is.

    ``settings`` and ``resource`` are JSON of `ApiSettings` and `Resource`, with places such as ``<token>`` where
    somebody has to fill something in; ``fill`` says what. ``key`` and ``cursor`` are names of columns.
    """

    name: str
    settings: dict[str, Any]
    resource: dict[str, Any]
    fill: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[ProposedColumn, ...] = ()
    key: tuple[str, ...] = ()
    cursor: str | None = None
    tombstone: str | None = None
    evidence: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    runnable: bool = False


def propose_api(
    url: str | None = None,
    settings: ApiSettings | None = None,
    *,
    like: str | None = None,
    resource: str | None = None,
    filled: Mapping[str, str] | None = None,
    body: dict[str, Any] | None = None,
    name: str | None = None,
) -> ProposedApi:
    """Propose how an API is read, from the address of a resource's first page or from a recipe.

    ``settings`` say how it is reached, with credentials; without them an address is asked as anybody may, and a recipe
    is given as it is. Raises `SettingsError` and `StopError` with what to do, and what the client raises.
    """
    if like is not None:
        return _like(recipe(like), settings, resource, filled or {}, name)
    if url is None:
        raise SettingsError("Neither an address nor a recipe is named.", do="give one of them.")
    origin, path, parameters = split_url(url)
    if settings is None:
        if "://" not in url:
            raise SettingsError("The address has no http:// or https://.", where=url, do="write it in full.")
        settings = ApiSettings(base_url=origin)
    elif "://" in url:
        if not url.startswith(settings.base_url):
            raise SettingsError(
                f"The address does not begin with {settings.base_url}, where the credentials belong.",
                where=url.partition("?")[0],
                do="name an address of that API, or other credentials.",
            )
        path = url.removeprefix(settings.base_url).partition("?")[0] or "/"
    found = probe(ApiClient(settings), path, parameters, body=body)
    columns = columns_of(found.records)
    stamp = next((one for one in columns if one.field.lower() in STAMPS), None)
    return ProposedApi(
        check_dataset(name) if name else _named(settings.base_url, path),
        _without_secrets(settings),
        found.resource,
        _places(settings),
        columns,
        _names(columns, found.resource.get("key", ())),
        stamp.name if stamp else None,
        evidence=tuple(found.reasons),
        unknown=tuple(found.unknown),
        runnable="pagination" in found.resource,
    )


def _like(
    found: Recipe,
    settings: ApiSettings | None,
    wanted: str | None,
    filled: Mapping[str, str],
    name: str | None,
) -> ProposedApi:
    """Propose a recipe's resource; its records are looked at where the API can be asked."""
    if wanted is None and len(found.resources) > 1:
        raise SettingsError(
            f"The recipe {found.name} has several resources.",
            where=found.name,
            do=f"choose one of {', '.join(found.resources)}.",
        )
    chosen = wanted or next(iter(found.resources))
    content = found.content(chosen, filled)
    described = found.resource(chosen, filled)
    left = {place for place in found.fill if f"<{place}>" in str(content)}
    evidence = [
        f"{chosen}: {found.about(chosen)}",
        f"described as {found.title} documents it ({found.dated}): {', '.join(found.source)}",
        f"requests: {found.rate_limit}",
        f"deletions: {found.deletions}",
    ]
    unknown = [*found.unknown, *found.unshown([chosen]), *found.ends()]
    columns: tuple[ProposedColumn, ...] = ()
    if settings is not None and not left:
        records = [value_of(record) for record in sampled(ApiClient(settings), described)]
        columns = columns_of(records)
        evidence.append(f"tried: {len(records)} records came")
    else:
        unknown.append(
            f"its columns: {', '.join(f'<{one}>' for one in sorted(left)) or 'how it is reached'} has to be known "
            "before the API can be asked"
        )
    cursor = described.incremental.field if described.incremental else None
    tombstone = described.tombstone
    return ProposedApi(
        check_dataset(name) if name else f"{_word(found.name)}.{_word(chosen)}",
        _without_secrets(settings) if settings is not None else found.api(filled),
        content,
        {place: words for place, words in found.fill.items() if place not in filled},
        columns,
        _names(columns, described.key) or tuple(map(_word, described.key)),
        (next(iter(_names(columns, (cursor,))), None) or _word(cursor)) if cursor else None,
        tombstone.field if tombstone else None,
        tuple(evidence),
        tuple(unknown),
        runnable=not left,
    )


def columns_of(records: Sequence[Any]) -> tuple[ProposedColumn, ...]:
    """Return the columns that records have: the fields of objects in them by their paths, arrays as JSON."""
    objects = [one for one in records if isinstance(one, dict)]
    taken: set[str] = set()
    return tuple(_column(path, values, taken) for path, values in _fields(objects, "", 0))


def _fields(objects: Sequence[Mapping[str, Any]], before: str, depth: int) -> Iterator[tuple[str, list[Any]]]:
    for name in dict.fromkeys(name for one in objects for name in one):
        values = [one.get(name) for one in objects]
        there = [value for value in values if value is not None]
        step = name if re.fullmatch(r"[^.\[\]{}\"\s]+", name) else f'"{name}"'
        if '"' in name or "\\" in name:
            continue
        if there and depth < _DEEPEST and all(isinstance(value, dict) and value for value in there):
            inner = [value if value is not None else {} for value in values]
            yield from _fields(inner, f"{before}{step}.", depth + 1)
        else:
            yield f"{before}{step}", values


def _column(path: str, values: list[Any], taken: set[str]) -> ProposedColumn:
    there = [value for value in values if value is not None]
    kind, why = _type(there)
    name = number = _word(path)
    while number in taken:
        number = f"{name}_{int(number.rpartition('_')[2] or 0) + 1 if number != name else 2}"
    taken.add(number)
    return ProposedColumn(
        number,
        path,
        kind,
        len(there) < len(values) or not there,
        f"{len(there)} of {len(values)} records{': ' if why else ''}{why}",
    )


def _type(values: list[Any]) -> tuple[ColumnType, str]:
    """Return the type that holds all values, and what shows it."""
    if not values:
        return "String", "no value was seen, so the type is a guess"
    kinds = {type(value) for value in values}
    if kinds & {dict, list}:
        return "Json", "objects or arrays"
    if kinds == {bool}:
        return "Boolean", "true and false"
    if kinds == {int}:
        low, high = min(values), max(values)
        fits = low >= -_INT64 and high < _INT64
        return ("Int64" if fits else "Decimal"), f"whole numbers from {low} to {high}"
    if kinds <= {int, float, Decimal}:
        digits = max(-_exponent(value) for value in values)
        if digits <= _MOST_DIGITS:
            return "Decimal", f"numbers with up to {digits} decimal places"
        return "Float64", "numbers"
    if kinds == {str}:
        if all(_DAY.fullmatch(value) and _is(date, value) for value in values):
            return "Date", f"days such as {values[0]}"
        if all(_MOMENT.fullmatch(value) and _is(datetime, value) for value in values):
            return "Datetime", f"moments such as {values[0][:40]}"
        return "String", f"texts of up to {max(map(len, values))} characters"
    return "String", f"values of several types: {', '.join(sorted(kind.__name__ for kind in kinds))}"


def _exponent(value: Any) -> int:
    found = Decimal(str(value)).as_tuple().exponent
    return found if isinstance(found, int) else -_MOST_DIGITS - 1


def _is(kind: type[date], text: str) -> bool:
    try:
        kind.fromisoformat(text)
    except ValueError:
        return False
    return True


def _names(columns: Sequence[ProposedColumn], fields: Sequence[str | None]) -> tuple[str, ...]:
    """Return the columns that hold some fields of a record, none where one has no column."""
    by_field = {one.field: one.name for one in columns}
    found = [by_field.get(one or "") for one in fields]
    return () if None in found else tuple(filter(None, found))


def _word(text: str) -> str:
    """Return a text as a word in lower case with underscores, such as a column has."""
    word = "_".join(filter(None, _WORDS.sub("_", text).lower().split("_"))) or "field"
    return word if word[0].isalpha() else f"n_{word}"


def _named(base_url: str, path: str) -> str:
    """Return the name of a dataset for an address: that of its host, and the last word of its path."""
    host = re.sub(r"^https?://", "", base_url).partition("/")[0].partition(":")[0]
    words = [one for one in host.split(".") if one not in ("www", "api", "rest")]
    source = words[-2] if len(words) > 1 and not words[-2].isdigit() else words[0] if words else "api"
    steps = [one for one in path.split("/") if one and not _VERSION.fullmatch(one.lower())]
    last = (steps or ["records"])[-1].partition(".")[0]
    return check_dataset(f"{_word(source)}.{_word(last)}")


def _without_secrets(settings: ApiSettings) -> dict[str, Any]:
    """Return settings as JSON, each secret a place that is to be filled."""
    content: dict[str, Any] = settings.model_dump(mode="json", exclude_defaults=True)
    auth = settings.auth.model_dump(mode="json", exclude_none=True)
    content["auth"] = auth | {name: f"<{name}>" for name in _secrets(settings)}
    content["base_url"] = settings.base_url
    return content


def _places(settings: ApiSettings) -> dict[str, str]:
    return {name: f"{name} of the API's {settings.auth.kind} credentials" for name in _secrets(settings)}


def _secrets(settings: ApiSettings) -> list[str]:
    """Return the names of what the credentials keep secret, a user's name among them, which often is the key."""
    held = type(settings.auth).model_fields
    return [
        name
        for name in held
        if name in ("arguments", "username", "client_id")
        or hasattr(getattr(settings.auth, name), "get_secret_value")
    ]
