"""How long a run in a container takes to its first task, and where the time goes: ``python -m benchmarks.startup``.

A server on Postgres, a Docker pool and a worker that asks every second, all on this machine and otherwise idle. Needs a
Docker engine, Debian's Postgres, and the image that prefect.yaml names.
"""

from __future__ import annotations

import argparse
import tempfile
import uuid
from datetime import datetime
from pathlib import Path
from statistics import median

from tests.docker.conftest import DEPLOYMENT, POOL, remove_volume
from tests.support.operated import OperatedStack
from tests.support.pools import Operator

COMMANDS = {
    "prefect flow-run execute": "prefect flow-run execute",
    "headworks.prefect.execute": "python -m headworks.prefect.execute",
}
_PHASES = (
    "asked to found",
    "found to running",
    "running to first task",
    "asked to first task",
    "asked to end",
)


def main() -> None:
    """Measure each way so many times, and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup")
    parser.add_argument("--runs", type=int, default=5, help="runs of each way (default 5)")
    options = parser.parse_args()
    volume = f"headworks-startup-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="headworks-startup-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        operator = Operator(OperatedStack(root / ".headworks"), root / "operator")
        try:
            operator.stack.up()
            operator.register_blocks(HEADWORKS_LAKE_ROOT="/data/lake")
            operator.prefect("work-pool", "create", POOL, "--type", "docker")
            operator.prefect("--no-prompt", "deploy", "--name", DEPLOYMENT.rpartition("/")[2])
            with operator.working(POOL):
                _run(operator, volume, COMMANDS["prefect flow-run execute"])
                for name, command in COMMANDS.items():
                    _report(name, [_run(operator, volume, command) for _ in range(options.runs)])
        finally:
            operator.stack.down()
            remove_volume(volume)


def _run(operator: Operator, volume: str, command: str) -> tuple[float, ...]:
    """Let one run complete; returns the seconds of each phase."""
    variables = (f'volumes=["{volume}:/data"]', f"command={command}")
    chosen = [word for variable in variables for word in ("--job-variable", variable)]
    asked = operator.ask(DEPLOYMENT, *chosen)
    run = operator.watch(asked, "COMPLETED")
    states = operator.read(f"flow_run_states/?flow_run_id={asked}")
    at = {state["name"]: datetime.fromisoformat(state["timestamp"]) for state in reversed(states)}
    tasks = operator.post("task_runs/filter", {"task_runs": {"flow_run_id": {"any_": [asked]}}})
    first = min(datetime.fromisoformat(task["start_time"]) for task in tasks)
    due = datetime.fromisoformat(run["expected_start_time"])
    ended = datetime.fromisoformat(run["end_time"])
    moments = (
        (due, at["Pending"]),
        (at["Pending"], at["Running"]),
        (at["Running"], first),
        (due, first),
        (due, ended),
    )
    return tuple((later - earlier).total_seconds() for earlier, later in moments)


def _report(name: str, runs: list[tuple[float, ...]]) -> None:
    print(f"{name}, median of {len(runs)}")
    for phase, seconds in zip(_PHASES, zip(*runs, strict=True), strict=True):
        print(f"    {phase:<24}{median(seconds):6.2f} s   ({min(seconds):.2f} to {max(seconds):.2f})")


if __name__ == "__main__":
    main()
