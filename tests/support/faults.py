"""Ways to break a commit on purpose, where delta-rs is called.

Each is a context manager, so that a test sees where the trouble begins and ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from deltalake.table import TableMerger

from headworks.storage import delta, snapshot


class Crash(BaseException):
    """Represents the process's end: nothing catches it and no code after it runs."""


Call = Callable[..., Any]

WRITES = ("write_deltalake", "commit_parts")
"""The functions of ``delta`` through which rows are appended and replaced."""


@contextmanager
def writes(around: Callable[[int, Callable[[], Any]], Any]) -> Iterator[None]:
    """Replace each append and overwrite by ``around(number, call)``; the numbers begin with 1."""
    count = 0

    def patched(real: Call) -> Call:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            return around(count, lambda: real(*arguments, **named))

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in WRITES:
            patch.setattr(delta, name, patched(vars(delta)[name]))  # what another may have replaced already
        yield


@dataclass
class Counted:
    """How many commits were made or tried."""

    count: int = 0


@contextmanager
def commits(around: Callable[[int, Callable[[], Any]], Any]) -> Iterator[Counted]:
    """Replace each commit of every kind by ``around(number, call)``: what `writes` does, and merges and deletions."""
    seen = Counted()

    def patched(real: Call) -> Call:
        def call(*arguments: Any, **named: Any) -> Any:
            seen.count += 1
            return around(seen.count, lambda: real(*arguments, **named))

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in WRITES:
            patch.setattr(delta, name, patched(vars(delta)[name]))
        patch.setattr(TableMerger, "execute", patched(TableMerger.execute))
        patch.setattr(snapshot.Placed, "delete", patched(snapshot.Placed.delete))
        yield seen


def happened_but_failed(at: int) -> Callable[[int, Call], Any]:
    """Let commit number ``at`` happen and report it as failed, as a failing step after the commit does."""

    def around(number: int, call: Call) -> Any:
        result = call()
        if number == at:
            raise OSError("the step after the commit failed")
        return result

    return around


def not_happened(*numbers: int) -> Callable[[int, Call], Any]:
    """Let the commits with these numbers fail without having happened."""

    def around(number: int, call: Call) -> Any:
        if number in numbers:
            raise OSError("no space left on the device")
        return call()

    return around


def crash_before(at: int) -> Callable[[int, Call], Any]:
    """End the process just before commit number ``at``."""

    def around(number: int, call: Call) -> Any:
        if number == at:
            raise Crash
        return call()

    return around


def crash_after(at: int) -> Callable[[int, Call], Any]:
    """End the process just after commit number ``at``."""

    def around(number: int, call: Call) -> Any:
        call()
        if number == at:
            raise Crash

    return around
