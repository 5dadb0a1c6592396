"""Takes a body apart that is not quite JSON, so that one malformed record does not cost its page.

A number such as NaN, a bad escape or a trailing comma inside one record makes a strict parser refuse the whole
body. Here only brackets and strings are looked at: where they balance, each record is cut out as the bytes it is,
and the body without its records must be strict JSON. Where they do not, the body is damaged, and that is said.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},:]', re.DOTALL)
_OPEN, _CLOSE = b"[{", b"]}"
_PAIRS = {b"]": b"[", b"}": b"{"}


class Unbalanced(ValueError):
    """Brackets or strings do not balance, or what is looked for is not there."""


def elements(data: bytes) -> list[bytes]:
    """Return the elements of the array that ``data`` is, each as its bytes; raises `Unbalanced`."""
    cuts, end = _cut(data, b"[")
    found = [data[start:stop].strip() for start, stop in cuts]
    if data[end:].strip():
        raise Unbalanced("something follows the array")
    if found and not found[-1]:
        # A trailing comma leaves nothing behind it.
        found.pop()
    return found


def members(data: bytes) -> dict[bytes, tuple[int, int]]:
    """Return where each value lies in the object that ``data`` is, by its name as written; raises `Unbalanced`."""
    cuts, end = _cut(data, b"{")
    if data[end:].strip():
        raise Unbalanced("something follows the object")
    found: dict[bytes, tuple[int, int]] = {}
    for start, stop in cuts:
        name = _TOKEN.match(data, start + len(data[start:stop]) - len(data[start:stop].lstrip()))
        if name is None or not name[0].startswith(b'"'):
            if data[start:stop].strip():
                raise Unbalanced("a member has no name")
            continue
        colon = data.find(b":", name.end(), stop)
        if colon < 0 or data[name.end() : colon].strip():
            raise Unbalanced("a member has no value")
        found[name[0][1:-1]] = (colon + 1, stop)
    return found


def _cut(data: bytes, opening: bytes) -> tuple[list[tuple[int, int]], int]:
    """Return the spans between the commas of the outermost bracket, and where that bracket ends."""
    begin = len(data) - len(data.lstrip())
    if data[begin : begin + 1] != opening:
        raise Unbalanced(f"{opening.decode()} is not where it should be")
    cuts: list[tuple[int, int]] = []
    stack: list[bytes] = []
    start = begin + 1
    for token in _TOKEN.finditer(data, begin):
        mark = token[0]
        if mark in (b"[", b"{"):
            stack.append(mark)
        elif mark in (b"]", b"}"):
            if not stack or stack.pop() != _PAIRS[mark]:
                raise Unbalanced("brackets do not match")
            if not stack:
                if cuts or data[start : token.start()].strip():
                    cuts.append((start, token.start()))
                return cuts, token.end()
        elif mark == b"," and len(stack) == 1:
            cuts.append((start, token.start()))
            start = token.end()
    raise Unbalanced("it ends in the middle")
