"""Run leases: who is at work on what, so that a second run learns it before it has done the work in vain.

A lease has a name and terms 1, 2, 3 …, each a small object that only its holder writes. A term is taken by creating
its object, which of several runs at once one can do; it is renewed by writing it again with a higher beat, and given
back by writing that it was. So the one conditional write is that of a new object, which every disk and store has.

No table's correctness rests on a lease: the protocols of landing, silver, gold and publication refuse what would
duplicate or lose a row, whoever holds what. A holder that lost its lease without noticing therefore does no harm, and
neither do two clocks that differ.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from headworks.errors import ConcurrentRun, LakeUnavailable, LakeUnusable
from headworks.ports import Clock, Sleep, system_clock, system_sleep
from headworks.storage.holders import Holder, is_alive, this_process
from headworks.storage.store import Lake

LEASE_S = 45.0
"""How long a holder that shows no sign of life is believed to live, in seconds."""

BEAT_S = 5.0
"""How often a holder shows a sign of life, in seconds."""

PATIENCE_S = 15 * 60.0
"""How long a run that waits does so, in seconds."""

_BEATS_WATCHED = 3
_POLL_S = 1.0
_FOLDER = "_headworks/leases"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.@-]")
_TERM = re.compile(r"(\d+)\.json")

LeaseState = Literal["free", "held", "unknown"]


class Term(BaseModel):
    """One term of a lease, as its holder last wrote it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run_id: str
    what: str
    holder: Holder
    taken_at: datetime
    renewed_at: datetime
    beat: int = 1
    released: bool = False


def lease_state(
    term: Term | None, run_id: str, now: datetime, lives: Callable[[Holder], bool | None], lease_s: float
) -> LeaseState:
    """Return whether a lease is free, surely held, or not known to be either, from its newest term.

    It is free where nobody holds it, where the holder gave it back, where the same run held it before it was begun
    again, where the holder's process is known to be dead, and where it was silent for ``lease_s`` seconds by the clock
    of this machine. That of another one may differ by hours: whether its holder lives has to be watched.
    """
    if term is None or term.released or term.run_id == run_id:
        return "free"
    alive = lives(term.holder)
    if alive is not None and _seconds(term.renewed_at, now) > lease_s:
        return "free"
    return "unknown" if alive is None else "held" if alive else "free"


