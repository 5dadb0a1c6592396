"""The most memory that a process has held, as its tests ask for it.

``getrusage`` also counts what the process was forked from held before it was replaced: a child of a large test run
looks large from its first moment on. Linux keeps a mark for the program itself.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_kb() -> int:
    """Return the most memory that this process has held since its program began, in KB."""
    if _STATUS.exists():
        (mark,) = [line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(mark.split()[1])
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held // 1024 if sys.platform == "darwin" else held
