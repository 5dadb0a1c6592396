"""The format of a lake: a number in the lake itself, so that a version of headworks knows what it opens.

A lake without a number was written by 0.1. It is read as format 1, which differs by nothing but the number; the first
run, or ``headworks upgrade``, writes it. A lake of a newer format is refused: what it holds cannot be known here.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from headworks.errors import LakeUnusable, ObjectLost
from headworks.storage.store import Lake

FORMAT = 1
"""The format that this version reads and writes."""

PATH = "_headworks/format.json"

Migration = Callable[[Lake], None]
MIGRATIONS: dict[int, tuple[str, Migration]] = {}
"""By the format that a lake has: what is done to bring it to the next one, in words, and doing so, again if need be."""


def format_of(lake: Lake) -> int | None:
    """Return the format that a lake says it has; None where it says none: it is new, or 0.1 wrote it.

    Raises `LakeUnusable` where what it says cannot be read.
    """
    try:
        found = lake.get_object(PATH).get("format")
    except ObjectLost as problem:
        if isinstance(problem.__cause__, FileNotFoundError):
            return None
        raise
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise LakeUnusable(
            f"The lake's format is {found!r}, which is no number of one.",
            where=f"{PATH} below {lake.settings.root}",
            do="restore that file from a backup.",
        )
    return found


def check_format(lake: Lake) -> int | None:
    """Return a lake's format; raises `LakeUnusable` for a newer one, and for an older one that has to be migrated."""
    found = format_of(lake)
    if found is not None and found > FORMAT:
        raise LakeUnusable(
            f"The lake has format {found}, and headworks {version('headworks')} knows {FORMAT} and older.",
            where=f"{PATH} below {lake.settings.root}",
            do="use the version of headworks that wrote it, or a newer one; nothing was changed.",
        )
    if steps := pending(lake):
        raise LakeUnusable(
            f"The lake has format {found or 1}, and {len(steps)} steps lead to format {FORMAT}: {'; '.join(steps)}.",
            where=f"{PATH} below {lake.settings.root}",
            do="run headworks upgrade --dry-run, then headworks upgrade, while no flow runs.",
        )
    return found


def pending(lake: Lake) -> list[str]:
    """Return in words the steps that a migration of a lake would take; none where it needs none."""
    found = format_of(lake) or 1
    return [MIGRATIONS[number][0] for number in range(found, FORMAT) if number in MIGRATIONS]


def migrate(lake: Lake) -> list[str]:
    """Bring a lake to this version's format; returns in words what was done. A killed migration can be repeated."""
    done = []
    for number in range(format_of(lake) or 1, FORMAT):
        if number in MIGRATIONS:
            text, act = MIGRATIONS[number]
            act(lake)
            done.append(text)
            _write(lake, number + 1)
    if format_of(lake) is None:
        _write(lake, FORMAT)
        done.append(f"noted that it has format {FORMAT}")
    return done


def ensure_format(lake: Lake) -> None:
    """Check a lake's format before it is written to, and note it in a lake that has none."""
    if check_format(lake) is None:
        _write(lake, FORMAT)


def _write(lake: Lake, number: int) -> None:
    lake.put_object(PATH, {"format": number, "headworks": version("headworks")})
