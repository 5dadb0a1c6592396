"""Gold tables: audited where they are staged, replaced in one commit, from the very version that was audited."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError

from headworks.errors import CandidateStale, GateClosed, LakeUnusable
from headworks.gold.curation import GoldTable, audit, curate, stage
from headworks.gold.table import Pins, read_staged, staged_uri
from headworks.storage import delta
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from tests.support.faults import Crash, crash_after, crash_before, writes
from tests.support.golden import committed, fill, rows, tables
from tests.support.items import NAME
from tests.support.sources import items


@pytest.fixture
def each(tmp_path: Path) -> GoldTable:
    return tables(tmp_path / "contracts")[0]


def test_a_candidate_replaces_the_table_in_one_commit(lake: Lake, each: GoldTable) -> None:
    committed(lake, each, fill(lake, items(1, 3)))
    before = lake.must_open("gold", each.name).version
    report = committed(lake, each, fill(lake, items(1, 5)))
    assert rows(lake) == [1, 2, 3, 4, 5]
    assert (report.rows, report.changed, report.table.version) == (5, True, before + 1)


def test_the_same_silver_and_the_same_code_stage_nothing(lake: Lake, each: GoldTable) -> None:
    pins = fill(lake, items(1, 3))
    committed(lake, each, pins)
    again = stage(lake, each, pins)
    assert (again.fresh, again.changed, again.rows) == (False, False, 3)
    assert audit(lake, each, again) is None
    version = lake.must_open("gold", each.name).version
    assert curate(lake, again, None).table.version == version


def test_a_candidate_that_is_the_same_notes_its_inputs_and_changes_no_row(
    lake: Lake, each: GoldTable
) -> None:
    """Else the same silver would be staged and audited again by every run."""
    committed(lake, each, fill(lake, items(1, 3)))
    pins = fill(lake, [*items(1, 3), ("1", "10", 2)])
    candidate = stage(lake, each, pins)
    assert (candidate.fresh, candidate.changed) == (True, False)
    report = curate(lake, candidate, audit(lake, each, candidate))
    assert (report.changed, report.table.change) == (False, 1)
    assert not stage(lake, each, pins).fresh


def test_a_change_of_the_transforms_code_makes_the_table_anew(
    lake: Lake, each: GoldTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = fill(lake, items(1, 3))
    committed(lake, each, pins)
    code = each.code()
    monkeypatch.setattr(GoldTable, "code", lambda self: code + 1)
    assert stage(lake, each, pins).fresh


def test_gold_is_made_of_the_pinned_version_even_if_silver_moved_on(lake: Lake, each: GoldTable) -> None:
    pins = fill(lake, items(1, 3))
    fill(lake, items(1, 9))
    committed(lake, each, pins)
    assert rows(lake) == [1, 2, 3]


def test_tombstones_and_provenance_do_not_reach_gold(lake: Lake, each: GoldTable) -> None:
    pins = fill(lake, items(1, 3))
    silver = lake.must_open("silver", NAME)
    gone = silver.scan().filter(pl.col("id") == 2).with_columns(_deleted=pl.lit(True)).collect()
    silver.merge(gone, ("id",), {"#change": 2})
    pins = Pins(tables=(pins.tables[0].model_copy(update={"version": silver.version, "change": 2}),))
    committed(lake, each, pins)
    assert rows(lake) == [1, 3]
    assert lake.must_open("gold", each.name).columns == ["id", "v", "money"]


def test_a_candidate_is_refused_when_another_run_committed_since_it_was_staged(
    lake: Lake, each: GoldTable
) -> None:
    """A zombie: it staged and audited, slept, and wakes after another run took over."""
    pins = fill(lake, items(1, 3))
    zombie = stage(lake, each, pins)
    gate = audit(lake, each, zombie)
    committed(lake, each, fill(lake, items(1, 9)))
    with pytest.raises(CandidateStale):
        curate(lake, zombie, gate)
    assert rows(lake) == list(range(1, 10))


@pytest.mark.parametrize("same_rows", [True, False])
def test_a_candidate_is_refused_when_somebody_else_wrote_to_its_table(
    lake: Lake, each: GoldTable, same_rows: bool
) -> None:
    """Another tool's commit carries no number of ours; also one that says the table is up to date would hide it."""
    committed(lake, each, fill(lake, items(1, 3)))
    pins = fill(lake, [*items(1, 3), *items(1, 3, cursor=2)] if same_rows else items(1, 4))
    candidate = stage(lake, each, pins)
    assert (candidate.fresh, candidate.changed) == (True, not same_rows)
    gate = audit(lake, each, candidate)
    DeltaTable(lake.uri("gold", each.name)).delete("id = 2")
    with pytest.raises(CandidateStale):
        curate(lake, candidate, gate)
    committed(lake, each, pins)
    assert rows(lake) == list(range(1, 4 if same_rows else 5))


