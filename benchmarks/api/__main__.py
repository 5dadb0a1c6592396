"""Measures pages a second into committed Delta: a bare client, headworks and dlt, one after another, round by round.

    python -m benchmarks.api            1,000 pages of 100 records at 20 ms latency, three rounds
    python -m benchmarks.api --memory   the peak memory of 1,000 and of 10,000 pages, too

dlt runs in an environment of its own, made with uv from ``dlt.txt`` in ``.bench/``. Each measurement is a process
of its own; what is reported is the best round of each. It ends with 1 where a ratio is below what is promised.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.api.server import PER_PAGE, serving

HERE = Path(__file__).parent
PEER = Path(".bench/dlt")

Measured = dict[str, float]

PROMISED = {"page numbers, 8 in flight": 0.9, "page numbers, 32 in flight": 0.65, "cursor": 0.95}
"""Pages a second of headworks, as a share of the bare client's with as many in flight."""


def main() -> int:
    """Measure, and report; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds before each answer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--memory", action="store_true", help="measure the memory of ten times as many pages, too"
    )
    parser.add_argument("--without-dlt", action="store_true")
    options = parser.parse_args()
    best: dict[str, Measured] = {}
    with serving(options.pages, options.latency) as url:
        for number in range(options.rounds):
            for name, command in _ways(
                url, options.pages, dlt=not options.without_dlt and number == 0
            ).items():
                measured = _run(command)
                if name not in best or measured["seconds"] < best[name]["seconds"]:
                    best[name] = measured
    print(
        f"{options.pages} pages of {PER_PAGE} records at {options.latency * 1000:g} ms, best of {options.rounds}:"
    )
    for name, measured in best.items():
        rate = options.pages / measured["seconds"]
        print(
            f"  {name:<34}{rate:>8.0f} pages/s {measured['seconds']:>8.2f} s {measured['peak_mb']:>6.0f} MB"
        )
    kept = [_compare(best), not options.memory or _memory(options.latency)]
    return 0 if all(kept) else 1


def _ways(url: str, pages: int, *, dlt: bool) -> dict[str, Sequence[str]]:
    def way(name: str, in_flight: int, *more: str) -> Sequence[str]:
        chosen = ["--url", url, "--pages", str(pages), "--in-flight", str(in_flight)]
        return [sys.executable, "-m", "benchmarks.api.ways", name, *chosen, *more]

    found: dict[str, Sequence[str]] = {
        "bare, cursor": way("bare", 1),
        "cursor": way("cursor", 1),
        "bare, 8 in flight": way("bare", 8),
        "page numbers, 8 in flight": way("numbers", 8, "--key"),
        "bare, 32 in flight": way("bare", 32),
        "page numbers, 32 in flight": way("numbers", 32, "--key"),
    }
    if dlt:
        chosen = ["--url", url, "--pages", str(pages), "--per-page", str(PER_PAGE)]
        found["dlt rest_api, page numbers"] = [str(_peer()), str(HERE / "peer.py"), *chosen]
    return found


def _compare(best: dict[str, Measured]) -> bool:
    """Report the ratios; False where one is below what is promised."""
    kept = True
    for name, promised in PROMISED.items():
        limit = best[f"bare, {name.rpartition(', ')[2]}"]
        ratio = limit["seconds"] / best[name]["seconds"]
        kept = kept and ratio >= promised
        print(f"  {name:<34}{ratio:>8.2f} of the bare client, promised {promised}")
    return kept


def _memory(latency_s: float) -> bool:
    """Report the peak memory of 1,000 and of 10,000 pages; False where it grows by more than a tenth."""
    peaks = []
    for pages in (1_000, 10_000):
        with serving(pages, latency_s) as url:
            peaks.append(_run(_ways(url, pages, dlt=False)["page numbers, 32 in flight"])["peak_mb"])
        print(f"  {pages:>6} pages: {peaks[-1]:.0f} MB")
    return peaks[1] <= 1.1 * peaks[0]


def _peer() -> Path:
    """Return the interpreter of dlt's environment, made first where it is not there."""
    python = PEER / "bin/python"
    if not python.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "-q", "--python", "3.11", str(PEER)], check=True)
        install = [uv, "pip", "install", "-q", "--python", str(python), "--require-hashes"]
        subprocess.run([*install, "-r", str(HERE / "dlt.txt")], check=True)
    return python


def _run(command: Sequence[str]) -> Measured:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    measured: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {name: float(value) for name, value in measured.items()}


if __name__ == "__main__":
    sys.exit(main())
