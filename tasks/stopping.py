"""Stopping: a process that was told to end does so between two batches, and waits for nothing any more.

Prefect turns SIGTERM into an exception in the main thread; tasks in other threads learn of it here. What belongs here:
telling them. What does not: what a run does then (``flows/running.py``).
"""

from __future__ import annotations

import threading

from headworks.errors import RunStopped

_told = threading.Event()


def stop() -> None:
    """Tell all that is at work in this process to stop; there is no way back, for the process is about to end."""
    _told.set()


def is_stopping() -> bool:
    """Tell whether this process was told to stop."""
    return _told.is_set()


def go_on() -> None:
    """Raise `RunStopped` where this process was told to stop; called between two batches."""
    if _told.is_set():
        raise RunStopped(
            "The process was told to stop, and did so after the batch in hand.",
            do="nothing is lost: the next run goes on after the last committed batch.",
        )


def sleep(seconds: float) -> None:
    """Wait for a number of seconds, or until the process is told to stop, which raises `RunStopped`."""
    _told.wait(seconds)
    go_on()
