"""The sources that ship with headworks, in the three variants in which a run may read them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headworks.errors import SettingsError
from headworks.names import Window

# What reads one kind of source takes long to import, and a run reads one kind.
if TYPE_CHECKING:
    from headworks.sources.api.source import ApiSource
    from headworks.sources.files.source import FileSource
    from headworks.sources.sql.reader import DatabaseTable


@dataclass(frozen=True)
class TableIngest:
    """A table of a database: by its cursor column, whole, or between two values of the cursor."""

    table: DatabaseTable

    def live(self) -> DatabaseTable | None:
        """Return the table as it is read incrementally; None without a cursor column to read by."""
        return self.table if self.table.table.cursor is not None else None

    def whole(self) -> DatabaseTable:
        """Return the table as it is read from beginning to end."""
        return replace(self.table, whole=True)

    def within(self, window: Window) -> DatabaseTable:
        """Return the table bounded to a window of its cursor column."""
        if self.table.table.cursor is None:
            raise SettingsError(
                "A table that is read without a cursor column has no window.",
                where=self.table.where,
                do="name its cursor column, or run without a window.",
            )
        return replace(self.table, window=window)


@dataclass(frozen=True)
class ResourceIngest:
    """An API's resource: from its watermark, or whole in a stream without one."""

    source: ApiSource

    def live(self) -> ApiSource:
        """Return the resource as it is read from its stream's position."""
        return self.source

    def whole(self) -> ApiSource:
        """Return the resource itself: the stream of a full read has no watermark, so all of it is read."""
        return self.source

    def within(self, window: Window) -> ApiSource:
        """Return the resource bounded to a window; raises `SettingsError` where the API takes no end."""
        return self.source.within(window)


@dataclass(frozen=True)
class FileIngest:
    """Files: those that were not taken yet, all that are there, or those that were modified in a window."""

    source: FileSource

    def live(self) -> FileSource:
        """Return the files as they are read incrementally."""
        return self.source

    def whole(self) -> FileSource:
        """Return all files that are there: the stream of a full read has taken none yet."""
        return replace(self.source, whole=True)

    def within(self, window: Window) -> FileSource:
        """Return the files that were modified in a window, whether they were taken before or not."""
        return replace(self.source, window=window)
