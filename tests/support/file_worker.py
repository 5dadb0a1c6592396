"""A process that takes a folder's files in and is killed, by SIGKILL, just before or after its n-th step.

A step is a read of bytes, a write of a small object, or a commit. So the moment is the same on every machine. What
belongs here: the process, and starting it. What does not: what is expected of the lake afterwards.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headworks.bronze.landing import Landing, land
from headworks.settings import FilesSettings, LakeSettings
from headworks.sources.files import content, progress
from headworks.sources.files import source as source_module
from headworks.sources.files.location import Location
from headworks.sources.files.selection import Files
from headworks.sources.files.source import FileSource
from headworks.storage import delta
from headworks.storage.shelf import LakeShelf
from headworks.storage.store import Lake
from tests.support.faults import WRITES

NAME = "t.killed"


def run_killed(lake: Path, folder: Path, pattern: str, step: int, *, after: bool) -> bool:
    """Run the process; return whether it was killed (it had so many steps) or came to its end."""
    arguments = [str(lake), str(folder), pattern, str(step), "after" if after else "before"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.file_worker", *arguments], check=False, timeout=120
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.returncode
    return done.returncode != 0


def ingest(lake: Path, folder: Path, pattern: str) -> None:
    """Ingest what is new, in small blocks and batches, so that there is much to be killed between."""
    content.BLOCK_BYTES = 2000
    source_module._AHEAD_BYTES = 1000
    progress.RECENT_FILES = 5
    files = Files(format="csv" if "csv" in pattern else "ndjson", pattern=pattern, settle_s=0)
    store = Lake(LakeSettings(root=str(lake)))
    source = FileSource(
        Location(FilesSettings(root=str(folder))),
        files,
        LakeShelf(store, NAME),
        batch_bytes=3000,
        batch_files=4,
    )
    land(Landing(store, NAME, NAME, "run"), source)


def _kill_at(step: int, *, after: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    count = 0

    def stepping(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            mine = count
            if mine == step and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*arguments, **named)
            if mine == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    return stepping


def main() -> None:
    """Patch the three kinds of steps, and take the files in."""
    lake, folder, pattern, step, side = sys.argv[1:]
    stepping = _kill_at(int(step), after=side == "after")
    for name in WRITES:
        setattr(delta, name, stepping(vars(delta)[name]))
    Lake.put_object = stepping(Lake.put_object)  # type: ignore[method-assign]
    Location.read = stepping(Location.read)  # type: ignore[method-assign]
    ingest(Path(lake), Path(folder), pattern)


if __name__ == "__main__":
    main()