@pytest.mark.parametrize("through_the_audited_version", [True, False])
def test_without_the_audited_version_a_zombie_brings_back_the_old(
    lake: Lake, each: GoldTable, monkeypatch: pytest.MonkeyPatch, through_the_audited_version: bool
) -> None:
    """The rule taken out: the commit goes through the newest version instead of the one that was audited."""
    zombie = stage(lake, each, fill(lake, items(1, 3)))
    gate = audit(lake, each, zombie)
    committed(lake, each, fill(lake, items(1, 9)))
    if not through_the_audited_version:
        real = Lake.must_open
        monkeypatch.setattr(
            Lake, "must_open", lambda self, layer, dataset, version=None: real(self, layer, dataset)
        )
        curate(lake, zombie, gate)
        assert rows(lake) == [1, 2, 3]
    else:
        with pytest.raises(CandidateStale):
            curate(lake, zombie, gate)
        assert rows(lake) == list(range(1, 10))


@pytest.mark.parametrize("writer", [True, False])
def test_two_stale_writers_clash_on_the_number_that_they_have_in_common(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, writer: bool
) -> None:
    """With internal retries and without it, two first replacements of an empty table both count: all rows twice."""
    real = delta._properties

    def rebased(transactions: dict[str, int], retries: int) -> CommitProperties:
        given = {name: value for name, value in transactions.items() if name not in {delta.COMMIT, delta.AT}}
        return real(given, 15)

    monkeypatch.setattr(delta, "_properties", rebased)
    frame = pl.DataFrame({"id": [1, 2]})
    lake.ensure("gold", "t.bare", frame.schema)
    first, second = lake.must_open("gold", "t.bare"), lake.must_open("gold", "t.bare")
    common = {"#writer": 1} if writer else {}
    first.overwrite(frame, {"input:a": 1, **common})
    if writer:
        with pytest.raises(CommitFailedError):
            second.overwrite(frame, {"input:b": 1, **common})
        assert rows(lake, "t.bare") == [1, 2]
    else:
        second.overwrite(frame, {"input:b": 1})
        assert rows(lake, "t.bare") == [1, 1, 2, 2]


def test_a_gold_commit_carries_the_writer_number(lake: Lake, each: GoldTable) -> None:
    committed(lake, each, fill(lake, items(1, 3)))
    committed(lake, each, fill(lake, items(1, 4)))
    assert lake.must_open("gold", each.name).transaction("#writer") == 2


def test_a_stale_replacement_is_refused_without_a_number_in_common_too_since_it_is_never_rebased(
    lake: Lake,
) -> None:
    """Also after a commit that carries none of our transactions, as another program's."""
    frame = pl.DataFrame({"id": [1, 2]})
    lake.ensure("gold", "t.bare", frame.schema)
    first, second = lake.must_open("gold", "t.bare"), lake.must_open("gold", "t.bare")
    first.overwrite(frame, {"input:a": 1})
    with pytest.raises(CommitFailedError):
        second.overwrite(frame, {"input:b": 1})
    assert rows(lake, "t.bare") == [1, 2]
    third = lake.must_open("gold", "t.bare")
    frame.write_delta(lake.uri("gold", "t.bare"), mode="append")
    with pytest.raises(CommitFailedError):
        third.overwrite(frame, {"input:c": 1})
    assert rows(lake, "t.bare") == [1, 1, 2, 2]


@pytest.mark.parametrize("fault", [crash_before(1), crash_after(1)])
def test_a_crash_around_the_commit_is_made_good_by_the_next_run(
    lake: Lake, each: GoldTable, fault: Any
) -> None:
    committed(lake, each, fill(lake, items(1, 3)))
    pins = fill(lake, items(1, 5))
    with writes(fault), pytest.raises(Crash):
        committed(lake, each, pins)
    committed(lake, each, pins)
    assert rows(lake) == [1, 2, 3, 4, 5]


