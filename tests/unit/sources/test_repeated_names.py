"""A name that comes twice with different values is seen at any depth and in any writing, and nothing else is."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from headworks.sources.repeated import conflicting, conflicts, outermost

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])

TWICE = {
    "a number": (b'"a":1', b'"a":2'),
    "a text": (b'"a":"x"', b'"a":"y"'),
    "a number and its text": (b'"a":1', b'"a":"1"'),
    "a number and a decimal of its value": (b'"a":1', b'"a":1.0'),
    "null and a value": (b'"a":null', b'"a":0'),
    "true and one": (b'"a":true', b'"a":1'),
    "false and nothing": (b'"a":false', b'"a":null'),
    "an object": (b'"a":{"b":1}', b'"a":{"b":2}'),
    "an array": (b'"a":[1,2]', b'"a":[2,1]'),
    "an empty object and an empty array": (b'"a":{}', b'"a":[]'),
    "a name and its escape": (b'"a":1', b'"\\u0061":2'),
    "a name with a quote in it": (b'"\\"a\\":":1', b'"\\u0022a\\u0022:":2'),
    "an empty name": (b'"":1', b'"":2'),
    "blanks before the colons": (b'"a" :1', b'"a"\n\t : 2'),
    "blanks before one colon": (b'"a" :1', b'"a":2'),
    "a number that no machine holds": (b'"a":1', b'"a":1e999999999'),
    "numbers of many digits": (b'"a":9007199254740993', b'"a":9007199254740992'),
}  # fmt: skip
SAME = {
    "a number": (b'"a":1', b'"a":1'),
    "a text in two writings": (b'"a":"x"', b'"a":"\\u0078"'),
    "an object in two writings": (b'"a":{"b":1,"c":[2]}', b'"a": { "c" : [ 2 ] , "b" : 1 }'),
    "null": (b'"a":null', b'"a":null'),
    "a text that looks like a name": (b'"a":"\\"b\\":"', b'"a":"\\"b\\":"'),
}
PLACES = {
    "alone": (b"{%b}", ""),
    "after others": (b'{"id":7,"z":"w",%b}', ""),
    "before others": (b'{%b,"id":7,"z":[{"k":1},{"k":2}]}', ""),
    "in an object": (b'{"id":7,"in":{"x":1,%b}}', "in"),
    "deep": (b'{"id":7,"in":[[{"x":{"y":[1,{"z":2,%b}]}}]],"w":1}', "in"),
    "in the second of an array": (b'{"id":7,"in":[{"a":5},{%b}]}', "in"),
    "beside texts that look like names": (b'{"t":"\\"a\\":1,\\"b\\":2",%b,"u":"{\\"a\\": 1}"}', ""),
}


def _cases(pairs: dict[str, tuple[bytes, bytes]]) -> Iterator[tuple[str, bytes, str]]:
    for kind, both in pairs.items():
        for place, (around, name) in PLACES.items():
            for between in (b",", b',"q":0,', b' ,\n"q" : { } , '):
                for first, second in (both, both[::-1]):
                    yield f"{kind}, {place}", around.replace(b"%b", first + between + second), name


def test_a_name_that_comes_twice_with_different_values_is_seen_wherever_it_is() -> None:
    cases = [*_cases(TWICE)]
    assert len(cases) == len(TWICE) * len(PLACES) * 3 * 2
    for case, record, name in cases:
        fields = _fields.decode(record)
        unknown = conflicting(record, fields)
        assert unknown, f"{case}: {record!r} was passed"
        own = next(iter(json.loads(b"{" + TWICE[case.partition(", ")[0]][0] + b"}")))
        assert set(unknown) == {name or own}, case
        assert set(outermost(record)) == (set() if name else {own}), case


def test_a_name_that_comes_twice_with_the_same_value_is_no_conflict() -> None:
    for case, record, _ in _cases(SAME):
        assert not conflicting(record, _fields.decode(record)), f"{case}: {record!r}"


def _made(chance: random.Random, depth: int = 0) -> tuple[str, bool]:
    """Return a value as text, and whether an object in it gives a name twice and differently."""
    kind = chance.choice(("object", "array", "plain", "plain") if depth < 4 else ("plain",))

    def blank() -> str:
        return chance.choice(("", "", "", " ", "\n"))

    if kind == "plain":
        return chance.choice(
            ('"x"', "1", "2", "null", "true", '"\\":"', '"a\\": 1"', '"\\\\"', "1e400")
        ), False
    parts = [_made(chance, depth + 1) for _ in range(chance.randrange(4))]
    clash = any(each for _, each in parts)
    if kind == "array":
        return f"[{blank()}{','.join(text for text, _ in parts)}{blank()}]", clash
    names = [chance.choice("abcde") for _ in parts]
    seen: dict[str, Any] = {}
    for name, (text, _) in zip(names, parts, strict=True):
        # Compared as text: true is not 1.
        value = json.dumps(msgspec.json.decode(text.replace("1e400", '"1e400"')), sort_keys=True)
        clash = clash or (name in seen and seen[name] != value)
        seen[name] = value
    members = ",".join(
        f'{blank()}"{name}"{blank()}:{blank()}{text}' for name, (text, _) in zip(names, parts, strict=True)
    )
    return f"{{{members}{blank()}}}", clash


@pytest.mark.parametrize("seed", range(8))
def test_random_records_are_told_apart_as_by_a_reader_of_names(seed: int) -> None:
    chance = random.Random(seed)
    made = [(text.encode(), clash) for text, clash in (_made(chance) for _ in range(1500)) if text[0] == "{"]
    for record, clash in made:
        assert bool(conflicting(record, _fields.decode(record))) == clash, record
    assert sum(clash for _, clash in made) > 30
    # In batches, in which one record's numbers must not hide another's; some are no objects.
    for start in range(0, len(made), 7):
        piece = [*made[start : start + 7], (b"[1]", False), (None, False)]
        fields = [_fields.decode(text) if text and text != b"[1]" else None for text, _ in piece]
        found = conflicts([text for text, _ in piece], fields)
        assert [place in found for place in range(len(piece))] == [clash for _, clash in piece]


def test_of_a_record_whose_bytes_are_no_text_nothing_is_known_and_the_others_are_read() -> None:
    """As bronze of another writer may have it; below an object, where the names have to be counted one by one."""
    odd, good = b'{"id":1,"a":{"x":"\xff"}}', b'{"id":2}'
    fields = [_fields.decode(odd), _fields.decode(good)]
    assert set(conflicting(odd, fields[0])) == {"id", "a"}
    assert set(outermost(odd)) == {"id", "a"}
    assert {place: set(names) for place, names in conflicts([odd, good], fields).items()} == {0: {"id", "a"}}
