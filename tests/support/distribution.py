"""How tests are spread over processes: what takes long comes first.

A pytest plugin for ``--dist loadfile``. xdist's own order is by the number of tests in a file, so that a file with two
tests of a minute each comes last, and every other process then waits for it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# By what a test in them takes. The small ones at the end fill up what is left.
_FIRST = ("deployments", "flows", "corruption", "storage", "versions", "hostile", "integration", "recipes")
_TESTS = Path(__file__).parents[1]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Return what gives the files to the processes in the order of the collection."""
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put what takes long first, where several processes share it; of one folder, the files with most tests."""
    if hasattr(config, "workerinput"):
        tests = Counter(item.path for item in items)
        items.sort(key=lambda item: (place(item.path), -tests[item.path]))


def place(file: Path) -> int:
    """Return the place of a file's folder among those that take long."""
    folder = file.relative_to(_TESTS).parts[0] if file.is_relative_to(_TESTS) else ""
    return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)
