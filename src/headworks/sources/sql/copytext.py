"""Rows as lines of text, in the form of Postgres' COPY: read by Arrow's CSV reader, without Python for any single row.

A raw newline always ends a row and a raw tab a value, since both are written with a backslash where they are part of a
value; NULL is ``\\N``, which no value is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import polars as pl
import pyarrow as pa
from pyarrow import csv

NULL = "\\N"

_ESCAPED = ("\\\\", "\\n", "\\t", "\\r", "\\b", "\\f", "\\v")
_MEANT = ("\\", "\n", "\t", "\r", "\b", "\f", "\v")


def parse(block: bytes, names: Sequence[str], convert: csv.ConvertOptions) -> pa.Table:
    """Return whole lines as a table; raises `pyarrow.ArrowInvalid` for what is not as ``convert`` says."""
    return csv.read_csv(
        pa.py_buffer(block),
        read_options=csv.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1),
        parse_options=csv.ParseOptions(
            delimiter="\t",
            quote_char=False,
            double_quote=False,
            escape_char=False,
            newlines_in_values=False,
            ignore_empty_lines=False,
        ),
        convert_options=convert,
    )


def conversion(
    types: Mapping[str, pa.DataType], *, nulls: bool = True, checked: bool = True
) -> csv.ConvertOptions:
    """Return how values become types; without ``nulls`` none is NULL, and unless ``checked`` all is UTF-8."""
    return csv.ConvertOptions(
        column_types=types,
        check_utf8=checked,
        null_values=[NULL] if nulls else [],
        true_values=["t"],
        false_values=["f"],
        strings_can_be_null=nulls,
        quoted_strings_can_be_null=False,
    )


def has_escapes(block: bytes) -> bool:
    """Return whether a block has a backslash that is no NULL's."""
    return block.count(b"\\") != block.count(NULL.encode())


def unescaped(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts as they were before they were written."""
    found = cast(pl.Series, pl.from_arrow(texts)).str.replace_many(list(_ESCAPED), list(_MEANT))
    return found.to_arrow().cast(pa.string())
