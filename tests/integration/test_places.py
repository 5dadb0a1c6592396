"""A lake may lie below any folder whose name the table library reads, locally and in S3; others are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from headworks.ops.maintenance import MaintenanceSettings, maintain
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.support import golden
from tests.support.items import bronze, land_items, refine_items, silver
from tests.support.object_store import BUCKET, ObjectStore, object_store
from tests.support.sources import ids, items


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("store")) as running:
        yield running


READ = (
    "my data", "ü", "a#b", "a%b", "100%", "a?b", "a+b", "a&b", "a:b", "a'b", "a{b}", "a*b", "a,b", "a@b", "日本",
    "a..b", "~a", "$HOME", "a;b", "a!b", "(a)",
)  # fmt: skip
REFUSED = ("a=b", "a%20b", "%C3%BC", "a[b]", "a]b", "a^b", "a|b", "a\\b", "a\nb")


def lived_in(lake: Lake, contracts: Path) -> None:
    """Land, refine, publish and care, and continue."""
    golden.named(lake, contracts, items(1, 2), "first")
    golden.named(lake, contracts, [*items(1, 2), *items(1, 1, cursor=2), *items(3, 3)], "second")
    assert not [care for care in maintain(lake, MaintenanceSettings(compact_from_files=2)) if care.failed]
    golden.named(lake, contracts, [*items(1, 2), *items(1, 1, cursor=2), *items(3, 4)], "third")
    assert (set(silver(lake)), ids(bronze(lake))) == ({1, 2, 3, 4}, ["1", "1", "2", "3", "4"])
    assert golden.rows(lake) == [1, 2, 3, 4]


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", READ)
def test_a_lake_below_a_folder_of_an_odd_name(tmp_path: Path, name: str) -> None:
    lake = Lake(LakeSettings(root=str(tmp_path / name / "lake")))
    lived_in(lake, tmp_path / "contracts")
    assert [each.name for each in tmp_path.iterdir() if each.name != "contracts"] == [name]


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_would_be_read_as_another_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValidationError, match="the lake's location has"):
        LakeSettings(root=str(tmp_path / name))


@pytest.mark.parametrize("name", ["my data", "ü"])
def test_a_lake_below_a_prefix_of_an_odd_name(store: ObjectStore, name: str) -> None:
    root = f"s3://{BUCKET}/{name}/lake"
    lake = Lake(LakeSettings(root=root, storage_options=store.options()))
    for last in (2, 3):
        land_items(lake, items(1, last))
        refine_items(lake)
    assert (set(silver(lake)), ids(bronze(lake))) == ({1, 2, 3}, ["1", "2", "3"])
