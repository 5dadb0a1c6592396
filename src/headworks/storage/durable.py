"""Commits that outlast a power loss, on local disks.

Neither delta-rs nor Arrow asks the operating system to write what it was given: after a power loss the last half a
minute of a lake may be gone, or be there in part. So each commit of headworks is followed by asking for just its files:
its data, its entry of the log, and the folders that name them. An object store has written what it has acknowledged.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote


def outlast(table: Path, version: int) -> None:
    """Return once the data files and the entry of a commit are on the disk; what is gone already is passed over."""
    log = table / "_delta_log"
    entry = log / f"{version:020}.json"
    folders = {log}
    with suppress(FileNotFoundError):
        for line in entry.read_bytes().splitlines():
            added = json.loads(line).get("add") if line.startswith(b'{"add"') else None
            if added is not None:
                file = table / unquote(added["path"])
                with suppress(FileNotFoundError):
                    on_disk(file)
                    folders.add(file.parent)
        on_disk(entry)
    for folder in folders:
        with suppress(FileNotFoundError):
            on_disk(folder)


def on_disk(path: Path) -> None:
    """Return once a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
