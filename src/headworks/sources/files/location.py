"""Where files lie: a folder or an object store; listing them, and reading bytes of one version of one file.

Every read names the version that was listed and fails where the file has another one, so bytes of two versions never
mix. The errors of the storage library are translated here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import obstore
from obstore.exceptions import (
    BaseError,
    NotSupportedError,
    PreconditionError,
    UnknownConfigurationKeyError,
)

from headworks.errors import CredentialsRefused, SettingsError, SourceMissing, SourceUnavailable
from headworks.panics import panics_as_errors
from headworks.settings import FilesSettings
from headworks.sources.files.folder import Changed, Folder
from headworks.sources.files.keys import Keys, odd_key
from headworks.sources.files.left_out import LeftOut, shown
from headworks.sources.files.progress import FileVersion
from headworks.storage.object_store import open_store

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECRET = "secret|token|password|key|sas"


class FileMoved(Exception):
    """A file is not any more what the listing showed; its reader decides what to do."""

    def __init__(self, how: Literal["vanished", "changed"]) -> None:
        self.how = how
        super().__init__(how)


class FileUnreadable(Exception):
    """One file cannot be read where the others can: its disk fails there."""


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
            self._folder = Folder(settings.root) if self.is_local else None
            self._store: Any = None if self.is_local else open_store(settings)

    def listed(self, folder: str = "", left: LeftOut | None = None) -> Iterator[FileVersion]:
        """List the files below a folder, in no order; a folder that is not there has none.

        What is there and is no file that could be read is counted in ``left``.
        """
        left = LeftOut() if left is None else left
        with self._translated(""):
            if self._folder is not None:
                yield from self._folder.listed(folder, left)
                return
        try:
            yield from self._objects(folder, left)
        except SourceUnavailable as problem:
            odd = odd_key(str(problem.__cause__))
            if odd is None:
                self._ask_why()
                raise
            keys = Keys.of(self.settings)
            if keys is None:
                raise SettingsError(
                    f"An object has a key with an empty part, {shown(odd)!r}, and nothing alongside it can be listed.",
                    where=self.settings.root,
                    do="rename or remove it, or put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into the block's "
                    "storage options, with which such keys are left out one by one.",
                ) from problem
            with self._translated(""):
                yield from keys.listed(folder, left)

    def _objects(self, folder: str, left: LeftOut) -> Iterator[FileVersion]:
        with self._translated(""):
            for chunk in obstore.list(self._store, prefix=folder or None, chunk_size=1000):
                for meta in chunk:
                    yield self._version(meta)

    def read(self, file: FileVersion, start: int, end: int) -> bytes:
        """Read the bytes from ``start`` up to ``end``; raises `FileMoved` where the listed version is not there."""
        if start >= min(end, file.size):
            return b""
        with self._translated(file.path):
            if self._folder is not None:
                return self._folder.read(file, start, min(end, file.size))
            options: obstore.GetOptions = {"range": (start, min(end, file.size))}
            if file.e_tag is not None:
                options["if_match"] = file.e_tag
            return bytes(obstore.get(self._store, file.path, options=options).bytes())

    def still_there(self, file: FileVersion) -> None:
        """Raise `FileMoved` where the listed version is not there any more."""
        with self._translated(file.path):
            if self._folder is not None:
                now = self._folder.status(file)
            else:
                now = self._version(obstore.head(self._store, file.path))
        if (now.version, now.stamp) != (file.version, file.stamp):
            raise FileMoved("changed")

    def is_listed(self, file: FileVersion) -> bool:
        """Return whether a file that could not be found is in the listing all the same: its key is odd then."""
        folder = file.path.rpartition("/")[0]
        return any(each.path == file.path for each in self.listed(folder))

    def _ask_why(self) -> None:
        """Raise what a failed listing means: its own error has no class, that of asking for one object has."""
        with self._translated(""):
            obstore.head(self._store, ".headworks")

    def _version(self, meta: Any) -> FileVersion:
        modified_us = (meta["last_modified"] - _EPOCH) // timedelta(microseconds=1)
        size, e_tag = int(meta["size"]), meta["e_tag"]
        version = f"{e_tag}".strip('"') if e_tag is not None else f"{size}-{modified_us}"
        return FileVersion(str(meta["path"]), version, size, modified_us, e_tag)

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        """Turn what the storage library raises into errors of ours, or `FileMoved` for a single file."""
        where = f"{self.settings.root}/{path}".rstrip("/")
        try:
            with panics_as_errors():
                yield
        except (PreconditionError, Changed) as problem:
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
                f"The location of the files cannot be used: {self._described(problem)}",
                where=where,
                do="correct its root and its storage options in the block.",
            ) from problem
        except (BaseError, OSError) as problem:
            if path and self.is_local:
                raise FileUnreadable(self._described(problem)) from problem
            if _asks_for_credentials(problem):
                raise CredentialsRefused(
                    "The location of the files does not accept the credentials.",
                    where=where,
                    do="check the credentials in the block: they need to list and read.",
                ) from problem
            raise SourceUnavailable(
                f"The location of the files does not answer as it should: {self._described(problem)}",
                where=where,
                do="check that it is there and can be reached.",
            ) from problem

    def _described(self, problem: BaseException) -> str:
        text = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:300]
        for secret in self._secrets:
            if len(secret) > 3:
                text = text.replace(secret, "***")
        return text


def _asks_for_credentials(problem: BaseException) -> bool:
    return type(problem).__name__ in {"UnauthenticatedError", "PermissionDeniedError"}
