"""Which process holds something, and whether that process still lives, as far as this one can see."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from pydantic import BaseModel, ConfigDict

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PROCESSES = Path("/proc/self/ns/pid")


class Holder(BaseModel):
    """A process: where its number means something, that number, and when it began in ticks since the boot.

    ``world`` names the boot of the machine and the namespace of its process numbers; it is empty where neither can be
    reported, as on systems without ``/proc``. A container has a world of its own.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str
    world: str
    pid: int
    began: int


def this_process() -> Holder:
    """Return this process."""
    pid = os.getpid()
    return Holder(host=socket.gethostname(), world=_world(), pid=pid, began=_began(pid) or 0)


def is_alive(holder: Holder) -> bool | None:
    """Return whether a process still lives; None where it is in another world, and nobody here can know."""
    world = _world()
    if not world or holder.world != world:
        return None
    return _began(holder.pid) == holder.began


def _world() -> str:
    try:
        return f"{_BOOT.read_text().strip()}/{os.readlink(_PROCESSES)}"
    except OSError:
        return ""


def _began(pid: int) -> int | None:
    """Return when a process began; None where there is none, or only its remains."""
    try:
        # The name is in brackets and may hold any sign, a bracket too; what follows is known from its place.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, began = fields[0], int(fields[19])
    return None if state in {"Z", "X"} else began
