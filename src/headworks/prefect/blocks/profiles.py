"""Profiles: dev, staging and prod apart, with the same code.

With ``HEADWORKS_PROFILE=staging`` a flow that asks for the block ``shop-database`` gets ``staging-shop-database``,
filled from ``HEADWORKS_STAGING_SHOP_DATABASE_URL``; and whoever deploys begins all other names in the same way. Without
a profile names are as written. There is no falling back from one to the other: a staging run never finds a
block of production.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from headworks.errors import SettingsError

VARIABLE = "HEADWORKS_PROFILE"
TAG = "headworks"
"""The tag of every deployment, by which automations know our runs; with a profile, ``headworks-<profile>``."""

ALERTS_TAG = "alerts"
"""The tag of the deployments that alert people, by which the server knows those runs when they fail themselves."""

_GRAMMAR = re.compile(r"[a-z][a-z0-9]{0,15}")


@dataclass(frozen=True)
class Profile:
    """What all names begin with, or nothing; raises `SettingsError` where it breaks the grammar."""

    label: str = ""

    def __post_init__(self) -> None:
        """Refuse what would not read well in a name or a variable."""
        if self.label and not _GRAMMAR.fullmatch(self.label):
            raise SettingsError(
                f"{self.label!r} is not a valid name of a profile.",
                where=VARIABLE,
                do="use up to sixteen small letters and digits, such as staging.",
            )

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Profile:
        """Return the profile that the variables choose."""
        return cls(variables.get(VARIABLE, ""))

    @property
    def tag(self) -> str:
        """The tag that marks this profile's runs."""
        return f"{TAG}-{self.label}" if self.label else TAG

    def name(self, plain: str) -> str:
        """Return a name as it is on the server."""
        return f"{self.label}-{plain}" if self.label else plain

    def tags(self, plain: list[str]) -> list[str]:
        """Return a deployment's tags, with the profile's own in place of the common ones."""
        return [self.own_tag(tag) for tag in plain]

    def own_tag(self, tag: str) -> str:
        """Return a tag that automations know runs by as this profile has it; any other as it is."""
        return {TAG: self.tag, ALERTS_TAG: self.name(ALERTS_TAG)}.get(tag, tag)

    def variables(self) -> dict[str, str]:
        """Return the variables by which a run knows the profile."""
        return {VARIABLE: self.label} if self.label else {}
