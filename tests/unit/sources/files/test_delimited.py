"""CSV: every byte is in a row, in a refused record, or between records, however a file is cut into blocks."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from headworks.errors import SettingsError
from headworks.sources.column_types import column_type
from headworks.sources.files import delimited, tokens
from headworks.sources.files.content import FileDamaged
from headworks.sources.files.delimited import Csv
from headworks.sources.files.formats import CsvOptions
from headworks.sources.files.progress import Place
from tests.unit.sources.files.reading import Result, cut, read

TWO = Place(state=("a", "b"))
HEADER = Csv(CsvOptions())
ODD = st.text(alphabet='ab,"\n\r ü', max_size=40)
PLACES = st.lists(st.integers(0, 10_000), max_size=4)


def slowly(data: bytes, place: Place, form: Csv = HEADER) -> Result:
    """Read record by record, without Arrow."""

    class Slow(Csv):
        def _fast(self, text: bytes, line: int, names: list[str]) -> None:
            return None

    return read(Slow(form.options), [data], place)


@given(ODD, PLACES)
@settings(max_examples=200, deadline=None)
def test_the_fast_way_the_slow_way_and_every_cutting_into_blocks_give_the_same_rows(
    text: str, places: list[int]
) -> None:
    data = text.encode()
    expected = slowly(data, TWO)
    assert read(HEADER, [data], TWO) == expected
    assert read(HEADER, cut(data, places), TWO) == expected


@given(
    st.lists(
        st.lists(st.text(alphabet='ab,"\n ;ü', max_size=6), min_size=3, max_size=3), min_size=1, max_size=9
    ),
    PLACES,
)
@settings(max_examples=80, deadline=None)
def test_what_pythons_writer_wrote_comes_back_value_for_value_with_its_line(
    values: list[list[str]], places: list[int]
) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["x", "y", "z"], *values])
    result = read(HEADER, cut(buffer.getvalue().encode(), places))
    assert [list(row.values()) for row in result.good()] == values
    assert result.refused == 0
    lines = [
        2 + sum(1 + "".join(row).count("\n") for row in values[:number]) for number in range(len(values))
    ]
    assert [row["_line"] for row in result.rows] == lines


@given(ODD, st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_reading_goes_on_at_any_place_that_was_reached(text: str, at: int) -> None:
    """What a first reading left, in whichever block it stopped, and what a second one reads are the whole."""
    data = b"a,b\n" + text.encode()
    expected = read(HEADER, [data])
    blocks = cut(data, [at])
    parsed = HEADER.parse(blocks[0], Place(), last=False)
    place = Place(parsed.consumed, 1 + parsed.lines, state=parsed.state)
    rest = read(HEADER, [data[parsed.consumed :]], place)
    first = parsed.frame.rows(named=True) if parsed.frame.height else []
    assert len(first) + len(rest.rows) == len(expected.rows)
    assert parsed.refused + rest.refused == expected.refused


@pytest.mark.parametrize(
    ("line", "reason", "raw"),
    [
        (b"1", "line|fields", b"1"),
        (b"1,2,3", "line|fields", b"1,2,3"),
        (b"1,\xff", "line|encoding", b"1,\xff"),
        (b'1,"x', "line|quote", b'1,"x'),
        (b"1,x\ry", "line|carriage_return", b"1,x\ry"),
    ],
)
def test_a_malformed_line_is_refused_with_its_reason_its_number_and_its_bytes(
    line: bytes, reason: str, raw: bytes
) -> None:
    result = read(HEADER, [b"a,b\n5,6\n" + line + b"\n7,8\n"])
    assert result.refusals() == [(3, reason, raw)]
    assert result.good() == [{"a": "5", "b": "6"}, {"a": "7", "b": "8"}]


def test_blank_lines_are_nothing_but_count_as_lines() -> None:
    result = read(HEADER, [b"a,b\n\n1,2\n\r\n\n3,4"])
    assert [row["_line"] for row in result.rows] == [3, 6]


def test_null_values_are_null_only_without_quotes() -> None:
    form = Csv(CsvOptions(null_values=("", "NA")))
    data = b'a,b\n,NA\n"","NA"\n'
    assert read(form, [data]).good() == [{"a": None, "b": None}, {"a": "", "b": "NA"}]
    assert slowly(data, Place(), form).good() == read(form, [data]).good()


def test_a_quote_that_is_never_closed_harms_one_line_even_in_a_big_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens, "LONGEST_QUOTED", 50)
    monkeypatch.setattr(delimited, "_STEP", 200)
    good = b"".join(b"%d,%d\n" % (number, number) for number in range(1000))
    result = read(HEADER, cut(b"a,b\n" + good + b'x,"5\n' + good, [3000, 9000]))
    assert result.refusals() == [(1002, "line|quote", b'x,"5')]
    assert len(result.good()) == 2000


def test_declared_columns_are_typed_and_a_value_that_does_not_fit_refuses_its_line() -> None:
    form = Csv(
        CsvOptions(
            columns={
                "n": "int64",
                "d": "decimal(6,2)",
                "on": "date",
                "at": "datetime",
                "ok": "boolean",
                "f": "float64",
            }
        )
    )
    data = (
        b"n,d,on,at,ok,f,more\n"
        b"1,12.50,2026-02-28,2026-02-28 10:00:00,true,1.5,x\n"
        b"2,-0.01,2026-02-28,2026-02-28T10:00:00.123456+02:00,0,2,\n"
        b"3,1.0,2026-02-30,2026-02-28T10:00:00Z,no,3,\n"
        b"x,1.0,2026-02-28,2026-02-28T10:00:00Z,no,3,\n"
        b",,,,,,\n"
    )
    result = read(form, [data])
    assert [(line, reason) for line, reason, _ in result.refusals()] == [
        (4, "on|unreadable"),
        (5, "n|unreadable"),
    ]
    first, second, third = result.good()
    assert first == {
        "n": 1,
        "d": Decimal("12.50"),
        "on": date(2026, 2, 28),
        "at": datetime(2026, 2, 28, 10, tzinfo=UTC),
        "ok": True,
        "f": 1.5,
        "more": "x",
    }
    assert second["at"] == datetime(2026, 2, 28, 8, 0, 0, 123456, tzinfo=UTC)
    assert second["ok"] is False
    assert set(third.values()) == {None}


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "iso8859_15"])
def test_other_encodings_are_read_and_refused_bytes_stay_as_they_were(encoding: str) -> None:
    data = "a,b\nä,é\nü\n".encode(encoding)
    result = read(Csv(CsvOptions(encoding=encoding)), [data])
    assert result.good() == [{"a": "ä", "b": "é"}]
    assert result.refusals() == [(3, "line|fields", "ü".encode(encoding))]


def test_without_a_header_columns_are_numbered_or_declared() -> None:
    data = b"1,2\n3,4\n"
    assert read(Csv(CsvOptions(header=False)), [data]).good()[0] == {"column_1": "1", "column_2": "2"}
    named = CsvOptions(header=False, columns={"x": "int64", "y": "text"})
    assert read(Csv(named), [data]).good() == [{"x": 1, "y": "2"}, {"x": 3, "y": "4"}]


def test_other_delimiters_quotes_and_a_byte_order_mark() -> None:
    options = CsvOptions(delimiter=";", quote="'")
    data = b"\xef\xbb\xbfa;b\n'1;2';\"x\"\n"
    assert read(Csv(options), [data]).good() == [{"a": "1;2", "b": '"x"'}]
    plain = Csv(CsvOptions(delimiter="\t", quote=None))
    assert read(plain, [b'a\tb\n"1\t2"\n']).good() == [{"a": '"1', "b": '2"'}]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b"a,a", "duplicate"),
        (b"a,_line", "reserved"),
        (b"b,c", "missing"),
        (b'a,"b', "not closed"),
    ],
)
def test_a_header_that_cannot_be_is_damage_of_the_whole_file(header: bytes, why: str) -> None:
    form = Csv(CsvOptions(columns={"a": "text"}))
    with pytest.raises(FileDamaged) as caught:
        read(form, [header + b"\n1,2\n"])
    assert caught.value.reason == "file|header"
    assert why in caught.value.detail


@pytest.mark.parametrize(
    "wrong",
    [
        {"delimiter": ""},
        {"delimiter": ",,,,,"},
        {"escape": ","},
        {"comment": "\n"},
        {"encoding": "base64"},
        {"encoding": "idna"},
        {"delimiter": "ü"},
        {"quote": "\n"},
        {"delimiter": '"'},
        {"encoding": "utf-9"},
    ],
)
def test_options_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CsvOptions(**wrong)


@pytest.mark.parametrize("word", ["int", "decimal(39,2)", "decimal(2,3)", "decimal(0,0)", ""])
def test_a_type_that_is_none_is_refused_with_those_that_are(word: str) -> None:
    with pytest.raises(SettingsError, match="int64"):
        column_type(word)


def test_a_line_longer_than_any_record_is_refused_in_parts_and_the_next_line_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headworks.sources.files.text.LONGEST_RECORD", 100)
    data = b"a,b\n1,2\n" + b"x" * 950 + b",3\n4,5\n"
    result = read(HEADER, [data[at : at + 90] for at in range(0, len(data), 90)])
    assert result.good() == [{"a": "1", "b": "2"}, {"a": "4", "b": "5"}]
    assert {(line, reason) for line, reason, _ in result.refusals()} == {(3, "line|too_long")}
    assert b"".join(raw for _, _, raw in result.refusals() if isinstance(raw, bytes)) == data[8:-4]
