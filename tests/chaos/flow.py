"""The real flow under fire: ``python -m flows.sales`` against a Prefect server, killed by its own log's clock.

The process is the one that a user starts, with nothing of this suite in it; where it is can only be read from what
Prefect prints.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

import polars as pl

from headworks.bronze.ingest import Mode
from headworks.prefect.local.processes import answers
from tests.chaos.comparing import Compared, compared
from tests.chaos.killer import ROOT, PassFailed, kill_group, within_a_deadline
from tests.chaos.outcome import FlowKill, Outcome
from tests.chaos.plan import STILL
from tests.chaos.rounds import TOKEN, Stage

STAGES: Final = ("bronze", "silver", "gold", "postgres")
KILLS_BETWEEN_CHECKS = 5
# Only for a process that hangs: a busy machine may take ten times as long as an idle one.
LONGEST_RUN_S = 900
_SERVER_START_S = 300
# Which lines of the log end a stage, and how many of them: then the next one begins.
_ENDS: Final[dict[str, tuple[re.Pattern[str], int]]] = {
    "start": (re.compile(r"Beginning flow run"), 1),
    "bronze": (re.compile(r"'extract .* - Finished in state Completed"), 5),
    "silver": (re.compile(r"'refine .* - Finished in state Completed"), 5),
    "gold": (re.compile(r"'commit .* - Finished in state Completed"), 2),
    "postgres": (re.compile(r"'publish .* - Finished in state Completed"), 1),
}
_ORDER: Final = (*_ENDS, "end")
# Seconds that a stage of the small shop takes; only the aim depends on it.
_USUAL_S: Final = {"bronze": 0.6, "silver": 1.2, "gold": 0.5, "postgres": 0.15}


@dataclass
class FlowRuns:
    """Runs of the flow's process on a stage, and what they said of themselves."""

    played: Stage
    server: str
    folder: Path
    finished: list[str] = field(default_factory=list)
    """The ids of the runs that came to their end."""

    def run(self, mode: Mode, aim: str | None = None, share: float = 0.0) -> str | None:
        """Run the flow, kill it in a stage where ``aim`` says so, and return the stage of its death, if it died.

        Raises `PassFailed` where it fails without having been killed.
        """
        account = self.folder / "account.json"
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.sales", "--mode", mode, "--account", str(account)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Not the checkout: what a developer has lying there must not be found.
            cwd=self.folder,
            env=self._environment(),
            text=True,
            start_new_session=True,
        )
        with within_a_deadline(process, LONGEST_RUN_S):
            reached, said = _follow(process, aim, share)
            code = process.wait()
        if code == 0:
            self.played.witness.pass_done()
            self.finished.append(json.loads(account.read_text())["run_id"])
            return None
        if aim is None or code != -signal.SIGKILL:
            raise PassFailed(f"The flow ended with {code} in {reached}:\n{''.join(said[-60:])}")
        return reached

    def compare_ledger(self) -> Compared:
        """Compare the run ledger: each finished run has one row, a killed one at most one."""
        table = self.played.witness.lake.open("ops", "runs")
        ids = table.scan().select(pl.col("run_id")).collect().to_series().to_list() if table else []
        return compared("ops.runs", Counter(ids), Counter(self.finished), Counter(set(ids)))

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADWORKS_")}
        dsn = self.played.shop.dsn
        return {
            **prefect_environment(kept, self.folder),
            "PREFECT_API_URL": self.server,
            "HEADWORKS_LAKE_ROOT": self.played.witness.lake.settings.root,
            "HEADWORKS_SHOP_API_BASE_URL": self.played.api,
            "HEADWORKS_SHOP_API_TOKEN": TOKEN,
            "HEADWORKS_SHOP_DATABASE_URL": dsn,
            "HEADWORKS_ANALYTICS_DATABASE_URL": dsn,
        }


def play_flow(played: Stage, kills: int, outcome: Outcome, folder: Path) -> None:
    """Kill the flow so many times in one round, run it to its end, and compare everything."""
    folder.mkdir(parents=True)
    aims = _aims(f"{played.seed}/flow")
    with prefect_server(folder) as server:
        runs = FlowRuns(played, server, folder)
        for stretch in count(1):
            mode: Mode = "full" if stretch % 2 == 0 else "incremental"
            if mode == "full":
                played.shop.lose_rows(f"{played.seed}/flow/{stretch}")
            last = min(KILLS_BETWEEN_CHECKS, kills - len(outcome.flow_kills)) + len(outcome.flow_kills)
            while len(outcome.flow_kills) < last:
                aim, share, still = next(aims)
                if not still:
                    played.shop.live_on()
                outcome.begin_pass()
                where = runs.run(mode, aim, share)
                if where is not None:
                    outcome.killed(FlowKill(aim, where))
                else:
                    outcome.checks.append([*played.compare(), runs.compare_ledger()])
            outcome.begin_pass()
            runs.run(mode)
            outcome.checks.append([*played.compare(), runs.compare_ledger()])
            if last >= kills:
                return


def _aims(seed: str) -> Iterator[tuple[str, float, bool]]:
    """Yield stages without end, with the share of its usual time before the kill, and whether the shop is still."""
    chance = Random(seed)
    while True:
        for stage in chance.sample(STAGES, len(STAGES)):
            yield stage, chance.random(), chance.random() < STILL


def prefect_environment(inherited: dict[str, str], folder: Path) -> dict[str, str]:
    """Return an environment in which Prefect knows only this suite's own server and folder."""
    kept = {name: value for name, value in inherited.items() if not name.startswith("PREFECT_")}
    path = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))
    return {
        **kept,
        "PYTHONPATH": path,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


@contextmanager
def prefect_server(folder: Path) -> Iterator[str]:
    """Run a Prefect server of the suite's own as long as the block lasts; gives the URL of its API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=prefect_environment(dict(os.environ), folder),
            start_new_session=True,
        )
    try:
        _wait_for(url, process)
        yield url
    finally:
        kill_group(process)
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _SERVER_START_S
    while time.monotonic() < deadline and process.poll() is None:
        if answers(f"{url}/health", timeout_s=5):
            return
        time.sleep(0.2)
    raise PassFailed(f"The Prefect server did not answer at {url} within {_SERVER_START_S} s.")


def _follow(process: subprocess.Popen[str], aim: str | None, share: float) -> tuple[str, list[str]]:
    """Read the log to its end, kill in the stage that is aimed at, and return the stage reached."""
    assert process.stdout is not None, "the process was started with a pipe"
    stage, left, said, dealt = 0, _ENDS["start"][1], [], False
    with process.stdout as log:
        for line in log:
            said.append(line)
            if stage < len(_ENDS) and _ENDS[_ORDER[stage]][0].search(line):
                left -= 1
                if left == 0:
                    stage += 1
                    left = _ENDS[_ORDER[stage]][1] if stage < len(_ENDS) else 0
            if aim == _ORDER[stage] and not dealt:
                # Not a wait for anything: the moment within the stage is what the seed decides.
                time.sleep(share * _USUAL_S[aim])
                kill_group(process)
                dealt = True
    return _ORDER[stage], said


def _kill(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
