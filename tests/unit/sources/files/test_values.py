"""Texts of declared columns: every type and form of it held against an oracle, which knows no Polars and no chrono."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal, InvalidOperation
from random import Random
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from headworks.sources.column_types import column_type
from headworks.sources.files.delimited import Csv
from headworks.sources.files.formats import CsvOptions
from headworks.sources.files.values import read_texts
from tests.unit.sources.files.reading import read

SEED = 20261130
_PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
_NUMBER = re.compile(rf"{_PLAIN.pattern}([eE][+-]?[0-9]+)?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
FORMS = {
    # How a form's texts look, in words of the oracle: lone numbers may lack a zero, numbers without a gap may not.
    "%Y-%m-%d": r"(?P<Y>\d{4})-(?P<m>\d\d?)-(?P<d>\d\d?)",
    "%d.%m.%Y": r"(?P<d>\d\d?)\.(?P<m>\d\d?)\.(?P<Y>\d{4})",
    "%m/%d/%y": r"(?P<m>\d\d?)/(?P<d>\d\d?)/(?P<y>\d\d)",
    "%Y%m%d": r"(?P<Y>\d{4})(?P<m>\d\d)(?P<d>\d\d)",
    "%y%m%d": r"(?P<y>\d\d)(?P<m>\d\d)(?P<d>\d\d)",
    "%d%m%Y": r"(?P<d>\d\d)(?P<m>\d\d)(?P<Y>\d{4})",
    "%d %b %Y": rf"(?P<d>\d\d?) (?P<b>(?i:{'|'.join(_MONTHS)})) (?P<Y>\d{{4}})",
    "%F": r"(?P<Y>\d{4})-(?P<m>\d\d?)-(?P<d>\d\d?)",
}
_TIME = r"(?P<H>\d\d?):(?P<M>\d\d?):(?P<S>\d\d?)"
_ZONED = r"(?P<z>[+-]\d\d:?\d\d)"
MOMENTS: dict[str | None, str] = {
    None: rf"{FORMS['%Y-%m-%d']}[T ]{_TIME}(?P<f>\.\d+)?(?P<z>[+-]\d\d:\d\d|[Zz])?",
    "%Y-%m-%d %H:%M:%S": rf"{FORMS['%Y-%m-%d']} {_TIME}",
    "%Y-%m-%d %H:%M:%S.%f": rf"{FORMS['%Y-%m-%d']} {_TIME}(?P<f>\.\d+)?",
    "%Y-%m-%dT%H:%M:%S%.f%z": rf"{FORMS['%Y-%m-%d']}T{_TIME}(?P<f>\.\d+)?{_ZONED}",
    "%d.%m.%Y %H:%M": rf"{FORMS['%d.%m.%Y']} (?P<H>\d\d?):(?P<M>\d\d?)",
    "%Y%m%d%H%M%S": rf"{FORMS['%Y%m%d']}(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)",
    "%z %d %b %Y %H:%M:%S": rf"{_ZONED} {FORMS['%d %b %Y']} {_TIME}",
    "%d %b %H:%M:%S %z %Y": rf"(?P<d>\d\d?) (?P<b>(?i:{'|'.join(_MONTHS)})) {_TIME} {_ZONED} (?P<Y>\d{{4}})",
}


def _moment(text: str, pattern: str) -> datetime | None:
    found = re.fullmatch(pattern, text, re.ASCII)
    if found is None:
        return None
    parts = {name: value for name, value in found.groupdict().items() if value is not None}
    if len(parts.get("f", "").rstrip("0")) > len(".123456"):
        return None
    year = int(parts["Y"]) if "Y" in parts else int(parts["y"]) + (1900 if int(parts["y"]) >= 70 else 2000)
    month = _MONTHS.index(parts["b"].lower()) + 1 if "b" in parts else int(parts["m"])
    micro = int((parts.get("f", ".0")[1:] + "000000")[:6])
    hour, minute, second = (int(parts.get(name, 0)) for name in "HMS")
    try:
        local = datetime(year, month, int(parts["d"]), hour, minute, second, micro, tzinfo=UTC)
        zone = parts.get("z", "Z")
        if zone in "Zz":
            return local
        hours, minutes = int(zone[1:3]), int(zone[-2:])
        if hours > 23 or minutes > 59:
            return None
        away = timedelta(hours=hours, minutes=minutes)
        return local.replace(tzinfo=timezone(-away if zone[0] == "-" else away)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _day(text: str, pattern: str) -> date | None:
    found = _moment(text, pattern)
    return None if found is None else found.date()


def _float(text: str) -> float | None:
    """Return the float of a text, if its digits are those of the float written with as many."""
    if text.lower().lstrip("+-") in {"nan", "inf", "infinity"}:
        return float(text)
    if _NUMBER.fullmatch(text) is None:
        return None
    exact, near = Decimal(text), float(text)
    digits = re.sub(r"[eE].*|[^0-9]", "", text).strip("0")
    if near in (float("inf"), float("-inf")):
        return None
    return near if Decimal(f"{near:.{max(len(digits), 1) - 1}e}") == exact else None


def _decimal(precision: int, scale: int) -> Callable[[str], Decimal | None]:
    def read_one(text: str) -> Decimal | None:
        try:
            value = Decimal(text) if _PLAIN.fullmatch(text) else None
        except InvalidOperation:
            return None
        if value is None or abs(value) >= Decimal(10) ** (precision - scale):
            return None
        return (
            value if value == value.quantize(Decimal(1).scaleb(-scale), context=Context(prec=200)) else None
        )

    return read_one


def _int(text: str) -> int | None:
    if re.fullmatch(r"[+-]?[0-9]+", text) is None:
        return None
    return int(text) if -(2**63) <= int(text) < 2**63 else None


def _truth(text: str) -> bool | None:
    lowered = text.lower() if text.isascii() else ""
    if lowered in {"true", "t", "1", "yes", "y"}:
        return True
    return False if lowered in {"false", "f", "0", "no", "n"} else None


def _comma(text: str) -> str:
    return "x" if "." in text else text.replace(",", ".", 1)


ODD_NUMBERS = [
    "0", "-0", "+1", "007", ".5", "5.", "1.10", "1e5", "1E+05", "1e-400", "1e400", "5e-324", "2e-324", "4.9e-324",
    "nan", "NaN", "inf", "-Infinity", "0x10", "1_0", "1,5", "1.2.3", "--1", ".", "+", "e5", "1e", "1f", "1d", "٣",
    "１２", "9007199254740993", "9007199254740992", "123456789012345678901234567890", "100000000000000000000000",
    "1e23", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "0.1234567890123456789", "0.1000000000000000055511151231257827021181583404541015625", "0.30000000000000004",
    "1.7976931348623157e308", "1.7976931348623159e308", "00000000000000000000000000000000000000000000000000001.50",
]  # fmt: skip


def _numbers(chance: Random) -> Iterable[str]:
    yield from [*ODD_NUMBERS, " 1", "1 "]
    for _ in range(300):
        whole = str(chance.randrange(10 ** chance.randint(0, 25)))
        rest = power = ""
        if chance.random() < 0.7:
            rest = "." + "".join(chance.choices("0123456789", k=chance.randint(0, 25)))
        if chance.random() < 0.3:
            power = f"{chance.choice('eE')}{chance.choice(['', '+', '-'])}{chance.randint(0, 330)}"
        yield chance.choice(["", "-", "+"]) + whole + rest + power
    for _ in range(100):
        yield repr(chance.uniform(-1, 1) * 10.0 ** chance.randint(-300, 300))
        yield f"{chance.random():.{chance.randint(1, 20)}g}"


def _times(chance: Random, form: str | None) -> Iterable[str]:
    pattern = form or "%Y-%m-%dT%H:%M:%S"
    days = [date.min, date.max, date(2024, 2, 29), date(1969, 7, 20), date(1970, 1, 1), date(2069, 12, 31)]
    days += [date(2024, 1, 2), date(2024, 11, 1), date(2024, 1, 11)]
    days += [date.fromordinal(chance.randint(1, date.max.toordinal())) for _ in range(40)]
    zones = ["+00:00", "+02:00", "-0530", "+14:00", "-14:00", "Z", "z", "", "+25:00", "-00:00", "+01:60"]
    for day in days:
        clock = (chance.randint(0, 23), chance.randint(0, 59), chance.randint(0, 59))
        fraction = chance.choice(["", ".5", ".120", ".123456", ".1234560", ".1234567", ".000001"])
        zone = {date.min: "+14:00", date.max: "-14:00"}.get(day) or chance.choice(zones)
        for two in ("02", ""):
            numbers = dict(zip("mdHMS", (day.month, day.day, *clock), strict=True))
            text = pattern.replace("%F", "%Y-%m-%d")
            for name, value in numbers.items():
                text = text.replace(f"%{name}", f"{value:{two}}")
            text = text.replace("%Y", f"{day.year:04}").replace("%y", f"{day.year % 100:02}")
            text = text.replace("%b", _MONTHS[day.month - 1].title()).replace("%z", zone)
            text = text.replace("%.f", fraction).replace(".%f", fraction)
            text += fraction + zone if form is None else ""
            yield from (
                text,
                text.replace("T", " "),
                text.replace(":", ""),
                _bent(text, chance),
                _bent(text, chance),
            )


def _bent(text: str, chance: Random) -> str:
    """Change a text at one place: a character more, one less, another one."""
    at = chance.randrange(len(text) + 1)
    other = chance.choice(["", "0", "6", " ", "-", "+", "٣", "T", "x", ":"])
    return text[:at] + other + text[at + chance.randint(0, 1) :]


TRUTHS = (
    "true",
    "TRUE",
    "t",
    "F",
    "no",
    "Yes",
    "1",
    "0",
    "on",
    "2",
    "tru",
    "true.",
    "01",
    "-1",
    "１",
    "null",
)


def _truths(_: Random) -> Iterable[str]:
    yield from TRUTHS


@dataclass(frozen=True)
class Column:
    """A declared type in one form, texts for it, and what they are."""

    word: str
    options: dict[str, Any]
    texts: Callable[[Random], Iterable[str]]
    oracle: Callable[[str], Any]

    def __str__(self) -> str:
        return f"{self.word} {next(iter(self.options.values()), '')}".strip()


def _with_comma(oracle: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: oracle(_comma(text))


def _dated(word: str, form: str | None, pattern: str) -> Column:
    oracle = _day if word == "date" else _moment
    return Column(word, {f"{word}_format": form}, lambda c: _times(c, form), lambda t: oracle(t, pattern))


COMMA = {"decimal_comma": True}
DECIMALS = {
    f"decimal({p},{s})": _decimal(p, s) for p, s in ((1, 0), (4, 2), (18, 6), (38, 0), (38, 10), (38, 38))
}
COLUMNS = [
    Column("int64", {}, _numbers, _int),
    Column("float64", {}, _numbers, _float),
    Column("float64", COMMA, _numbers, _with_comma(_float)),
    *(Column(word, {}, _numbers, oracle) for word, oracle in DECIMALS.items()),
    *(Column(word, COMMA, _numbers, _with_comma(oracle)) for word, oracle in DECIMALS.items()),
    Column("boolean", {}, _truths, _truth),
    *(_dated("date", form, pattern) for form, pattern in FORMS.items()),
    *(_dated("datetime", form, pattern) for form, pattern in MOMENTS.items()),
]


class Slow(Csv):
    """Reads record by record."""

    def _fast(self, text: bytes, line: int, names: list[str]) -> None:
        return None


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_a_text_is_the_value_that_it_says_or_its_line_is_refused(column: Column) -> None:
    """Every declared type in every form, some 300 to 900 texts each, by the record and by blocks of good ones."""
    texts = [text for text in dict.fromkeys(column.texts(Random(SEED))) if text]
    wanted = {text: _kept(column.oracle(text), column.word) for text in texts}
    good = [text for text in texts if wanted[text] is not None]
    assert 0 < len(good) < len(texts)
    declared = CsvOptions(columns={"v": column.word}, delimiter="|", **column.options)
    for form in (Csv(declared), Slow(declared)):
        for some in (texts, good):
            lines = [f"{place}|{text}\n" for place, text in enumerate(some)]
            result = read(form, ["".join(["id|v\n", *lines]).encode()])
            found = {some[int(str(row["id"]))]: row["v"] for row in result.good()}
            assert len(found) + len(result.refusals()) == len(some)
            assert {reason for _, reason, _ in result.refusals()} <= {"v|unreadable"}
            seen = {text: (_text(found.get(text)), _text(wanted[text])) for text in some}
            assert {text: both for text, both in seen.items() if len({*both}) == 2} == {}


def _text(value: Any) -> str:
    return str(value) if isinstance(value, datetime) else repr(value)


def _kept(value: Any, word: str) -> Any:
    """Return a value as a table's type has it: decimals with all their places, and no zero below zero."""
    if not isinstance(value, Decimal):
        return value
    scale = int(word.rpartition(",")[2].rstrip(")"))
    return (
        value.quantize(Decimal(1).scaleb(-scale), context=Context(prec=60))
        if value
        else Decimal(0).scaleb(-scale)
    )


@pytest.mark.parametrize(
    "form", ["%H:%M", "%d.%m.", "%Q", "%Y-%m-%d %H:%M:%S,%f", "%Y-%m-%d %H:%M %Z", "none"]
)
def test_a_form_that_does_not_give_a_day_or_a_fraction_or_a_zone_is_refused_when_it_is_declared(
    form: str,
) -> None:
    for name in ("date_format", "datetime_format"):
        with pytest.raises(ValidationError, match=name):
            CsvOptions.model_validate({name: form})


def test_a_fraction_in_pythons_own_form_is_one() -> None:
    """chrono takes %f for a whole number of nanoseconds: half a second would become five of them."""
    read_one = read_texts(
        pl.Series(["2024-01-02 03:04:05.5"]), column_type("datetime"),
        CsvOptions(datetime_format="%Y-%m-%d %H:%M:%S.%f").forms(),
    )  # fmt: skip
    assert read_one.to_list() == [datetime(2024, 1, 2, 3, 4, 5, 500_000, tzinfo=UTC)]
