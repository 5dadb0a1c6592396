"""A record that fits no row is landed with the good ones in one commit, counted apart, and rejected by refinement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

import dataframely as dy
import polars as pl
import pytest

from headworks.bronze.landing import Landing, land
from headworks.bronze.refusals import refused_rows
from headworks.errors import AccountMismatch
from headworks.ops.account import account_text
from headworks.ops.recorder import Recorder
from headworks.reconcile import differences, reconcile
from headworks.reports import LandingReport, RunReport
from headworks.silver.dataset import Dataset
from headworks.silver.mirror import mirror
from headworks.silver.quarantine import rejected_rows
from headworks.silver.refinement import Refinement, refine
from headworks.silver.rejects import open_rejects
from headworks.silver.replay import replay
from headworks.sources.base import PLACE, REFUSAL, Batch, Position
from headworks.storage.store import Lake
from tests.support.items import ITEM, NAME, bronze, refine_items, silver
from tests.support.sources import ITEMS

SCHEMA = pl.Schema({**ITEMS, **PLACE, **REFUSAL})
GOOD = ("1", "10", 1, "a.csv", 2, None, None)
RULE_BROKEN = ("2", "-5", 1, "a.csv", 3, None, None)
REFUSED = (None, None, None, "a.csv", 4, "line|fields", b"2,\xff")


@dataclass
class Refusing:
    """Yields one batch with a good row, one that breaks a rule, and a refused one."""

    schema: pl.Schema = field(default_factory=lambda: SCHEMA)

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield the batch unless it was read."""
        if position is None:
            frame = pl.DataFrame([GOOD, RULE_BROKEN, REFUSED], schema=SCHEMA, orient="row")
            yield Batch(frame, {"n": 1}, read=3, refused=1, warnings=("b.csv vanished",))


def land_all(lake: Lake) -> LandingReport:
    return land(Landing(lake, NAME, NAME, "run"), Refusing())


def test_a_refused_record_stays_rejected_when_it_is_judged_again(lake: Lake) -> None:
    """It has no columns to judge, so no rule that was fixed can let it pass."""
    land_all(lake)
    refine_items(lake)
    report = replay(Refinement(lake, "replay"), ITEM).report
    assert (report.judged, report.released, report.still_rejected) == (2, 0, 2)
    assert report.reasons == {"line|fields": 1, "v|min": 1}


def run_report(landing: LandingReport) -> RunReport:
    recorder = Recorder("run", "ingest_files", "incremental", "lake")
    recorder.landings.append(landing)
    return recorder.report("unchanged")


def test_a_refused_record_is_in_the_commit_of_its_batch_with_its_exact_bytes(lake: Lake) -> None:
    report = land_all(lake)
    assert (report.read, report.landed, report.refused, report.batches) == (3, 2, 1, 1)
    (row,) = bronze(lake).filter(pl.col("_refused").is_not_null()).iter_rows(named=True)
    assert (row["_refused"], row["_raw"], row["_sequence"]) == ("line|fields", b"2,\xff", 1)
    assert (row["id"], row["v"], row["at"]) == (None, None, None)


def test_the_account_counts_refused_records_and_tells_the_warnings(lake: Lake) -> None:
    report = run_report(land_all(lake))
    reconcile(report)
    text = account_text(report)
    assert "refused" in text
    assert "b.csv vanished" in text


def test_a_refused_record_that_is_not_counted_is_a_difference(lake: Lake) -> None:
    report = run_report(land_all(lake).model_copy(update={"refused": 0}))
    assert differences(report) == [f"{NAME}: read 3, but landed 2 + refused 0 + read again 0"]
    with pytest.raises(AccountMismatch):
        reconcile(report)


def test_refinement_rejects_refused_records_for_the_sources_reason_and_keeps_where_they_stood(
    lake: Lake,
) -> None:
    land_all(lake)
    report = refine_items(lake)
    assert (report.landed, report.inserted, report.rejected) == (3, 1, 2)
    assert report.reasons == {"line|fields": 1, "v|min": 1}
    kept = rejected_rows(lake, NAME, lake.open("silver", NAME))
    assert kept is not None
    by_rule, refused = kept.sort("_line").collect().iter_rows(named=True)
    assert (by_rule["_file"], by_rule["_line"], by_rule["key"]) == ("a.csv", 3, "2")
    assert (refused["_file"], refused["_line"], refused["key"]) == ("a.csv", 4, None)
    assert (refused["reasons"], refused["record"]) == (["line|fields"], "2,�")


