"""What suppliers' CSV files need alongside a delimiter and a quote, each by the record and by the block."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from headworks.sources.files.delimited import Csv
from headworks.sources.files.formats import CsvOptions
from headworks.sources.files.progress import Place
from tests.unit.sources.files.reading import Result, cut, read


class Slow(Csv):
    """Reads record by record."""

    def _fast(self, text: bytes, line: int, names: list[str]) -> None:
        return None


def both(text: str, **options: Any) -> Result:
    """Read in the two ways, which must agree."""
    declared = CsvOptions(**options)
    data = text.encode()
    result = read(Csv(declared), [data])
    assert read(Slow(declared), [data]) == result
    assert read(Csv(declared), cut(data, [5, 11, 17])) == result
    return result


CASES: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    ("Report of May\nmade 2024\nid,v\n1,a\n2,b\n", {"skip_lines": 2}, [{"id": "1", "v": "a"}, {"id": "2", "v": "b"}]),
    ("\n\nid,v\n1,a\n", {}, [{"id": "1", "v": "a"}]),
    ("# made\nid,v\n1,a\n# end, of it\n2,b\n#\n", {"comment": "#"}, [{"id": "1", "v": "a"}, {"id": "2", "v": "b"}]),
    ('-- x\nid,v\n1,"-- a\n-- b"\n', {"comment": "--"}, [{"id": "1", "v": "-- a\n-- b"}]),
    ("id;v\n1;1,5\n", {"delimiter": ";", "decimal_comma": True, "columns": {"v": "decimal(10,2)"}},
     [{"id": "1", "v": Decimal("1.50")}]),
    ("id;v\n1;1,5\n", {"delimiter": ";", "decimal_comma": True, "columns": {"v": "float64"}}, [{"id": "1", "v": 1.5}]),
    ("id,d\n1,31.12.2024\n", {"date_format": "%d.%m.%Y", "columns": {"d": "date"}},
     [{"id": "1", "d": date(2024, 12, 31)}]),
    ("id,d\n1,31.12.2024 10:11\n", {"datetime_format": "%d.%m.%Y %H:%M", "columns": {"d": "datetime"}},
     [{"id": "1", "d": datetime(2024, 12, 31, 10, 11, tzinfo=UTC)}]),
    ("id,v\n1,a,\n2,b,\n", {"trailing_delimiter": True}, [{"id": "1", "v": "a"}, {"id": "2", "v": "b"}]),
    ("id,v,\n1,a,\n2,b\n", {"trailing_delimiter": True}, [{"id": "1", "v": "a"}, {"id": "2", "v": "b"}]),
    ("id||v\n1||a|b\n", {"delimiter": "||"}, [{"id": "1", "v": "a|b"}]),
    ('id,v\n1,"a\\"b"\n2,c\\,d\n', {"escape": "\\"}, [{"id": "1", "v": 'a"b'}, {"id": "2", "v": "c,d"}]),
    ("id,v\n1,\\N\n", {"escape": "\\", "null_values": ("\\N",)}, [{"id": "1", "v": None}]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "options", "rows"), CASES)
def test_an_option_is_read_alike_by_the_block_and_by_the_record(
    text: str, options: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    result = both(text, **options)
    assert result.good() == rows
    assert result.refused == 0


def test_lines_are_counted_with_those_that_are_no_records() -> None:
    result = both("title\n\nid,v\n# x\n1,a\n\n2\n", skip_lines=1, comment="#")
    assert [row["_line"] for row in result.rows] == [5, 7]
    assert result.refusals() == [(7, "line|fields", b"2")]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("decimal(10,2)", "1.239"), ("decimal(10,2)", "1.005"), ("decimal(4,2)", "100.00"), ("decimal(4,2)", "1e1"),
        ("float64", "1e400"), ("float64", "-1e999"), ("int64", "1.0"), ("int64", "9223372036854775808"),
        ("date", "24-02-03"), ("date", "2024-02-30"), ("datetime", "24-02-03 10:00:00"),
        ("datetime", "2024-02-03T10:00:00.1234567"), ("boolean", "maybe"),
    ],
)  # fmt: skip
def test_a_value_that_its_type_would_change_is_refused(word: str, text: str) -> None:
    result = both(f"id,v\n1,{text}\n", columns={"v": word})
    assert result.refusals() == [(2, "v|unreadable", f"1,{text}".encode())]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('1,"sean \\"Jeff\\" o"', "line|quote"),
        ('2,"Lorem Ipsum" dolor', "line|quote"),
        ('3,"a"b', "line|quote"),
        ('3,""b', "line|quote"),
        ('3,"a""" b', "line|quote"),
    ],
)
def test_a_value_behind_a_closing_quote_is_refused_and_not_put_together(line: str, reason: str) -> None:
    result = both(f'id,name\n5,x\n{line}\n6,"y"\n')
    assert result.refusals() == [(3, reason, line.encode())]
    assert [row["id"] for row in result.good()] == ["5", "6"]


@pytest.mark.parametrize("text", ['a"b', 'a "quoted" word', '5" pipe', "'\"'"])
def test_a_quote_within_an_unquoted_field_is_a_character(text: str) -> None:
    assert both(f'id,v\n1,{text}\n2,"x, y"\n').good() == [{"id": "1", "v": text}, {"id": "2", "v": "x, y"}]


def test_text_of_several_lines_with_a_bad_quote_is_one_refused_record_and_no_rows() -> None:
    record = '7,"first line\nsecond, line, with more\nthird" end'
    result = both(f"id,v\n1,x\n{record}\n2,y\n")
    assert result.refusals() == [(3, "line|quote", record.encode())]
    assert [row["id"] for row in result.good()] == ["1", "2"]


def test_a_forgotten_quote_costs_its_line_and_none_of_the_next_ones() -> None:
    result = both('id,v\n1,"x\n2,y\n3,z "q"\n4,"w"\n')
    assert result.refusals() == [(2, "line|quote", b'1,"x')]
    assert [row["id"] for row in result.good()] == ["2", "3", "4"]


def test_a_file_of_blank_lines_has_no_rows_and_no_fault() -> None:
    result = read(Csv(CsvOptions()), [b"\n\r\n\n"])
    assert (result.rows, result.refused, result.place.offset) == ([], 0, 4)
    assert read(Csv(CsvOptions()), [b"a,b"], Place()).rows == []


@pytest.mark.parametrize("text", ["v\na\n\nb\n\n\n", "v\n\na\r\n\r\nb\n", "v\n\n\n", "v\na\n\n\n\nb"])
def test_a_blank_line_of_a_single_column_is_refused_for_it_may_be_a_null(text: str) -> None:
    """Postgres writes a null so. At the end of a file it is nothing, as in a file of several columns."""
    data = text.encode()
    lines = text.replace("\r", "").rstrip("\n").split("\n")
    blank = [number for number, line in enumerate(lines, start=1) if not line]
    result = read(Csv(CsvOptions()), [data])
    assert [row["v"] for row in result.good()] == [line for line in lines[1:] if line]
    assert result.refusals() == [(number, "line|blank", b"") for number in blank]
    for place in range(len(data)):
        assert read(Csv(CsvOptions()), cut(data, [place, place + 2])).rows == result.rows


def test_millions_of_blank_lines_take_no_time_of_their_own() -> None:
    """Four million took more than ten seconds."""
    blank = b"\n" * 4_000_000
    began = time.process_time()
    result = read(Csv(CsvOptions()), [b"id,v\n1,a\n" + blank, blank + b"2,b\n"])
    assert [row["_line"] for row in result.rows] == [2, 8_000_003]
    assert time.process_time() - began < 5
