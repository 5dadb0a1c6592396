"""The small language of paths into JSON: ``data.items``, ``edges[].node``, ``"@odata.nextLink"``, empty for all.

A path is names joined by dots; a name that holds a dot, a bracket or a quote is put in double quotes. ``[]``
after a name represents each element of the array there, ``{}`` for each value of the object, and ``[rel=next]`` for the
element of the array whose ``rel`` is ``next``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator

EACH, EACH_VALUE = "[]", "{}"

_PART = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^.\[\]{}"]+))?((?:\[\]|\{\}|\[[^\[\]=]+=[^\[\]]*\])*)(\.|$)')
_SUFFIX = re.compile(r"\[\]|\{\}|\[([^\[\]=]+)=([^\[\]]*)\]")


class Chosen(str):
    """A step to the element of an array one of whose fields has a value."""

    def of(self, elements: Sequence[Any]) -> Any:
        """Return the element, `MISSING` where there is none."""
        name, _, value = self[1:-1].partition("=")
        for element in elements:
            if isinstance(element, Mapping) and name in element and str(element[name]) == value:
                return element
        return MISSING


MISSING: Any = object()
"""What is at a path where nothing is, not even a null."""


@cache
def parts(path: str) -> tuple[str, ...]:
    """Return the steps of a path, `EACH` and `EACH_VALUE` among them; raises ValueError where it is not a path."""
    steps: list[str] = []
    at = 0
    while at < len(path):
        found = _PART.match(path, at)
        if found is None or found.end() == at or not (found[1] or found[2] or found[3]):
            raise ValueError(f'{path!r} is not a path such as data.items, edges[].node or "@odata.nextLink"')
        name = re.sub(r"\\(.)", r"\1", found[1]) if found[1] is not None else found[2]
        if name is not None:
            steps.append(name.strip() if found[1] is None else name)
        steps += [Chosen(suffix[0]) if suffix[1] else suffix[0] for suffix in _SUFFIX.finditer(found[3])]
        at = found.end()
        if found[4] and at == len(path):
            raise ValueError(f"{path!r} ends with a dot")
    return tuple(steps)


def find(value: Any, path: str) -> Any:
    """Return what is at a path of a decoded value, or None where nothing is."""
    found = followed(value, parts(path))
    return None if found is MISSING else found


def followed(value: Any, steps: Sequence[str]) -> Any:
    """Return what is below a decoded value, `MISSING` where nothing is; a null on the way counts as one at its end."""
    for step in steps:
        if value is None:
            return None
        if isinstance(step, Chosen):
            # Of XML, where one element is no array.
            several = value if isinstance(value, list) else [value]
            value = step.of(several)
        elif isinstance(value, Mapping):
            value = value.get(step, MISSING)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
        if value is MISSING:
            return MISSING
    return value


def find_all(value: Any, path: str) -> list[Any]:
    """Return all that is at a path of a decoded value, which may lead through each element of an array."""
    found = [value]
    for step in parts(path):
        if step == EACH:
            found = [inner for one in found if isinstance(one, list) for inner in one]
        elif step == EACH_VALUE:
            found = [inner for one in found if isinstance(one, Mapping) for inner in one.values()]
        else:
            below = (followed(one, (step,)) for one in found)
            found = [one for one in below if one is not MISSING and one is not None]
    return found


def placed(value: Any, path: str, new: Any) -> Any:
    """Return a copy of a decoded value with ``new`` at a path; objects on the way are made where there are none.

    A number is the place in an array that is there, such as ``filters.0.value``.
    """
    return _placed(value, parts(path), new)


def _placed(value: Any, steps: Sequence[str], new: Any) -> Any:
    if not steps:
        return new
    if isinstance(value, list) and steps[0].isdigit():
        at = int(steps[0])
        if at > len(value):
            raise ValueError(f"there is no place {at} in an array of {len(value)}")
        below = value[at] if at < len(value) else None
        return [*value[:at], _placed(below, steps[1:], new), *value[at + 1 :]]
    held = dict(value) if isinstance(value, Mapping) else {}
    held[steps[0]] = _placed(held.get(steps[0]), steps[1:], new)
    return held


def check_place(value: Any, path: str) -> None:
    """Raise ValueError where a path leads to no one place in a decoded value into which something can be put.

    A number is the place in an array, which must be there: nothing else says that an array is meant.
    """
    steps = parts(path)
    if not steps or any(step in (EACH, EACH_VALUE) or isinstance(step, Chosen) for step in steps):
        raise ValueError(
            f"{path!r} is no one place in a body: name an element by its number, such as filters.0.value"
        )
    for place, step in enumerate(steps):
        above = ".".join(steps[:place]) or "the body"
        if isinstance(value, list):
            if not step.isdigit() or int(step) > len(value):
                raise ValueError(f"{path!r} has no place in the body: {above} is an array of {len(value)}")
            value = value[int(step)] if int(step) < len(value) else None
            continue
        held = value if isinstance(value, Mapping) else {}
        if step.isdigit() and step not in held:
            raise ValueError(
                f"{path!r} has no place in the body: {above} is no array there. Write the array into the body"
            )
        value = held.get(step)


_UNREADABLE = re.compile('[\x00-\x1f"\\\\\ud800-\udfff]')


def _check_names(path: str) -> None:
    for step in parts(path):
        if _UNREADABLE.search(step):
            raise ValueError(
                f"{path!r} has a name with a quote, a backslash or a control character, which cannot be read here"
            )


def _checked_records(path: str) -> str:
    _check_names(path)
    if any(isinstance(step, Chosen) for step in parts(path)):
        raise ValueError(f"{path!r} chooses one element of an array, which goes with fields alone")
    return path


def _checked_field(path: str) -> str:
    _check_names(path)
    if not parts(path) or {EACH, EACH_VALUE} & set(parts(path)):
        raise ValueError(f"{path!r} must name one field")
    return path


RecordsPath = Annotated[str, AfterValidator(_checked_records)]
"""A path to records: it may hold ``[]`` and ``{}``, and be empty."""

FieldPath = Annotated[str, AfterValidator(_checked_field)]
"""A path to one field."""
