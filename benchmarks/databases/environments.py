"""Environments of the peers: each has one tool alone, at the versions and hashes of the file alongside this module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def peer_environment(way: str, folder: Path) -> Path:
    """Make the environment of a peer's way in ``folder``, once; return its Python."""
    name = way.partition("-")[0]
    home = folder / f"env-{name}"
    python = home / "bin" / "python"
    if not python.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(home)], check=True)
        requirements = str(HERE / f"{name}.txt")
        subprocess.run(
            [uv, "pip", "install", "-q", "--python", str(python), "--require-hashes", "-r", requirements],
            check=True,
        )
    return python


def peer_command(way: str, dsn: str, table: str, lake: Path, report: Path, folder: Path) -> list[str]:
    """Return the command that takes a peer's way, and writes how long it took into ``report``."""
    python = peer_environment(way, folder)
    return [str(python), str(HERE / "peers.py"), way, dsn, table, str(lake), str(report)]
