"""Where files lie: a folder or an object store; listing them, and reading bytes of one version of one file.

Every read names the version that was listed and fails where the file has another one, so bytes of two versions never
mix. The errors of the storage library are translated here and nowhere else.

What belongs here: that. What does not: which files are wanted, and what is in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import obstore
from obstore.exceptions import (
    BaseError,
    NotSupportedError,
    PreconditionError,
    UnknownConfigurationKeyError,
)
from obstore.store import LocalStore

from headworks.errors import CredentialsRefused, SettingsError, SourceMissing, SourceUnavailable
from headworks.object_store import open_store
from headworks.settings import FilesSettings
from headworks.sources.files.progress import FileVersion

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECRET = "secret|token|password|key|sas"


class FileMoved(Exception):
    """A file is not any more what the listing showed; its reader decides what to do."""

    def __init__(self, how: Literal["vanished", "changed"]) -> None:
        self.how = how
        super().__init__(how)


class Location:
    """The files below one root."""

    def __init__(self, settings: FilesSettings) -> None:
        self.settings = settings
        self.is_local = settings.is_local
        self._secrets = [
            value.get_secret_value()
            for name, value in settings.storage_options.items()
            if re.search(_SECRET, name, re.IGNORECASE)
        ]
        with self._translated(""):
            self._store: Any = _local(settings.root) if self.is_local else open_store(settings)

    def listed(self, folder: str = "") -> Iterator[FileVersion]:
        """List the files below a folder, in no order; a folder that is not there has none."""
        try:
            with self._translated(""):
                for chunk in obstore.list(self._store, prefix=folder or None, chunk_size=1000):
                    for meta in chunk:
                        yield self._version(meta)
        except SourceUnavailable:
            self._ask_why()
            raise

    def read(self, file: FileVersion, start: int, end: int) -> bytes:
        """Read the bytes from ``start`` up to ``end``; raises `FileMoved` where the listed version is not there."""
        if start >= min(end, file.size):
            return b""
        options: obstore.GetOptions = {"range": (start, min(end, file.size))}
        if file.e_tag is not None:
            options["if_match"] = file.e_tag
        with self._translated(file.path):
            return bytes(obstore.get(self._store, file.path, options=options).bytes())

    def still_there(self, file: FileVersion) -> None:
        """Raise `FileMoved` where the listed version is not there any more."""
        with self._translated(file.path):
            meta = obstore.head(self._store, file.path)
        if self._version(meta).version != file.version:
            raise FileMoved("changed")

    def _ask_why(self) -> None:
        """Raise what a failed listing means: its own error has no class, that of asking for one object has."""
        with self._translated(""):
            obstore.head(self._store, ".headworks")

    def _version(self, meta: Any) -> FileVersion:
        modified_us = (meta["last_modified"] - _EPOCH) // timedelta(microseconds=1)
        size, e_tag = int(meta["size"]), meta["e_tag"]
        # A local ETag holds the file's number on the disk, which differs after a restore or a copy.
        by_tag = e_tag is not None and not self.is_local
        version = f"{e_tag}".strip('"') if by_tag else f"{size}-{modified_us}"
        return FileVersion(str(meta["path"]), version, size, modified_us, e_tag)

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        """Turn what the storage library raises into errors of ours, or `FileMoved` for a single file."""
        where = f"{self.settings.root}/{path}".rstrip("/")
        try:
            yield
        except PreconditionError as problem:
            raise FileMoved("changed") from problem
        except FileNotFoundError as problem:
            if path:
                raise FileMoved("vanished") from problem
            raise SourceMissing(
                "The location of the files is not there.", where=where, do="correct its root in the block."
            ) from problem
        except PermissionError as problem:
            raise CredentialsRefused(
                "The location of the files may not be read.",
                where=where,
                do="check the credentials in the block: they need to list and read.",
            ) from problem
        except (UnknownConfigurationKeyError, NotSupportedError, ValueError) as problem:
            raise SettingsError(
                f"The location of the files cannot be used: {self._told(problem)}",
                where=where,
                do="correct its root and its storage options in the block.",
            ) from problem
        except (BaseError, OSError) as problem:
            if _asks_for_credentials(problem):
                raise CredentialsRefused(
                    "The location of the files does not accept the credentials.",
                    where=where,
                    do="check the credentials in the block: they need to list and read.",
                ) from problem
            raise SourceUnavailable(
                f"The location of the files does not answer as it should: {self._told(problem)}",
                where=where,
                do="check that it is there and can be reached.",
            ) from problem

    def _told(self, problem: BaseException) -> str:
        text = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:300]
        for secret in self._secrets:
            if len(secret) > 3:
                text = text.replace(secret, "***")
        return text


def _local(root: str) -> LocalStore:
    if not Path(root).is_dir():
        raise FileNotFoundError(root)
    return LocalStore(root)


def _asks_for_credentials(problem: BaseException) -> bool:
    return type(problem).__name__ in {"UnauthenticatedError", "PermissionDeniedError"}
