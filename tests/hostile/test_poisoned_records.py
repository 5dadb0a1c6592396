"""One record of every poisonous kind among good ones: it alone is refused, in every style, through four runs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from headworks.bronze.landing import Landing, land
from headworks.bronze.refusals import refused_rows
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from headworks.testing.access import Keyed
from headworks.testing.hostile import HostileApi, hostile
from headworks.testing.outcome import DATASET, bronze_records, silver_amounts
from headworks.testing.reading import source_of
from headworks.testing.styles import STYLES
from headworks.testing.truth import Row, make_rows

ROWS = 23
"""Five pages of five, the last one short."""


def _with(value: bytes, *, name: bytes = b'"note"') -> bytes:
    return b'{"id":%d,"updated_at":"%s","amount":1,' + name + b":" + value + b"}"


REFUSED: dict[str, bytes] = {
    "a byte that is no UTF-8": _with(b'"caf\xe9"'),
    "a text cut within a letter": _with(b'"caf\xc3"'),
    "a name that is no UTF-8": _with(b"1", name=b'"caf\xe9"'),
    "an overlong letter": _with(b'"\xc0\xaf"'),
    "a surrogate as bytes": _with(b'"\xed\xa0\x80"'),
    "nested 1,000 deep": _with(b"[" * 1000 + b"]" * 1000),
    "objects 20,000 deep": _with(b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
    "a lone surrogate": _with(b'"\\ud800"'),
    "a lone low surrogate in a name": _with(b"1", name=b'"\\udc00"'),
    "NUL in a text": _with(b'"a\x00b"'),
    "a control character in a text": _with(b'"a\x01b"'),
    "a line break in a text": _with(b'"a\nb"'),
    "a bad escape": _with(b'"\\x41"'),
    "half an escape": _with(b'"\\u00"'),
    "NaN": _with(b"NaN"),
    "minus infinity": _with(b"-Infinity"),
    "undefined": _with(b"undefined"),
    "a number with zeros before it": _with(b"007"),
    "a number in hexadecimal": _with(b"0x1F"),
    "a point without digits": _with(b"1."),
    "no value": _with(b""),
    "a comma too many": _with(b"1,"),
    "a comment": _with(b"1/*x*/"),
    "single quotes": b"{'id':%d,'updated_at':'%s'}",
    "no quotes": b"{id:%d,updated_at:'%s'}",
}
KEYLESS = {"single quotes", "no quotes"}
LANDED: dict[str, bytes] = {
    "a number of 100,000 digits": _with(b"9" * 100_000),
    "a number beyond all machines": _with(b"1e999999999"),
    "minus zero of many digits": _with(b"-0." + b"0" * 5000),
    "an escaped NUL": _with(b'"\\u0000"'),
    "nested 200 deep": _with(b"[" * 200 + b"]" * 200),
    "two of one name": _with(b'1,"note":2'),
    "5,000 fields": _with(b"0," + b",".join(b'"k%%d":1' .replace(b"%%d", str(i).encode()) for i in range(5000))),
    "a text of a megabyte": _with(b'"' + b"x" * 1_000_000 + b'"'),
    "an empty name": _with(b"1", name=b'""'),
    "every letter there is": _with(json.dumps("".join(map(chr, range(1, 0x3000))), ensure_ascii=False).encode()),
}  # fmt: skip
"""What is odd and still JSON: it lands as the bytes that it is, and nothing downstream breaks on it."""


def _poisoned(shape: bytes, row: Row) -> Row:
    record = shape.replace(b"%d", str(row.key).encode(), 1).replace(b"%s", row.stamp.encode(), 1)
    return replace(row, record=record)


def _style(kind: str) -> str:
    """Return a style for each kind, so that every style meets several kinds."""
    return list(STYLES)[list({**REFUSED, **LANDED}).index(kind) % len(STYLES)]


CASES = [(kind, _style(kind)) for kind in REFUSED]
ODD = [(kind, _style(kind)) for kind in LANDED]


class Played:
    """An API with one poisoned record in its middle, read run after run into one lake."""

    def __init__(self, style: str, shape: bytes, folder: Path) -> None:
        self.good = make_rows(ROWS, 1)
        self.poison = _poisoned(shape, self.good.pop(11))
        self.api = HostileApi(STYLES[style], [*self.good, self.poison], access=Keyed())
        self.lake = Lake(LakeSettings(root=str(folder)))

    def run(self, number: int) -> tuple[int, int]:
        """Read to the end; returns what landed and what was refused."""
        report = land(Landing(self.lake, DATASET, DATASET, f"run-{number}"), source_of(self.api))
        assert report.read == report.landed + report.refused + report.repeated
        return report.landed, report.refused

    def silver(self) -> dict[int, int | None]:
        """Return what silver holds."""
        return silver_amounts(self.lake)


def refused_again(played: Played) -> list[bytes]:
    """Return the bytes of every refused record that is kept."""
    kept = refused_rows(played.lake, DATASET)
    return [] if kept is None else [row["raw"] for row in kept.collect().to_dicts()]


@pytest.mark.sampled(8)
@pytest.mark.parametrize(("kind", "style"), CASES)
def test_a_record_that_nobody_can_read_is_refused_alone_and_kept_and_comes_once_it_is_fixed(
    kind: str, style: str, tmp_path: Path
) -> None:
    played = Played(style, REFUSED[kind], tmp_path)
    with hostile(played.api):
        landed, refused = played.run(1)
        assert (landed, refused) == (ROWS - 1, 1)
        wanted = {row.key: row.amount for row in played.good}
        assert played.silver() == wanted
        kept = refused_rows(played.lake, DATASET)
        assert kept is not None
        (row,) = kept.collect().to_dicts()
        assert row["raw"] == played.poison.record
        assert row["reason"].startswith("record|")
        # One in which not even a key is seen is recognised by its bytes; any other is met again by a reading of all.
        assert played.run(2)[1] == (0 if kind in KEYLESS else 1)
        assert set(refused_again(played)) == {played.poison.record}
        assert played.silver() == wanted
        more = make_rows(ROWS + 4, 1)[ROWS:]
        played.api.rows += more
        played.run(3)
        wanted |= {row.key: row.amount for row in more}
        assert played.silver() == wanted
        fixed = make_rows(ROWS, 1)[11]
        played.api.rows = [row for row in played.api.rows if row.key != fixed.key] + [fixed]
        assert played.run(4)[1] == 0
        assert played.silver() == {**wanted, fixed.key: fixed.amount}


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("kind", "style"), ODD)
def test_a_record_that_is_odd_and_still_json_lands_as_it_is_and_breaks_nothing(
    kind: str, style: str, tmp_path: Path
) -> None:
    played = Played(style, LANDED[kind], tmp_path)
    with hostile(played.api):
        for number in range(1, 4):
            # What is known by its key and its bytes does not land again.
            assert played.run(number) == (ROWS if number == 1 else 0, 0)
            assert set(played.silver()) >= {row.key for row in played.good}
        assert Counter(bronze_records(played.lake))[played.poison.record] == 1
