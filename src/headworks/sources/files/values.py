"""Texts of fields as values of their declared types: only what reads back as the text is a value, all else is none.

Polars and chrono are lenient where a value may change: 9007199254740993 becomes the float next to it, 1e-400 zero, a
second of 60 the next minute, ``2024012`` for ``%Y%m%d`` the second of January, and 1.5 for ``%S.%f`` a second and five
nanoseconds. So what they read is written again and compared. Of days and moments a leading zero may be missing where
the number is alone between other characters, and the case of names does not matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from headworks.storage.exact import same_numbers, within_calendar

_TRUTHS = {
    **dict.fromkeys(("true", "t", "1", "yes", "y"), True),
    **dict.fromkeys(("false", "f", "0", "no", "n"), False),
}
_ISO = (
    r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}[T ][0-9]{1,2}:[0-9]{1,2}:[0-5]?[0-9]"
    r"(?:\.[0-9]{1,6}0*)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})?$"
)
_ZONE = re.compile(r"%[:#]?z")
_OFFSET = r"([+-][0-9]{2}(?::?[0-9]{2})?|[Zz])"
_ALONE = r"(^|[^0-9])([0-9])([^0-9]|$)"
_FRACTION_ZEROS = r"(\.[0-9]*?)\.?0+([^0-9]|$)"
_SAMPLE = datetime(2024, 11, 23, 17, 38, 49, tzinfo=UTC)


@dataclass(frozen=True)
class Forms:
    """How a source writes values that can be written in several ways."""

    date_format: str = "%Y-%m-%d"
    datetime_format: str | None = None
    decimal_comma: bool = False


def read_texts(texts: pl.Series, dtype: pl.DataType, forms: Forms) -> pl.Series:
    """Return texts as values of a declared type, null where a text is not exactly one."""
    if dtype == pl.Boolean():
        return texts.str.to_lowercase().replace_strict(_TRUTHS, default=None, return_dtype=pl.Boolean())
    if dtype == pl.Date():
        return _days(texts, forms.date_format)
    if isinstance(dtype, pl.Datetime):
        form = forms.datetime_format
        return _iso_moments(texts) if form is None else _moments(texts, form)
    if forms.decimal_comma and dtype != pl.Int64():
        # A point is then a mark of thousands, or a mistake.
        plain = _only(texts, ~texts.str.contains(".", literal=True))
        texts = plain.str.replace(",", ".", literal=True)
    if isinstance(dtype, pl.Decimal):
        # Polars would round what has more digits.
        exact = texts.str.contains(rf"^[+-]?[0-9]*(?:\.[0-9]{{0,{dtype.scale}}}0*)?$")
        return _only(texts, exact).cast(dtype, strict=False)
    read = texts.cast(dtype, strict=False)
    return _only(read, same_numbers(texts, read)) if dtype == pl.Float64() else read


def checked_form(form: str, *, of_dates: bool) -> str:
    """Return a format of dates or moments as chrono has it; raises `ValueError` where it does not give one."""
    if "%Z" in form:
        raise ValueError("the name of a zone (%Z) does not say how far it is from UTC: use %z")
    form = re.sub("%[Dx]", "%m/%d/%y", form.replace(".%f", "%.f"))
    if "%f" in form:
        raise ValueError("write fractions of seconds as %.f right behind %S")
    try:
        sample = pl.Series([_SAMPLE.replace(tzinfo=None)]).dt.to_string(_ZONE.sub("+00:00", form))
        read = sample.str.to_date(form, strict=False) if of_dates else _read_moments(sample, form)
        years = read.dt.year()
    except (pl.exceptions.PolarsError, ValueError) as problem:
        raise ValueError(f"{form!r} is no format of dates: {problem}") from problem
    if years[0] != _SAMPLE.year:
        raise ValueError(f"{form!r} does not say which day a text means")
    return form


def _only(values: pl.Series, which: pl.Series) -> pl.Series:
    """Return values with null for those that are not among some."""
    return values.to_frame("value").select(pl.when(which).then("value")).to_series()


def _of_calendar(values: pl.Series) -> pl.Series:
    """Return days or moments with null for those that all that follows cannot hold."""
    return _only(values, pl.select(within_calendar(pl.lit(values), values.dtype)).to_series())


def _days(texts: pl.Series, form: str) -> pl.Series:
    read = _of_calendar(texts.str.to_date(form, strict=False))
    return _only(read, _are_written(read.dt.to_string(form), texts, form))


def _iso_moments(texts: pl.Series) -> pl.Series:
    """Read ISO 8601 with T or a space; a time without a zone counts as UTC."""
    plain = _only(texts, texts.str.contains(_ISO)).str.replace(" ", "T", literal=True)
    iso = plain.str.replace("[Zz]$", "+00:00").to_frame("iso")
    zoned = pl.when(pl.col("iso").str.contains("[+-][0-9]{2}:[0-9]{2}$")).then("iso")
    return _read_moments(
        iso.select(zoned.otherwise(pl.col("iso") + "+00:00")).to_series(), "%Y-%m-%dT%H:%M:%S%.f%:z"
    )


def _moments(texts: pl.Series, form: str) -> pl.Series:
    """Read moments of another form; without a zone they count as UTC."""
    read = _read_moments(texts, form)
    local = read.dt.replace_time_zone(None)
    zone = _ZONE.search(form)
    if zone is None:
        return _only(read, _are_written(local.dt.to_string(form), texts, form))
    before, after = form[: zone.start()], form[zone.end() :]
    offsets = texts.str.extract(rf"{_OFFSET}$" if not after else rf"(?:^|[^0-9]){_OFFSET}(?:[^0-9]|$)")
    there = local + offsets.replace_strict(
        {text: _distance(text) for text in offsets.drop_nulls().unique()},
        default=None,
        return_dtype=pl.Duration("us"),
    )
    # The offset may have been written in several ways, so it is taken as it is.
    parts = [
        there.dt.to_string(before) if before else None,
        offsets,
        there.dt.to_string(after) if after else None,
    ]
    written = pl.select(pl.concat_str([part for part in parts if part is not None])).to_series()
    return _only(read, _are_written(written, texts, form))


def _read_moments(texts: pl.Series, form: str) -> pl.Series:
    if _ZONE.search(form):
        read = texts.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
    else:
        read = texts.str.to_datetime(form, time_unit="us", strict=False).dt.replace_time_zone("UTC")
    return _of_calendar(read)


def _distance(offset: str) -> timedelta:
    """Return how far an offset such as +02:00 is from UTC."""
    digits = re.sub("[^0-9]", "", offset).ljust(4, "0")
    distance = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -distance if offset.startswith("-") else distance


def _are_written(written: pl.Series, texts: pl.Series, form: str) -> pl.Series:
    """Return which values were written as their texts, but for leading zeros, case, and zeros at the end."""
    same = written == texts
    if same.all():
        return same
    alike = _plainly(written, form) == _plainly(texts, form)
    return alike & texts.str.contains(_with_short_years(form)) if "%y" in form else alike


def _with_short_years(form: str) -> str:
    """Return the pattern of texts whose years of the century have both of their digits."""
    parts = re.split("(%-?[.:#]?[0-9]?[A-Za-z])", form)
    made = ["[0-9]{2}" if part == "%y" else ".*?" for part in parts[1::2]]
    literals = [re.escape(part) for part in parts[::2]]
    return "^" + "".join(each for pair in zip(literals, [*made, "$"], strict=True) for each in pair)


def _plainly(texts: pl.Series, form: str) -> pl.Series:
    plain = texts.str.to_lowercase()
    if "%.f" in form:
        plain = plain.str.replace_all(_FRACTION_ZEROS, "${1}${2}")
    # Neighbours share the character between them: once more for every second one.
    for _ in range(2):
        plain = plain.str.replace_all(_ALONE, "${1}0${2}${3}")
    return plain
