"""Holds a description against what an API really sends: fields that no page and no record has are noticed and named.

A field that is never there looks like the end of a scan, like a record without a key, like nothing new. So its absence
means something only once it was seen.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headworks.errors import SettingsError
from headworks.sources.api.paginate.shifting import members
from headworks.sources.api.records import FieldReader, value_of
from headworks.sources.api.resource import Resource

_ENOUGH = 5
"""Records without a field that speak against its name, and not for a field that is often left out."""
_LISTED = 8


class Described:
    """The described fields that are still to be seen in a record, and those that were seen anywhere."""

    def __init__(self, resource: Resource, known: Iterable[str]) -> None:
        self.known = set(known)
        self._where = resource.path
        names = {name: "key" for name in resource.key}
        if resource.incremental is not None:
            names[resource.incremental.field] = "incremental.field"
        self._roles = names
        self._announced = _announced(resource)
        self._outline: Mapping[str, Any] = {}
        self._headers: tuple[str, ...] = ()
        self._tombstone = resource.tombstone.field if resource.tombstone is not None else None
        self._flags = _flags(resource)
        self._missed: dict[str, int] = {}
        self._sample: bytes = b""

    @property
    def awaits(self) -> bool:
        """Return whether a described field of records is still to be seen."""
        return any(_record(name) not in self.known for name in self._roles)

    def see(self, records: Sequence[bytes]) -> None:
        """Look at a page's records; raises `SettingsError` where none of many has a field that is described."""
        unseen = [name for name in self._roles if _record(name) not in self.known]
        if not unseen or not records:
            return
        self._sample = self._sample or records[0]
        for name, column in zip(unseen, FieldReader(unseen).columns(records), strict=True):
            if any(raw is not None for raw in column):
                self.known.add(_record(name))
                self._missed.pop(name, None)
                continue
            self._missed[name] = self._missed.get(name, 0) + len(records)
            if self._missed[name] >= _ENOUGH:
                raise SettingsError(
                    f"None of the first {self._missed[name]} records has the field {name}, which the description names "
                    f"as its {self._roles[name]}.{probably(name, self._fields())}",
                    where=self._where,
                    do=f"correct {self._roles[name]} of the resource.",
                )

    def see_page(
        self,
        records: Sequence[bytes],
        fields: Iterable[str],
        headers: Mapping[str, str],
        outline: Mapping[str, Any],
    ) -> None:
        """Look at what a page with records has around them."""
        if not records:
            return
        self._sample = self._sample or records[0]
        there = {*fields, *headers}
        self.known.update(
            f"page {name}"
            for name in (*self._announced, *self._flags)
            if name in there or name.lower() in there
        )
        if not self._outline:
            self._outline, self._headers = outline, tuple(headers)

    def unseen(self) -> str:
        """Say which fields that announce something no page had; empty where none is lacking."""
        said = [
            f"No page had {name}, which the description names as its {role}.{self._meant(name, role)}"
            for name, role in self._announced.items()
            if f"page {name}" not in self.known and (self._outline or "header" in role)
        ]
        there = dict(members(self._outline))
        for name, role in self._flags.items():
            # What is there in some pages alone, as errors are: only one that is nearly the same speaks against it.
            near = probably(name, self._outline)
            if f"page {name}" not in self.known and name not in there and near.startswith(" It has `"):
                said.append(f"No page had {name}, which the description names as its {role}.{near}")
        if self._tombstone is not None:
            near = probably(self._tombstone, self._fields())
            # Many APIs have the field in deleted records alone: only one that is nearly the same speaks against it.
            lacks = self._tombstone not in dict(members(self._fields()))
            if lacks and near.startswith(" It has `"):
                said.append(
                    f"The first record has no {self._tombstone}, which is the tombstone's field.{near}"
                )
        return " ".join(said)

    def _meant(self, name: str, role: str) -> str:
        if "header" not in role:
            return probably(name, self._outline)
        return probably(f"the header {name.lower()}", {}, self._headers)

    def warning(self) -> str:
        """Say which described fields no record had; empty where none is lacking."""
        return " ".join(
            f"No record had the field {name}, which the description names as its {self._roles[name]}."
            f"{probably(name, self._fields())}"
            for name in self._missed
        )

    def _fields(self) -> Mapping[str, Any]:
        sample = value_of(self._sample)
        return sample if isinstance(sample, dict) else {}


def probably(
    name: str, there: Mapping[str, Any], headers: Iterable[str] = (), *, arrays: bool = False
) -> str:
    """Say which of the fields that are there is probably meant, or which there are; begins with a blank.

    ``arrays``: what is meant holds records.
    """
    held = (list,) if arrays else (str, int, float, bool, type(None))
    found = [path for path, value in members(there) if isinstance(value, held)]
    if arrays and len(found) == 1:
        return f" It has `{found[0]}`; the description says `{name}`."
    found += [f"the header {header}" for header in headers]
    if not found:
        return ""
    last = name.rpartition(".")[2]
    same = [path for path in found if path == last or path.endswith(f".{last}")]
    near = same or difflib.get_close_matches(name, found, 1, 0.6)
    near = near or [
        path for path in found if difflib.SequenceMatcher(None, path.rpartition(".")[2], last).ratio() >= 0.7
    ]
    if near:
        return f" It has `{near[0]}`; the description says `{name}`."
    return f" It has {', '.join(found[:_LISTED])}{' and more' if len(found) > _LISTED else ''}."


def _record(name: str) -> str:
    return f"record {name}"


def _announced(resource: Resource) -> dict[str, str]:
    """Return the fields and headers around records that announce something, with what the description calls them."""
    completeness = resource.completeness
    names = {
        completeness.total_field: "completeness.total_field",
        completeness.total_header: "completeness.total_header",
        getattr(resource.pagination, "pages_field", None): "pagination.pages_field",
    }
    return {name: role for name, role in names.items() if name}


def _flags(resource: Resource) -> dict[str, str]:
    """Return the fields around records that may be absent from a page, with what the description calls them."""
    names: dict[str, str] = {}
    if "error_fields" in resource.model_fields_set:
        names |= dict.fromkeys(resource.error_fields, "error_fields")
    for one in getattr(resource.pagination, "cursors", (resource.pagination,)):
        for role in ("more_field", "end_field"):
            if getattr(one, role, None):
                names[getattr(one, role)] = f"pagination.{role}"
    return names
