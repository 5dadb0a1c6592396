"""The pytest suite that any source must pass: subclass it, say how the source is made, and run pytest.

::

    class TestMine(SourceSuite):
        @pytest.fixture
        def make_source(self) -> Making:
            return lambda: MySource(...)

The data behind the source must stay the same during a test and give at least three batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from headworks.settings import LakeSettings
from headworks.sources.base import Source
from headworks.storage.store import Lake
from headworks.testing import checks
from headworks.testing.checks import Making, SourceBehaviour

__all__ = ["Failing", "Making", "SourceBehaviour", "SourceSuite"]


@dataclass(frozen=True)
class Failing:
    """A source that is sure to fail, as one with wrong credentials, and the secrets that it knows."""

    source: Source
    secrets: Sequence[str]


class SourceSuite:
    """What every source must do. Override ``make_source``, and the other fixtures that the source has something for.

    Example:
        >>> class TestMine(SourceSuite):
        ...     @pytest.fixture
        ...     def make_source(self):
        ...         return lambda: MySource()
        >>> len([name for name in dir(TestMine) if name.startswith("test_")]) > 5
        True
    """

    behaviour = SourceBehaviour()

    def __init_subclass__(cls, **given: object) -> None:
        """Refuse the name that 0.1 had for ``behaviour``, which would be passed over in silence."""
        super().__init_subclass__(**given)
        if "manners" in vars(cls):
            raise TypeError(f"{cls.__name__}.manners is called behaviour now: a SourceBehaviour.")

    @pytest.fixture
    def make_source(self) -> Making:
        """Return a function that makes the source again each time, over the same data."""
        raise NotImplementedError("override make_source")

    @pytest.fixture
    def connections(self) -> Callable[[], int] | None:
        """Return a function that counts the open connections, as the other side sees them; None: there are none."""
        return None

    @pytest.fixture
    def failing(self) -> Failing | None:
        """Return a source that fails and its secrets; None: it has none."""
        return None

    @pytest.fixture
    def lake_of(self, tmp_path: Path) -> Callable[[str], Lake]:
        """Return a function that makes an empty lake by name."""
        return lambda name: Lake(LakeSettings(root=str(tmp_path / name)))

    def test_batches_have_the_schema_and_count_what_they_give(self, make_source: Making) -> None:
        checks.check_batches(make_source)

    def test_positions_are_json(self, make_source: Making) -> None:
        checks.check_positions(make_source)

    def test_the_schema_is_stable(self, make_source: Making) -> None:
        checks.check_schema(make_source)

    def test_the_same_position_gives_the_same_records(self, make_source: Making) -> None:
        checks.check_repeatable(make_source, self.behaviour)

    def test_from_every_position_exactly_the_rest_comes(self, make_source: Making) -> None:
        checks.check_resume(make_source, self.behaviour)

    def test_after_the_end_nothing_comes_again(self, make_source: Making) -> None:
        checks.check_end(make_source, self.behaviour)

    def test_killed_between_any_two_batches_it_lands_exactly(
        self, make_source: Making, lake_of: Callable[[str], Lake]
    ) -> None:
        checks.check_kills(make_source, lake_of, self.behaviour)

    def test_closing_the_iterator_closes_connections(
        self, make_source: Making, connections: Callable[[], int] | None
    ) -> None:
        if connections is None:
            pytest.skip("the source holds no connections: override connections if it does")
        checks.check_closes(make_source, connections)

    def test_no_secret_is_in_an_error(self, failing: Failing | None) -> None:
        if failing is None:
            pytest.skip("the source has no secrets: override failing if it has")
        checks.check_secrets(failing.source, failing.secrets)
