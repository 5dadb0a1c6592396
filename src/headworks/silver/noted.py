"""Up to which commit of silver it is noted which rejected rows a newer version replaces.

A commit can replace rejected rows of the keys that it changed, and of no others. So where all was noted up to the
commit before, only those keys are looked at; else all rejected rows are. The mark is an object alongside the tables,
written once the notes are there. A run that was killed before that leaves the mark of an earlier commit, and the next
refinement looks at all of them, as it does where notes were lost, and where the declaration, or the library that reads
values, is another one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import polars as pl
from pydantic import ValidationError

from headworks.bronze.resolutions import resolution_number
from headworks.errors import ObjectLost
from headworks.names import dataset_folder
from headworks.reports import Report
from headworks.silver.dataset import Dataset
from headworks.silver.quarantine import TRY, WRITER, Try
from headworks.storage.delta import Table
from headworks.storage.store import Lake

EXACT = {pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.String(), pl.Date(), pl.Boolean()}
"""Types whose values have one text, in silver's type and in the declared one."""


class Noted(Report):
    """The commit of silver up to which all is noted, and the declaration that it was noted by."""

    silver: str
    writer: int
    token: int
    declared: str
    resolutions: int


@dataclass(frozen=True)
class Changed:
    """What one commit of silver has changed: the try that it was, and the keys of its rows."""

    attempt: Try
    keys: pl.DataFrame


def noted(lake: Lake, dataset: Dataset, silver: Table) -> Noted:
    """Return the mark that says that all is noted up to a version of silver."""
    return Noted(
        silver=silver.id,
        writer=silver.transaction(WRITER),
        token=silver.transaction(TRY),
        declared=_declared(dataset, silver),
        resolutions=resolution_number(lake, dataset.name),
    )


def is_noted(lake: Lake, dataset: Dataset, silver: Table) -> bool:
    """Return whether all is noted up to a version of silver."""
    return _says(_kept(lake, dataset), noted(lake, dataset, silver))


def is_noted_before(lake: Lake, dataset: Dataset, silver: Table, changed: Changed) -> bool:
    """Return whether all is noted up to the commit before the one that made these changes, the newest of silver."""
    if dataset.keeps != "newest" or any(silver.schema[name] not in EXACT for name in dataset.key):
        return False
    mine = noted(lake, dataset, silver)
    attempt = changed.attempt
    before = mine.model_copy(update={"writer": attempt.writer - 1, "token": attempt.last_token})
    is_mine = (mine.writer, mine.token) == (attempt.writer, attempt.token)
    return is_mine and _says(_kept(lake, dataset), before)


def put_noted(lake: Lake, dataset: Dataset, mark: Noted) -> None:
    """Keep the mark that all is noted up to a version of silver."""
    lake.put_object(_path(dataset), mark.model_dump(mode="json"))


def _says(kept: Noted | None, mark: Noted) -> bool:
    """Return whether a mark that was kept says what another one does; of notes there may be more since, not less."""
    if kept is None or kept.resolutions > mark.resolutions:
        return False
    return kept.model_copy(update={"resolutions": mark.resolutions}) == mark


def _kept(lake: Lake, dataset: Dataset) -> Noted | None:
    try:
        return Noted.model_validate(lake.get_object(_path(dataset)))
    except (ObjectLost, ValidationError):
        return None


def _path(dataset: Dataset) -> str:
    return f"_headworks/noted/{dataset_folder(dataset.name)}.json"


def _declared(dataset: Dataset, silver: Table) -> str:
    """Return what changes with how values are read, and with what makes a version newer."""
    columns = [(name, str(value)) for name, value in dataset.columns.items()]
    said = (dataset.key, dataset.keeps, dataset.cursor, columns, dict(silver.schema), pl.__version__)
    return hashlib.blake2b(repr(said).encode(), digest_size=8).hexdigest()
