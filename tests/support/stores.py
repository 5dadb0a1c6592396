"""Two kinds of places for files, written to in the same words: a folder, and a bucket of an S3 server."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr

from headworks.settings import FilesSettings

LONG_AGO = datetime(2026, 1, 5, 8, tzinfo=UTC)


class Store(Protocol):
    """A place that others write files to."""

    @property
    def settings(self) -> FilesSettings:
        """How the engine reaches it."""
        ...

    def put(self, path: str, data: bytes) -> None:
        """Write a file, or write it again."""
        ...

    def delete(self, path: str) -> None:
        """Take a file away."""
        ...


@dataclass
class Folder:
    """A folder; each write is a second later than the one before, by the files' own times."""

    root: Path
    _writes: int = 0

    @property
    def settings(self) -> FilesSettings:
        """How the engine reaches it."""
        return FilesSettings(root=str(self.root))

    def put(self, path: str, data: bytes) -> None:
        """Write a file, or write it again."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        self._writes += 1
        stamp = (LONG_AGO + timedelta(seconds=self._writes)).timestamp()
        os.utime(target, (stamp, stamp))

    def delete(self, path: str) -> None:
        """Take a file away."""
        (self.root / path).unlink()


@dataclass
class Bucket:
    """A folder in a bucket."""

    backend: Any
    bucket: str
    options: dict[str, str] = field(repr=False)
    folder: str = "in"

    @property
    def settings(self) -> FilesSettings:
        """How the engine reaches it."""
        options = {name: SecretStr(value) for name, value in self.options.items()}
        return FilesSettings(root=f"s3://{self.bucket}/{self.folder}", storage_options=options)

    def put(self, path: str, data: bytes) -> None:
        """Write an object, or write it again: past the server's HTTP, which would be most of a test's time."""
        self.backend.put_object(self.bucket, f"{self.folder}/{path}", data)

    def delete(self, path: str) -> None:
        """Take an object away."""
        self.backend.delete_object(self.bucket, f"{self.folder}/{path}")
