"""Texts that came with the data, made harmless for where they are shown: a page, a chat, a mail, a terminal, a sheet.

A record, a file's name, a column's name or another server's message may hold mark-up, an image to be fetched, a control
sequence of a terminal or a formula. Wherever such a text leaves headworks it goes through one of these.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

JOINER = "\u2060"
"""A word joiner: nobody sees it, and what it parts is no mark-up any more.

Entities and backslashes would say the same, but one of Prefect's two UIs shows them as they are written, and the other
makes links of addresses after it has read them.
"""
_LIKE = str.maketrans({"<": "‹", ">": "›", "[": "［", "]": "］", "`": "ˋ", "*": "∗", "~": "∼"})
"""Signs that look like those of which links, images, tags, code and emphasis are made."""
_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
"""An underscore at a word's edge, which would emphasise; one inside a word does nothing."""
_ADDRESS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)", re.IGNORECASE)
"""Where an address is parted: a link is made of "www." whatever comes after it, so before the dot."""
_ESCAPES = re.compile(r"&(?=#?\w+;)|\\(?=[!-/:-@\[-`{-~]|$)")
"""What would begin an entity, or take its meaning from the sign after it."""
_BEGINS = re.compile(r"^(?=\s|[#+=-]|\d{1,9}[.)])")
"""Before what begins a heading, a list, a rule or code at the start of a line."""

_FORMULA = re.compile(r"^[\s\x00]*[=+\-@＝＋－＠]|^[\t\r\n]")
_TO_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "ˋ"})


def one_line(text: str) -> str:
    """Return a text in one line, with nothing that a terminal obeys or that turns the direction of reading.

    Line breaks become blanks; other control and formatting characters are shown by their number.
    """
    return "".join(map(_shown, text))


def printable(text: str) -> str:
    """Return a text as `one_line` does, but with its line breaks."""
    return "\n".join(map(one_line, text.splitlines()))


def markdown(text: str) -> str:
    """Return a text that Markdown shows as it is: no link, no image, no HTML, no table, no emphasis.

    Some signs are shown by others that look like them, and joiners that nobody sees are between others.
    """
    parted = _ESCAPES.sub(lambda found: f"{found[0]}{JOINER}", one_line(text)).translate(_LIKE)
    parted = _UNDERSCORE.sub(f"{JOINER}_{JOINER}", parted)
    parted = _ADDRESS.sub(JOINER, parted).replace("|", "\\|")
    return _BEGINS.sub(JOINER, parted)


def look_alike(text: str) -> str:
    """Return a text with the signs by which `markdown` shows it, without what nobody sees."""
    return one_line(text).translate(_LIKE)


def table_cells(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows for a table artifact, whose texts fetch and link nothing.

    Prefect's first UI reads them as Markdown, images included, and its second shows them as they are.
    """
    return [
        {
            name: markdown(value).replace("\\|", "¦") if isinstance(value, str) else value
            for name, value in row.items()
        }
        for row in rows
    ]


def chat(title: str, text: str, link: str = "") -> str:
    """Return a message for Slack and its like: the text as it is, in a block where nothing is mark-up."""
    block = printable(f"{title}\n{text}" if text else title).translate(_TO_SLACK)
    shown = one_line(link).translate(_TO_SLACK)
    return f"```\n{block}\n```" + (f"\n{shown}" if shown else "")


def spreadsheet(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows for a sheet: a text that a sheet would compute begins with an apostrophe; numbers stay numbers."""
    # Whoever prints alone need not wait for it.
    import polars as pl

    texts = [name for name, dtype in rows.schema.items() if dtype in (pl.String, pl.Categorical, pl.Enum)]
    escaped = [
        pl.col(name).cast(pl.String).map_elements(_cell, return_dtype=pl.String, skip_nulls=True)
        for name in texts
    ]
    return rows.with_columns(escaped).rename({name: _cell(name) for name in rows.columns})


def _cell(text: str) -> str:
    return f"'{text}" if _FORMULA.search(text) else text


def _shown(sign: str) -> str:
    if sign in "\n\r\t\x0b\x0c\x85\u2028\u2029":
        return " "
    if unicodedata.category(sign) in {"Cc", "Cf", "Cs"}:
        return f"\\u{ord(sign):04x}"
    return sign
