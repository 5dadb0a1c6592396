"""What became of each thing that was declared, and how it is reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Change = Literal["created", "updated", "unchanged", "kept", "missing", "removed"]

_ORDER: tuple[Change, ...] = ("created", "updated", "removed", "unchanged", "kept", "missing")


@dataclass(frozen=True)
class Outcome:
    """One thing of the server, and what became of it.

    ``kept``: the server has it, and nothing here says what it should hold. ``missing``: neither.
    """

    kind: str
    name: str
    change: Change
    note: str = ""


def holds(found: Any, wanted: Any) -> bool:
    """Return whether what was found has all that is wanted; what else it has does not matter, except in lists."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            name in found and holds(found[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, (list, tuple)):
        return (
            isinstance(found, (list, tuple))
            and len(found) == len(wanted)
            and all(holds(one, other) for one, other in zip(found, wanted, strict=True))
        )
    return bool(found == wanted)


def changes(outcomes: Iterable[Outcome]) -> int:
    """Count what was, or would be, written."""
    return sum(each.change in {"created", "updated", "removed"} for each in outcomes)


def summary(outcomes: Sequence[Outcome], *, dry_run: bool) -> str:
    """Say in one line how many became what."""
    counts = Counter(each.change for each in outcomes)
    context = ", ".join(f"{counts[change]} {change}" for change in _ORDER if counts[change])
    if not changes(outcomes):
        return f"Nothing to change: {context}."
    return f"{'A dry run, nothing was written. It would be' if dry_run else 'Done'}: {context}."
