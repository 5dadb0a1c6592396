"""Descriptions of real APIs: one data file for each, held against `ApiSettings` and `Resource` when it is read.

The facts are those of the vendors' public documentation, which each file names. ``<name>`` in a text is a place to be
filled, and ``fill`` says with what.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import Field, field_validator, model_validator

from headworks.errors import SettingsError, did_you_mean
from headworks.settings import Settings
from headworks.sources.api.resource import Resource
from headworks.sources.api.settings import ApiSettings

_PLACE = re.compile(r"<([a-z_]+)>")
_ENDING = ".yml"
_ABOUT = "about"


class Verified(Settings):
    """Which facts were looked up in the vendor's public documentation, and when."""

    month: str = Field(pattern=r"^\d{4}-\d\d$", description="Year and month.")
    what: str = Field(description="The facts, in a few words.")
    source: tuple[str, ...] = Field(default=(), description="Pages on which they were looked up.")


class Documented(Settings):
    """What a vendor's documentation says, and where."""

    month: str = Field(pattern=r"^\d{4}-\d\d$", description="Year and month in which it was looked up.")
    what: str = Field(description="What it says, in a few words.")
    source: tuple[str, ...] = Field(min_length=1, description="Pages that say it.")


class Version(Settings):
    """A version of its API that a recipe asks for by name, and until when the vendor supports it."""

    name: str = Field(min_length=1, description="The version, as the recipe's settings name it.")
    until: str = Field(pattern=r"^\d{4}-\d\d$", description="Year and month until which it is supported.")
    source: tuple[str, ...] = Field(min_length=1, description="Pages that say so.")


