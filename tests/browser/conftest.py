"""Fixtures of the browser's suite: a headless Chromium, the dashboard as a process, and the demo behind both."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from headworks.prefect.local.processes import free_port
from tests.support.demo import Demo, demo
from tests.support.pools import CHECKOUT
from tests.support.screens import chromium, page, screen

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["chromium", "demo", "page", "screen"]

_START_S = 300
_PORT = 8531


@dataclass(frozen=True)
class Dashboard:
    """A running dashboard: where it is, and its log."""

    url: str
    log: Path

    def written(self) -> str:
        """Return what it has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")


@pytest.fixture(scope="session")
def dashboard(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """The dashboard of the demo."""
    assert demo.first.code == 0, demo.first.err
    with running_dashboard(tmp_path_factory.mktemp("dashboard"), **demo.stack.environment()) as running:
        yield running


@contextmanager
def running_dashboard(
    folder: Path, page: str = "dashboard/app.py", **environment: str
) -> Iterator[Dashboard]:
    """Run a page as ``make dashboard`` does, with these variables, on a free port."""
    clean = {
        n: value for n, value in os.environ.items() if not n.startswith(("PREFECT", "HEADWORKS", "STREAMLIT"))
    }
    log = folder / "dashboard.log"
    port = free_port(_PORT)
    command = [sys.executable, "-m", "streamlit", "run", page, "--server.port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env={**clean, "PREFECT_HOME": str(folder / "prefect"), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    running = Dashboard(f"http://127.0.0.1:{port}", log)
    try:
        _wait_until_it_answers(running, process)
        yield running
    finally:
        process.terminate()
        process.wait(_START_S)
    assert "Traceback" not in running.written(), running.written()


def _wait_until_it_answers(running: Dashboard, process: subprocess.Popen[bytes]) -> None:
    transport = httpx.HTTPTransport(retries=20)
    with httpx.Client(transport=transport, timeout=_START_S) as client:
        while process.poll() is None:
            try:
                client.get(f"{running.url}/_stcore/health").raise_for_status()
            except httpx.TransportError:
                continue
            return
    raise AssertionError(f"the dashboard ended at its start:\n{running.written()}")


def settled(page: Page) -> None:
    """Wait until Streamlit has run its script to the end, and the charts are drawn."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.locator("#banner, #advice").first.wait_for()
    if page.locator("#banner").count():
        page.locator(
            "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg"
        ).first.wait_for()


def cells(page: Page, table: str) -> list[list[str]]:
    """Return a table's rows as texts, without its header and foot."""
    rows: list[list[str]] = page.locator(f"#{table} tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return rows


def metric(page: Page, label: str) -> str:
    """Return the value of one of the big figures."""
    box = page.locator("[data-testid=stMetric]").filter(
        has=page.locator("[data-testid=stMetricLabel]", has_text=re.compile(f"^{label}$"))
    )
    return box.locator("[data-testid=stMetricValue]").inner_text()
