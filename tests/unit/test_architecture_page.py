"""The page about the architecture names modules, tests and targets that are there."""

from __future__ import annotations

import re

import pytest

from tests.support.pools import CHECKOUT

PAGE = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
PICTURE = PAGE.partition("```mermaid")[2].partition("```")[0]
TABLE = PAGE.partition("## Where a change goes")[2].partition("\n## ")[0]
LIBRARY = CHECKOUT / "src" / "headworks"
ROOMS = "|".join(
    sorted(one.name for one in LIBRARY.iterdir() if one.is_dir() and not one.name.startswith("_"))
)


def named_in(picture: str) -> set[str]:
    """Return the modules that a picture names, also those that continue another's room after a dot."""
    found = set()
    for room, first, more in re.findall(rf"\b({ROOMS})/(\w+)((?: · \w+(?![\w/]))*)", picture):
        found |= {f"{room}/{name}" for name in (first, *re.findall(r"\w+", more))}
    return found


@pytest.mark.parametrize("module", sorted(named_in(PICTURE)))
def test_a_module_in_the_picture_is_there(module: str) -> None:
    assert (LIBRARY / module).is_dir() or (LIBRARY / f"{module}.py").exists()


def test_the_picture_shows_every_place_where_a_row_may_be() -> None:
    assert len(named_in(PICTURE)) > 20
    for table in ("bronze", "silver", "gold", "quarantine", "held", "product", "Postgres"):
        assert re.search(rf'\[\("{table}', PICTURE), table


@pytest.mark.parametrize("row", re.findall(r"^\| (?!what you|---)(.*) \|$", TABLE, re.MULTILINE))
def test_what_a_row_of_the_table_names_is_there(row: str) -> None:
    """A file without a folder is in the folder of the one before it, or at the root of the library."""
    folder = ""
    makefile = (CHECKOUT / "Makefile").read_text()
    for name in re.findall(r"`([^`]+)`", row):
        if target := re.fullmatch(r"make ([\w-]+)", name):
            assert re.search(rf"^{target[1]}:", makefile, re.MULTILINE), name
        elif name.startswith("tests/"):
            assert (CHECKOUT / name).exists(), name
        elif name.endswith((".py", "/")):
            places = [LIBRARY / name, LIBRARY / folder / name, CHECKOUT / name]
            assert any(place.exists() for place in places), name
            folder = name.rpartition("/")[0] if "/" in name else folder


def test_every_room_is_in_the_list_of_where_things_belong() -> None:
    listed = PAGE.partition("## Where things belong")[2].partition("\n## ")[0]
    for room in ROOMS.split("|"):
        assert room == "template" or f"{room}/" in listed, room
