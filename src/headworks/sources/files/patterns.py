"""Patterns of paths: ``*`` and ``?`` within one folder, ``**`` over any number of them, ``[a-c]``, ``{csv,txt}``."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from headworks.errors import SettingsError

_WILD = re.compile(r"[*?\[{]")


def path_pattern(pattern: str) -> re.Pattern[str]:
    """Return the expression that matches a whole path, with ``/`` between folders."""
    if pattern.startswith("/") or not pattern:
        raise SettingsError(
            f"{pattern!r} is not a pattern of paths.",
            do="write it relative to the location, such as *.csv or **/*.csv.",
        )
    parts = pattern.split("/")
    text = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            text += ".*" if last else "(?:[^/]+/)*"
        else:
            text += _segment(part, pattern) + ("" if last else "/")
    return re.compile(text, re.DOTALL)


def fixed_folder(pattern: str) -> str:
    """Return the folder that every match lies in, so that nothing else need be listed."""
    folders = pattern.split("/")[:-1]
    fixed = []
    for folder in folders:
        if _WILD.search(folder):
            break
        fixed.append(folder)
    return "/".join(fixed)


def is_hidden(path: str, names: tuple[str, ...]) -> bool:
    """Return whether a file, or a folder that it is in, has a name that is left out."""
    return any(fnmatchcase(part, name) for part in path.split("/") for name in names)


def _segment(part: str, pattern: str) -> str:
    text, at = "", 0
    while at < len(part):
        character = part[at]
        closing = part.find({"[": "]", "{": "}"}.get(character, "\0"), at + 2)
        if character == "*":
            text += "[^/]*"
        elif character == "?":
            text += "[^/]"
        elif character in "[{":
            if closing < 0:
                raise SettingsError(
                    f"{pattern!r} has a {character} that is not closed.",
                    where="pattern",
                    do="close it, or write [{character}] for the sign itself.",
                )
            inner = part[at + 1 : closing]
            text += _set(inner) if character == "[" else _choice(inner)
            at = closing
        else:
            text += re.escape(character)
        at += 1
    return text


def _set(inner: str) -> str:
    negated = inner.startswith("!")
    kept = inner[1:] if negated else inner
    escaped = kept.replace("\\", r"\\").replace("]", r"\]").replace("^", r"\^")
    return f"[{'^/' if negated else ''}{escaped}]"


def _choice(inner: str) -> str:
    return f"(?:{'|'.join(re.escape(word) for word in inner.split(','))})"