class Recipe(Settings):
    """One API as its vendor documents it: how it is reached, its usual resources, and what cannot be known."""

    name: str = Field(description="Name of the recipe, such as stripe.")
    title: str = Field(description="The API's name.")
    dated: str = Field(pattern=r"^\d{4}-\d\d$", description="Year and month of the documentation followed.")
    source: tuple[str, ...] = Field(min_length=1, description="Pages of the vendor's documentation.")
    most_per_page: int | dict[str, int] | None = Field(
        default=None,
        description="The most records that the vendor gives in a page, by resource; * for the others.",
    )
    verified: Verified | None = Field(
        default=None,
        description="What was looked up again; none: written from knowledge of the documentation.",
    )
    cursor: Documented | None = Field(
        default=None,
        description="What the documentation calls a cursor or a key, which resources declare as stable; none: nothing.",
    )
    version: Version | None = Field(
        default=None,
        description="The version that is asked for, where the vendor ends versions; none: it does not.",
    )
    settings: dict[str, Any] = Field(description="How the API is reached, as `ApiSettings`.")
    fill: dict[str, str] = Field(description="What the places in <> are filled with.")
    rate_limit: str = Field(description="How many requests the API takes.")
    deletions: str = Field(description="What becomes of deleted records.")
    unknown: tuple[str, ...] = Field(min_length=1, description="What a reading cannot know.")
    every: dict[str, Any] = Field(default_factory=dict, description="What all resources have in common.")
    resources: dict[str, dict[str, Any]] = Field(min_length=1, description="The resources by name.")

    @field_validator("resources")
    @classmethod
    def _have_a_word(cls, resources: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, resource in resources.items():
            if not resource.get(_ABOUT):
                raise ValueError(f"{name} has no {_ABOUT}")
        return resources

    @model_validator(mode="after")
    def _holds(self) -> Recipe:
        ApiSettings.model_validate(self.settings)
        for name in self.resources:
            self._check_size(name)
        if (self.cursor is not None) is not any(map(self.is_stable, self.resources)):
            raise ValueError(
                "what is declared as stable, and what cursor says of the documentation, go together"
            )
        if self.version is not None and not any(
            self.version.name in text for text in _texts([self.settings])
        ):
            raise ValueError(f"the version {self.version.name} is not in the settings")
        used = set(_PLACE.findall("\n".join(_texts([self.settings, self.every, self.resources]))))
        if used != set(self.fill):
            raise ValueError(f"the places {sorted(used)} are not those of fill, {sorted(self.fill)}")
        return self

    def _check_size(self, name: str) -> None:
        """Raise where a resource asks for larger pages than the vendor gives."""
        paging, most = self.resource(name).pagination, self.most_per_page
        if isinstance(most, dict):
            unknown = set(most) - {"*", *self.resources}
            if unknown:
                raise ValueError(f"most_per_page names resources that are none: {', '.join(sorted(unknown))}")
            most = most.get(name, most.get("*"))
        sized = getattr(paging, "size_parameter", None) or getattr(paging, "limit_parameter", None)
        size = getattr(paging, "size", 0)
        if most is not None and sized and size > most:
            raise ValueError(f"{name} asks for pages of {size} records, and the vendor gives {most}")

    def is_stable(self, name: str) -> bool:
        """Return whether a resource declares that what leads to its next page is a place after a key."""
        return bool(getattr(self.resource(name).pagination, "stable", None))

    def unshown(self, names: Iterable[str]) -> list[str]:
        """Say of which resources the documentation does not call what leads to the next page a cursor."""
        found = [name for name in names if self._follows(name) and not self.is_stable(name)]
        if not found:
            return []
        return [
            f"Whether what leads to the next page of {', '.join(found)} is a place after a key is not documented: a "
            "reading of several pages is shown to be complete where it is seen to hold a key, or the total came."
        ]

    def ends(self, today: date | None = None) -> list[str]:
        """Say until when the vendor supports the version that is asked for, and whether that is over ``today``."""
        if self.version is None:
            return []
        today = today or datetime.now(UTC).date()
        said = f"The vendor supports version {self.version.name} until {self.version.until}"
        if f"{today:%Y-%m}" <= self.version.until:
            return [f"{said}; what is asked for after that may be refused, or answered by another version."]
        return [
            f"{said}, which is over: what is asked for may be refused, or answered by another version. Look up which "
            "one is current, and name it in the block."
        ]

    def _follows(self, name: str) -> bool:
        resource = self.resource(name)
        follows = resource.pagination.kind in ("cursor", "next_url", "link_header", "next_header")
        return follows and resource.delta is None and resource.export is None

    def about(self, resource: str) -> str:
        """Return what a resource holds, in a few words."""
        return str(self.resources[resource][_ABOUT])

    def content(self, resource: str, filled: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return a resource as JSON; raises `SettingsError` where the recipe has none of that name."""
        if resource not in self.resources:
            raise SettingsError(
                f"The recipe {self.name} has no resource {resource}.{did_you_mean(resource, self.resources)}",
                where=self.name,
                do=f"choose one of {', '.join(self.resources)}.",
            )
        own = {name: value for name, value in self.resources[resource].items() if name != _ABOUT}
        found: dict[str, Any] = _filled({**self.every, **own}, filled or {})
        return found

    def resource(self, name: str, filled: Mapping[str, str] | None = None) -> Resource:
        """Return a resource; raises `SettingsError` where the recipe has none of that name."""
        return Resource.model_validate(self.content(name, filled))

    def api(self, filled: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return how the API is reached, as JSON of `ApiSettings`."""
        found: dict[str, Any] = _filled(self.settings, filled or {})
        return found


def recipe_names() -> list[str]:
    """Return the names of all recipes."""
    return sorted(
        one.name.removesuffix(_ENDING) for one in files(__name__).iterdir() if one.name.endswith(_ENDING)
    )


@cache
def recipe(name: str) -> Recipe:
    """Return a recipe by its name; raises `SettingsError` where there is none."""
    if name not in recipe_names():
        raise SettingsError(
            f"There is no recipe {name}.{did_you_mean(name, recipe_names())}",
            where="headworks api recipes",
            do="choose one that is listed there, or let headworks probe propose a description.",
        )
    content = yaml.safe_load((files(__name__) / f"{name}{_ENDING}").read_text(encoding="utf-8"))
    return Recipe.model_validate({"name": name, **content})


def _filled(value: Any, filled: Mapping[str, str]) -> Any:
    """Return a copy of a value in which the places that are known are filled."""
    if isinstance(value, dict):
        return {name: _filled(inner, filled) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, filled) for inner in value]
    if isinstance(value, str):
        return _PLACE.sub(lambda found: filled.get(found[1], found[0]), value)
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
