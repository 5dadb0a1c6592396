"""Run leases: one run at a time, a dead one's lease expires, and nobody gives way to a dead one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from headworks.errors import ConcurrentRun, LakeUnusable
from headworks.ops.leases import LEASE_S, Lease, Leasing, heartbeat
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.support.leases import Waiting, leasing

NAME = "sales"
AN_HOUR_S = 3600.0
HOLDER = """
import sys
from headworks.ops.leases import Leasing, heartbeat
from headworks.storage.store import Lake
from headworks.settings import LakeSettings

lake = Lake(LakeSettings(root=sys.argv[1]))
with heartbeat(Leasing(lake).take("sales", "another", "sales, run another"), beat_s=0.05):
    print("taken", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def clock() -> Waiting:
    return Waiting()


def test_a_second_run_is_refused_at_once_and_told_who_is_at_work(lake: Lake, clock: Waiting) -> None:
    leasing(lake, clock).take(NAME, "first", "sales, http://prefect/runs/first")
    with pytest.raises(ConcurrentRun) as caught:
        leasing(lake, clock, lives=True).take(NAME, "second", "sales")
    assert "http://prefect/runs/first" in caught.value.what
    assert "2026-01-05 08:00:00" in caught.value.what
    assert "on_conflict" in caught.value.do
    assert clock.waited_s == 0


def test_other_names_are_other_leases(lake: Lake, clock: Waiting) -> None:
    take = leasing(lake, clock, lives=True).take
    assert (
        take(NAME, "first", "").number == take("sales@20260105T000000-20260106T000000", "second", "").number
    )


def test_a_lease_that_was_given_back_is_taken_at_once(lake: Lake, clock: Waiting) -> None:
    first = leasing(lake, clock).take(NAME, "first", "")
    assert first.release()
    assert leasing(lake, clock, lives=True).take(NAME, "second", "").number == 2
    assert clock.waited_s == 0
    assert not first.release(), "the second run's lease was given back by the first one"
    assert not first.renew()


def test_a_waiting_run_goes_on_when_the_other_one_is_done(lake: Lake, clock: Waiting) -> None:
    first = leasing(lake, clock).take(NAME, "first", "")
    clock.meanwhile = lambda: first.release() if clock.waited_s >= 100 else first.renew()
    second = leasing(lake, clock).take(NAME, "second", "", patience_s=AN_HOUR_S)
    assert second.number == 2
    assert 100 <= clock.waited_s < 103


def test_a_waiting_run_loses_its_patience_with_one_that_lives(lake: Lake, clock: Waiting) -> None:
    first = leasing(lake, clock).take(NAME, "first", "")
    clock.meanwhile = first.renew
    with pytest.raises(ConcurrentRun):
        leasing(lake, clock).take(NAME, "second", "", patience_s=90)
    assert 90 <= clock.waited_s < 92


def test_a_run_that_would_refuse_first_waits_for_a_sign_of_life(lake: Lake, clock: Waiting) -> None:
    first = leasing(lake, clock).take(NAME, "first", "")
    clock.meanwhile = lambda: clock.waited_s >= 4 and first.renew()
    with pytest.raises(ConcurrentRun):
        leasing(lake, clock).take(NAME, "second", "")
    assert 4 <= clock.waited_s < 6


def test_nobody_gives_way_to_a_dead_run_that_nobody_can_look_at(lake: Lake, clock: Waiting) -> None:
    first = leasing(lake, clock).take(NAME, "first", "")
    clock.pass_by(10)
    assert leasing(lake, clock).take(NAME, "second", "").number == 2
    assert clock.waited_s == pytest.approx(LEASE_S - 10, abs=2)
    assert not first.renew(), "a run that was taken for dead does not know it"


def test_a_lease_that_expired_long_ago_is_taken_at_once(lake: Lake, clock: Waiting) -> None:
    leasing(lake, clock).take(NAME, "first", "")
    clock.pass_by(AN_HOUR_S)
    assert leasing(lake, clock, lives=True).take(NAME, "second", "").number == 2
    assert clock.waited_s == 0


def test_a_dead_process_of_this_machine_holds_nothing(lake: Lake, clock: Waiting) -> None:
    leasing(lake, clock).take(NAME, "first", "")
    assert leasing(lake, clock, lives=False).take(NAME, "second", "").number == 2
    assert clock.waited_s == 0


def test_a_run_that_is_begun_again_elsewhere_takes_back_its_own_lease(lake: Lake, clock: Waiting) -> None:
    leasing(lake, clock).take(NAME, "first", "")
    assert leasing(lake, clock, lives=True).take(NAME, "first", "").number == 2


@pytest.mark.parametrize("ahead_s", [-AN_HOUR_S, AN_HOUR_S])
def test_clocks_that_differ_by_an_hour_hold_up_nobody_for_longer_than_a_lease(
    lake: Lake, clock: Waiting, ahead_s: float
) -> None:
    other = Waiting()
    other.pass_by(ahead_s)
    leasing(lake, other).take(NAME, "first", "")
    leasing(lake, clock).take(NAME, "second", "")
    assert clock.waited_s <= LEASE_S + 2


def test_a_term_that_cannot_be_read_holds_nothing_up(lake: Lake, clock: Waiting) -> None:
    lake.put_object(f"_headworks/leases/{NAME}/7.json", {"version": 9})
    assert leasing(lake, clock).take(NAME, "first", "").number == 8


def test_old_terms_are_cleared_away(lake: Lake, clock: Waiting) -> None:
    for number in range(5):
        leasing(lake, clock).take(NAME, f"run{number}", "").release()
    assert [each.path for each in lake.list_objects("_headworks/leases")] == [
        f"_headworks/leases/{NAME}/5.json"
    ]


def test_a_run_that_looked_long_before_it_took_does_not_get_an_old_term(lake: Lake, clock: Waiting) -> None:
    """It saw nobody; since then others took term 1, gave it back, took term 2 and cleared term 1 away."""
    slow = leasing(lake, clock, lives=True)
    leasing(lake, clock).take(NAME, "first", "").release()
    second = leasing(lake, clock).take(NAME, "second", "")
    assert slow._create(NAME, 1, "slow", "") is None
    assert second.renew()
    assert slow.newest(NAME)[0] == 2


def test_of_many_runs_at_once_one_takes_the_lease(lake: Lake) -> None:
    assert len(taken_at_once(lake)) == 1


def taken_at_once(lake: Lake, runs: int = 8) -> list[Lease]:
    """Let runs take the same lease at the same moment; returns those that were taken."""
    start = threading.Barrier(runs)

    def one(number: int) -> Lease | None:
        start.wait(timeout=30)
        try:
            return Leasing(lake, lives=lambda holder: True).take(NAME, f"run{number}", "")
        except ConcurrentRun:
            return None

    with ThreadPoolExecutor(runs) as pool:
        return [lease for lease in pool.map(one, range(runs)) if lease is not None]


def test_a_lease_is_kept_and_then_given_back_whatever_happens_in_between(lake: Lake, clock: Waiting) -> None:
    taking = leasing(lake, clock)
    beats = threading.Event()
    lease = taking.take(NAME, "first", "")

    class Counting(Lease):
        def renew(self) -> bool:
            beats.set()
            return super().renew()

    counting = Counting(taking, NAME, lease.number, lease._term)

    def run() -> None:
        with heartbeat(counting, beat_s=0.001):
            assert beats.wait(30)
            raise SystemExit

    with pytest.raises(SystemExit):
        run()
    _, term = taking.newest(NAME)
    assert term is not None
    assert term.released
    assert term.beat > 1


def test_a_run_whose_lease_was_taken_is_told_and_goes_on(lake: Lake, clock: Waiting) -> None:
    output = threading.Event()
    lease = leasing(lake, clock).take(NAME, "first", "")
    leasing(lake, clock, lives=False).take(NAME, "second", "")
    with heartbeat(lease, beat_s=0.001, lost=output.set):
        assert output.wait(30)
    _, term = leasing(lake, clock).newest(NAME)
    assert term is not None
    assert not term.released, "the other run's lease was given back"


def test_a_lake_that_does_not_answer_for_a_while_ends_no_lease(lake: Lake, clock: Waiting) -> None:
    answers, asked = threading.Event(), threading.Event()

    class Flaky(Lease):
        def renew(self) -> bool:
            if not asked.is_set():
                asked.set()
                raise LakeUnusable("not now")
            answers.set()
            return super().renew()

    lease = leasing(lake, clock).take(NAME, "first", "")
    with heartbeat(Flaky(leasing(lake, clock), NAME, lease.number, lease._term), beat_s=0.001):
        assert answers.wait(30)


@contextmanager
def held_by_another_process(root: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold the lease as long as the block lasts."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "taken\n"
        yield process
        process.kill()


def test_a_process_that_holds_the_lease_is_given_way_to_and_a_killed_one_is_not(tmp_path: Path) -> None:
    lake = Lake(LakeSettings(root=str(tmp_path)))
    with held_by_another_process(tmp_path) as holder:
        with pytest.raises(ConcurrentRun, match="run another"):
            Leasing(lake).take(NAME, "mine", "")
        # As from another container: nothing but its beats shows that it lives.
        with pytest.raises(ConcurrentRun):
            Leasing(lake, lives=lambda process: None).take(NAME, "mine", "")
        holder.kill()
        holder.wait()
        clock = Waiting()
        assert Leasing(lake, sleep=clock.sleep).take(NAME, "mine", "").number == 2
        assert clock.waited_s == 0


def test_a_process_that_ends_well_gives_the_lease_back(tmp_path: Path) -> None:
    lake = Lake(LakeSettings(root=str(tmp_path)))
    with held_by_another_process(tmp_path) as holder:
        assert holder.stdin is not None
        holder.stdin.close()
        holder.wait()
        _, term = Leasing(lake).newest(NAME)
        assert term is not None
        assert term.released
