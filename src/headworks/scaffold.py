"""The files of a project: made from the very files of the reference project, and merged when headworks is newer.

What a project begins with is packed into the wheel: ``template/*.tmpl``, and flows, tasks, blocks and deployments as
this repository's root has them. What was written is remembered in the project (``.headworks-template.json``), so that
an upgrade knows what the company changed and what headworks did.
"""

from __future__ import annotations

import json
import keyword
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from headworks.errors import SettingsError

REMEMBERED = ".headworks-template.json"
"""What headworks wrote last, by path: the base of the next merge."""

SHARED = (
    "blocks/__init__.py",
    *(
        f"flows/{name}.py"
        for name in (
            *("__init__", "alert", "backfill", "freshness", "ingest_api", "ingest_database", "ingest_files"),
            *("maintenance", "deliveries", "pipeline", "replay_quarantine"),
        )
    ),
    *(
        f"tasks/{name}.py"
        for name in (
            *(
                "__init__",
                "database",
                "deliveries",
                "extract",
                "gold",
                "models",
                "publish",
                "refine",
                "replay",
            ),
        )
    ),
    "deployments/__init__.py",
    "deployments/server.yaml",
    "deployments/pools/docker.json",
    "deployments/pools/process.json",
)
"""Files of this repository's root that each project gets as they are."""

_TEMPLATE = Path(__file__).parent / "template"
_PACKED = _TEMPLATE / "root"
_ENDING = ".tmpl"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TAKEN = frozenset({"headworks", "flows", "tasks", "blocks", "deployments", "tests", "prefect", "data"})

Change = Literal["created", "updated", "merged", "conflict", "unchanged", "removed", "kept"]


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    path: str
    change: Change
    note: str = ""


@dataclass(frozen=True)
class _Remembered:
    name: str
    headworks: str
    files: dict[str, str]


def generated(name: str) -> dict[str, str]:
    """Return the files of a new project by their paths; raises `SettingsError` for a name that no package can have."""
    if (
        not _NAME.fullmatch(name)
        or keyword.iskeyword(name)
        or name in _TAKEN
        or name in sys.stdlib_module_names
    ):
        raise SettingsError(
            f"{name!r} is not a valid name for a project.",
            where="name",
            do="use small letters, digits and _, such as acme; it becomes the package src/<name>, so it is no "
            "module of Python or headworks.",
        )
    found = {path: (_root() / path).read_text(encoding="utf-8") for path in SHARED}
    for file in sorted(_TEMPLATE.rglob(f"*{_ENDING}")):
        path = file.relative_to(_TEMPLATE).as_posix().removesuffix(_ENDING)
        parts = [re.sub(r"^dot_", ".", part) for part in path.split("/")]
        text = file.read_text(encoding="utf-8").replace("@VERSION@", version("headworks"))
        found["/".join(parts).replace("acme", name)] = text.replace("acme", name)
    return found


def init(name: str, folder: Path) -> list[Outcome]:
    """Write a new project into a folder that is not there or empty; raises `SettingsError` for any other."""
    files = generated(name)
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(
            "The folder is not empty.", where=str(folder), do="name another one, or headworks upgrade in it."
        )
    for path, text in files.items():
        _write(folder / path, text)
    _remember(folder, name, files)
    return [Outcome(path, "created") for path in files]


def upgrade(folder: Path, *, dry_run: bool = False) -> list[Outcome]:
    """Bring a project's generated files to this version: what headworks changed is merged into what the company did.

    A file that both changed at the same place stays as the company has it; the merge with its marks is written next to
    it, as ``<file>.conflict``. Raises `SettingsError` where the folder has no project that `init` made.
    """
    known = _remembered(folder)
    name, before = known.name, known.files
    after = generated(name)
    outcomes = [
        *(_merged(folder, path, before.get(path), text, dry_run=dry_run) for path, text in after.items()),
        *_gone(folder, {path: text for path, text in before.items() if path not in after}, dry_run=dry_run),
    ]
    if not dry_run:
        _remember(folder, name, after)
    return outcomes


