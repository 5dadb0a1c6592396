"""Columns of a Parquet file that have no type, at every depth, before and after bronze knows one for them.

A writer gives such a type where it has seen nothing but nulls and empty lists. Over three runs bronze holds what was
there, or the file is refused by the column's name, and its neighbours land.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.integration.files.test_types import PARQUET, put
from tests.support.items import bronze
from tests.support.stores import Folder
from tests.support.taken_files import NAME, take

_A, _B = "a", "b"
SHAPES: dict[str, tuple[pa.DataType, pa.DataType, list[Any], list[Any]]] = {
    "list": (pa.list_(pa.null()), pa.list_(pa.int32()), [[], [None, None]], [[1], []]),
    "list in list": (
        pa.list_(pa.list_(pa.null())), pa.list_(pa.list_(pa.string())), [[[]], [[None], []]], [[["x"], []]],
    ),
    # Not arrays of one length: Arrow itself cannot read back such a file of nulls.
    "field": (
        pa.struct([(_A, pa.null()), (_B, pa.int64())]), pa.struct([(_A, pa.string()), (_B, pa.int64())]),
        [{_A: None, _B: 1}], [{_A: "x", _B: 2}],
    ),
    "only field": (pa.struct([(_A, pa.null())]), pa.struct([(_A, pa.int64())]), [{_A: None}], [{_A: 3}]),
    "list in field": (
        pa.struct([(_A, pa.list_(pa.null())), (_B, pa.int64())]),
        pa.struct([(_A, pa.list_(pa.int64())), (_B, pa.int64())]),
        [{_A: [], _B: 1}], [{_A: [5], _B: 2}],
    ),
    "field in list": (
        pa.list_(pa.struct([(_A, pa.null()), (_B, pa.int64())])),
        pa.list_(pa.struct([(_A, pa.string()), (_B, pa.int64())])),
        [[{_A: None, _B: 1}], []], [[{_A: "x", _B: 2}]],
    ),
    "list in field in list": (
        pa.list_(pa.struct([(_A, pa.list_(pa.null()))])), pa.list_(pa.struct([(_A, pa.list_(pa.date32()))])),
        [[{_A: []}, {_A: None}], []], [[{_A: []}]],
    ),
    "null": (pa.null(), pa.bool_(), [None], [True]),
}  # fmt: skip


def plain(value: Any) -> Any:
    """Return a value without the fields that are null: bronze may not have them yet."""
    if isinstance(value, dict):
        return {name: made for name, each in value.items() if (made := plain(each)) is not None}
    return [plain(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("shape", "nulls"), list(product(SHAPES, [True, False])))
def test_what_has_no_type_lands_as_it_was_or_its_file_is_refused_by_name(
    tmp_path: Path, shape: str, nulls: bool
) -> None:
    untyped, typed, empty, full = SHAPES[shape]
    (tmp_path / "in").mkdir()
    folder, lake = Folder(tmp_path / "in"), Lake(LakeSettings(root=str(tmp_path / "lake")))
    given = {
        "1.parquet": (untyped, [None, *([] if nulls else empty)]),
        "2.parquet": (typed, [*full, None]),
        "3.parquet": (untyped, [None, *empty]),
    }
    for path, (kind, values) in given.items():
        put(folder, path, pa.array(values, kind))
        put(
            folder,
            f"{path[0]}-neighbour.parquet",
            pa.array([True], pa.bool_()) if shape == "null" else _of(typed),
        )
        take(folder, lake, PARQUET)
        take(folder, lake, PARQUET)
    rows = bronze(lake, NAME)
    refused = {row["_file"]: row["_raw"].decode() for row in rows.to_dicts() if row["_refused"]}
    for path, (_, values) in given.items():
        if path in refused:
            assert "column v" in refused[path], refused
            assert "write" in refused[path], refused
            continue
        found = rows.filter(pl.col("_file") == path).sort("_line").get_column("v").to_list()
        assert [plain(each) for each in found] == [plain(each) for each in values], path
    assert not [path for path in refused if "neighbour" in path]
    assert "2.parquet" not in refused
    assert "3.parquet" not in refused, "bronze knows the type"
    if nulls:
        assert "1.parquet" not in refused, "nulls say nothing"


def _of(kind: pa.DataType) -> pa.Array:
    return pa.array([None], kind)
