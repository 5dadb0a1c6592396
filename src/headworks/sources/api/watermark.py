"""Where the next incremental reading begins: the largest value seen, and the records that share it.

The watermark moves only when a pass has ended, since pages need not be in the cursor's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headworks.redaction import excerpt
from headworks.sources.api.memory import MOST_EXPECTED, digest
from headworks.sources.api.records import value_of
from headworks.sources.api.resource import Incremental
from headworks.sources.api.values import Value, Values, moment_us

Extent = tuple[int, int, int]
"""The smallest and the largest moment of a scan, and how many records are in the unit of the smallest."""


class Watermark:
    """The largest value of a pass, and what the next reading will see again."""

    def __init__(
        self, incremental: Incremental, mark: Value | None, high: Value | None, now: datetime
    ) -> None:
        self._spec, self._values, self._mark = incremental, Values(incremental), mark
        self._now_us = moment_us(now)
        self.high = high
        self._ties: list[tuple[Value, bytes]] = []
        self._overflown = False
        self.read = self.unread = 0
        self._example = b""

    def see(
        self,
        raws: Sequence[bytes | None],
        records: Sequence[bytes],
        extent: Extent | None = None,
    ) -> Extent | None:
        """Look at a page: the raw cursor value of each record, and the records.

        Returns the extent of a scan whose pages before had that of ``extent``.
        """
        moments: list[int] = []
        for raw, record in zip(raws, records, strict=True):
            value = self._values.read(value_of(raw))
            if value is None or not _comparable(value, self.high):
                self._passed(raw)
                continue
            self.read += 1
            if isinstance(value, int):
                moments.append(value)
            if self.high is None or value > self.high:  # type: ignore[operator]
                self.high = value
            self._ties.append((value, record))
        self._prune()
        return self._extent(moments, extent) if moments else extent

    def _extent(self, moments: list[int], before: Extent | None) -> Extent:
        low, high = min(moments), max(moments)
        if before is not None:
            low, high = min(low, before[0]), max(high, before[1])
        end = self._values.above(low)
        lowest = sum(1 for moment in moments if moment < end)
        if before is not None and before[0] < end:
            lowest += before[2]
        return low, high, lowest

    def _passed(self, raw: bytes | None) -> None:
        """Remember a value that is none of the format; nothing and null are no values."""
        if raw is not None and raw != b"null":
            self.unread += 1
            self._example = self._example or raw

    def warning(self) -> str:
        """Say how many records have a value that cannot be read; empty where none has."""
        if not self.unread:
            return ""
        said = excerpt(self._example.decode("utf-8", "replace"), 60)
        unread = f"{self.unread} records have a {self._spec.field} that cannot be read as {self._spec.format}"
        start = f"{unread}, such as {said}"
        if self.read:
            return f"{start}: they do not move the position."
        return (
            f"{start}: the position does not move, and every run reads all of it again. Correct the format."
        )

    def next_mark(self) -> Value | None:
        """Return the watermark once the pass has ended: never in the future, never behind the last one."""
        high = self.high
        if isinstance(high, int) and self._spec.clamp_future:
            high = min(high, self._now_us)
        if high is None or not _comparable(high, self._mark):
            return self._mark
        return high if self._mark is None else max(high, self._mark)

    def ties(self) -> list[str]:
        """Return digests of the records that the next reading will give again, none where they are too many."""
        self._prune()
        return [] if self._overflown else sorted(digest(record) for _, record in self._ties)

    def _prune(self) -> None:
        begin = self.next_mark()
        if isinstance(begin, int):
            # A parameter that is coarser than the field, such as a day, brings all of its unit again.
            begin = self._values.first_us(begin)
        if begin is not None:
            self._ties = [tie for tie in self._ties if tie[0] >= begin]  # type: ignore[operator]
        if len(self._ties) > MOST_EXPECTED:
            self._ties, self._overflown = [], True


def _comparable(value: Value, other: Value | None) -> bool:
    return other is None or isinstance(value, str) == isinstance(other, str)
