"""Files of a folder: listing them, and reading bytes of one version of one file.

A link is followed where it leads to another place below the same root, and to no folder that it lies in itself. All
else that is no file is left out by name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headworks.sources.files.left_out import CLOSED, LINK_NOWHERE, LINK_OUT, NOT_TEXT, SPECIAL, LeftOut
from headworks.sources.files.progress import FileVersion


class Changed(Exception):
    """A file is not the version any more that was listed."""


@dataclass(frozen=True)
class Folder:
    """The files below a folder of this machine."""

    root: str

    def __post_init__(self) -> None:
        if not Path(self.root).is_dir():
            raise FileNotFoundError(self.root)

    def listed(self, below: str, left: LeftOut) -> Iterator[FileVersion]:
        """List the files below a folder in it, in no order; one that is not there has none."""
        real = os.path.realpath(self.root)
        start = os.path.join(self.root, *below.split("/")) if below else self.root
        if not os.path.isdir(start):
            return
        if not _is_below(os.path.realpath(start), real):
            left.add(LINK_OUT, below)
            return
        # Each folder with the real folders that it was reached through.
        pending: list[tuple[str, str, tuple[str, ...]]] = [(start, below, (real, os.path.realpath(start)))]
        while pending:
            folder, path, through = pending.pop()
            try:
                entries = list(os.scandir(folder))
            except PermissionError:
                if not path:
                    raise
                left.add(CLOSED, path)
                continue
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                name = f"{path}/{entry.name}" if path else entry.name
                found = self._entry(entry, name, real, through, left)
                if isinstance(found, FileVersion):
                    yield found
                elif found is not None:
                    pending.append((entry.path, name, found))

    def read(self, file: FileVersion, start: int, end: int) -> bytes:
        """Read bytes; raises `Changed` where the listed version is not there, `FileNotFoundError` where no file is."""
        path = os.path.join(self.root, *file.path.split("/"))
        real = os.path.realpath(path)
        if not _is_below(real, os.path.realpath(self.root)):
            raise Changed
        # Not blocking: what is a pipe by now would never be opened.
        handle = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or version_of(file.path, status) != file:
                raise Changed
            parts = []
            while start < end:
                part = os.pread(handle, end - start, start)
                if not part:
                    raise Changed
                parts.append(part)
                start += len(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            os.close(handle)

    def status(self, file: FileVersion) -> FileVersion:
        """Return the version that is there now."""
        return version_of(file.path, os.stat(os.path.join(self.root, *file.path.split("/"))))

    def _entry(
        self, entry: os.DirEntry[str], name: str, root: str, through: tuple[str, ...], left: LeftOut
    ) -> FileVersion | tuple[str, ...] | None:
        """Return a file, or the real folders on the way to what a folder holds; None for what is left out."""
        try:
            entry.name.encode()
        except UnicodeEncodeError:
            left.add(NOT_TEXT, name)
            return None
        try:
            status = entry.stat()
            if not entry.is_symlink():
                real = os.path.join(through[-1], entry.name)
            else:
                real = os.path.realpath(entry.path)
                if not _is_below(real, root):
                    left.add(LINK_OUT, name)
                    return None
        except FileNotFoundError:
            if entry.is_symlink():
                left.add(LINK_NOWHERE, name)
            return None
        except PermissionError:
            left.add(CLOSED, name)
            return None
        except OSError:
            left.add(LINK_NOWHERE, name)
            return None
        if stat.S_ISDIR(status.st_mode):
            if real in through:
                left.add(LINK_NOWHERE, name)
                return None
            return (*through, real)
        if not stat.S_ISREG(status.st_mode):
            left.add(SPECIAL, name)
            return None
        return version_of(name, status)


def version_of(path: str, status: os.stat_result) -> FileVersion:
    """Return a file's version: its size and time, which a copy or a restore keeps, unlike its number on the disk."""
    modified_us = status.st_mtime_ns // 1000
    version = f"{status.st_size}-{modified_us}"
    return FileVersion(path, version, status.st_size, modified_us, stamp=str(status.st_ctime_ns))


def _is_below(real: str, root: str) -> bool:
    return real == root or real.startswith(root.rstrip("/") + "/")
