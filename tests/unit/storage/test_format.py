"""A lake says its format: without one it is of 0.1 and opens, a newer one is refused, an older one is migrated."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from headworks.errors import HeadworksError, LakeUnusable
from headworks.settings import LakeSettings
from headworks.storage import format as formats
from headworks.storage.format import FORMAT, PATH, check_format, ensure_format, format_of, migrate, pending
from headworks.storage.store import Lake, open_lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(LakeSettings(root=str(tmp_path / "lake")))
    made.ensure("bronze", "t.things", pl.Schema({"id": pl.Int64()}))
    return made


def test_a_lake_of_0_1_has_no_number_and_opens_and_gets_one_when_it_is_written(lake: Lake) -> None:
    assert format_of(lake) is None
    open_lake(lake.settings.root)
    ensure_format(lake)
    assert format_of(lake) == FORMAT
    assert open_lake(lake.settings.root).datasets("bronze") == ["t.things"]


def test_a_newer_format_is_refused_wherever_a_lake_is_opened(lake: Lake) -> None:
    lake.put_object(PATH, {"format": FORMAT + 1})
    for opened in (check_format, ensure_format, lambda one: open_lake(one.settings.root)):
        with pytest.raises(LakeUnusable, match=f"has format {FORMAT + 1}"):
            opened(lake)
    assert format_of(lake) == FORMAT + 1


@pytest.mark.parametrize(
    "content", ['{"format": 0}', '{"format": "1"}', '{"format": true}', "{}", "[]", "1,"]
)
def test_a_number_that_cannot_be_read_is_refused_and_not_taken_for_none(lake: Lake, content: str) -> None:
    file = Path(lake.settings.root) / PATH
    file.parent.mkdir(exist_ok=True)
    file.write_text(content)
    with pytest.raises(HeadworksError):
        check_format(lake)
    assert file.read_text() == content


def test_an_older_format_is_refused_until_it_is_migrated_step_by_step(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_format(lake)
    done: list[int] = []
    steps = {
        FORMAT: ("rename things", lambda _: done.append(1)),
        FORMAT + 1: ("join them", lambda _: done.append(2)),
    }
    monkeypatch.setattr(formats, "MIGRATIONS", steps)
    monkeypatch.setattr(formats, "FORMAT", FORMAT + 2)
    with pytest.raises(LakeUnusable, match=r"2 steps .* rename things; join them"):
        check_format(lake)
    assert pending(lake) == ["rename things", "join them"]
    assert done == []
    assert migrate(lake) == ["rename things", "join them"]
    assert done == [1, 2]
    assert check_format(lake) == FORMAT + 2
    assert migrate(lake) == []


def test_a_migration_that_is_killed_continues_after_the_last_whole_step(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_format(lake)
    tries: list[int] = []

    def breaks(_: Lake) -> None:
        tries.append(2)
        if len(tries) < 3:
            raise RuntimeError

    monkeypatch.setattr(
        formats, "MIGRATIONS", {FORMAT: ("first", lambda _: tries.append(1)), FORMAT + 1: ("second", breaks)}
    )
    monkeypatch.setattr(formats, "FORMAT", FORMAT + 2)
    with pytest.raises(RuntimeError):
        migrate(lake)
    assert migrate(lake) == ["second"]
    assert tries == [1, 2, 2]