def written_by(folder: Path) -> str | None:
    """Return the version of headworks that wrote a project's files last; None where none is remembered."""
    return _remembered(folder).headworks if (folder / REMEMBERED).exists() else None


def changed_files(folder: Path) -> list[str]:
    """Return the generated files that this version of headworks would write otherwise than they were written."""
    known = _remembered(folder)
    return sorted(path for path, text in generated(known.name).items() if known.files.get(path) != text)


def _merged(folder: Path, path: str, before: str | None, after: str, *, dry_run: bool) -> Outcome:
    file = folder / path
    mine = file.read_text(encoding="utf-8") if file.exists() else None
    if after in {mine, before}:
        return Outcome(path, "unchanged")
    if mine is None and before is not None:
        return Outcome(path, "kept", "you deleted it; headworks has changed it since")
    if mine is not None and before is None:
        return Outcome(path, "kept", "you have a file of this name, which headworks would make now")
    if mine is None or mine == before:
        if not dry_run:
            _write(file, after)
        return Outcome(path, "created" if mine is None else "updated")
    merged, conflicts = _three_way(mine, before or "", after)
    target = file.with_name(f"{file.name}.conflict") if conflicts else file
    if not dry_run:
        _write(target, merged)
    if conflicts:
        note = f"you and headworks changed the same lines: your file stays; see {path}.conflict"
        return Outcome(path, "conflict", note)
    return Outcome(path, "merged", "your changes and those of headworks")


def _gone(folder: Path, old: Mapping[str, str], *, dry_run: bool) -> Iterator[Outcome]:
    """Take away what headworks no longer makes, unless the company changed it."""
    for path, text in old.items():
        file = folder / path
        if not file.exists():
            continue
        if file.read_text(encoding="utf-8") != text:
            yield Outcome(path, "kept", "headworks no longer makes it, and you changed it")
            continue
        if not dry_run:
            file.unlink()
        yield Outcome(path, "removed", "headworks no longer makes it")


def _three_way(mine: str, base: str, theirs: str) -> tuple[str, bool]:
    """Merge two changes of one text; returns the merge and whether it has conflicts."""
    if shutil.which("git") is None:
        raise SettingsError("Merging needs git, and there is none.", where="PATH", do="install git.")
    with tempfile.TemporaryDirectory() as place:
        names = []
        for name, text in (("yours", mine), ("before", base), ("headworks", theirs)):
            (Path(place) / name).write_text(text, encoding="utf-8")
            names.append(name)
        labels = [word for name in names for word in ("-L", name)]
        done = subprocess.run(
            ["git", "merge-file", "-p", *labels, *names],
            cwd=place,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
    # Its exit code is the number of conflicts; from 128 on it failed.
    if done.returncode < 0 or done.returncode >= 128:
        raise SettingsError(
            f"git could not merge: {done.stderr.strip()}.",
            where="git merge-file",
            do="check that git works here, then run this again; nothing was written.",
        )
    return done.stdout, done.returncode > 0


def _root() -> Path:
    """Return where the reference project's files are: packed in the wheel, or the checkout that is installed."""
    checkout = Path(__file__).parents[2]
    return checkout if (checkout / SHARED[0]).exists() and (checkout / "locks").exists() else _PACKED


def _remembered(folder: Path) -> _Remembered:
    try:
        found = json.loads((folder / REMEMBERED).read_text(encoding="utf-8"))
        return _Remembered(str(found["name"]), str(found["headworks"]), dict(found["files"]))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise SettingsError(
            f"What headworks wrote here last cannot be read: {type(problem).__name__}.",
            where=str(folder / REMEMBERED),
            do="run this in the folder of a project that headworks init made, and keep that file in git.",
        ) from problem


def _remember(folder: Path, name: str, files: Mapping[str, str]) -> None:
    content = {"headworks": version("headworks"), "name": name, "files": dict(sorted(files.items()))}
    _write(folder / REMEMBERED, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
