"""The names of a file's columns, held against what a Delta table takes; a file that breaks these is refused by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from headworks.names import OWN_IN_BRONZE, OWN_IN_SILVER
from headworks.sources.files.content import FileDamaged

RESERVED = OWN_IN_BRONZE | OWN_IN_SILVER
MOST_COLUMNS = 5_000
"""Each commit of a table names all columns: more of them take minutes for a single row."""
LONGEST_NAME = 1_000
_NAMED = 10
HEADER = "file|header"


def check_names(names: Sequence[str], declared: Iterable[str] = ()) -> None:
    """Raise `FileDamaged` where a table cannot have columns of these names together.

    Delta does not distinguish names by case alone, and its readers end a name at a NUL.
    """
    if len(names) > MOST_COLUMNS:
        raise FileDamaged(HEADER, f"there are {len(names):,} columns, and at most {MOST_COLUMNS:,} are read")
    counted = Counter(name.lower() for name in names)
    duplicated = sorted({name for name in names if counted[name.lower()] > 1})
    reserved = sorted(name for name in names if name.lower() in RESERVED)
    odd = sorted(repr(name[:60]) for name in names if _is_odd(name))
    missing = [name for name in declared if name not in names]
    for fault, at_fault in (
        ("duplicate (upper and lower case do not distinguish them)", duplicated),
        ("reserved for bronze's own use", reserved),
        ("not names: empty, too long, or with control characters", odd),
        ("missing, though they are declared", missing),
    ):
        if at_fault:
            raise FileDamaged(HEADER, f"columns are {fault}: {_some(at_fault)}")


def clashing(name: str, known: Iterable[str]) -> str | None:
    """Return the known column that differs from a new name by case alone."""
    lowered = name.lower()
    return next((each for each in known if each.lower() == lowered and each != name), None)


def _is_odd(name: str) -> bool:
    return not name or len(name) > LONGEST_NAME or any(ord(each) < 32 or ord(each) == 127 for each in name)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
