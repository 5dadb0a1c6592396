"""Plays many sequences: ``python -m tests.versions.play FIRST LAST``, one process; prints each that differs."""

from __future__ import annotations

import sys
import tempfile
import time
import traceback

from tests.versions.world import play


def main() -> int:
    """Play the sequences of all seeds from the first to the last."""
    first, last = int(sys.argv[1]), int(sys.argv[2])
    differ, began = 0, time.monotonic()
    for seed in range(first, last):
        with tempfile.TemporaryDirectory(dir=sys.argv[3] if len(sys.argv) > 3 else None) as folder:
            try:
                found = play(folder, seed)
            except Exception:  # noqa: BLE001  (what raises is a difference as well, and the rest is played)
                found = f"seed {seed}: {traceback.format_exc()[-1500:]}"
        if found:
            differ += 1
            print(found, flush=True)
        if (seed - first + 1) % 50 == 0:
            print(f"{seed - first + 1} sequences so far, {differ} differ", flush=True)
    print(f"{last - first} sequences, {differ} differ, {time.monotonic() - began:.0f} s", flush=True)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
