"""What encodings are like: in which of them a byte of ASCII is that character and nothing else.

CSV is divided by bytes, which is fast and true only where no delimiter, quote or line break can be a part of another
character, and none is written in another way. All other encodings are decoded before they are divided.
"""

from __future__ import annotations

import codecs
import importlib
from functools import cache

KEPT = "headworks-kept"
"""How bytes that are no text are decoded: each as a surrogate of its own, so that it can be known and given back."""

_PLAIN = {"utf-8", "utf-8-sig", "ascii", "iso8859-1", "euc_jp", "euc_kr", "gb2312"}
_UNUSABLE = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"}
_EBCDIC_A = 0xC1
_ASCII = "".join(map(chr, range(128)))
_FIRST_SURROGATE = 0xDC00


def known(encoding: str) -> str:
    """Return Python's own name of an encoding of texts; raises `ValueError` for any other name."""
    try:
        found = codecs.lookup(encoding)
    except (LookupError, ValueError):
        raise ValueError("is not the name of an encoding that Python knows") from None
    if not getattr(found, "_is_text_encoding", True) or found.name.replace("-", "_") in _UNUSABLE:
        raise ValueError("is not an encoding that files are written in")
    return found.name


@cache
def is_plain(encoding: str) -> bool:
    """Return whether every byte below 128 is the character of ASCII, wherever it comes."""
    if encoding in _PLAIN:
        return True
    table = _table(encoding)
    return table is not None and table[:128] == _ASCII


@cache
def is_ebcdic(encoding: str) -> bool:
    """Return whether an encoding is one of mainframes."""
    table = _table(encoding)
    return table is not None and table[_EBCDIC_A : _EBCDIC_A + 1] == "A"


def original(text: bytes, encoding: str) -> bytes:
    """Return bytes of the file's own encoding from what they were handed on as."""
    if is_plain(encoding):
        return text
    parts: list[bytes] = []
    for character in text.decode("utf-8", "surrogatepass"):
        place = ord(character) - _FIRST_SURROGATE
        try:
            parts.append(bytes([place]) if 0 <= place < 256 else character.encode(encoding))
        except UnicodeEncodeError:
            parts.append(character.encode())
    return b"".join(parts)


def _table(encoding: str) -> str | None:
    """Return the characters of an encoding's 256 bytes, None where it has no such table."""
    try:
        module = importlib.import_module(f"encodings.{encoding.replace('-', '_')}")
    except ImportError:
        return None
    table = getattr(module, "decoding_table", None)
    return table if isinstance(table, str) else None


def _keep(problem: UnicodeError) -> tuple[str, int]:
    if not isinstance(problem, UnicodeDecodeError):
        raise problem
    damaged = problem.object[problem.start : problem.end]
    return "".join(chr(_FIRST_SURROGATE + byte) for byte in damaged), problem.end


codecs.register_error(KEPT, _keep)
