"""What of gold is published: declared without a database, so that a project needs no driver to be read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from headworks.errors import SettingsError
from headworks.names import check_dataset
from headworks.silver.dataset import check_contract

_NAME_BYTES = 63

WhenGone = Literal["null", "drop", "refuse"]


@dataclass(frozen=True)
class PublishedTable:
    """A gold table and its name in Postgres, with the key that identifies its rows.

    ``contract`` must hold for the table as readers would see it, in Postgres itself, before they do. ``gone`` says what
    becomes of a column that gold no longer has: its values become null, since old ones would be taken for today's; it
    is dropped; or the publication is refused.

    A publication writes the rows that differ from those of the last one. After ``verify_every`` the next one compares
    all of them in the database; with no time at all each one does.

    Args:
        dataset: the gold table, such as ``sales.daily``.
        name: the table's in Postgres, 1 to 63 bytes.
        key: the columns that identify its rows.

    Raises `NameRefused` and `SettingsError` for a name or a key that cannot be.

    Example:
        >>> PublishedTable("sales.daily", "daily", key=("day",)).gone
        'null'
    """

    dataset: str
    name: str
    key: tuple[str, ...]
    contract: Path | None = None
    gone: WhenGone = "null"
    verify_every: timedelta = timedelta(days=1)

    def __post_init__(self) -> None:
        """Check the declaration, so that a slip shows at import and not in the night."""
        check_dataset(self.dataset)
        if not self.name or "\0" in self.name or len(self.name.encode()) > _NAME_BYTES:
            raise SettingsError(
                f"{self.name!r} is not a valid name of a table in Postgres.",
                where=self.dataset,
                do=f"give one of 1 to {_NAME_BYTES} bytes: Postgres would cut a longer one.",
            )
        if not self.key or len({*self.key}) != len(self.key):
            raise SettingsError(
                "A published table has a key of different columns.",
                where=self.dataset,
                do="name the columns that identify its rows.",
            )
        if self.contract is not None:
            check_contract(self.contract, self.dataset)
