"""What the command costs before it does anything, in seconds of CPU: ``python -m benchmarks.commands``.

The bounds are those that a person notices: 0.3 s for ``import headworks``, 0.5 s for ``headworks --help`` and for a Tab
key, but where names of the project are offered, which is imported for them.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence

_COMMAND = [sys.executable, "-m", "headworks.cli"]
_CASES: Mapping[str, tuple[Sequence[str], Mapping[str, str], float]] = {
    "import headworks": ([sys.executable, "-c", "import headworks"], {}, 0.3),
    "headworks --help": ([*_COMMAND, "--help"], {}, 0.5),
    "headworks add --help": ([*_COMMAND, "add", "--help"], {}, 0.5),
    "headworks del<Tab>": (_COMMAND, {"COMP_LINE": "headworks del", "COMP_POINT": "13"}, 0.5),
    "headworks show <Tab>": (_COMMAND, {"COMP_LINE": "headworks show ", "COMP_POINT": "15"}, 2.0),
}


def main() -> int:
    """Print a line for each; the exit code says whether all are within their bounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commands")
    parser.add_argument(
        "--runs", type=int, default=7, help="how often each is run (default: 7); the median counts"
    )
    options = parser.parse_args()
    wrong = 0
    for name, (command, given, bound) in _CASES.items():
        seconds = statistics.median(_cpu_s(command, given) for _ in range(options.runs))
        wrong += seconds > bound
        print(
            f"{name:<24}{seconds:6.2f} s of CPU, at most {bound:.1f}{'' if seconds <= bound else '   TOO SLOW'}"
        )
    return 1 if wrong else 0


def _cpu_s(command: Sequence[str], given: Mapping[str, str]) -> float:
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_SHELL": "bash", "_ARGCOMPLETE_STDOUT_FILENAME": os.devnull}
    environment = {**os.environ, **(asked if given else {}), **given}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, capture_output=True, check=not given)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())
