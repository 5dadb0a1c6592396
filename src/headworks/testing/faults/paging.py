"""Pages that are wrong as pages: empty, repeated, too small, without end, gone, or counted wrongly."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from headworks.testing.faults.chance import Moments
from headworks.testing.hostile import Fault, HostileApi
from headworks.testing.styles import Shown, Token
from headworks.testing.wire import Asked, Reply


def _same_place(api: HostileApi, shown: Shown, salt: str) -> str:
    """Return a new token for the place that the request named, as if the page had not been given."""
    token = (
        Token.read(shown.wanted.token) if shown.wanted.token else Token(None, shown.wanted.since, api.epoch)
    )
    return str(replace(token, salt=salt))


class EmptyPages(Fault):
    """Gives an empty page in the middle: with a token that leads on, or once where a counted page should be."""

    def __init__(self, dice: Random) -> None:
        super().__init__()
        self._moments = Moments(dice, 3, 14)

    def change(self, api: HostileApi, asked: Asked, shown: Shown) -> Shown:
        """Leave the records out."""
        if shown.following is None or not self._moments.draw():
            return shown
        self.injected += 1
        if api.style.by_index:
            return replace(shown, records=())
        return replace(shown, records=(), following=_same_place(api, shown, f"empty-{self.injected}"))


class RepeatedPage(Fault):
    """Gives the last page's records again, once: with a token that leads to what was left out, or in a page's place."""

    def __init__(self, dice: Random) -> None:
        super().__init__()
        self._moments = Moments(dice, 1, 12, first=3)
        self._last: tuple[bytes, ...] = ()

    def change(self, api: HostileApi, asked: Asked, shown: Shown) -> Shown:
        """Give the last page's records."""
        last, self._last = self._last, shown.records
        if not self._moments.draw() or not last or shown.following is None:
            return shown
        self.injected += 1
        if api.style.by_index:
            return replace(shown, records=last)
        return replace(shown, records=last, following=_same_place(api, shown, "again"))


class Endless(Fault):
    """Never ends: the ``same`` token again, a ``cycle`` back to the beginning, or ``fresh`` tokens for one page.

    ``repeats`` counts the requests since the first that a client could have known to be one too many.
    """

    def __init__(self, dice: Random, how: str) -> None:
        super().__init__()
        self._how, self._from = how, dice.randint(2, 6)
        self._stuck: Shown | None = None
        self._number = 0
        self.repeats = 0

    def change(self, api: HostileApi, asked: Asked, shown: Shown) -> Shown:
        """Lead in a circle from the chosen page on."""
        self._number += 1
        if self._number < self._from:
            return shown
        self.injected += 1
        self.repeats += self._number > self._from
        if api.style.by_index:
            # What is past the end is answered with the last page again, as some servers do.
            return self._again(shown)
        if self._how == "same":
            own = shown.wanted.token or str(Token(None, shown.wanted.since, api.epoch, "self"))
            return replace(self._again(shown), following=own)
        if self._how == "cycle":
            start = Token(None, shown.wanted.since, api.epoch, "start")
            return replace(shown, following=str(start)) if self._number == self._from else shown
        return replace(self._again(shown), following=_same_place(api, shown, f"fresh-{self._number}"))

    def _again(self, shown: Shown) -> Shown:
        self._stuck = self._stuck or shown
        return replace(shown, records=self._stuck.records, total=max(shown.total, 1_000_000))


class LyingTotal(Fault):
    """States a total that is wrong, too high or too low, always the same."""

    def __init__(self, dice: Random, *, high: bool) -> None:
        super().__init__()
        self._factor = dice.uniform(1.2, 3.0) if high else dice.uniform(0.3, 0.8)

    def change(self, api: HostileApi, asked: Asked, shown: Shown) -> Shown:
        """State the wrong total."""
        self.injected += 1
        return replace(shown, total=int(shown.total * self._factor))


class CappedSize(Fault):
    """Gives fewer records a page than are asked for, without a word."""

    def __init__(self, dice: Random, api_size: int = 5) -> None:
        super().__init__()
        self._size = dice.randint(2, api_size - 1)

    def answer(self, api: HostileApi, asked: Asked) -> Reply | None:
        """Set the API's own limit before the page is made."""
        self.injected += 1
        api.largest_page = self._size
        return None

    def heal(self) -> None:
        """Keep the cap: it is how this API is."""


class GoneCursor(Fault):
    """Forgets all its tokens once, in the middle: 410."""

    def __init__(self, dice: Random) -> None:
        super().__init__()
        self._moments = Moments(dice, 1, 10, first=3)

    def answer(self, api: HostileApi, asked: Asked) -> Reply | None:
        """Begin a new epoch."""
        if self._moments.draw():
            self.injected += 1
            api.epoch = f"epoch-{self.injected}"
        return None
