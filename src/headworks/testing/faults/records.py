"""Records that are not what they should be: types that drift, fields that come and go, bytes that are no JSON at all.

All of them must land as they came; which of them are good is decided later, record by record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random

from headworks.testing.truth import Row, make_rows

Odd = Callable[[Random, Row], bytes]

_ALONGSIDE = 100_000


def _field(row: Row, name: str, value: str) -> bytes:
    """Write a row's record with one field's JSON replaced or added."""
    content = {
        "id": str(row.key),
        "updated_at": json.dumps(row.stamp),
        "amount": str(row.amount),
        name: value,
    }
    return ("{" + ",".join(f'"{field}":{text}' for field, text in content.items()) + "}").encode()


def _drifting(dice: Random, row: Row) -> bytes:
    return _field(row, "amount", dice.choice(('"12"', "12.0", "true", "null", "[12]", '{"value":12}')))


def _new_field(dice: Random, row: Row) -> bytes:
    return _field(row, f"extra_{dice.randrange(5)}", dice.choice(("1", '{"a":[1,2]}', '"x"')))


def _missing_field(dice: Random, row: Row) -> bytes:
    return b'{"id":%d}' % row.key


def _null_key(dice: Random, row: Row) -> bytes:
    return _field(row, "id", "null")


def _conflicting(dice: Random, row: Row) -> bytes:
    return _field(row, "amount", str(row.amount + dice.randint(1, 9)))


def _not_a_number(dice: Random, row: Row) -> bytes:
    return _field(row, "amount", dice.choice(("NaN", "Infinity", "-Infinity")))


def _big_integer(dice: Random, row: Row) -> bytes:
    return _field(row, "amount", str(dice.randrange(10**20, 10**40)))


def _wrong_charset(dice: Random, row: Row) -> bytes:
    return _field(row, "name", '"PLACE"').replace(
        b"PLACE", dice.choice(("Müller", "façade")).encode("latin-1")
    )


def _malformed(dice: Random, row: Row) -> bytes:
    """Write what a sloppy template writes: no value, a comma too many, a name without quotes."""
    return dice.choice(
        (
            b'{"id":%d,"amount":}' % row.key,
            b'{"id":%d,"amount":12,}' % row.key,
            b"{id:%d}" % row.key,
            b'{"id":%d "amount":1}' % row.key,
            b"{'id':%d}" % row.key,
        )
    )


ODDITIES: Mapping[str, Odd] = {
    "drifting types": _drifting,
    "new fields": _new_field,
    "missing fields": _missing_field,
    "null keys": _null_key,
    "conflicting duplicates": _conflicting,
    "NaN": _not_a_number,
    "big integers": _big_integer,
    "wrong charset": _wrong_charset,
    "malformed record": _malformed,
}


def odd_rows(name: str, count: int, seed: int) -> list[Row]:
    """Make rows of which one in five is odd; conflicting duplicates come alongside the good ones."""
    dice, rows = Random(f"odd-{name}-{seed}"), make_rows(count, seed)
    found: list[Row] = []
    for row in rows:
        injected = dice.random() < 0.2
        if not injected or name == "conflicting duplicates":
            found.append(row)
        if injected:
            record = ODDITIES[name](dice, row)
            # Each row has a place of its own in the server's order, whatever key its record shows.
            place = row.key + (_ALONGSIDE if name == "conflicting duplicates" else 0)
            found.append(Row(place, row.stamp, row.amount, record))
    return found
