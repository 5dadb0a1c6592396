"""Descriptions that are not quite what an API does: every field of every style misspelled, dropped, swapped, replaced.

Made from the catalogue of styles. ``python -m tests.hostile.misdescribed`` plays all of them; CI plays a seeded sample.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from pydantic import ValidationError

from headworks.bronze.landing import Landing, land
from headworks.errors import HeadworksError
from headworks.settings import LakeSettings
from headworks.sources.api.resource import Resource
from headworks.storage.store import Lake
from headworks.testing.access import Keyed
from headworks.testing.described import SINCE, describe
from headworks.testing.hostile import HostileApi, hostile
from headworks.testing.outcome import DATASET, bronze_records
from headworks.testing.reading import source_of
from headworks.testing.styles import STYLES
from headworks.testing.truth import make_rows
from headworks.testing.wire import Asked, Reply

SIZE = 5
ROWS = (3, 5, 23)
"""Less than a page, exactly one, several."""
KINDS: tuple[Mapping[str, Any], ...] = (
    {"kind": "single"},
    {"kind": "page_numbers", "size": SIZE},
    {"kind": "offset", "size": SIZE},
    {"kind": "cursor", "size": SIZE},
    {"kind": "keyset", "key_parameter": "after_id", "size": SIZE},
    {"kind": "next_url", "size_parameter": "limit", "size": SIZE},
    {"kind": "link_header", "size_parameter": "limit", "size": SIZE},
    {"kind": "next_header", "header": "X-Next", "size_parameter": "limit", "size": SIZE},
)


@dataclass(frozen=True)
class Description:
    """A description that is slightly off: of which style, what was done to it, and what it became."""

    style: str
    done: str
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What came of it: refused, warned, exact, ``repeats`` where all came and some twice, or ``LIES``."""

    what: str
    said: str = ""


def descriptions() -> Iterator[Description]:
    """Yield every description that is made from the catalogue of styles."""
    for style in STYLES:
        right = _plain(describe(style, size=SIZE))
        yield Description(style, "as it is", right)
        for path, value in _leaves(right):
            if path in {("path",), ("pagination", "kind")}:
                continue
            for done, new in _changed(path, value, right):
                yield Description(style, f"{'.'.join(path)} {done}", _with(right, path, new))
        for other in KINDS:
            if other["kind"] != right["pagination"]["kind"]:
                yield Description(style, f"another kind, {other['kind']}", {**right, "pagination": other})
        yield Description(style, "incremental", {**right, "incremental": SINCE.model_dump(mode="json")})
        for name in ("updated", "at.updated_at", "Updated_at", "id"):
            wrong = {**SINCE.model_dump(mode="json"), "field": name}
            yield Description(style, f"incremental.field {name}", {**right, "incremental": wrong})
        yield Description(
            style, "a total that is not there", {**right, "completeness": {"total_field": "totals"}}
        )
        yield Description(style, "a tombstone that is not there", {**right, "tombstone": {"field": "deletd"}})


_DROPPED = object()


def _changed(path: tuple[str, ...], value: Any, right: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "dropped", _DROPPED
    if isinstance(value, bool):
        yield "turned", not value
    elif isinstance(value, int):
        for new in (1, value + 1, value * 2, max(1, value - 1), 1000):
            yield f"is {new}", new
    elif isinstance(value, str) and value:
        yield "misspelled", value[:-1] or "x"
        yield "with a letter twice", value + value[-1]
        yield "in capitals", value.upper()
        yield "a level deeper", f"data.{value}"
        yield "an element of an array", f"{value}[]"
        yield "the first of an array", f"{value}.0"
        if "." in value:
            yield "a level higher", value.partition(".")[2]
            yield "its parent", value.rpartition(".")[0]
        if path[0] == "pagination":
            for name, other in right["pagination"].items():
                if isinstance(other, str) and other != value and name != "kind":
                    yield f"swapped for {name}", other


def _leaves(value: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict) and (*before, name) != ("body",):
            yield from _leaves(inner, (*before, name))
        elif inner is not None and not isinstance(inner, (list, dict)):
            yield (*before, name), inner
        elif name == "key" and isinstance(inner, list):
            yield (*before, name), inner[0]


def _with(content: Mapping[str, Any], path: tuple[str, ...], new: Any) -> dict[str, Any]:
    copied: dict[str, Any] = json.loads(json.dumps(content))
    held = copied
    for name in path[:-1]:
        held = held[name]
    if new is _DROPPED:
        del held[path[-1]]
    else:
        held[path[-1]] = [new] if path == ("key",) else new
    return copied


def _plain(resource: Resource) -> dict[str, Any]:
    content = resource.model_dump(mode="json", exclude_unset=True)
    content["pagination"] = {
        **resource.pagination.model_dump(mode="json", exclude_none=True),
        "kind": resource.pagination.kind,
    }
    return content


class Answering(HostileApi):
    """An API that refuses a request which it does not understand, whatever that is."""

    def answer(self, asked: Asked) -> Reply:
        """Answer, or say that the request was wrong."""
        try:
            return super().answer(asked)
        except (AttributeError, KeyError, TypeError):
            return Reply.of({"error": "what is that?"}, 400)


def play(described: Description, rows: int, folder: Path) -> Outcome:
    """Read an API by a description, twice, and return what came of it."""
    try:
        resource = Resource.model_validate(described.content)
    except ValidationError as problem:
        return Outcome("refused", str(problem.errors()[0]["msg"]))
    api = Answering(STYLES[described.style], make_rows(rows, 1), access=Keyed())
    lake = Lake(LakeSettings(root=str(folder)))
    landing = Landing(lake, DATASET, DATASET, "run", clock=api.time.clock)
    with hostile(api):
        try:
            source = replace(source_of(api), resource=resource)
            report = land(landing, source)
        except HeadworksError as problem:
            return Outcome("refused", f"{type(problem).__name__}: {problem}")
    came, truth = Counter(bronze_records(lake)), Counter(row.record for row in api.rows)
    lost = (truth - came).total()
    if lost and report.shown is not False:
        return Outcome("LIES", f"{lost} of {rows} lost, shown={report.shown}, {report.warnings}")
    if lost:
        return Outcome("warned", "; ".join(report.warnings))
    return Outcome("exact" if came == truth else "repeats", "; ".join(report.warnings))


def main() -> int:
    """Play every description with every number of rows, and count what came of them."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number, described in enumerate(descriptions()):
            for rows in ROWS:
                outcome = play(described, rows, Path(folder) / f"{number}-{rows}")
                counts[outcome.what] += 1
                if outcome.what == "LIES" or "-v" in sys.argv:
                    print(outcome.what, described.style, described.done, rows, outcome.said[:300], flush=True)
    print(dict(counts), flush=True)
    return 1 if counts["LIES"] else 0


def sampled(count: int, seed: int) -> list[Description]:
    """Return a few of the descriptions, the same for a seed."""
    return Random(seed).sample(list(descriptions()), count)


if __name__ == "__main__":
    sys.exit(main())
