"""CSV that Python's own writer made, in every dialect, comes back value for value, whatever is in the fields."""

from __future__ import annotations

import csv
import io
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headworks.sources.files import delimited
from headworks.sources.files.delimited import Csv
from headworks.sources.files.encodings import is_plain, known
from headworks.sources.files.formats import CsvOptions
from headworks.sources.files.progress import Place
from tests.unit.sources.files.reading import Result, cut, read

NAMES = ["x", "y", "z"]
FIELDS = st.text(alphabet="ab,;|\"'\\\n\r\tü漢 #", max_size=12)
ROWS = st.lists(st.lists(FIELDS, min_size=3, max_size=3), min_size=1, max_size=8)
PLACES = st.lists(st.integers(0, 10_000), max_size=4)
DIALECTS: list[dict[str, Any]] = [
    {"delimiter": delimiter, "quotechar": quote, "quoting": quoting, "lineterminator": end, **escape}
    for delimiter in ",;|\t"
    for quote in "\"'"
    for quoting in (csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC)
    for end in ("\n", "\r\n")
    for escape in ({"doublequote": True}, {"doublequote": False, "escapechar": "\\"})
]


def written(rows: list[list[str]], dialect: dict[str, Any]) -> bytes:
    buffer = io.StringIO(newline="")
    writer: Any = csv.writer(buffer, **dialect)
    writer.writerows([NAMES, *rows])
    return buffer.getvalue().encode()


def form(dialect: dict[str, Any], **more: Any) -> Csv:
    return Csv(
        CsvOptions(
            delimiter=dialect["delimiter"],
            quote=dialect["quotechar"],
            escape=dialect.get("escapechar"),
            null_values=(),
            **more,
        )
    )


def values(result: Result) -> list[list[object]]:
    assert result.refusals() == []
    return [list(row.values()) for row in result.good()]


@given(st.sampled_from(DIALECTS), ROWS, PLACES)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_dialect_of_pythons_writer_comes_back(
    dialect: dict[str, Any], rows: list[list[str]], places: list[int]
) -> None:
    if dialect["quoting"] == csv.QUOTE_MINIMAL:
        # Python leaves a carriage return without quotes, in which it ends no line and is refused.
        rows = [[field.replace("\r", "") for field in row] for row in rows]
    assert values(read(form(dialect), cut(written(rows, dialect), places))) == rows


@given(ROWS, PLACES)
@settings(max_examples=100, deadline=None)
def test_lines_that_end_with_a_carriage_return_alone_come_back(
    rows: list[list[str]], places: list[int]
) -> None:
    kept = [[field.replace("\n", "") for field in row] for row in rows]
    dialect = {"delimiter": ",", "quotechar": '"', "quoting": csv.QUOTE_ALL, "lineterminator": "\r"}
    assert values(read(form(dialect), cut(written(kept, dialect), places))) == kept


