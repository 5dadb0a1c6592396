"""Words of a piece of SQL, without its texts and comments: which names are in it, and where it compares with NULL.

What a database makes of the SQL is asked of the database (``preflight.py``).
"""

from __future__ import annotations

from collections.abc import Iterator

_COMPARISONS = frozenset({"=", "==", "<>", "!=", "<", ">", "<=", ">="})
_OPENING, _CLOSING = "(", ")"


def names_in(sql: str) -> set[str]:
    """Return the names and keywords in a piece of SQL in lower case, without texts and comments."""
    import duckdb

    kept = {duckdb.token_type.identifier, duckdb.token_type.keyword}
    return {word for kind, word in _tokens(sql) if kind in kept}


def compared_with_null(sql: str) -> str | None:
    """Return the first comparison with NULL itself, which is true of no value; None where there is none.

    That is ``v = NULL`` with any comparison and on either side, ``v NOT IN (1, NULL)``, and ``v IN (NULL)``.
    """
    import duckdb

    comment, text = duckdb.token_type.comment, duckdb.token_type.string_const
    # A text stands for a value, whatever is in it.
    words = ["''" if kind == text else word for kind, word in _tokens(sql) if kind != comment]
    for at, word in enumerate(words):
        before, after = words[at - 1] if at else "", words[at + 1] if at + 1 < len(words) else ""
        if word in _COMPARISONS and "null" in {before, after}:
            return f"{word.upper()} NULL" if after == "null" else f"NULL {word}"
        if word == "in" and after == _OPENING:
            listed = list(_listed(words[at + 2 :]))
            if "null" in listed and (before == "not" or set(listed) == {"null"}):
                return f"{'NOT ' if before == 'not' else ''}IN (… NULL)"
    return None


def _listed(words: list[str]) -> Iterator[str]:
    """Return the elements of a list that are one word, up to the bracket that closes it."""
    depth = 0
    element: list[str] = []
    for word in words:
        if word == _CLOSING and depth == 0:
            break
        depth += (word == _OPENING) - (word == _CLOSING)
        if word == "," and depth == 0:
            yield " ".join(element)
            element = []
        else:
            element.append(word)
    yield " ".join(element)


def _tokens(sql: str) -> Iterator[tuple[object, str]]:
    """Return the words with their kinds, in lower case and without the quotes of names."""
    import duckdb

    tokens, raw = duckdb.tokenize(sql), sql.encode()
    ends = [*(start for start, _ in tokens), len(raw)][1:]
    for (start, kind), end in zip(tokens, ends, strict=True):
        text = raw[start:end].decode(errors="replace").strip()
        yield kind, text.strip('"').lower()
