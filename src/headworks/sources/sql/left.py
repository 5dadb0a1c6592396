"""What a reading of a table leaves out, counted, and the sentences that report it."""

from __future__ import annotations

from collections.abc import Callable
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


def behind_warnings(
    start: Position, read: int, left: Left, latest: Callable[[], str | None]
) -> tuple[str, ...]:
    """Say that the whole source lies before the position, where not even the row is there that it was read up to.

    A source without rows says nothing: some are emptied when they were read. ``latest`` asks for its latest cursor.
    """
    # Behind a key nothing has to be there, and after the bound rows wait for their time.
    if read or left.later or "cursor" not in start or "key" in start:
        return ()
    found = latest()
    if found is None:
        return ()
    return (
        f"the latest cursor of the source is {found}, and it was read up to {start['cursor']} before: its newest rows "
        "were deleted, or it was emptied and filled again, or restored. Rows written since with an earlier cursor are "
        "not read: a full read takes them, and silver keeps a later version where it has one",
    )
