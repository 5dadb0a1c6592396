"""Writes the flows' blocks to a Prefect server from variables: ``python -m deployments.register_blocks``.

The only writer of blocks. Running it again changes nothing. What belongs here: comparing and saving. What does not: how
a block is filled from variables, which is the same as without a server (``blocks/resolve.py``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound
from pydantic import BaseModel, Secret, SecretStr

from blocks.profiles import Profile
from blocks.resolve import from_variables, prefix, variables
from headworks.errors import HeadworksError, SettingsError

NAMES = ("lake", "shop-api", "shop-database", "analytics-database")
"""The blocks that the flows use by default."""

B = TypeVar("B", bound=Block)
Outcome = Literal["registered", "updated", "unchanged"]


def register(name: str, found: Mapping[str, str], *, dry_run: bool = False) -> Outcome | None:
    """Save the block that the variables describe, unless the saved one is the same; None where they describe none."""
    made = from_variables(name, found)
    if made is None:
        return None
    saved = saved_block(type(made), name)
    if saved is not None and _content(saved) == _content(made):
        return "unchanged"
    if not dry_run:
        made.register_type_and_schema()
        made.save(name, overwrite=True)
    return "registered" if saved is None else "updated"


def main(arguments: Sequence[str] | None = None) -> int:
    """Register the named blocks, or those of the flows, and tell what became of each; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        found = variables(options.file)
        profile = Profile.of(found)
        for name in map(profile.name, options.names or NAMES):
            outcome = register(name, found)
            if outcome is None:
                raise SettingsError(
                    f"Nothing says what the block {name} should hold.",
                    where=f"variables that begin with {prefix(name)}",
                    do="set them in the environment, in .env, or in a file given with --file.",
                )
            print(f"{name}: {outcome}")
    except HeadworksError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def saved_block(kind: type[B], name: str) -> B | None:
    """Return the block that the server has of a kind and a name, or None."""
    try:
        return kind.load(name)  # type: ignore[return-value]
    except (ValueError, ObjectNotFound):
        return None


def _content(block: Block) -> dict[str, Any]:
    """Return all that a block holds, secrets in clear, for comparing alone."""
    # Not model_dump: Prefect makes the schema of the block anew for each of its fields.
    return {name: _clear(getattr(block, name)) for name in type(block).model_fields}


def _clear(value: Any) -> Any:
    if isinstance(value, Secret | SecretStr):
        return _clear(value.get_secret_value())
    if isinstance(value, BaseModel):
        return {name: _clear(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {name: _clear(inner) for name, inner in value.items()}
    return [_clear(one) for one in value] if isinstance(value, list | tuple) else value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deployments.register_blocks",
        description="Write the flows' blocks to the Prefect server, from HEADWORKS_<NAME>_<FIELD> variables.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"blocks (default: {' '.join(NAMES)})")
    parser.add_argument(
        "--file", type=Path, help="take variables from this file too; the environment goes first"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
