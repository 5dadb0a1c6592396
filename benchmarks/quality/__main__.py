"""Measures the gate: rules on rows, contracts, memory, and a merge, next to hand-written code and pandera.

    python -m benchmarks.quality --scale 1 --rounds 5

Each round takes every way once, in turn, so that a slow minute of the machine falls on all. Each way is a process of
its own: its peak memory is that process's, and its processor time says what it took where other work ran alongside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
RULES = ("hand", "headworks", "pandera")
WAYS = (*RULES, "headworks-groups", "headworks-refine", "query", "soda", "upsert")
PEERS = ("pandera",)
_NEEDS_A_LAKE = ("headworks-refine",)


@dataclass(frozen=True)
class Measured:
    """What one process took."""

    seconds: dict[str, float]
    cpu_s: float
    rss_mb: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--scale", type=float, default=1.0, help="TPC-H's scale factor")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="headworks-bench-"))
    try:
        generate(folder / "data", options.scale)
        found: dict[str, list[Measured]] = {way: [] for way in options.ways}
        for way in _NEEDS_A_LAKE:
            if way in found:
                measure(way, folder, keep=True)
        for _ in range(options.rounds):
            for way in options.ways:
                found[way].append(measure(way, folder))
        report(options.scale, found)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def generate(data: Path, scale: float) -> None:
    """Write lineitem and orders of TPC-H as Parquet."""
    generator = Path(sys.executable).with_name("tpchgen-cli")
    subprocess.run(
        [str(generator), "parquet", "-s", str(scale), "--tables=lineitem,orders", f"--output-dir={data}"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def measure(way: str, folder: Path, *, keep: bool = False) -> Measured:
    """Take one way in a process of its own; ``keep`` makes the lake that the way begins with, and leaves it there."""
    out, prepared, report = folder / "out", folder / f"prepared-{way}", folder / "report.json"
    shutil.rmtree(out, ignore_errors=True)
    if prepared.exists():
        shutil.copytree(prepared, out, copy_function=os.link)
    out.mkdir(exist_ok=True)
    arguments = [way, str(folder / "data"), str(out), str(report)]
    command = (
        [str(_peer_environment(way, folder)), str(HERE / "peers.py")]
        if way in PEERS
        else [sys.executable, "-m", "benchmarks.quality.ways"]
    )
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "POLARS_VERBOSE": "0"}
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen([*command, *arguments], stdout=nowhere, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{way} ended with {process.returncode}.")
    if keep:
        out.rename(prepared)
    return Measured(json.loads(report.read_text()), used.ru_utime + used.ru_stime, used.ru_maxrss // 1024)


def _peer_environment(way: str, folder: Path) -> Path:
    """Make a peer's environment from its pinned requirements, once; its Python."""
    home = folder / f"env-{way}"
    python = home / "bin" / "python"
    if not python.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(home)], check=True)
        pinned = ["--require-hashes", "-r", str(HERE / f"{way}.txt")]
        subprocess.run([uv, "pip", "install", "-q", "--python", str(python), *pinned], check=True)
    return python


def report(scale: float, found: dict[str, list[Measured]]) -> None:
    """Print medians, extremes, processor time of the whole process, and the largest peak of memory."""
    print(f"TPC-H at scale {scale:g}")
    print(f"  {'way':<28}{'median s':>10}{'min':>8}{'max':>8}{'x hand':>8}{'cpu s':>8}{'peak MB':>9}")
    for way, measured in found.items():
        for name in measured[0].seconds:
            seconds = [one.seconds[name] for one in measured]
            base = _base(way, name, found)
            times = f"{statistics.median(seconds) / base:>8.2f}" if base else f"{'':>8}"
            label = way if name in {"rows", "contract"} else f"{way}: {name}"
            print(
                f"  {label:<28}{statistics.median(seconds):>10.2f}{min(seconds):>8.2f}{max(seconds):>8.2f}{times}"
                f"{statistics.median(one.cpu_s for one in measured):>8.1f}{max(one.rss_mb for one in measured):>9}",
                flush=True,
            )


def _base(way: str, name: str, found: dict[str, list[Measured]]) -> float | None:
    """Return what the same takes by hand, for the ways that are compared with something by hand."""
    by_hand = {"soda": "query", "query": "query", **dict.fromkeys(RULES, "hand")}.get(way)
    if by_hand not in found or name not in found[by_hand][0].seconds:
        return None
    return statistics.median(one.seconds[name] for one in found[by_hand])


if __name__ == "__main__":
    sys.exit(main())
