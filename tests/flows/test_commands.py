"""Each command of an operator in each place: one clear message, the right exit code, and nothing made by looking.

The commands run in this process, against the session's real Prefect server and real lakes.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from headworks.cli.main import main
from headworks.prefect.blocks import resolve
from headworks.prefect.deploying.register_blocks import register
from tests.support.sales import Place

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_server")]

_SIGNED = ("--by", "ada", "--note", "a good reason")
_ABOUT = ("--from", "2026-01-01", "--to", "2026-01-02", "--reason", "Black Friday", "--by", "ada")

LOOKING: dict[str, tuple[str, ...]] = {
    "account": ("account",),
    "product show": ("product", "show", "sales"),
    "stream show": ("stream", "show"),
    "stream show one": ("stream", "show", "shop.orders"),
    "breaker show": ("breaker", "show"),
    "quarantine list": ("quarantine", "list"),
    "quarantine show": ("quarantine", "show", "shop.orders"),
    "anomaly list": ("anomaly", "list"),
    "sql": ("sql", "SELECT count(*) AS orders FROM shop.orders"),
    "show": ("show", "shop.orders"),
}
WORKING: dict[str, tuple[str, ...]] = {
    "product release": ("product", "release", "sales"),
    "rollback": ("rollback", "sales", "--to", "nobody", "--reason", "wrong rates"),
    "stream reset": ("stream", "reset", "shop.nothing"),
    "breaker reset": ("breaker", "reset", "no-api"),
    "quarantine release": ("quarantine", "release", "shop.nothing", *_SIGNED),
    "quarantine discard": ("quarantine", "discard", "shop.nothing", *_SIGNED),
    "anomaly accept": ("anomaly", "accept", "silver.shop.nothing", "--check", "volume", *_ABOUT),
    "anomaly label": ("anomaly", "label", "silver.shop.nothing", *_ABOUT),
    "anomaly withdraw": ("anomaly", "withdraw", "99", "--reason", "wrong day", "--by", "ada"),
}
"""Each of these asks for what is not there, so that nothing may be changed in any lake."""

COMMANDS = {**LOOKING, **WORKING}


@dataclass(frozen=True)
class Said:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Said]:
    """Run a command in an empty folder, with the given variables and nothing else of headworks."""
    import os

    for name in os.environ:
        if name.startswith("HEADWORKS_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(resolve, "_SERVER_WAITS_S", ())
    home = tmp_path / "operator"
    home.mkdir()
    monkeypatch.chdir(home)
    resolve._reported.clear()

    def run(*arguments: str, **given: str) -> Said:
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = main(arguments)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        assert list(home.iterdir()) == [], "a command made something where it was run"
        return Said(code, printed.out, printed.err)

    return run


def tree(root: Path) -> dict[str, int]:
    """Return every file below a folder with the moment it was written."""
    return {str(path): path.stat().st_mtime_ns for path in root.rglob("*")}


def one_message(said: Said) -> str:
    """Return the one line of an error, which says what to do."""
    assert said.code == 1, said
    assert said.out == ""
    (line,) = said.err.strip().splitlines()
    assert "What to do: " in line
    return line


UNREACHABLE: Mapping[str, Callable[[Path], str]] = {
    "a folder of another machine": lambda root: str(root / "volume" / "lake"),
    "a file": lambda root: str(_file(root)),
}


def _file(root: Path) -> Path:
    path = root / "file"
    path.write_text("no lake")
    return path


@pytest.mark.sampled(10)
@pytest.mark.parametrize("place", UNREACHABLE)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_lake_that_is_not_there_is_an_error_that_names_the_place(
    run: Callable[..., Said], tmp_path: Path, command: str, place: str
) -> None:
    root = UNREACHABLE[place](tmp_path)
    before = tree(tmp_path)
    said = run(*COMMANDS[command], "--lake", "spot-lake", HEADWORKS_SPOT_LAKE_ROOT=root)
    message = one_message(said)
    assert root in message
    assert "variable HEADWORKS_SPOT_LAKE_ROOT" in message
    assert tree(tmp_path) == before


@pytest.mark.parametrize("command", ["quarantine list", "stream reset", "anomaly accept"])
def test_an_object_store_that_does_not_answer_is_an_error_that_names_it(
    run: Callable[..., Said], command: str
) -> None:
    """One command of each kind: such a store takes its time to fail."""
    options = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "never-shown",
        "AWS_REGION": "x",
        "max_retries": "0",
        "retry_timeout": "1s",
    }
    said = run(
        *COMMANDS[command],
        "--lake",
        "spot-lake",
        HEADWORKS_SPOT_LAKE_ROOT="s3://bucket/lake",
        HEADWORKS_SPOT_LAKE_STORAGE_OPTIONS=json.dumps(options),
    )
    message = one_message(said)
    assert "s3://bucket/lake" in message
    assert "variable HEADWORKS_SPOT_LAKE_ROOT" in message
    assert "never-shown" not in said.err


@pytest.mark.sampled(10)
@pytest.mark.parametrize("is_made", [True, False], ids=["an empty folder", "no folder yet"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_lake_that_was_never_written_is_no_error_to_look_at_and_none_is_made(
    run: Callable[..., Said], tmp_path: Path, command: str, is_made: bool
) -> None:
    root = tmp_path / "lake"
    if is_made:
        root.mkdir()
    before = tree(tmp_path)
    said = run(*COMMANDS[command], "--lake", "spot-lake", HEADWORKS_SPOT_LAKE_ROOT=str(root))
    assert tree(tmp_path) == before
    if command in LOOKING:
        assert (said.code, said.err) == (0, "")
        assert said.out.startswith(
            f"Nothing was written to the lake at {root}, variable HEADWORKS_SPOT_LAKE_ROOT"
        )
    else:
        assert "Nothing was written" in one_message(said)


@pytest.mark.sampled(6)
@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_block_and_a_variable_the_error_lists_every_place(
    run: Callable[..., Said], command: str
) -> None:
    message = one_message(run(*COMMANDS[command], "--lake", "absent-lake"))
    assert "HEADWORKS_ABSENT_LAKE_ROOT" in message
    assert "the Prefect server at http" in message


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_does_not_answer_is_an_error_that_names_it(
    run: Callable[..., Said], command: str
) -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        message = one_message(run(*COMMANDS[command], "--lake", "absent-lake"))
    assert "http://127.0.0.1:9/api" in message


@pytest.mark.parametrize("command", COMMANDS)
def test_without_any_server_variables_are_enough_and_no_server_is_started(
    run: Callable[..., Said], tmp_path: Path, command: str
) -> None:
    root = tmp_path / "lake"
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        said = run(*COMMANDS[command], "--lake", "spot-lake", HEADWORKS_SPOT_LAKE_ROOT=str(root))
        lost = run(*COMMANDS[command], "--lake", "absent-lake")
    assert "Nothing was written" in said.out + said.err
    assert "PREFECT_API_URL chooses none" in one_message(lost)
    assert not root.exists()


@pytest.mark.sampled(7)
@pytest.mark.parametrize("command", COMMANDS)
def test_on_a_lake_with_data_looking_shows_and_what_is_not_there_is_refused_by_name(
    run: Callable[..., Said], published_place: Place, tmp_path: Path, command: str
) -> None:
    root = tmp_path / "lake"
    shutil.copytree(published_place.root, root)
    before = tree(root)
    said = run(*COMMANDS[command], "--lake", "spot-lake", HEADWORKS_SPOT_LAKE_ROOT=str(root))
    assert tree(root) == before
    if command in LOOKING:
        assert (said.code, said.err) == (0, "")
        assert said.out.strip()
    else:
        one_message(said)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("command", LOOKING)
def test_of_a_block_and_a_variable_that_differ_the_block_wins_and_that_is_reported(
    run: Callable[..., Said],
    published_place: Place,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    command: str,
) -> None:
    register("both-lake", {"HEADWORKS_BOTH_LAKE_ROOT": str(published_place.root)}, "lake")
    other = tmp_path / "other"
    with caplog.at_level(logging.WARNING):
        said = run(*LOOKING[command], "--lake", "both-lake", HEADWORKS_BOTH_LAKE_ROOT=str(other))
        again = run(*LOOKING[command], "--lake", "both-lake")
    assert (said.code, said.out) == (0, again.out)
    (output,) = [one.getMessage() for one in caplog.records if one.name == "headworks.prefect.blocks.resolve"]
    assert "both-lake of the Prefect server" in output
    assert "HEADWORKS_BOTH_LAKE_ROOT" in output
    assert "NOT used" in output
    assert str(other) not in output


def test_blocks_are_written_to_a_chosen_server_alone(run: Callable[..., Said]) -> None:
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        message = one_message(run("register-blocks", "lost-lake=lake", HEADWORKS_LOST_LAKE_ROOT="/lake"))
    assert "nothing was written" in message
    assert run("register-blocks", "lost-lake=lake").out == "lost-lake: registered\n"


@pytest.mark.parametrize("kind", ["lake", "files"])
def test_a_relative_folder_is_no_block(run: Callable[..., Said], kind: str) -> None:
    assert "relative" in one_message(run("register-blocks", f"way={kind}", HEADWORKS_WAY_ROOT="here/lake"))


WRONG_ACCEPTS = {
    "a table's name with a slip": ("silver.shop.ordesr", "volume", "silver.shop.orders"),
    "a table without its layer": ("shop.orders", "volume", "silver.shop.orders"),
    "a bronze table": ("bronze.shop.orders", "volume", "silver.shop.orders"),
    "a check with a slip": ("silver.shop.orders", "volum", "volume"),
    "a column with a slip": ("silver.shop.orders", "mean of custmer_id", "customer_id"),
    "a check of columns with a slip": ("silver.shop.orders", "meen of customer_id", "mean of"),
    "a family of checks": ("silver.shop.orders", "means", "mean of"),
    "a check without its column": ("silver.shop.orders", "mean of ", "mean of"),
}


@pytest.mark.sampled(6)
@pytest.mark.parametrize("wrong", WRONG_ACCEPTS)
@pytest.mark.parametrize("by", ["ada", "", "  "])
def test_an_anomaly_that_cannot_be_is_not_accepted_and_the_known_names_are_told(
    run: Callable[..., Said], published_place: Place, wrong: str, by: str
) -> None:
    scope, check, known = WRONG_ACCEPTS[wrong]
    about = (*_ABOUT[:-1], by)
    said = run(
        "anomaly", "accept", scope, "--check", check, *about, "--lake", "spot-lake",
        HEADWORKS_SPOT_LAKE_ROOT=str(published_place.root),
    )  # fmt: skip
    message = one_message(said)
    assert known in message or not by.strip()


@pytest.mark.parametrize("action", ["release", "discard"])
@pytest.mark.parametrize(("by", "note"), [("", "a reason"), ("  ", "a reason"), ("ada", ""), ("ada", " x ")])
def test_nobody_decides_without_a_name_and_a_reason(
    run: Callable[..., Said], published_place: Place, action: str, by: str, note: str
) -> None:
    said = run(
        "quarantine", action, "shop.orders", "--by", by, "--note", note, "--lake", "spot-lake",
        HEADWORKS_SPOT_LAKE_ROOT=str(published_place.root),
    )  # fmt: skip
    assert "by somebody and for a reason" in one_message(said)


def test_a_product_is_run_by_its_name_alone(run: Callable[..., Said]) -> None:
    said = run("run", "seals", "--dry-run", HEADWORKS_PROJECT="shop.project:SHOP")
    assert said.code == 1
    assert "Did you mean sales?" in one_message(said)