def test_records_of_json_are_refused_likewise(lake: Lake) -> None:
    """A dataset that takes records apart meets rows without one."""
    records = pl.DataFrame(
        [(b'{"id": 1, "v": 5}', None, None), (None, "line|json", b"{")],
        schema={"record": pl.Binary(), **REFUSAL},
        orient="row",
    )

    @dataclass
    class Records:
        schema: pl.Schema

        def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
            yield Batch(records, {"n": 1}, read=2, refused=1)

    land(Landing(lake, NAME, NAME, "run"), Records(records.schema))
    dataset = replace(
        ITEM,
        fields=("id", "v"),
        columns={**ITEM.columns, "at": pl.lit(None, dtype=pl.Int64)},
    )
    report = refine(Refinement(lake, "run"), dataset).report
    assert (report.inserted, report.reasons) == (1, {"line|json": 1})
    assert silver(lake) == {1: (5, None)}


def test_without_silver_refused_records_are_read_from_bronze(lake: Lake) -> None:
    assert refused_rows(lake, NAME) is None
    land_all(lake)
    found = refused_rows(lake, NAME)
    assert found is not None
    (row,) = found.collect().iter_rows(named=True)
    assert (row["_file"], row["_line"], row["reason"], row["raw"]) == ("a.csv", 4, "line|fields", b"2,\xff")


class Words(dy.Schema):
    """A key and a text."""

    id = dy.String(nullable=False)
    note = dy.String(nullable=True)


@dataclass
class Given:
    """Yields frames, one for each reading."""

    frames: list[pl.DataFrame]

    @property
    def schema(self) -> pl.Schema:
        """The columns of the frames."""
        return self.frames[0].schema

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield the frame after the position."""
        number = 0 if position is None else int(position["n"])
        if number < len(self.frames):
            frame = self.frames[number]
            bad = frame.filter(pl.col("_refused").is_not_null()).height
            yield Batch(frame, {"n": number + 1}, read=frame.height, refused=bad)


def open_keys(lake: Lake) -> list[str | None]:
    rows = open_rejects(lake, NAME, lake.open("silver", NAME)).select("key").collect()
    return sorted(rows.to_series().to_list(), key=str)


def test_a_refused_json_record_leaves_the_open_ones_by_its_key_and_none_where_that_is_damaged(
    lake: Lake,
) -> None:
    """The text of another field is no UTF-8, or that of the key itself, or nothing is JSON: over two further runs."""
    schema = pl.Schema({"record": pl.Binary(), **REFUSAL})
    bad = [
        (None, "line|encoding", b'{"id": "a", "note": "\xff"}'),
        (None, "line|encoding", b'{"id": "b\xff", "note": ""}'),
        (None, "line|json", b'{"id": "c"'),
    ]
    damaged = "b\ufffd".encode()
    good = [(b'{"id": "%s", "note": "x"}' % name, None, None) for name in (b"a", damaged, b"c")]
    first, second, third = (pl.DataFrame(rows, schema=schema, orient="row") for rows in (bad, good, good))
    columns = {"id": pl.col("id"), "note": pl.col("note")}
    dataset = Dataset(NAME, ("id",), Words, columns, ("id", "note"), limits=ITEM.limits)
    lefts: list[list[str | None]] = [[None, None, "a"], [None, None], [None, None]]
    for number, left in enumerate(lefts):
        frames = [first, second, third][: number + 1]
        land(Landing(lake, NAME, NAME, f"run {number}"), Given(frames))
        refine(Refinement(lake, f"run {number}"), dataset)
        assert open_keys(lake) == sorted(left, key=str)


def test_a_refused_row_of_the_future_is_replaced_by_what_arrives_later(lake: Lake) -> None:
    """Its cursor would be the newest for ever, so the order of arrival decides; both reasons are told."""
    schema = pl.Schema({"id": pl.Int64(), "note": pl.String(), "at": pl.Datetime("us"), **REFUSAL})
    raw = b'{"id": 1, "note": "ff", "at": "2999-01-01 00:00:00"}'
    first = pl.DataFrame([(None, None, None, "note|unreadable", raw)], schema=schema, orient="row")
    at = datetime(2026, 1, 5)
    good = pl.DataFrame([(1, "x", at, None, None)], schema=schema, orient="row")
    columns = pl.Schema({name: schema[name] for name in ("id", "note", "at")})
    dataset = replace(mirror(NAME, ("id",), columns, "at"), limits=ITEM.limits)
    for number, left in enumerate((["1"], [], [])):
        land(Landing(lake, NAME, NAME, f"run {number}"), Given([first, good, good][: number + 1]))
        report = refine(Refinement(lake, f"run {number}"), dataset).report
        assert open_keys(lake) == left
        assert report.reasons == ({} if number else {"cursor|future": 1, "note|unreadable": 1})
