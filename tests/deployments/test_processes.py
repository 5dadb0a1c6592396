"""Processes of the local stack: started, recognised by more than their number, waited for, and stopped with family."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from headworks.errors import SettingsError
from headworks.prefect.local.postgres import Postgres
from headworks.prefect.local.processes import Process, free_port, start, stop, wait_until

_SLEEPER = "import time; print('ready', flush=True); time.sleep(600)"
_PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_SLEEPER!r}])"
_DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {_SLEEPER}"


def _said_ready(log: Path) -> bool:
    return log.exists() and "ready" in log.read_text()


def _running(program: str, log: Path) -> Process:
    process = start([sys.executable, "-c", program], {}, log)
    wait_until(lambda: _said_ready(log), process, "The sleeper", log, 20)
    return process


def test_a_started_process_runs_until_it_is_stopped(tmp_path: Path) -> None:
    process = _running(_SLEEPER, tmp_path / "log")
    assert process.is_running()
    stop(process)
    assert not process.is_running()


def test_stopping_a_process_stops_its_children_too(tmp_path: Path) -> None:
    process = _running(_PARENT, tmp_path / "log")
    children = psutil.Process(process.pid).children()
    assert children
    stop(process)
    assert not any(child.is_running() for child in children)


def test_a_process_that_does_not_listen_is_stopped_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headworks.prefect.local.processes._STOP_S", 0.2)
    process = _running(_DEAF, tmp_path / "log")
    stop(process)
    assert not process.is_running()


def test_postgres_is_stopped_in_order_though_its_folder_can_no_longer_be_reached(tmp_path: Path) -> None:
    """As root it runs as somebody else, who loses the way to its data when a folder above is closed."""
    above = tmp_path / "above"
    above.mkdir()
    postgres = Postgres(above / "data", free_port(5433), "made up for a test")
    process = postgres.start()
    with psycopg.connect(postgres.admin_url("shop")):
        above.chmod(0o700)
        Postgres.stop(process)
    assert not process.is_running()
    assert "database system is shut down" in (postgres.data / "log").read_text()


def test_another_process_under_a_number_of_ours_is_not_taken_for_ours(tmp_path: Path) -> None:
    process = _running(_SLEEPER, tmp_path / "log")
    another = Process(pid=process.pid, began=process.began - 3600)
    assert not another.is_running()
    stop(another)
    assert process.is_running()
    stop(process)


def test_a_process_that_ends_at_once_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start([sys.executable, "-c", "raise SystemExit('the disk is full')"], {}, log)
    with pytest.raises(SettingsError) as problem:
        wait_until(lambda: False, process, "The server", log, 20)
    assert "The server ended right after its start" in str(problem.value)
    assert "the disk is full" in str(problem.value)
    assert str(log) in str(problem.value)


def test_a_process_that_never_gets_ready_is_given_up_with_a_reason(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = _running(_SLEEPER, log)
    with pytest.raises(SettingsError, match="was not ready within 0 s"):
        wait_until(lambda: False, process, "The server", log, 0)
    stop(process)


def test_a_busy_port_is_worked_round() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = int(taken.getsockname()[1])
        assert free_port(busy) != busy
    assert free_port(busy) == busy


def test_a_port_that_another_process_listens_on_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    """Two stacks that start at once may choose the same port; the one that lost it must not use the other's server."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        sleeper = _running(_SLEEPER, tmp_path / "sleeper")
        assert not sleeper.listens_on(port)
        stop(sleeper)
    listening = f"import socket; s = socket.create_server(('127.0.0.1', {port})); {_SLEEPER}"
    for program in (
        listening,
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {listening!r}])",
    ):
        server = _running(program, tmp_path / f"server-{len(program)}")
        assert server.listens_on(port)
        stop(server)
        assert not server.listens_on(port)
