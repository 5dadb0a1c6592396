"""Whatever a description holds, it is read, or refused with an error that says what to correct."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from headworks.errors import HeadworksError
from tests.hostile.misdescribed import _leaves, _with
from tests.hostile.shapes import SHAPES, Things
from tests.hostile.test_shapes import nothing, read, source
from tests.support.served import served

ODD: tuple[Any, ...] = (
    *(
        "",
        " ",
        ".",
        "..",
        "a..b",
        "a.",
        ".a",
        "[",
        "]",
        "[]",
        "a[]",
        "{}",
        "a{}",
        "{",
        "}",
        "{x}",
        "{}{}",
        "{0}",
    ),
    *(
        "{x.y}",
        "{:d}",
        "0",
        "a.0",
        "a.0.b",
        "0.a",
        "-1",
        "a[b=c]",
        '"',
        '"a',
        "a'b",
        "\\",
        "\n",
        "\r\nX: y",
        "\0",
    ),
    *(
        "é",
        "日本",
        "\ud83d\ude00",
        "%",
        "%%",
        "%Q",
        "%00",
        "http://",
        "//",
        "://",
        "?",
        "#",
        "&",
        "=",
        "a" * 5000,
    ),
    *(0, -1, 1, 10**12, -(10**12), 0.5, True, False, None, [], {}, [None], {"a": 1}, [{"a": []}]),
)


def odd() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield descriptions of every shape with something odd in the place of each value."""
    for name in sorted(SHAPES):
        right = {"key": ["id"], **json.loads(json.dumps(SHAPES[name].described))}
        for path, _ in _leaves(right):
            for value in ODD:
                yield name, f"{'.'.join(path)} is {value!r:.40}", _with(right, path, value)


def play(name: str, described: dict[str, Any]) -> str:
    """Declare and read; return what came of it."""
    api = Things(6)
    with served(api.answer) as upstream:
        try:
            reading = source(upstream.url, described)
        except ValidationError:
            return "refused where it is declared"
        came = nothing()
        try:
            read(reading, came)
            read(reading, came)
        except HeadworksError:
            return "refused where it is read"
    return "read"


ALL = list(odd())


@pytest.mark.parametrize(
    ("name", "done", "described"),
    [pytest.param(*one, id=f"{number}: {one[0]}") for number, one in enumerate(Random(2).sample(ALL, 150))],
)
def test_an_odd_description_is_read_or_refused_with_what_to_correct(
    name: str, done: str, described: dict[str, Any]
) -> None:
    assert play(name, described), done


@pytest.mark.parametrize(
    "name",
    ["since.0", "since[]", "since{}", "", "filters.2.value", "since[a=b]", "filters.a", "since.0.value"],
)
@pytest.mark.parametrize("role", ["parameter", "until_parameter", "cursor_parameter", "size_parameter"])
def test_a_name_that_is_no_place_in_the_body_is_refused_where_it_is_declared(name: str, role: str) -> None:
    incremental = {"parameter": "since", "until_parameter": "until", "field": "at", "send_in": "body"}
    pagination = {"kind": "cursor", "send_in": "body", "size_in": "body", "cursor_parameter": "cursor"}
    if role in incremental:
        incremental[role] = name
    else:
        pagination[role] = name
    described = {
        "path": "/x",
        "method": "POST",
        "body": {"filters": [{"value": None}]},
        "pagination": pagination,
        "incremental": incremental,
    }
    if name == "" and role in ("until_parameter", "size_parameter", "cursor_parameter", "parameter"):
        pytest.skip("an empty name is none")
    with pytest.raises(ValidationError, match=role):
        source("http://localhost", described)


def main() -> int:
    """Play all, or so many of a seed: ``python -m tests.hostile.test_odd_descriptions 1 500``."""
    raw, every = 0, ALL
    if len(sys.argv) > 2:
        every = Random(int(sys.argv[1])).sample(ALL, int(sys.argv[2]))
    for name, done, described in every:
        try:
            play(name, described)
        except Exception as problem:  # noqa: BLE001 - that is what is looked for
            raw += 1
            print(f"RAW {name}: {done}: {type(problem).__name__}: {problem!s:.200}", flush=True)
    print(f"{len(every)} descriptions, {raw} raw exceptions")
    return 1 if raw else 0


if __name__ == "__main__":
    raise SystemExit(main())
