"""A headless Chromium as fixtures, and screenshots for people to look at.

A suite takes the fixtures by importing them in its ``conftest.py``. Screenshots go to the folder that
``HEADWORKS_SCREENSHOTS`` names, else to one that pytest makes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Generous, since a test waits only as long as it has to.
_PATIENCE_MS = 90_000
_TALLEST = 4000

Screen = Callable[["Page", str], None]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium of this machine."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("Chromium is absent: apt-get install chromium")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is absent: pip install -e .[dev]"
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of its own, as wide as a laptop's."""
    context = chromium.new_context(viewport={"width": 1366, "height": 860}, color_scheme="light")
    context.set_default_timeout(_PATIENCE_MS)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Screen:
    """Keep what a page shows, under a name, for people to look at."""
    named = os.environ.get("HEADWORKS_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)

    def keep(page: Page, name: str) -> None:
        """Both Streamlit and Prefect scroll inside the page, so the window is made as tall as what is in it."""
        seen = page.viewport_size or {"width": 1366, "height": 860}
        tallest = page.evaluate("Math.max(...[...document.querySelectorAll('*')].map(e => e.scrollHeight))")
        page.set_viewport_size({"width": seen["width"], "height": min(int(tallest), _TALLEST)})
        page.screenshot(path=folder / f"{name}.png")
        page.set_viewport_size(seen)

    return keep
