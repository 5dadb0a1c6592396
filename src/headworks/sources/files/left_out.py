"""What of a location is there and is not read: counted by reason, with some names for people."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

NOT_WANTED = "not matched by the pattern"
HIDDEN_NAME = "hidden by their names"
UNSETTLED = "may still be written: left for the next run"
MOVED = "changed or vanished while they were read"
LINK_OUT = "links that lead out of the location"
LINK_NOWHERE = "links that lead nowhere or in a circle"
SPECIAL = "pipes, sockets or devices"
NOT_TEXT = "names that are no UTF-8"
ODD_KEY = "keys that no client can ask for: with an empty part, or a slash at the beginning"
CLOSED = "may not be read: check their permissions"
UNREADABLE = "cannot be read from the disk"
UNSURE = (
    "written again with the same size and time: whether they changed is not known, a full read takes them"
)

_QUIET = {NOT_WANTED, HIDDEN_NAME, MOVED}
"""Reasons that a count is enough for, or that are reported for each file."""
COMPLETE = {NOT_WANTED, HIDDEN_NAME, LINK_OUT, LINK_NOWHERE, SPECIAL}
"""Reasons for which a reading of all files is complete all the same."""
_NAMED = 3


@dataclass
class LeftOut:
    """Counts by reason, and the first names of each."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, reason: str, name: str) -> None:
        """Count something that is not read."""
        self.counts[reason] += 1
        if len(self.names[reason]) < _NAMED:
            self.names[reason].append(shown(name))

    def warnings(self) -> list[str]:
        """Return a sentence for each reason that a person should know more of than its count."""
        return [
            f"{count} files or folders are left out, such as {', '.join(self.names[reason])}: {reason}"
            for reason, count in self.counts.items()
            if reason not in _QUIET
        ]

    @property
    def is_complete(self) -> bool:
        """Return whether nothing is left out that a reading of all files should have had."""
        return set(self.counts) <= COMPLETE


def shown(name: str) -> str:
    """Return a name as one line that changes nothing where it is printed."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