@dataclass(frozen=True)
class Leasing:
    """How leases of one lake are taken: by which clock, and who is believed to live."""

    lake: Lake
    lease_s: float = LEASE_S
    clock: Clock = system_clock
    sleep: Sleep = system_sleep
    lives: Callable[[Holder], bool | None] = is_alive
    me: Callable[[], Holder] = this_process

    def take(self, name: str, run_id: str, what: str, *, patience_s: float = 0.0) -> Lease:
        """Take a lease, waiting up to ``patience_s`` seconds for a living holder to give it back.

        A holder of whom it is not known whether it lives is watched until it shows a sign of life or its lease expires,
        whatever the patience: a run that gave way to a dead one would leave the work undone. Raises `ConcurrentRun`
        where a living run holds the lease for longer than that.
        """
        began = changed_at = self.clock()
        number, term = self.newest(name)
        shown = False
        while True:
            now = self.clock()
            state = lease_state(term, run_id, now, self.lives, self.lease_s)
            if state == "free" or (state == "unknown" and self._is_silent(term, changed_at, now)):
                taken = self._create(name, number + 1, run_id, what)
                if taken is not None:
                    return taken
            elif (state == "held" or shown) and _seconds(began, now) >= patience_s:
                raise _held(name, term)
            else:
                self.sleep(_POLL_S)
            before = (number, term)
            number, term = self.newest(name)
            shown = (number, term) != before
            changed_at = now if shown else changed_at

    def _is_silent(self, term: Term | None, changed_at: datetime, now: datetime) -> bool:
        """Return whether a holder on another machine showed no sign of life for as long as a lease.

        Its clock may be behind ours, so what it says counts only when some beats were watched for in vain; or ahead of
        ours, so watching for a whole lease counts in any case.
        """
        watched = _seconds(changed_at, now)
        said = term is not None and _seconds(term.renewed_at, now) > self.lease_s
        return watched > self.lease_s or (said and watched >= _BEATS_WATCHED * BEAT_S)

    def newest(self, name: str) -> tuple[int, Term | None]:
        """Return the number and the content of a lease's newest term; 0 where there is none.

        The content is None where it cannot be read: it was taken away by the holder of the next one, or another
        version of headworks wrote it.
        """
        numbers = self._numbers(name)
        if not numbers:
            return 0, None
        try:
            return numbers[-1], Term.model_validate(self.lake.get_object(_path(name, numbers[-1])))
        except (LakeUnusable, LakeUnavailable, ValidationError):
            return numbers[-1], None

    def _create(self, name: str, number: int, run_id: str, what: str) -> Lease | None:
        """Create a term; None where another run was faster."""
        now = self.clock()
        term = Term(run_id=run_id, what=what, holder=self.me(), taken_at=now, renewed_at=now)
        if not self.lake.create_object(_path(name, number), term.model_dump(mode="json")):
            return None
        *older, newest = self._numbers(name)
        if newest != number:
            # Others came, went and cleaned up since we looked: theirs is the newer term.
            self.lake.remove_object(_path(name, number))
            return None
        for each in older:
            self.lake.remove_object(_path(name, each))
        return Lease(self, name, number, term)

    def _numbers(self, name: str) -> list[int]:
        found = self.lake.list_objects(_folder(name))
        terms = (_TERM.fullmatch(each.path.rpartition("/")[2]) for each in found)
        return sorted(int(match[1]) for match in terms if match)


class Lease:
    """A lease that was taken; it is kept by renewing it before it expires."""

    def __init__(self, leasing: Leasing, name: str, number: int, term: Term) -> None:
        self._leasing, self._name = leasing, name
        self._term = term
        self.number = number

    def renew(self) -> bool:
        """Show a sign of life; False where another run has taken the lease meanwhile."""
        update = {"beat": self._term.beat + 1, "renewed_at": self._leasing.clock()}
        return self._write(self._term.model_copy(update=update))

    def release(self) -> bool:
        """Give the lease back; False where another run has taken it meanwhile."""
        return self._write(self._term.model_copy(update={"released": True}))

    def _write(self, term: Term) -> bool:
        if self._leasing.newest(self._name)[0] != self.number:
            return False
        self._leasing.lake.put_object(_path(self._name, self.number), term.model_dump(mode="json"))
        self._term = term
        return True


@contextmanager
def heartbeat(
    lease: Lease, *, beat_s: float = BEAT_S, lost: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Renew a lease in a thread as long as the block lasts, and give it back at its end, however it ends.

    ``lost`` is called once where another run has taken the lease. A lake that does not answer is asked again at the
    next beat, and is no reason to stop.
    """
    over = threading.Event()

    def beat() -> None:
        while not over.wait(beat_s):
            with suppress(LakeUnusable, LakeUnavailable):
                if not lease.renew():
                    lost()
                    return

    # In this context, so that what is logged from there belongs to the same run.
    thread = threading.Thread(target=copy_context().run, args=(beat,), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(LakeUnusable, LakeUnavailable):
            lease.release()


def _held(name: str, term: Term | None) -> ConcurrentRun:
    holder = (
        f"{term.what}, at work since {term.taken_at:%Y-%m-%d %H:%M:%S} UTC" if term else "of another version"
    )
    return ConcurrentRun(
        f"Another run is at work on {name}: {holder}. Nothing was read by this one.",
        where=f"lease {name}",
        do="let the other run finish, or start this one with on_conflict wait.",
    )


def _seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()


def _folder(name: str) -> str:
    return f"{_FOLDER}/{_UNSAFE.sub('_', name)}"


def _path(name: str, number: int) -> str:
    return f"{_folder(name)}/{number}.json"
