"""Whether a lake is there, and whether anything was ever written to it: for those who only look.

A lake that nothing was written to is no error. One whose place is not on this machine is: it would look empty, and
whoever wrote to it would make a second lake.
"""

from __future__ import annotations

from pathlib import Path

from headworks.errors import HeadworksError, LakeUnusable
from headworks.storage.store import Lake

_PARTS = frozenset({"bronze", "silver", "gold", "quarantine", "ops", "products", "_headworks"})


def is_written(lake: Lake, source: str) -> bool:
    """Return whether anything was ever written to a lake; ``source`` says who named its root.

    Creates nothing. Raises `LakeUnusable` where the root's place is not on this machine or cannot be read.
    """
    root = lake.settings.root
    if lake.settings.is_local:
        folder = Path(root)
        try:
            if not folder.exists() and folder.parent.is_dir():
                return False
            is_there = folder.is_dir()
        except OSError as problem:
            raise _not_here(root, source, f"cannot be read: {problem.strerror}") from problem
        if not is_there:
            what = "is a file, not a folder" if folder.exists() else "is not on this machine"
            raise _not_here(root, source, what)
        try:
            names = {each.name for each in folder.iterdir()}
        except OSError as problem:
            raise _not_here(root, source, f"cannot be read: {problem.strerror}") from problem
        return bool(names & _PARTS)
    try:
        return bool(_PARTS & set(lake.folders()))
    except HeadworksError as problem:
        raise LakeUnusable(
            f"The lake at {root} cannot be read: {problem.what}",
            where=source,
            do="check that the store is reached from this machine, and the credentials and options of the block.",
        ) from problem


def _not_here(root: str, source: str, what: str) -> LakeUnusable:
    return LakeUnusable(
        f"The lake's folder {root} {what}.",
        where=source,
        do="run the command where the lake is: in a container that has its volume (docker run --rm --volume "
        "headworks-data:/data … headworks …), or name another lake with --lake.",
    )
