"""What a reading of a table leaves out, counted, and the sentences that report it."""

from __future__ import annotations

from dataclasses import dataclass

from headworks.sources.base import Position

UNFINISHED = (
    "the window is read up to {} and is not finished: a transaction that runs, or one within the commit lag, may still "
    "write rows of it, or its end lies in the future. Run it again later; it continues where it ended"
)


@dataclass(frozen=True)
class Left:
    """How many rows have no place in the cursor's order, lie after the bound, and lie after the present.

    ``farthest`` is the latest cursor value of the last.
    """

    null_cursor: int = 0
    later: int = 0
    ahead: int = 0
    farthest: str | None = None

    def warnings(self) -> tuple[str, ...]:
        """Say what people should know of these rows."""
        if not self.ahead:
            return ()
        return (
            f"{self.ahead} rows have a cursor after the present of the database, the latest {self.farthest}: they are "
            "not read before their time has come. Correct them at the source, declare the clock that writes the cursor "
            "(cursor_zone), or take them with a full read",
        )


def passed_again(start: Position, count: int) -> tuple[Position, tuple[str, ...]]:
    """Return where to begin if ``count`` rows of the last value are not behind its last key now.

    Where it is another number than was passed, all rows of the value are read again: those that came among them would
    never be read otherwise.
    """
    cause = f"more rows than can be marked have the cursor value {start['cursor']}"
    if count == start.get("passed"):
        return start, (f"{cause}: whether any of them were replaced since they were read is not known",)
    again = {name: value for name, value in start.items() if name not in {"key", "passed"}}
    return (
        {**again, "seen": ""},
        (
            f"{cause}, and their number has changed: all of them are read again, and land once more. A cursor that "
            "identifies more rows avoids it",
        ),
    )


def cut_warnings(position: Position) -> tuple[str, ...]:
    """Say from where on rows that come late are found, where that is not as far back as they may come."""
    if not position.get("cut"):
        return ()
    return (
        f"the next run looks back to {position['from']} alone, since more rows than can be marked are newer: rows that "
        "are written with an earlier cursor are found by a full read or a comparison of keys",
    )
