"""Machines whose clocks differ by hours: leases hold, and each failure is reported once, and once that it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from headworks.errors import ConcurrentRun
from headworks.ops.alerts import Alert
from headworks.ops.incidents import heal, notify, open_incidents
from headworks.storage.store import Lake
from tests.support.leases import Waiting, leasing

HOURS = (-24, -1, 0, 1, 24)


class Heard:
    """A channel that keeps what it was given."""

    def __init__(self) -> None:
        self.titles: list[str] = []

    def send(self, alert: Alert) -> None:
        self.titles.append(alert.title)


@pytest.mark.parametrize("hours", HOURS)
def test_a_living_run_keeps_its_lease_whatever_the_clock_of_another_machine(lake: Lake, hours: int) -> None:
    clock = Waiting()
    first = leasing(lake, clock).take("product sales", "first", "sales")
    clock.meanwhile = first.renew
    other = leasing(lake, clock)
    askew = type(other)(**{**vars(other), "clock": lambda: clock.now + timedelta(hours=hours)})
    with pytest.raises(ConcurrentRun):
        askew.take("product sales", "second", "sales")
    assert first.renew()


@pytest.mark.parametrize("hours", HOURS)
def test_a_dead_run_holds_nobody_up_for_longer_than_a_lease(lake: Lake, hours: int) -> None:
    clock = Waiting()
    leasing(lake, clock).take("product sales", "first", "sales")
    other = leasing(lake, clock)
    askew = type(other)(**{**vars(other), "clock": lambda: clock.now + timedelta(hours=hours)})
    assert askew.take("product sales", "second", "sales").number == 2
    assert clock.waited_s <= 47


@pytest.mark.sampled(7)
@pytest.mark.parametrize("first", HOURS)
@pytest.mark.parametrize("second", HOURS)
def test_a_new_failure_is_told_and_an_old_one_is_over_once(lake: Lake, first: int, second: int) -> None:
    """One machine shows of the failure, another one that it is over, and then of the next."""
    heard, now = Heard(), datetime(2026, 1, 5, 8, tzinfo=UTC)
    alert = Alert(
        incident="flow x", kind="run failed", title="x failed", details=(), examples=(), do="", link=""
    )
    for round_ in range(3):
        for hours in (first, second):
            moment = now + timedelta(minutes=10 * round_, hours=hours)
            assert notify(lake, [heard], alert, lambda at=moment: at)  # type: ignore[misc]
            assert not notify(lake, [heard], alert, lambda at=moment: at)  # type: ignore[misc]
            over = now + timedelta(minutes=10 * round_ + 5, hours=second if hours == first else first)
            assert heal(lake, [heard], "flow x", clock=lambda at=over: at)  # type: ignore[misc]
            assert not heal(lake, [heard], "flow x", clock=lambda at=over: at)  # type: ignore[misc]
    assert open_incidents(lake) == ()
    assert len(heard.titles) == 12
