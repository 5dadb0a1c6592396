"""Stopping: a process that was asked to end does so between two batches, and waits for nothing any more.

Prefect turns SIGTERM into an exception in the main thread; tasks in other threads learn of it here.
"""

from __future__ import annotations

import threading

from headworks.errors import RunStopped

_asked = threading.Event()


def stop() -> None:
    """Report all that is at work in this process to stop; there is no way back, for the process is about to end."""
    _asked.set()


def is_stopping() -> bool:
    """Return whether this process was asked to stop."""
    return _asked.is_set()


def go_on() -> None:
    """Raise `RunStopped` where this process was asked to stop; called between two batches."""
    if _asked.is_set():
        raise RunStopped(
            "The process was asked to stop, and did so after the batch in hand.",
            do="nothing is lost: the next run continues after the last committed batch.",
        )


def sleep(seconds: float) -> None:
    """Wait for a number of seconds, or until the process is asked to stop, which raises `RunStopped`."""
    _asked.wait(seconds)
    go_on()
