"""A shell completes the command, with what the project has: in a real bash, zsh and fish, at the Tab key."""

from __future__ import annotations

import argparse
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest

from headworks.cli import completion
from headworks.cli.main import main, the_parser
from headworks.cli.running import modules
from headworks.prefect import console
from headworks.prefect.deploying.deploy import the_parser as parser_of_deploy
from headworks.scaffold import init

PATIENCE_S = 60.0


def offered(parser: argparse.ArgumentParser) -> dict[str, tuple[str, ...]]:
    """Return a parser's options, each with what may be its value."""
    return {
        option: tuple(map(str, action.choices or ()))
        for action in parser._actions
        for option in action.option_strings
        if option not in {"-h", "--help"} and action.help != argparse.SUPPRESS
    }


@pytest.mark.parametrize("name", sorted(modules()))
def test_what_is_offered_after_a_flow_is_what_the_flow_takes(name: str) -> None:
    """It is read from the flow's source, since a key press does not wait for Prefect."""
    flow = getattr(import_module(f"flows.{name}"), name)
    taken = argparse.ArgumentParser()
    completion._take(taken, completion._taken_of(modules()[name]))
    assert offered(taken) == offered(console._parser(flow, None))


def test_what_is_offered_after_deploy_is_what_deploy_takes() -> None:
    assert set(completion.DEPLOY) == set(offered(parser_of_deploy()))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project, and a program `headworks` of this checkout before any other."""
    init("acme", tmp_path / "acme")
    (tmp_path / "acme" / "orders.csv").write_text("")
    binary = tmp_path / "bin"
    binary.mkdir()
    (binary / "headworks").write_text(f'#!/bin/sh\nexec {sys.executable} -m headworks.cli "$@"\n')
    (binary / "headworks").chmod(0o755)
    for name in [name for name in os.environ if name.startswith("HEADWORKS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{binary}{os.pathsep}{os.environ['PATH']}")
    # Nothing of the user's own.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "acme"


WAYS = {
    "headworks ": {"init", "add", "run", "status", "completion"},
    "headworks st": {"status", "stream", "stack"},
    "headworks run ": {"demo", "pipeline", "maintenance"},
    "headworks run demo --": {"--mode", "--dry-run", "--start", "--account"},
    "headworks run demo --mode ": {"incremental", "full"},
    "headworks run maintenance --": {"--dry-run"},
    "headworks freshness --": {"--json"},
    "headworks delivery ": {"list", "release", "discard"},
    "headworks delivery list --dataset ": {"example.orders"},
    "headworks show ": {"example.orders", "gold.demo.daily", "quarantine.example.orders"},
    "headworks recheck ": {"example.orders"},
    "headworks anomaly label ": {"silver.example.orders", "gold.demo.daily"},
    "headworks product show ": {"demo"},
    "headworks add api --like str": {"stripe"},
    "headworks add files ": {"orders.csv"},
    "headworks completion ": {"bash", "zsh", "fish"},
    "headworks deploy --": {"--dry-run"},
}
"""What is written before the Tab key, and some of what is offered."""

ASK = """
source /dev/stdin <<<"$(headworks completion bash)"
while IFS= read -r line; do
    COMP_LINE=$line COMP_POINT=${#line} COMP_TYPE=9 COMPREPLY=()
    _python_argcomplete headworks
    (IFS='|'; echo "${COMPREPLY[*]}")
done <<<"$LINES_TO_ASK"
"""


def asked(folder: Path, lines: Iterable[str]) -> str:
    """Return what bash is offered in a folder after each line, a line each, with no word on stderr."""
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK],
        cwd=folder,
        env={**os.environ, "LINES_TO_ASK": "\n".join(lines)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_bash_is_offered_what_the_command_takes_and_what_the_project_has(project: Path) -> None:
    answered = asked(project, WAYS)
    answers = [{word.strip() for word in line.split("|")} for line in answered.splitlines()]
    for (line, wanted), found in zip(WAYS.items(), answers, strict=True):
        assert wanted <= found, (line, found)
        assert "-h" not in found
    assert "product" not in answers[3], "the product is named already"


@pytest.mark.parametrize(
    "broken", ["a project that cannot be imported", "a flow that is no Python", "no project"]
)
def test_a_key_press_shows_no_error_whatever_is_wrong_with_the_project(project: Path, broken: str) -> None:
    if broken == "no project":
        folder = project.parent
    else:
        folder = project
        place = "src/acme/project.py" if "project" in broken else "flows/pipeline.py"
        (project / place).write_text("this is no Python\n")
    # What is whole is offered still.
    runs = "maintenance" if "flow" in broken else ""
    ways = {
        "headworks st": "status",
        "headworks run ": runs,
        "headworks run demo --": "",
        "headworks show ": "",
    }
    answered = asked(folder, ways)
    for wanted, found in zip(ways.values(), answered.splitlines(), strict=True):
        assert wanted in found
    assert "Traceback" not in answered


BEGIN = {
    "bash": (["bash", "--norc", "-i"], 'eval "$(headworks completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -Uz compinit; compinit -u; eval "$(headworks completion zsh)"'),
    "fish": (["fish", "--no-config", "-i"], "headworks completion fish | source"),
}


class Typing:
    """A terminal in which somebody types."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self.seen = ""

    def types(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def sees(self, what: str) -> None:
        """Read until something is shown; what was shown before it counts no more."""
        while what not in self.seen:
            ready, _, _ = select.select([self._terminal], [], [], PATIENCE_S)
            assert ready, f"{what!r} is not shown: {self.seen[-2000:]!r}"
            shown = os.read(self._terminal, 4096)
            # A shell asks the terminal what it is and waits for the answer.
            if b"\x1b[c" in shown or b"\x1b[0c" in shown:
                self.types("\x1b[?62c")
            if b"\x1b[6n" in shown:
                self.types("\x1b[1;1R")
            self.seen += re.sub(
                r"\x1b(\[[0-?]*[ -/]*[@-~]|[=>()].?|\][^\x07]*\x07)", "", shown.decode(errors="replace")
            )
        self.seen = self.seen.partition(what)[2]


@contextmanager
def shell(name: str, folder: Path) -> Iterator[Typing]:
    program, begin = BEGIN[name]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ["TERM"] = "xterm"
        os.execvp(program[0], program)
    try:
        typing = Typing(terminal)
        # Written in two parts, so that its own echo is not taken for its output.
        typing.types(f"{begin}; echo rea''dy\n")
        typing.sees("ready")
        yield typing
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)


@pytest.mark.parametrize("name", sorted(BEGIN))
def test_the_tab_key_finishes_words_in_a_real_shell(name: str, project: Path) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed here")
    with shell(name, project) as typing:
        for begun, finished in (
            ("headworks stat\t", "us"),
            ("--js\t", "on"),
            ("\n", "There is no block headworks-lake"),
        ):
            typing.types(begun)
            typing.sees(finished)
        typing.types("headworks show exa\t")
        typing.sees("mple.orders")


def test_each_shell_s_script_is_printed_and_another_shell_is_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in completion.SHELLS:
        assert main(["completion", name]) == 0
        assert "headworks" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["completion", "cmd"])
    assert "invalid choice: 'cmd'" in capsys.readouterr().err


def test_the_parser_that_reads_commands_is_not_changed_by_what_is_offered() -> None:
    before = the_parser().format_help()
    completion.whole(the_parser(), "run")
    assert the_parser().format_help() == before
