"""A process that replays the quarantine of ``t.items`` and is killed, by SIGKILL, before or after its n-th step.

A step is a commit or a look into the lake. So the moment is the same on every machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dataframely as dy

from headworks.settings import LakeSettings
from headworks.silver.refinement import Refinement
from headworks.silver.replay import replay
from headworks.storage import delta
from headworks.storage.store import Lake
from tests.support.items import ITEM


class FixedSchema(dy.Schema):
    """The items' rules after the fix: a negative value was never wrong."""

    id = dy.Int64(nullable=False)
    v = dy.Int64(nullable=False)
    at = dy.Int64(nullable=True)


FIXED = replace(ITEM, schema=FixedSchema)


def replay_killed(lake: Path, step: int, *, after: bool) -> bool:
    """Replay in a process that is killed at a step; return whether it was, or came to its end before."""
    moment = "after" if after else "before"
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.replay_worker", str(lake), str(step), moment],
        check=False,
        timeout=120,
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.returncode
    return done.returncode != 0


def replay_fixed(lake: Path, run_id: str) -> None:
    """Replay all rejected items under the fixed rules, to the end."""
    replay(Refinement(Lake(LakeSettings(root=str(lake))), run_id), FIXED, by="ada", note="a wrong rule")


def _killing(step: int, *, after: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    count = 0

    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            here = count == step
            if here and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*arguments, **named)
            if here:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counted

    return around


def main(lake: str, step: str, moment: str) -> None:
    """Replay, and be killed."""
    around = _killing(int(step), after=moment == "after")
    for name in ("append", "append_part", "merge", "delete"):
        setattr(delta.Table, name, around(getattr(delta.Table, name)))
    replay_fixed(Path(lake), "killed")


if __name__ == "__main__":
    main(*sys.argv[1:])
