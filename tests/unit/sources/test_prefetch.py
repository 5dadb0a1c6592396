"""Reading ahead keeps the order, hands failures on, and leaves nothing running."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headworks.sources.prefetch import Channel, prefetched


class Counted:
    """Numbers, with what became of their iterator."""

    def __init__(self, count: int, failing_at: int | None = None) -> None:
        self.count, self.failing_at = count, failing_at
        self.given = 0
        self.closed = threading.Event()

    def items(self) -> Iterator[int]:
        """Yield the numbers."""
        try:
            for number in range(self.count):
                if number == self.failing_at:
                    raise ValueError(f"at {number}")
                self.given += 1
                yield number
        finally:
            self.closed.set()


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(1, 5))
def test_all_items_come_in_order(count: int, depth: int) -> None:
    counted = Counted(count)
    assert list(prefetched(counted.items(), depth)) == list(range(count))
    assert counted.closed.is_set()


def test_a_failure_is_raised_where_its_item_would_have_come() -> None:
    found: list[int] = []
    with pytest.raises(ValueError, match="at 3"):
        found.extend(prefetched(Counted(9, failing_at=3).items()))
    assert found == [0, 1, 2]


def test_a_reading_that_is_closed_closes_what_it_reads_and_reads_no_more_than_its_depth_ahead() -> None:
    counted = Counted(1000)
    reading = prefetched(counted.items(), 2)
    assert next(reading) == 0
    reading.close()
    assert counted.closed.is_set()
    assert counted.given <= 5
    assert not [thread for thread in threading.enumerate() if thread.name == "headworks-prefetch"]


def test_silence_is_an_error_of_the_callers_choice() -> None:
    channel: Channel[int] = Channel(1, silence_s=0.01, on_silence=lambda: LookupError("nothing came"))
    with pytest.raises(LookupError, match="nothing came"):
        next(channel.items())
