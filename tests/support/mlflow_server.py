"""An MLflow server of a test's own: the client's package has it, and the tests' packages have what it needs."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.process import free_port, running


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Run a server with a SQLite database and a folder of files as long as the block lasts; gives its address."""
    if importlib.util.find_spec("mlflow") is None:
        pytest.skip("mlflow-skinny is not installed: pip install 'headworks[mlflow]'")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = [
        *("-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    with running(arguments, f"{url}/health", folder / "mlflow.log"):
        yield url