@given(st.lists(st.lists(st.text(alphabet="ab|\\ü x", max_size=8), min_size=3, max_size=3), min_size=1))
@settings(max_examples=100, deadline=None)
def test_a_delimiter_of_two_characters_divides(rows: list[list[str]]) -> None:
    kept = [[field.replace("|", "/") + "." for field in row] for row in rows]
    data = "\n".join("||".join(row) for row in [NAMES, *kept]).encode()
    assert values(read(Csv(CsvOptions(delimiter="||")), [data])) == kept
    quoted = "\n".join("||".join(f'"{field}||"' for field in row) for row in kept).encode()
    named = Place(state=tuple(NAMES))
    assert values(read(Csv(CsvOptions(delimiter="||")), [quoted], named)) == [
        [f"{field}||" for field in row] for row in kept
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("escaped", [False, True])
def test_fields_larger_than_a_block_come_back(
    seed: int, escaped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of a thousand bytes, steps of a few hundred, and fields of up to twenty thousand."""
    monkeypatch.setattr(delimited, "_STEP", 300)
    chance = random.Random(seed)
    rows = [
        [
            "".join(
                chance.choices(
                    'ab,"\\\n\r ü', k=chance.choice([0, 3, 30, 900, 20_000 if chance.random() < 0.1 else 9])
                )
            )
            for _ in NAMES
        ]
        for _ in range(60)
    ]
    quoting = {"doublequote": False, "escapechar": "\\"} if escaped else {"doublequote": True}
    dialect = {
        "delimiter": ",",
        "quotechar": '"',
        "quoting": csv.QUOTE_ALL,
        "lineterminator": "\n",
        **quoting,
    }
    data = written(rows, dialect)
    blocks = [data[at : at + 1000] for at in range(0, len(data), 1000)]
    assert values(read(form(dialect), blocks)) == rows


ENCODINGS = [
    *("utf-8", "utf-8-sig", "latin-1", "cp1252", "cp437", "koi8-r", "mac_roman", "iso8859_15"),
    *("utf-16", "utf-16-le", "utf-32-be", "utf-7", "shift_jis", "cp932", "gbk", "gb18030", "big5", "euc_jp"),
    *("euc_kr", "johab", "iso2022_jp", "iso2022_kr", "hz", "cp037", "cp500", "cp1140", "cp273"),
]
LETTERS = {
    **dict.fromkeys(("shift_jis", "cp932", "iso2022_jp", "euc_jp"), "表ソ能十予―日本|\\"),
    **dict.fromkeys(("gbk", "gb18030", "big5", "hz"), "中文|\\"),
    **dict.fromkeys(("euc_kr", "johab", "iso2022_kr"), "한국|\\"),
    **dict.fromkeys(("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be", "utf-7"), "表ü|\\"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("delimiter", [",", "|"])
def test_every_encoding_comes_back_though_its_characters_hold_delimiters(
    encoding: str, delimiter: str
) -> None:
    """The second byte of a character may be the delimiter's, an escape may look like text, a line end may be none."""
    chance = random.Random(f"{encoding}{delimiter}")
    letters = LETTERS.get(encoding, "abc|\\")
    rows = [["".join(chance.choices(letters, k=5)) for _ in NAMES] for _ in range(50)]
    text = "\n".join(delimiter.join(f'"{field}"' for field in row) for row in [NAMES, *rows]) + "\n"
    options = CsvOptions(delimiter=delimiter, encoding=encoding)
    data = _narrow(text.encode(encoding), options.encoding)
    assert values(read(Csv(options), cut(data, [7, 100, 333]))) == rows


def _narrow(data: bytes, encoding: str) -> bytes:
    """Return bytes as the content of a file hands them on."""
    from headworks.sources.files.content import _narrowed

    return data if is_plain(encoding) else b"".join(_narrowed(iter(cut(data, [3, 50, 51])), encoding))


@pytest.mark.parametrize("encoding", ["shift_jis", "gbk", "euc_jp", "utf-16-le", "cp1252"])
def test_a_byte_that_is_no_text_refuses_its_line_alone_with_the_files_own_bytes(encoding: str) -> None:
    bad = {"utf-16-le": b"\x00\xdc", "cp1252": b"\x81"}.get(encoding, b"\xff")
    good = [f"{number},x\n".encode(encoding) for number in range(4)]
    line = "5,".encode(encoding) + bad
    end = "\n".encode(encoding)
    data = "a,b\n".encode(encoding) + good[0] + good[1] + line + end + good[2] + good[3]
    options = CsvOptions(encoding=encoding)
    result = read(Csv(options), [_narrow(data, options.encoding)])
    assert [row["a"] for row in result.good()] == ["0", "1", "2", "3"]
    assert result.refusals() == [(4, "line|encoding", line)]


@pytest.mark.parametrize("name", ["base64", "rot13", "idna", "punycode", "unicode_escape", "no such", "zlib"])
def test_what_is_no_encoding_of_files_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="encoding"):
        known(name)
