"""The grammar of names: datasets, layers, tables, streams. The one place that knows it.

A dataset is a dotted lower-case name, ``shop.orders``. A table is a layer and a dataset, ``silver.shop.orders``, and
lies at ``<root>/silver/shop/orders``. A stream is the progress of one source into one bronze table; its name begins
with the dataset and may carry a suffix after ``@`` for a generation or a window.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headworks.errors import NameRefused

Layer = Literal["bronze", "silver", "gold", "quarantine", "ops"]
Reading = Literal["live", "full", "window", "backfill"]
OF_WINDOWS: frozenset[str] = frozenset({"window", "backfill"})
"""The readings of a window."""

AGED = "#aged"
"""The transaction that counts how often retention took rows out of a bronze table."""

OWN_IN_BRONZE = frozenset(
    {
        *("_stream", "_sequence", "_row", "_ingested_at", "_landed", "_deleted"),
        *("_refused", "_raw", "_file", "_file_version", "_line"),
    }
)
"""The columns that bronze keeps for itself, alongside those of a source."""

OWN_IN_SILVER = frozenset(
    {
        *("_cursor", "_arrival", "_ingested_at", "_stream", "_sequence", "_row"),
        *("_deleted", "_void_until"),
    }
)
"""The columns that silver keeps for itself, alongside those that are declared."""

_DATASET = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_STREAM = re.compile(r"[a-z][a-z0-9_.]*(@[A-Za-z0-9_.\-]+)?")
_STAMP = r"\d+T\d{6}(?:\.\d{6})?"
_WINDOW = re.compile(rf"[^@]+@w({_STAMP})-({_STAMP})-(.+)")


def check_dataset(name: str) -> str:
    """Return ``name`` if it is a dataset's name, else raise `NameRefused`."""
    if not _DATASET.fullmatch(name):
        raise NameRefused(
            f"{name!r} is not a dataset's name.",
            do="use dotted lower-case words of letters, digits and underscores, such as shop.orders.",
        )
    return name


def is_word(name: str) -> bool:
    """Return whether a name is one word of a dataset's, as its folders are."""
    return "." not in name and _DATASET.fullmatch(name) is not None


def check_stream(name: str) -> str:
    """Return ``name`` if it is a stream's name, else raise `NameRefused`."""
    if not _STREAM.fullmatch(name):
        raise NameRefused(
            f"{name!r} is not a stream's name.",
            do="use a dataset's name, optionally followed by @ and letters, digits, dots or dashes.",
        )
    return name


def dataset_folder(dataset: str) -> str:
    """Return a dataset's name as a path, such as ``shop/orders``."""
    return check_dataset(dataset).replace(".", "/")


def checkpoints_folder(dataset: str) -> str:
    """Return the folder below the lake's root with the checkpoints of a dataset's streams."""
    return f"_headworks/checkpoints/{dataset_folder(dataset)}"


def table_path(layer: Layer, dataset: str) -> str:
    """Return the path of a table below the lake's root, such as ``silver/shop/orders``."""
    return f"{layer}/{dataset_folder(dataset)}"


def generation_stream(dataset: str, generation: int) -> str:
    """Name the stream of one full read, such as ``shop.orders@g3``."""
    return f"{check_dataset(dataset)}@g{generation}"


def window_stream(dataset: str, window: Window, attempt: int) -> str:
    """Name the stream of one reading of a window; its attempts are numbered from 1, unless it is read once."""
    reading = window.once or attempt
    return f"{check_dataset(dataset)}@w{_stamp(window.start)}-{_stamp(window.end)}-{reading}"


def reading_of(stream: str) -> Reading:
    """Return what a stream reads: what is new, all of a source, a window, or a window of a backfill.

    A backfill reads each window once, under its name; other readings of a window are numbered.
    """
    suffix = stream.partition("@")[2]
    if not suffix or suffix.startswith("g"):
        return "full" if suffix else "live"
    found = _WINDOW.fullmatch(stream)
    return "backfill" if found and not found[3].isdecimal() else "window"


def once_of(stream: str) -> str | None:
    """Return the name under which a backfill reads its windows, of the stream of one of them; None of any other."""
    found = _WINDOW.fullmatch(stream)
    return found[3] if found and not found[3].isdecimal() else None


def window_of(stream: str) -> tuple[datetime, datetime] | None:
    """Return from when until when a window's stream reaches, in UTC; None where the stream is no window's."""
    found = _WINDOW.fullmatch(stream)
    return None if found is None else (_moment(found[1]), _moment(found[2]))


def _moment(stamp: str) -> datetime:
    form = "%Y%m%dT%H%M%S.%f" if "." in stamp else "%Y%m%dT%H%M%S"
    # Not every platform writes a year before 1000 with four digits.
    return datetime.strptime(stamp.rjust(len(stamp) + 8 - stamp.index("T"), "0"), form).replace(tzinfo=UTC)


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%S.%f" if moment.microsecond else "%Y%m%dT%H%M%S")


class Window(BaseModel):
    """A half-open interval [start, end) of a source's cursor, in UTC; a time without a zone counts as UTC.

    Example:
        >>> Window(start="2026-01-01", end="2026-02-01").start.isoformat()
        '2026-01-01T00:00:00+00:00'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: datetime = Field(description="First moment to take, inclusive. Without a zone it counts as UTC.")
    end: datetime = Field(
        description="First moment to leave out, exclusive. Without a zone it counts as UTC."
    )
    once: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z][A-Za-z0-9_.]{0,60}$",
        description="A name under which the window is read once: what was read under it is not read again.",
    )

    @model_validator(mode="after")
    def _ordered_and_utc(self) -> Window:
        start, end = _as_utc(self.start), _as_utc(self.end)
        if start >= end:
            raise ValueError(f"the window's start ({start}) must lie before its end ({end})")
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "end", end)
        return self


def _as_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
