"""A piece has a bounded number of rows, however short the lines are, and dividing a text into pieces changes no row."""

from __future__ import annotations

from random import Random

import polars as pl
import pytest

from headworks.sources.files import array, delimited, ndjson
from headworks.sources.files.array import JsonArray
from headworks.sources.files.content import FileDamaged
from headworks.sources.files.delimited import Csv
from headworks.sources.files.formats import CsvOptions
from headworks.sources.files.ndjson import Ndjson
from headworks.sources.files.progress import Place
from headworks.sources.files.text import PIECE_ROWS, Piece, TextFormat, pieces

FORMS: dict[str, TextFormat] = {
    "csv": Csv(CsvOptions()),
    "csv by two characters": Csv(CsvOptions(delimiter="||")),
    "csv with an escape": Csv(CsvOptions(escape="\\")),
    "csv with types": Csv(CsvOptions(columns={"v": "int64", "w": "text"})),
    "csv without quotes": Csv(CsvOptions(quote=None)),
    "ndjson": Ndjson(),
    "json": JsonArray(),
}
LINES = {
    "csv": ["1,2", "3,", ",", "1", "", '"a",b', '"a\nb",c', '"a""b",c', 'a"",b', '"x', "1,2,3", "\xe9,1", '"a"b,c'],
    "ndjson": ["{}", '{"a": 1}', "", "1", "{", '{"a": "\\n"}', "\xe9", "[1]"],
    "json": ["{}", '{"a": [1, {}]}', "1", '"]"', "{}, {}"],
}  # fmt: skip


def texts(form: str, random: Random) -> bytes:
    """Make a text out of good and bad lines."""
    kind = form.partition(" ")[0]
    lines = [random.choice(LINES[kind]) for _ in range(random.randrange(1, 40))]
    if kind == "json":
        return ("[" + ",\n".join(lines) + random.choice(["]", "] ", "", "]x"])).encode("latin-1")
    head = ["v,w"] if kind == "csv" else []
    text = "\n".join(head + lines) + random.choice(["", "\n"])
    text = text.replace(",", "||") if "two" in form else text
    return text.replace("\n", random.choice(["\n", "\n", "\r\n"])).encode("latin-1")


def read(form: TextFormat, blocks: list[bytes]) -> tuple[list[Piece], tuple[object, ...]]:
    """Return the pieces, and what came of all of them: rows, place, and the damage, if any."""
    found: list[Piece] = []
    damage = ""
    try:
        found.extend(pieces(iter(blocks), Place(), form))
    except FileDamaged as problem:
        damage = str(problem.detail)
    frames = [piece.frame for piece in found if piece.frame.height]
    rows = pl.concat(frames, how="diagonal") if frames else pl.DataFrame()
    rows = rows.select(sorted(rows.columns))
    # A line that was read is distinguished from a refused one by columns that only one of them may have.
    rows = rows.select(name for name in rows.columns if rows.get_column(name).count())
    # Within a piece, those that were read come first.
    rows = rows.sort("_line", maintain_order=True) if rows.height else rows
    at = found[-1].place if found else None
    # The remainder of a broken array is refused in as many records as there are blocks.
    refused = sum(piece.refused for piece in found)
    return found, (rows.rows(), rows.columns, refused, at, damage)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows", [1, 3, 7])
def test_pieces_of_few_rows_come_to_the_same_rows(
    form: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(f"{form}/{rows}")
    for _ in range(25):
        text = texts(form, random)
        cut = random.randrange(len(text) + 1)
        blocks = [part for part in (text[:cut], text[cut:]) if part]
        _, whole = read(FORMS[form], blocks)
        with monkeypatch.context() as patch:
            for module in (array, delimited, ndjson):
                patch.setattr(module, "PIECE_ROWS", rows)
            patch.setattr(delimited, "_STEP", random.choice([8, 64]))
            assert read(FORMS[form], blocks)[1] == whole, text


SHORT = {
    "csv, the fast way": ("csv", b"v\n", b"1\n"),
    "csv, too few fields": ("csv", b"v,w\n", b"1\n"),
    "csv, lines that end with a carriage return": ("csv", b"v\r", b"1\r"),
    "csv, a quote that is not closed within its longest": ("csv", b'v,w\n1,"', b"a" * 120 + b'""\n'),
    "ndjson": ("ndjson", b"", b"{}\n"),
    "ndjson, nothing but refused lines": ("ndjson", b"", b"1\n"),
    "json": ("json", b"[{}", b",{}"),
}


@pytest.mark.parametrize("what", SHORT)
def test_no_piece_has_more_rows_than_a_bounded_number(what: str) -> None:
    form, head, line = SHORT[what]
    count = PIECE_ROWS * 2 + 17
    found, came = read(FORMS[form], [head + line * count])
    rows = sum(piece.frame.height for piece in found)
    assert rows >= count
    assert max(piece.frame.height for piece in found) <= PIECE_ROWS + 64 * 1024, came[2]
