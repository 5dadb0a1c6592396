"""Processes that outlive the command that started them: starting, recognising, waiting for and stopping them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx
import psutil
from pydantic import BaseModel, ConfigDict

from headworks.errors import SettingsError

_POLL_S = 0.1
_STOP_S = 15
_LOG_LINES = 15
# A process counts as ours only if it began when we noted it did: numbers of dead processes are given out again.
_SAME_MOMENT_S = 1.0


class Process(BaseModel):
    """A process by its number and the moment it began."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    began: float

    def is_running(self) -> bool:
        """Return whether just this process still runs."""
        try:
            found = psutil.Process(self.pid)
            same: bool = abs(found.create_time() - self.began) < _SAME_MOMENT_S
            return same and bool(found.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def listens_on(self, port: int) -> bool:
        """Return whether this process, or a child of it, is the one that listens on a port."""
        with contextlib.suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.pid)
            for process in (found, *found.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    for open_socket in process.net_connections("tcp"):
                        if open_socket.status == psutil.CONN_LISTEN and open_socket.laddr.port == port:
                            return True
        return False


def start(
    command: Sequence[str], environment: Mapping[str, str], log: Path, *, without: tuple[str, ...] = ()
) -> Process:
    """Start a program in a session of its own, with its output in a log file.

    It inherits this process's variables, except those whose name begins with one of ``without``.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # Not subprocess: its objects warn when they are forgotten, and to be forgotten is what this process is for.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        command[0],
        list(command),
        {
            **{name: value for name, value in os.environ.items() if not name.startswith(without)},
            **environment,
        },
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return Process(pid=pid, began=psutil.Process(pid).create_time())


def wait_until(ready: Callable[[], bool], process: Process, name: str, log: Path, seconds: float) -> None:
    """Wait until a started process is ready; raise `SettingsError` with the end of its log where it is not."""
    deadline = time.monotonic() + seconds
    while not ready():
        if not process.is_running():
            raise _failed(f"{name} ended right after its start", log)
        if time.monotonic() > deadline:
            raise _failed(f"{name} was not ready within {seconds:.0f} s", log)
        time.sleep(_POLL_S)


def answers(url: str, timeout_s: float = 2) -> bool:
    """Return whether a server on this machine answers with success.

    Without the certificates that httpx reads for each client: 30 ms of a processor every time, for what has none.
    """
    try:
        with httpx.Client(verify=False, trust_env=False, timeout=timeout_s) as client:
            return client.get(url).is_success
    except httpx.HTTPError:
        return False


def stop(process: Process, by: signal.Signals = signal.SIGTERM, patience_s: float | None = None) -> None:
    """Ask a process and its children to end, and make them where they do not."""
    if not process.is_running():
        return
    family = [psutil.Process(process.pid)]
    family += family[0].children(recursive=True)
    _signal_group(process.pid, by)
    _, stubborn = psutil.wait_procs(family, timeout=_STOP_S if patience_s is None else patience_s)
    for left in stubborn:
        left.kill()
    psutil.wait_procs(stubborn, timeout=_STOP_S)


def free_port(preferred: int) -> int:
    """Return the preferred port of this machine if it is free, else any free one."""
    return preferred if _is_free(preferred) else _any_free()


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without this a port that a server has just left counts as busy for a minute.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_free() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _failed(what: str, log: Path) -> SettingsError:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    tail = "\n    ".join(lines[-_LOG_LINES:]) or "(nothing)"
    return SettingsError(
        f"{what}. The end of its log:\n    {tail}\n",
        where=str(log),
        do="fix what the log says; make down stops what was started, and make clean starts afresh.",
    )
