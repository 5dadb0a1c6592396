"""Files of models: which of them a publication may still need, and which nothing names any more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from headworks.errors import ObjectLost
from headworks.models.champions import SCHEMA
from headworks.models.training import MODELS_FOLDER, Trained
from headworks.reports import TableRef
from headworks.storage.delta import Table
from headworks.storage.store import Lake, StoredObject
from headworks.storage.translating import reading


def unneeded_files(
    lake: Lake, named: Mapping[str, Collection[TableRef]]
) -> Iterator[tuple[str, StoredObject]]:
    """Yield model and object of what no champion is: files, their records, and parts of scores.

    A champion is the last one in the newest version of its table and in each version that ``named`` has, which are the
    publications that can be shown again. Whether an object is old enough to belong to no run is for the caller to know.
    """
    kept = _files_of_champions(lake, named)
    for each in lake.list_objects(MODELS_FOLDER):
        model, *folders, name = each.path.removeprefix(f"{MODELS_FOLDER}/").split("/")
        if not folders and name.endswith(".skops"):
            needed = (model, name.removesuffix(".skops")) in kept
        elif folders == ["trained"]:
            needed = _file_of(lake, each.path) in kept
        else:
            needed = False
        if not needed:
            yield model, each


def _files_of_champions(lake: Lake, named: Mapping[str, Collection[TableRef]]) -> set[tuple[str, str]]:
    kept = set()
    for dataset in lake.datasets("gold"):
        table = lake.must_open("gold", dataset)
        if not {*SCHEMA} <= {*table.schema}:
            continue
        versions = {table.version}
        for reference in named.get(f"gold.{dataset}", ()):
            if reference.version <= table.version and reference.id in {"", table.id}:
                versions.add(reference.version)
        kept |= {
            found
            for version in sorted(versions)
            if (found := _champion_of(lake.must_open("gold", dataset, version))) is not None
        }
    return kept


def _champion_of(table: Table) -> tuple[str, str] | None:
    with reading(table.name):
        rows = table.scan().select("sequence", "trained").sort("sequence").last().collect()
    if not rows.height:
        return None
    trained = Trained.model_validate_json(rows.get_column("trained")[0])
    return trained.model, trained.file


def _file_of(lake: Lake, path: str) -> tuple[str, str] | None:
    try:
        trained = Trained.model_validate(lake.get_object(path))
    except (ObjectLost, ValueError):
        return None
    return trained.model, trained.file
