"""What each test costs: ``HEADWORKS_COSTS=FILE`` writes its seconds and processor seconds, a line of JSON each.

A pytest plugin. On a busy machine seconds say little and processor seconds much. They are those of the test process,
of the children that it waited for, and of those that still run; a server that went into the background on its own is
seen only where the tests run in a control group of their own, whose counter is then read instead.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

VARIABLE = "HEADWORKS_COSTS"
_TICKS = os.sysconf("SC_CLK_TCK")
_GROUPS = Path("/sys/fs/cgroup")


def pytest_configure(config: pytest.Config) -> None:
    """Watch the tests where it is asked for."""
    if named := os.environ.get(VARIABLE):
        config.pluginmanager.register(Costs(Path(named)))


class Costs:
    """Writes one line for each phase of each test (setup, call, teardown) to `file`."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterable[None]:
        """Measure what makes a test's fixtures."""
        yield from self._measured(item, "setup")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterable[None]:
        """Measure a test."""
        yield from self._measured(item, "call")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterable[None]:
        """Measure what takes a test's fixtures away."""
        yield from self._measured(item, "teardown")

    def _measured(self, item: pytest.Item, phase: str) -> Iterable[None]:
        began, used = time.monotonic(), processor_seconds()
        try:
            yield
        finally:
            line = {
                "test": item.nodeid,
                "phase": phase,
                "seconds": round(time.monotonic() - began, 3),
                "processor": round(processor_seconds() - used, 3),
            }
            # A line is one write, so that several processes may append.
            with self._file.open("a") as opened:
                opened.write(json.dumps(line) + "\n")


def processor_seconds() -> float:
    """Return the processor seconds of this process and all below it, or of its control group."""
    counter = _counter()
    if counter is not None:
        text = counter.read_text()
        if counter.name == "cpu.stat":
            return int(text.split()[1]) / 1e6
        return int(text) / 1e9
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    return own + sum(_of_process(child) for child in _below(os.getpid()))


def _counter() -> Path | None:
    """Return the counter of this process's own control group; None where it is that of the whole machine."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if group == "/":
            continue
        if "cpuacct" in controllers.split(","):
            return _GROUPS / "cpuacct" / group.strip("/") / "cpuacct.usage"
        if not controllers and (counter := _GROUPS / group.strip("/") / "cpu.stat").exists():
            return counter
    return None


def _below(process: int) -> Iterable[int]:
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            yield child
            yield from _below(child)


def _of_process(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    # utime, stime, and those of the children that it waited for.
    return sum(int(ticks) for ticks in fields[11:15]) / _TICKS
