"""Each check of the conformance suite finds the fault that it is there for, and lets a source without it pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headworks.errors import SourceUnavailable
from headworks.settings import LakeSettings
from headworks.sources.base import Batch, Position
from headworks.storage.store import Lake
from headworks.testing import checks
from headworks.testing.checks import SourceBehaviour
from tests.support.sources import ITEMS, Numbered, frame_of, items

GOOD = SourceBehaviour()


def good() -> Numbered:
    """Make a source of seven items in batches of two."""
    return Numbered(items(1, 7))


@dataclass
class Faulty(Numbered):
    """A source with one fault, named by ``fault``."""

    fault: str = ""
    readings: list[int] = field(default_factory=list)
    open: list[object] = field(default_factory=list)

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield batches, with the fault."""
        self.readings.append(1)
        start = position["n"] if position else 0
        if self.fault == "loses when resumed" and position:
            start += 1
        if self.fault == "doubles when resumed" and position:
            start -= 1
        if self.fault == "ignores positions":
            start = 0
        if self.fault == "changes its position" and position:
            position["n"] = -1
        if self.fault == "shows its secret":
            raise SourceUnavailable("no answer from db://reader:s3cret@db")
        if self.fault == "shows its secret in the cause":
            try:
                raise ValueError("s3cret")
            except ValueError as problem:
                raise SourceUnavailable("no answer") from problem
        self.open.append(self)
        yield from self._batches(start)

    def _batches(self, start: int) -> Iterator[Batch]:
        for at in range(start, len(self.records), self.size):
            part = self.records[at : at + self.size]
            frame, place = frame_of(part, self.schema), at + len(part)
            if self.fault == "another column":
                frame = frame.with_columns(extra=pl.lit(1))
            if self.fault == "another order each time":
                frame = frame.reverse() if len(self.readings) % 2 else frame
            read = len(part) + (self.fault == "miscounts")
            yield Batch(frame, self._position(place), read=read)

    def _position(self, place: int) -> Position:
        if self.fault == "a position that is no JSON":
            return {"n": datetime(2026, 1, 1)}
        if self.fault == "a position that JSON changes":
            return {"n": place, "at": (1, 2)}
        return {"n": place}


def faulty(fault: str) -> Callable[[], Faulty]:
    """Return a way to make a source with this fault."""
    readings: list[int] = []
    return lambda: Faulty(items(1, 7), fault=fault, readings=readings)


def lakes(folder: Path) -> Callable[[str], Lake]:
    """Return a way to make lakes below a folder."""
    return lambda name: Lake(LakeSettings(root=str(folder / name)))


Check = Callable[[Callable[[], Any], Path], None]
CHECKS: dict[str, Check] = {
    "batches": lambda make, folder: checks.check_batches(make),
    "positions": lambda make, folder: checks.check_positions(make),
    "schema": lambda make, folder: checks.check_schema(make),
    "repeatable": lambda make, folder: checks.check_repeatable(make, GOOD),
    "resume": lambda make, folder: checks.check_resume(make, GOOD),
    "end": lambda make, folder: checks.check_end(make, GOOD),
    "kills": lambda make, folder: checks.check_kills(make, lakes(folder), GOOD),
}


@pytest.mark.parametrize("check", CHECKS)
def test_a_source_without_fault_passes_each_check(check: str, tmp_path: Path) -> None:
    CHECKS[check](good, tmp_path)
    CHECKS[check](faulty(""), tmp_path / "again")


@pytest.mark.parametrize(
    ("fault", "check", "says"),
    [
        ("another column", "batches", "batch 1 has"),
        ("miscounts", "batches", "says it read 3"),
        ("a position that is no JSON", "positions", "not JSON serializable"),
        ("a position that JSON changes", "positions", "trip through JSON"),
        ("another order each time", "repeatable", "two readings"),
        ("changes its position", "repeatable", "changed it"),
        ("loses when resumed", "resume", "1 records are lost"),
        ("doubles when resumed", "resume", "1 records come again"),
        ("ignores positions", "end", "7 records come again"),
        ("loses when resumed", "kills", "are lost"),
        ("doubles when resumed", "kills", "are duplicates"),
    ],
)
def test_each_fault_is_found(fault: str, check: str, says: str, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, TypeError), match=says):
        CHECKS[check](faulty(fault), tmp_path)


def test_too_few_batches_are_no_test(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="make them smaller"):
        checks.check_batches(lambda: Numbered(items(1, 4)))


def test_an_overlap_is_allowed_to_who_declares_it_but_never_a_loss(tmp_path: Path) -> None:
    overlapping = SourceBehaviour(overlap=True)
    checks.check_resume(faulty("doubles when resumed"), overlapping)
    checks.check_kills(faulty("doubles when resumed"), lakes(tmp_path), overlapping)
    with pytest.raises(AssertionError, match="are lost"):
        checks.check_resume(faulty("loses when resumed"), overlapping)


def test_a_schema_that_depends_on_what_was_read_is_found() -> None:
    class Learning(Numbered):
        def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
            yield from super().read(position, until)
            self.schema = pl.Schema({**ITEMS, "extra": pl.Int64()})

    with pytest.raises(AssertionError, match="changed the schema"):
        checks.check_schema(lambda: Learning(items(1, 7)))


def test_a_connection_that_stays_open_is_found() -> None:
    held: list[object] = []

    class Holding(Numbered):
        def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
            held.append(self)
            yield from super().read(position, until)

    checks.check_closes(good, lambda: 0)
    with pytest.raises(AssertionError, match="1 connections are still open"):
        checks.check_closes(lambda: Holding(items(1, 7)), lambda: len(held))


@pytest.mark.parametrize("fault", ["shows its secret", "shows its secret in the cause"])
def test_a_secret_in_an_error_is_found_and_not_shown_again(fault: str) -> None:
    with pytest.raises(AssertionError, match="a secret is in") as caught:
        checks.check_secrets(faulty(fault)(), ["s3cret"])
    assert "s3cret" not in str(caught.value)


def test_a_source_that_was_to_fail_and_does_not_is_found() -> None:
    with pytest.raises(AssertionError, match="did not"):
        checks.check_secrets(good(), ["s3cret"])
