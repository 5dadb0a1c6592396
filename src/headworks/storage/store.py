"""The lake: its tables by layer and dataset, and the small objects alongside them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

import polars as pl
import pyarrow as pa
from deltalake.exceptions import CommitFailedError
from pyarrow import fs as arrow_fs
from pyarrow import parquet
from pydantic import ValidationError

from headworks.errors import LakeUnusable, ObjectLost, SettingsError
from headworks.names import Layer, is_word, table_path
from headworks.settings import LakeSettings
from headworks.storage.delta import MERGED_FILE_MB, Table, create_table, open_table
from headworks.storage.object_store import open_store, put_new
from headworks.storage.objects import Objects, ObjectWriter
from headworks.storage.statistics import as_property, bounded, from_property
from headworks.storage.translating import translated

Json = dict[str, Any]
_RESTORE = "restore it from a backup."


@dataclass(frozen=True)
class StoredObject:
    """An object below the lake's root, and when it was written."""

    path: str
    modified_at: datetime


class Lake:
    """Tables and objects below one root, on a local disk or in an object store.

    With a ``rehearsal``, a folder of a dry run's own, the lake is only read: tables and objects that a run would make
    are made there, and what is not in the lake is looked for there.

    Args:
        settings: where the lake is, as `open_lake` or the lake's block gives them.

    Raises `LakeUnavailable` where its storage does not answer, `LakeUnusable` where it cannot be used, each when it is
    read or written and not before.

    Example:
        >>> from headworks.settings import LakeSettings
        >>> Lake(LakeSettings(root="a/new/lake")).open("silver", "shop.orders") is None
        True
    """

    def __init__(self, settings: LakeSettings, rehearsal: Path | None = None) -> None:
        self.settings = settings
        self.rehearsal = rehearsal
        self._options = settings.options()

    @property
    def drafts(self) -> Lake:
        """Where drafts are written that are nobody's yet: the lake itself, or in a dry run its own folder."""
        return self if self.rehearsal is None else Lake(LakeSettings(root=str(self.rehearsal)))

    def uri(self, layer: Layer, dataset: str) -> str:
        """Return the URI of a table, made by the grammar of names."""
        return f"{self.settings.root}/{table_path(layer, dataset)}"

    def open(self, layer: Layer, dataset: str, version: int | None = None) -> Table | None:
        """Open a table at its newest or a given version; None where there is none yet."""
        found = open_table(self.uri(layer, dataset), f"{layer}.{dataset}", self._options, version)
        if found is None and self.rehearsal is not None:
            return self.drafts.open(layer, dataset, version)
        return found

    def must_open(self, layer: Layer, dataset: str, version: int | None = None) -> Table:
        """Open a table that has to be there; raise `LakeUnusable` where it is not."""
        table = self.open(layer, dataset, version)
        if table is None:
            raise LakeUnusable(
                "There is no such table in the lake.",
                where=f"{layer}.{dataset} below {self.settings.root}",
                do="run the flow that fills it, or correct the lake's root.",
            )
        return table

    def ensure(
        self,
        layer: Layer,
        dataset: str,
        schema: pl.Schema,
        *,
        partition_by: str | None = None,
        key: Collection[str] = (),
    ) -> Table:
        """Open a table, making it first where there is none; of a silver table's ``key`` bounds are kept."""
        bounds = bounded(schema, key)
        table = self.open(layer, dataset)
        if self.rehearsal is not None:
            return table or self.drafts.ensure(layer, dataset, schema, partition_by=partition_by, key=key)
        if table is not None:
            if from_property(table.properties) is None:
                # Made by 0.1.0: Delta keeps bounds of most columns until the table says otherwise.
                with suppress(CommitFailedError):
                    table.set_properties(as_property(bounds))
            return table
        return create_table(
            self.uri(layer, dataset),
            f"{layer}.{dataset}",
            self._options,
            schema,
            partition_by,
            file_size_mb=MERGED_FILE_MB if layer == "silver" else None,
            bounds=bounds,
        )

    def open_products(self, version: int | None = None) -> Table | None:
        """Open the table that names the versions of each product; None where nothing was published yet."""
        return open_table(f"{self.settings.root}/products", "products", self._options, version)

    def ensure_products(self, schema: pl.Schema) -> Table:
        """Open the table of products, making it first where there is none."""
        if self.rehearsal is not None:
            return self.open_products() or self.drafts.ensure_products(schema)
        found = self.open_products()
        uri = f"{self.settings.root}/products"
        return found or create_table(uri, "products", self._options, schema, None, bounds=bounded(schema))

    def put_object(self, path: str, content: Json) -> None:
        """Write a small JSON object whole: a reader sees all of it or nothing."""
        self.put_bytes(path, json.dumps(content, sort_keys=True).encode())

    def create_object(self, path: str, content: Json) -> bool:
        """Write a small JSON object whole, unless one of that name is there; of several writers at once one wins.

        Returns whether it was this one.
        """
        if self.rehearsal is not None:
            return self.drafts.create_object(path, content)
        data = json.dumps(content, sort_keys=True).encode()
        with translated(path):
            if not self.settings.is_local:
                return put_new(open_store(self.settings), path, data)
            target = Path(self.settings.root) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                try:
                    os.link(file.name, target)
                except FileExistsError:
                    return False
            return True

    def put_bytes(self, path: str, data: bytes) -> None:
        """Write an object of bytes whole: a reader sees all of it or nothing."""
        if self.rehearsal is not None:
            return self.drafts.put_bytes(path, data)
        with translated(path):
            if not self.settings.is_local:
                self._objects().write(path, data)
                return
            target = Path(self.settings.root) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=target.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)

    def get_bytes(self, path: str) -> bytes:
        """Read an object of bytes; raise `ObjectLost` where it is not there."""
        if self.rehearsal is not None and (self.rehearsal / path).exists():
            return self.drafts.get_bytes(path)
        try:
            with translated(path):
                if self.settings.is_local:
                    return (Path(self.settings.root) / path).read_bytes()
                return self._objects().read(path)
        except LakeUnusable as problem:
            if isinstance(problem.__cause__, FileNotFoundError):
                raise ObjectLost(problem.what, where=path, do=problem.do) from problem.__cause__
            raise

    def get_object(self, path: str) -> Json:
        """Read a small JSON object; raise `ObjectLost` where it is not there or not JSON."""
        try:
            content = json.loads(self.get_bytes(path))
        except ValueError as problem:
            raise ObjectLost("An object of the lake is not JSON.", where=path, do=_RESTORE) from problem
        if not isinstance(content, dict):
            raise ObjectLost("An object of the lake is not a JSON object.", where=path, do=_RESTORE)
        return content

    def datasets(self, layer: Layer) -> list[str]:
        """Return the datasets that have a table in a layer, sorted; a dataset's folder may lie in another's."""
        found: list[str] = []
        pending: list[str] = [layer]
        while pending:
            folder = pending.pop()
            names = self._folders(folder)
            if "_delta_log" in names and folder != layer:
                found.append(folder.removeprefix(f"{layer}/").replace("/", "."))
            pending += [f"{folder}/{name}" for name in names if is_word(name)]
        return sorted(found)

    def folders(self) -> list[str]:
        """Return the names of the folders at the root; none where nothing was written yet."""
        return self._folders("")

    def list_objects(self, folder: str) -> list[StoredObject]:
        """Return the objects below a folder with the moment each was written, sorted by path; none without it."""
        found = self._listed(folder, recursive=True)
        files = [each for each in found if each.type == arrow_fs.FileType.File]
        prefix = self._located("")
        return sorted(
            (StoredObject(each.path.removeprefix(prefix), each.mtime.astimezone(UTC)) for each in files),
            key=lambda each: each.path,
        )

    def remove_object(self, path: str) -> None:
        """Remove an object; one that is gone already is no error."""
        if self.rehearsal is not None:
            return self.drafts.remove_object(path)
        with translated(path):
            try:
                self._files().delete_file(self._located(path))
            except FileNotFoundError:
                return

    def put_rows(self, path: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> int:
        """Write rows as one Parquet object, and return their number; a reader sees all of it or nothing."""
        if self.rehearsal is not None:
            return self.drafts.put_rows(path, schema, tables)
        target = Path(self.settings.root) / path
        with translated(path):
            if not self.settings.is_local:
                with self._objects().writer(path) as stream:
                    return _write_rows(stream, schema, tables)
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=target.parent)
            with os.fdopen(handle, "wb") as file:
                count = _write_rows(file, schema, tables)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        return count

    def get_rows(self, path: str) -> pl.LazyFrame:
        """Return the rows of a Parquet object; raise `LakeUnusable` where it is not there."""
        if self.rehearsal is not None and (self.rehearsal / path).exists():
            return self.drafts.get_rows(path)
        with translated(path):
            if self.settings.is_local:
                return pl.scan_parquet(Path(self.settings.root) / path)
            with self._remote().open_input_file(path) as stream:
                return cast(pl.DataFrame, pl.from_arrow(parquet.read_table(stream))).lazy()

    def check_writable(self) -> None:
        """Write, read and keep one small object, to fail early and clearly where the lake cannot be written."""
        self.put_object("_headworks/writable.json", {"writable": True})
        self.get_object("_headworks/writable.json")

    def _folders(self, folder: str) -> list[str]:
        found = self._listed(folder, recursive=False)
        return [each.base_name for each in found if each.type == arrow_fs.FileType.Directory]

    def _listed(self, folder: str, *, recursive: bool) -> list[arrow_fs.FileInfo]:
        chosen = arrow_fs.FileSelector(self._located(folder), recursive=recursive, allow_not_found=True)
        with translated(folder):
            try:
                found = self._files().get_file_info(chosen)
            except FileNotFoundError:
                # Arrow asks once more, after a folder could not be listed, whether it is there. One that another run
                # makes in between is an error to it, and can be listed by now.
                found = self._files().get_file_info(chosen)
        return cast(list[arrow_fs.FileInfo], found)

    def _files(self) -> arrow_fs.FileSystem:
        return arrow_fs.LocalFileSystem() if self.settings.is_local else self._remote()

    def _located(self, path: str) -> str:
        """Return a path below the root as the file system of the lake reads it."""
        return f"{self.settings.root}/{path}" if self.settings.is_local else path

    def _remote(self) -> arrow_fs.PyFileSystem:
        return arrow_fs.PyFileSystem(self._objects())

    def _objects(self) -> Objects:
        return Objects(self.settings.root, self._options)


