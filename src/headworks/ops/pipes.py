"""A reader of the output that goes, as ``head`` does: the command does what it was asked for, and writes to nobody.

A command may decide or publish something after it has printed, so that nobody listens is no reason to stop it halfway,
and none for a traceback. Its exit code stays that of what it did.
"""

from __future__ import annotations

import io
import sys
from typing import TextIO


class _Patient(io.FileIO):
    """Writes to a file or a pipe, and takes it for written where the pipe's reader has gone."""

    def write(self, data: object, /) -> int:
        """Write all bytes: where nothing is kept back, nobody above asks how many were taken."""
        left = memoryview(data).cast("B")  # type: ignore[arg-type]
        size = left.nbytes
        try:
            while left:
                left = left[super().write(left) or 0 :]
        except BrokenPipeError:
            return size
        return size


def outlive_readers() -> None:
    """Let this process continue where the reader of its output, or of its errors, has gone."""
    sys.stdout, sys.stderr = _patient(sys.stdout), _patient(sys.stderr, by_line=True)


def _patient(stream: TextIO, *, by_line: bool = False) -> TextIO:
    """Return a stream to the same place that outlives its reader; what is no file stays as it is."""
    try:
        stream.flush()
        number = stream.fileno()
    except (AttributeError, OSError, ValueError):
        # None without a terminal, or a stream of somebody else's in a test.
        return stream
    raw = _Patient(number, "w", closefd=False)
    # What PYTHONUNBUFFERED asked for stays: a container's last lines must be there when it is killed.
    at_once = getattr(stream, "write_through", False)
    return io.TextIOWrapper(
        raw if at_once else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=by_line or getattr(stream, "line_buffering", False) or raw.isatty(),
        write_through=at_once,
    )
