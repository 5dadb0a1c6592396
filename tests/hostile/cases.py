"""All that the campaign plays, as one list: the catalogue's cases, odd records, increments and bombs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headworks.sources.base import Source
from headworks.testing.faults.catalogue import BOMBS, CASES, ODDITIES, Case
from headworks.testing.hostile import HostileApi
from headworks.testing.reading import source_of
from headworks.testing.trial import Allowed, Found, play
from tests.hostile.bombs import STYLES_OF_BOMBS, play_bomb
from tests.hostile.growing import GROWING_STYLES, GROWTHS, play_growth
from tests.hostile.odd import play_odd, styles_of

DEADLINE_S = 0.5
"""The deadline of a request where answers never end: real time, so as short as a loaded machine allows."""
DEADLINES = ("hang", "slow drip")
TOGETHER = 4
"""Every other seed asks for so many pages at the same time, where the style allows it."""

Playing = Callable[[str, int, Path], Found]


@dataclass(frozen=True)
class Played:
    """One row of the campaign: its name, the styles that it is played with, how it ends, and how it is played."""

    name: str
    styles: tuple[str, ...]
    ends: str
    play: Playing
    costly: bool = False


def played() -> list[Played]:
    """Return everything that there is to play."""
    rows = [Played(case.name, case.styles, case.promise.ends, _catalogued(case)) for case in CASES]
    rows += [Played(f"records: {name}", styles_of(name), "exact", _odd(name)) for name in ODDITIES]
    rows += [Played(f"increments: {name}", GROWING_STYLES, "exact", _growth(name)) for name in GROWTHS]
    rows += [
        Played(name, STYLES_OF_BOMBS, "fails", _bomb(name, packed), costly=True) for name, packed in BOMBS
    ]
    return rows


def _catalogued(case: Case) -> Playing:
    def playing(style: str, seed: int, folder: Path) -> Found:
        in_flight = TOGETHER if seed % 2 else 1
        timeout_s = DEADLINE_S if case.name in DEADLINES else 30.0

        def make(api: HostileApi) -> Source:
            return source_of(api, in_flight=in_flight, timeout_s=timeout_s)

        return play(
            case,
            style,
            seed,
            make,
            folder,
            Allowed(in_flight=in_flight, ready=in_flight if in_flight > 1 else 0),
        )

    return playing


def _odd(name: str) -> Playing:
    return lambda style, seed, folder: play_odd(name, style, seed, folder)


def _growth(name: str) -> Playing:
    return lambda style, seed, folder: play_growth(name, style, seed, folder)


def _bomb(name: str, packed: bool) -> Playing:
    return lambda style, seed, folder: play_bomb(name, style, seed, folder, packed=packed)
