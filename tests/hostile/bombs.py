"""Pages that are far too big, read by a process of its own whose memory is measured.

Run as a program it reads one and prints what came of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

from headworks.bronze.landing import Landing, land
from headworks.errors import HeadworksError
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from headworks.testing.access import SECRET, Keyed
from headworks.testing.faults.security import Bomb
from headworks.testing.hostile import HostileApi, hostile
from headworks.testing.outcome import DATASET, silver_amounts
from headworks.testing.reading import source_of
from headworks.testing.styles import STYLES
from headworks.testing.trial import Found
from headworks.testing.truth import make_rows, sums_of, sums_of_rows
from tests.support.memory import peak_kb

CAP_MB = 16
ALONGSIDE_MB = 100
"""The memory that a reading may take alongside the cap, in megabytes."""
STYLES_OF_BOMBS = ("page", "cursor")
ROWS = 118
_READ_S = 300


def play_bomb(name: str, style: str, seed: int, folder: Path, *, packed: bool) -> Found:
    """Let another process meet a bomb; it must refuse it, in little memory, and continue when it is gone."""
    found = Found(name, style, seed)
    bomb = Bomb(Random(f"{name}/{style}/{seed}"), packed=packed)
    api = HostileApi(STYLES[style], make_rows(ROWS, seed), bomb, Keyed())
    lake = Lake(LakeSettings(root=str(folder)))
    with hostile(api):
        output = _other(api, folder)
        found.failed, memory_mb = str(output["failed"]), float(str(output["memory_mb"]))
        if found.failed != "ResponseTooLarge":
            found.faults.append(f"not refused as too large: {output}")
        if memory_mb > CAP_MB + ALONGSIDE_MB:
            found.faults.append(f"it took {memory_mb:.0f} MB, more than {CAP_MB} + {ALONGSIDE_MB}")
        if SECRET in str(output):
            found.faults.append("a secret is in the error")
        bomb.heal()
        found.runs = 2
        land(Landing(lake, DATASET, DATASET, "run"), source_of(api))
    held = sums_of((key, amount or 0) for key, amount in silver_amounts(lake).items())
    if held != sums_of_rows(api.rows):
        found.faults.append(f"silver has {held}, the truth is {sums_of_rows(api.rows)}")
    found.injected, found.requests, found.pages = bomb.injected, api.requests, sum(api.pages.values())
    return found


def _other(api: HostileApi, folder: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "tests.hostile.bombs", str(api.server.port if api.server else 0)]
    done = subprocess.run(
        [*command, api.style.name, str(folder)], capture_output=True, text=True, timeout=_READ_S, check=True
    )
    output: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return output


def main(port: str, style: str, folder: str) -> None:
    """Read once to warm up, then the API that is served at a port, and print the growth of memory."""
    with tempfile.TemporaryDirectory() as warm, hostile(_as_served(style)) as api:
        land(Landing(Lake(LakeSettings(root=warm)), DATASET, DATASET, "run"), source_of(api))
    before = peak_kb()
    failed = said = ""
    api = _as_served(style)
    api.served_at = f"http://127.0.0.1:{port}"
    try:
        source = source_of(api, response_bytes=CAP_MB * 2**20)
        land(Landing(Lake(LakeSettings(root=folder)), DATASET, DATASET, "run"), source)
    except HeadworksError as problem:
        failed, said = type(problem).__name__, str(problem)
    grown = peak_kb() - before
    print(json.dumps({"failed": failed, "said": said, "memory_mb": grown / 1024}))


def _as_served(style: str) -> HostileApi:
    return HostileApi(STYLES[style], make_rows(ROWS, 0), access=Keyed())


if __name__ == "__main__":
    main(*sys.argv[1:])
