"""Starting workers, following their markers, and killing them with SIGKILL where the plan says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from threading import Timer
from typing import IO

from headworks.bronze.ingest import Mode
from tests.chaos.plan import Aim
from tests.chaos.steps import Kind, Marker, Phase, Place, follow, read_marker

ROOT = Path(__file__).parents[2]
# Only for a pass that hangs: a busy machine may take ten times as long as an idle one.
LONGEST_PASS_S = 600
_FIRST_GUESS_S = 0.02


class PassFailed(Exception):
    """A pass that nobody killed did not come to its end."""


@dataclass(frozen=True)
class Attempt:
    """How a pass went: killed or done, where it was when it was killed, and what it had said to be landed."""

    killed: bool
    stack: tuple[Place, ...] = ()
    acknowledged: dict[str, int] = field(default_factory=dict)

    @property
    def where(self) -> Place | None:
        """The innermost place of the kill; None before the first step or after the last."""
        return self.stack[-1] if self.stack else None


def kill_group(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Kill a process with its whole group, as the kernel does when memory runs out: nothing in it can react."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def within_a_deadline(process: subprocess.Popen[str], longest_s: float) -> Iterator[Timer]:
    """Kill a process that takes too long, and leave nothing of it behind; the timer says whether it did."""
    deadline = Timer(longest_s, kill_group, [process])
    deadline.start()
    try:
        yield deadline
    finally:
        deadline.cancel()
        kill_group(process)
        process.wait()


class Typical:
    """How long each kind of step takes, measured on the steps that came to their end."""

    def __init__(self) -> None:
        self._seconds: defaultdict[tuple[Kind, Phase], deque[float]] = defaultdict(lambda: deque(maxlen=15))

    def add(self, place: Place, seconds: float) -> None:
        """Keep a measurement."""
        self._seconds[place.kind, place.phase].append(seconds)

    def seconds(self, place: Place) -> float:
        """Return the median of the last measurements."""
        measured = self._seconds[place.kind, place.phase]
        return median(measured) if measured else _FIRST_GUESS_S


class Worker:
    """A process in a group of its own, warm and waiting for its mode."""

    def __init__(self, module: str, arguments: Sequence[str], log: Path) -> None:
        self._log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *_inherited_path()])},
                text=True,
                start_new_session=True,
            )

    def run(
        self, mode: Mode, typical: Typical, aim: Aim | None = None, kill_at: str | None = None
    ) -> Attempt:
        """Let the worker begin, kill it where ``aim`` or the line ``kill_at`` says, and return how it went.

        Raises `PassFailed` where it ends by itself and not well, or takes longer than any pass should.
        """
        try:
            with within_a_deadline(self._process, LONGEST_PASS_S) as deadline:
                _pipe(self._process.stdin).write(f"{mode}\n")
                _pipe(self._process.stdin).flush()
                markers = _Follower(typical)
                dealt = self._follow(markers, aim, kill_at)
                code = self._process.wait()
                late = not deadline.is_alive()
        finally:
            self.close()
        if late or (code != 0 and not (dealt and code == -signal.SIGKILL)):
            raise PassFailed(
                f"The pass ended with {code}{' after its deadline' if late else ''} in {markers.stack}:\n"
                f"{self._log.read_text()[-4000:]}"
            )
        return Attempt(code != 0, tuple(markers.stack), markers.acknowledged)

    def kill(self) -> None:
        """Kill the whole group."""
        kill_group(self._process)

    def close(self) -> None:
        """Make sure that nothing is left of the process."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue

    def _follow(self, markers: _Follower, aim: Aim | None, kill_at: str | None) -> bool:
        """Read markers to the end; return whether the kill was dealt on the way."""
        dealt, met = False, 0
        for line in _pipe(self._process.stdout):
            marker = read_marker(line)
            if marker is None:
                continue
            # After the kill only the order of the lines means something: they waited in the pipe.
            markers.take(marker, measure=not dealt)
            if line.rstrip("\n") == kill_at:
                self.kill()
                dealt = True
            if aim is None or dealt or marker.sign != ">" or marker.place != aim.place:
                continue
            met += 1
            if met == aim.nth:
                # Not a wait for anything: the moment within the step is what the seed decides.
                time.sleep(aim.share * markers.typical.seconds(aim.place))
                self.kill()
                dealt = True
        return dealt


class _Follower:
    """Where a worker is, and since when."""

    def __init__(self, typical: Typical) -> None:
        self.typical = typical
        self.stack: list[Place] = []
        self.acknowledged: dict[str, int] = {}
        self._since: dict[Place, float] = {}

    def take(self, marker: Marker, *, measure: bool) -> None:
        """Ingest one marker."""
        if marker.sign == "+":
            self.acknowledged[marker.stream] = marker.sequence
        if marker.place is None:
            return
        if marker.sign == ">":
            self._since[marker.place] = time.monotonic()
        elif measure and marker.place in self._since:
            self.typical.add(marker.place, time.monotonic() - self._since.pop(marker.place))
        self.stack = follow(self.stack, marker)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None, "the process was started with pipes"
    return pipe


def _inherited_path() -> list[str]:
    inherited = os.environ.get("PYTHONPATH", "")
    return [part for part in inherited.split(os.pathsep) if part]