def _write_rows(target: IO[bytes] | ObjectWriter, schema: pa.Schema, tables: Iterable[pa.Table]) -> int:
    count = 0
    with parquet.ParquetWriter(target, schema) as writer:
        for table in tables:
            writer.write_table(table)
            count += table.num_rows
    return count


def open_lake(root: str | os.PathLike[str], **options: str) -> Lake:
    """Open the lake below a root, for a notebook or a program without Prefect; nothing is made.

    ``root`` is a folder or the URI of an object store, ``options`` are those of the store, such as
    ``AWS_ENDPOINT_URL``. Raises `LakeUnusable` where nothing was ever written to it, and `SettingsError` for a root
    that no lake can have.

    Example:
        >>> open_lake("there/is/no/lake")
        Traceback (most recent call last):
        headworks.errors.LakeUnusable: ...
    """
    from headworks.storage.format import check_format
    from headworks.storage.presence import is_written

    try:
        lake = Lake(LakeSettings.model_validate({"root": os.fspath(root), "storage_options": options}))
    except ValidationError as problem:
        said = "; ".join(str(each["msg"]) for each in problem.errors(include_input=False))
        raise SettingsError(
            f"This is no place of a lake: {said}.",
            where=os.fspath(root),
            do="give a folder, or the URI of an object store.",
        ) from None
    if not is_written(lake, "open_lake"):
        raise LakeUnusable(
            "Nothing was written to this lake yet.",
            where=os.fspath(root),
            do="run a flow first, or correct the root.",
        )
    check_format(lake)
    return lake