def test_a_closed_gate_commits_nothing(lake: Lake, each: GoldTable, tmp_path: Path) -> None:
    gone = tmp_path / "gone.yml"
    shutil.copy(each.contract, gone)
    strict = replace(each, contract=gone)
    gone.unlink()
    pins = fill(lake, items(1, 3))
    candidate = stage(lake, strict, pins)
    gate = audit(lake, strict, candidate)
    assert gate is not None
    with pytest.raises(GateClosed):
        curate(lake, candidate, gate)
    assert rows(lake) == []


def test_a_fresh_candidate_without_a_decision_about_it_is_not_committed(
    lake: Lake, each: GoldTable, tmp_path: Path
) -> None:
    other = tables(tmp_path / "contracts")[1]
    pins = fill(lake, items(1, 3))
    candidate, another = stage(lake, each, pins), stage(lake, other, pins)
    for gate in (None, audit(lake, other, another)):
        with pytest.raises(GateClosed):
            curate(lake, candidate, gate)
    assert rows(lake) == []


def test_duplicate_keys_close_the_gate(lake: Lake, each: GoldTable) -> None:
    doubling = replace(each, transform=lambda inputs: pl.concat([inputs[NAME], inputs[NAME]]), totals=None)
    gate = audit(lake, doubling, stage(lake, doubling, fill(lake, items(1, 3))))
    assert gate is not None
    assert gate.reasons == ("key is unique: failed (3 duplicate keys, such as id=1, id=2, id=3)",)


def test_a_total_that_is_lost_on_the_way_closes_the_gate(lake: Lake, each: GoldTable) -> None:
    losing = replace(each, transform=lambda inputs: inputs[NAME].filter(pl.col("id") != 2).select("id", "v"))
    gate = audit(lake, losing, stage(lake, losing, fill(lake, items(1, 3))))
    assert gate is not None
    assert gate.reasons == ("total of v survives: failed (silver 60, gold 40)",)


def test_the_audited_candidate_is_the_one_that_is_committed(lake: Lake, each: GoldTable) -> None:
    """What was staged is read again, not made again: a transform with chance in it shows just what was audited."""
    pins = fill(lake, items(1, 3))
    candidate = stage(lake, each, pins)
    gate = audit(lake, each, candidate)
    held = read_staged(lake, each.name, candidate.staging_id)
    curate(lake, candidate, gate)
    assert lake.must_open("gold", each.name).scan().sort("id").collect().equals(held)


def test_a_staged_file_is_there_whole_or_not_at_all(
    lake: Lake, each: GoldTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = fill(lake, items(1, 3))
    real = pl.DataFrame.write_parquet

    def killed(self: pl.DataFrame, target: Any, **named: Any) -> None:
        Path(target).write_bytes(b"PAR1 half a file")
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(pl.DataFrame, "write_parquet", killed)
        with pytest.raises(Crash):
            stage(lake, each, pins)
    assert pl.DataFrame.write_parquet is real
    candidate = stage(lake, each, pins)
    assert Path(staged_uri(lake, each.name, candidate.staging_id)).exists()
    committed(lake, each, pins)
    assert rows(lake) == [1, 2, 3]


def test_a_staged_file_that_is_gone_is_an_error_of_the_lake(lake: Lake, each: GoldTable) -> None:
    candidate = stage(lake, each, fill(lake, items(1, 3)))
    Path(staged_uri(lake, each.name, candidate.staging_id)).unlink()
    with pytest.raises(LakeUnusable):
        audit(lake, each, candidate)


def test_a_new_column_of_gold_is_taken_in_with_the_rows(lake: Lake, each: GoldTable) -> None:
    pins = fill(lake, items(1, 3))
    committed(lake, each, pins)
    wider = replace(each, transform=lambda inputs: inputs[NAME].select("id", "v", twice=pl.col("v") * 2))
    committed(lake, wider, fill(lake, items(1, 4)))
    assert lake.must_open("gold", each.name).columns == ["id", "v", "twice"]
    assert isinstance(lake.must_open("gold", each.name), Table)
