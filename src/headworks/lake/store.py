"""The lake: its tables by layer and dataset, and the small objects beside them.

What belongs here: where things are, opening and making tables, reading and writing whole objects. What does not: any
protocol; those are in the modules beside this one.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
from deltalake.fs import DeltaStorageHandler

from headworks.errors import LakeUnusable
from headworks.lake.delta import Table, create_table, open_table, translated
from headworks.names import Layer, table_path
from headworks.settings import LakeSettings

Json = dict[str, Any]


class Lake:
    """Tables and objects below one root, on a local disk or in an object store."""

    def __init__(self, settings: LakeSettings) -> None:
        self.settings = settings
        self._options = settings.options()

    def uri(self, layer: Layer, dataset: str) -> str:
        """Return the URI of a table, made by the grammar of names."""
        return f"{self.settings.root}/{table_path(layer, dataset)}"

    def open(self, layer: Layer, dataset: str, version: int | None = None) -> Table | None:
        """Open a table at its newest or a given version; None where there is none yet."""
        return open_table(self.uri(layer, dataset), f"{layer}.{dataset}", self._options, version)

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
    ) -> Table:
        """Open a table, making it first where there is none."""
        table = self.open(layer, dataset)
        if table is not None:
            return table
        return create_table(
            self.uri(layer, dataset),
            f"{layer}.{dataset}",
            self._options,
            schema,
            partition_by,
        )

    def open_products(self) -> Table | None:
        """Open the table that names the versions of each product; None where nothing was published yet."""
        return open_table(f"{self.settings.root}/products", "products", self._options)

    def ensure_products(self, schema: pl.Schema) -> Table:
        """Open the table of products, making it first where there is none."""
        found = self.open_products()
        return found or create_table(
            f"{self.settings.root}/products", "products", self._options, schema, None
        )

    def put_object(self, path: str, content: Json) -> None:
        """Write a small JSON object whole: a reader sees all of it or nothing."""
        data = json.dumps(content, sort_keys=True).encode()
        if not self.settings.is_local:
            with translated(path):
                self._remote().write(path, data)
            return
        target = Path(self.settings.root) / path
        with translated(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=target.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)

    def get_object(self, path: str) -> Json:
        """Read a small JSON object; raise `LakeUnusable` where it is not there or not JSON."""
        with translated(path):
            if self.settings.is_local:
                data = (Path(self.settings.root) / path).read_bytes()
            else:
                data = self._remote().read(path)
        try:
            content = json.loads(data)
        except ValueError as problem:
            raise LakeUnusable("An object of the lake is not JSON.", where=path) from problem
        if not isinstance(content, dict):
            raise LakeUnusable("An object of the lake is not a JSON object.", where=path)
        return content

    def check_writable(self) -> None:
        """Write, read and keep one small object, to fail early and clearly where the lake cannot be written."""
        self.put_object("_headworks/writable.json", {"writable": True})
        self.get_object("_headworks/writable.json")

    def _remote(self) -> _Objects:
        return _Objects(self.settings.root, self._options)


class _Objects(DeltaStorageHandler):
    """Whole objects in the store that delta-rs reaches with the same options.

    Not by pyarrow's streams: pyarrow hands over a buffer where delta-rs' stream takes bytes alone, and raises.
    """

    def write(self, path: str, data: bytes) -> None:
        """Write an object; it is there when the stream is closed, and not before."""
        stream = self._handler.open_output_stream(path, None)
        stream.write(data)
        stream.close()  # type: ignore[attr-defined] # delta-rs' type stub leaves it out

    def read(self, path: str) -> bytes:
        """Read an object."""
        with self.open_input_file(path) as stream:
            return bytes(stream.readall())
