"""``headworks add api`` makes, of a real server alone, files that the project's check accepts and whose tests run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headworks.cli.main import main
from headworks.declared import declared
from headworks.project import Api
from headworks.scaffold import init
from headworks.sources.api.source import ApiSource
from tests.support.clients import api_client
from tests.support.served import Answer, Asked, served

SECRET = "not-to-be-written-down"
ROWS: list[dict[str, Any]] = [
    {
        "id": number,
        "who": {"name": f"n{number}"},
        "amount": number / 4,
        "offset": "2026-01-01T00:00:00+02:00",
        "updated_at": f"2026-01-{number % 28 + 1:02d}T00:00:00Z",
    }
    for number in range(1, 131)
]


def _body(content: Any, **headers: str) -> Answer:
    return Answer(json.dumps(content).encode(), headers={"Content-Type": "application/json", **headers})


def by_key(asked: Asked) -> Answer:
    """Pages as Stripe has them."""
    size, after = asked.number("limit", 10), asked.number("starting_after", 0)
    rest = [row for row in ROWS if row["id"] > after]
    return _body({"data": rest[:size], "has_more": len(rest) > size})


def by_token(asked: Asked) -> Answer:
    """Pages that lead on by a token."""
    size, start = asked.number("limit", 20), asked.number("cursor", 0)
    end = start + size
    return _body({"items": ROWS[start:end], "next_cursor": str(end) if end < len(ROWS) else None})


def by_number(asked: Asked) -> Answer:
    """Pages that are counted, with a total."""
    size, page = asked.number("per_page", 25), asked.number("page", 1)
    return _body({"results": ROWS[(page - 1) * size : page * size], "total": len(ROWS), "page": page})


def by_link(asked: Asked) -> Answer:
    """Pages whose header names the next one."""
    size, page = asked.number("per_page", 30), asked.number("page", 1)
    link = f'<http://{asked.headers["host"]}{asked.path}?page={page + 1}>; rel="next"'
    more = {"Link": link} if page * size < len(ROWS) else {}
    return _body(ROWS[(page - 1) * size : page * size], **more)


def whole(asked: Asked) -> Answer:
    """All in one answer."""
    return _body(ROWS)


WAYS: dict[str, Callable[[Asked], Answer]] = {
    "keyset": by_key,
    "cursor": by_token,
    "page_numbers": by_number,
    "link_header": by_link,
    "single": whole,
}


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Done]


@pytest.fixture
def headworks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in a folder, with no variable of another project's blocks."""
    for name in [name for name in os.environ if name.startswith("HEADWORKS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(folder: Path, *arguments: str, **variables: str) -> Done:
        with monkeypatch.context() as place:
            place.chdir(folder)
            for name, value in variables.items():
                place.setenv(name, value)
            code = main(arguments)
        shown = capsys.readouterr()
        return Done(code, shown.out, shown.err)

    return run


def holds(folder: Path, name: str) -> None:
    """Check the project, and run the test that was written, as a person does: in processes of their own."""
    given = {key: value for key, value in os.environ.items() if not key.startswith("HEADWORKS_")}
    test = f"tests/test_{name.replace('.', '_')}.py"
    for command in (
        ("headworks.cli", "check"),
        ("pytest", "-q", "-p", "no:cacheprovider", test),
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A new project."""
    init("lemon", tmp_path / "lemon")
    return tmp_path / "lemon"


@pytest.mark.parametrize("way", WAYS)
def test_an_api_is_added_as_it_pages_and_all_that_was_not_known_is_written_down(
    way: str, project: Path, headworks: Command
) -> None:
    with served(WAYS[way]) as api:
        added = headworks(project, "add", "api", f"{api.url}/v1/deals", "--block", "crm-api")
        assert added.returncode == 0, added.stdout + added.stderr
        (source,) = [one for one in declared(project / "src/lemon").sources if one.into == "crm.deals"]
        assert isinstance(source, Api)
        assert source.resource.pagination.kind == way
        batches = list(ApiSource(api_client(api.url), source.resource).read(None, None))
        assert sum(batch.read for batch in batches) == len(ROWS)
    (made,) = [one for one in declared(project / "src/lemon").datasets if one.name == "crm.deals"]
    assert (made.key, made.cursor) == (("id",), "updated_at")
    kinds = {name: type(column).__name__ for name, column in made.schema.columns().items()}
    assert (kinds["amount"], kinds["offset"], kinds["who"]) == ("Decimal", "String", "String")
    written = (project / "src/lemon/datasets/crm_deals.yml").read_text()
    for text in ("which records were deleted", "how to ask for changes alone", "how offset is to be read"):
        assert f"# Not known: {text}" in written
        assert f"Not known: {text}" in added.stdout
    assert f"HEADWORKS_CRM_API_BASE_URL={api.url}" in (project / ".env.example").read_text()


def test_a_recipe_is_begun_from_and_its_credentials_are_a_variable_of_the_block_alone(
    project: Path, headworks: Command
) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.headers.get("authorization") != f"Bearer {SECRET}":
            return Answer(b'{"error": "who?"}', 401)
        return by_key(asked)

    with served(answer) as api:
        arguments = ("add", "api", "--like", "stripe", "--resource", "charges")
        before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
        unasked = headworks(project, *arguments)
        assert unasked.returncode == 1
        assert "cannot be asked yet" in unasked.stderr
        assert "HEADWORKS_STRIPE_API_TOKEN=\n" in unasked.stdout
        assert "<secret_key>: a restricted key with read rights" in unasked.stdout
        assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before
        reached = {
            "HEADWORKS_STRIPE_API_BASE_URL": api.url,
            "HEADWORKS_STRIPE_API_AUTH": "bearer",
            "HEADWORKS_STRIPE_API_TOKEN": SECRET,
        }
        added = headworks(project, *arguments, **reached)
        assert added.returncode == 0, added.stdout + added.stderr
        incomplete = headworks(project, *arguments, HEADWORKS_STRIPE_API_TOKEN=SECRET)
        assert (incomplete.returncode, "HEADWORKS_STRIPE_API_BASE_URL" in incomplete.stderr) == (1, True)
    holds(project, "stripe.charges")
    example = (project / ".env.example").read_text()
    assert "HEADWORKS_STRIPE_API_AUTH=bearer\nHEADWORKS_STRIPE_API_TOKEN=\n" in example
    for path in project.rglob("*"):
        assert not path.is_file() or SECRET not in path.read_text(), path
    assert SECRET not in added.stdout + added.stderr


def test_a_recipe_of_an_open_api_is_read_at_another_address(project: Path, headworks: Command) -> None:
    with served(by_link) as api:
        added = headworks(
            project, "add", "api", api.url, "--like", "github", "--set", "token=any", "--set", "owner=a",
            "--set", "repository=b", "--resource", "issues", "--name", "code.issues",
        )  # fmt: skip
        assert added.returncode == 0, added.stdout + added.stderr
    assert "code.issues" in {one.name for one in declared(project / "src/lemon").datasets}
    assert "any" not in (project / ".env.example").read_text().partition("TOKEN=")[2].partition("\n")[0]


def test_what_has_no_key_is_refused_until_a_person_names_one_and_nothing_is_written(
    project: Path, headworks: Command
) -> None:
    rows = [{"a": number // 2, "b": number % 2, "c": "x"} for number in range(130)]
    with served(lambda asked: _body(rows)) as api:
        arguments = ("add", "api", f"{api.url}/v1/cells", "--block", "crm-api")
        refused = headworks(project, *arguments)
        assert refused.returncode == 1
        assert "--key COLUMN" in refused.stderr
        assert "a (65 different)" in refused.stderr
        assert not (project / "src/lemon/datasets/crm_cells.yml").exists()
        misspelt = headworks(project, *arguments, "--key", "bb")
        assert (misspelt.returncode, "Did you mean b?" in misspelt.stderr) == (1, True)
        added = headworks(project, *arguments, "--key", "a", "--key", "b")
        assert added.returncode == 0, added.stdout + added.stderr
    (made,) = [one for one in declared(project / "src/lemon").datasets if one.name == "crm.cells"]
    assert made.key == ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Neither an address nor a recipe"),
        (("--like", "strip"), "Did you mean stripe?"),
        (("--like", "stripe"), "choose one of"),
        (("--like", "stripe", "--set", "shop=x"), "has no place shop"),
        (("--like", "stripe", "--set", "shop"), "has no value"),
        (("example.com/v1",), "no http:// or https://"),
    ],
)
def test_a_slip_says_what_there_is(
    arguments: tuple[str, ...], said: str, tmp_path: Path, headworks: Command
) -> None:
    done = headworks(tmp_path, "add", "api", *arguments)
    assert (done.returncode, said in done.stderr) == (1, True), done.stdout + done.stderr
