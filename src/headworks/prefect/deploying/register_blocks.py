"""Writes the flows' blocks to a Prefect server from variables: ``headworks register-blocks``.

The only writer of blocks. Running it again changes nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, cast, get_args

from prefect.blocks.core import Block
from prefect.settings import get_current_settings

from headworks.errors import HeadworksError, SettingsError
from headworks.prefect.blocks.files import FileLocation
from headworks.prefect.blocks.lake import LakeLocation
from headworks.prefect.blocks.profiles import Profile
from headworks.prefect.blocks.resolve import content, from_variables, kind_of, prefix, saved_block, variables
from headworks.prefect.console import check_server, local_stack
from headworks.project import BlockKind, project, this_project

Outcome = Literal["registered", "updated", "unchanged"]


def declared_blocks(profile: Profile | None = None) -> dict[str, BlockKind]:
    """Return the blocks of the project with their kinds, by their names on the server; none without a project."""
    here = project()
    named = (profile or Profile()).name
    return {} if here is None else {named(name): kind for name, kind in here.blocks().items()}


def register(
    name: str, found: Mapping[str, str], kind: BlockKind | None = None, *, dry_run: bool = False
) -> Outcome | None:
    """Save the block that the variables describe, unless the saved one is the same; None where they describe none.

    Without ``kind`` it is what the project declares, or else what the variables can only mean.
    """
    kind = kind or kind_of(name, found, declared_blocks(Profile.of(found)))
    made = None if kind is None else from_variables(name, kind, found)
    if made is None:
        return None
    _check_root(made, name)
    saved = saved_block(type(made), name)
    if saved is not None and content(saved) == content(made):
        return "unchanged"
    if not dry_run:
        made.register_type_and_schema()
        made.save(name, overwrite=True)
    return "registered" if saved is None else "updated"


def main(arguments: Sequence[str] | None = None) -> int:
    """Register the named blocks, or those of the flows, and report what became of each; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        found = variables(options.file)
        profile = Profile.of(found)
        with local_stack():
            _check_chosen()
            check_server()
            for given in options.names or this_project().used_blocks():
                name, kind = _named(given, profile)
                outcome = register(name, found, kind)
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


def _named(given: str, profile: Profile) -> tuple[str, BlockKind | None]:
    """Return a block's name on the server and its kind, from ``NAME`` or ``NAME=KIND``."""
    plain, _, kind = given.partition("=")
    if kind and kind not in get_args(BlockKind):
        raise SettingsError(
            f"There is no kind of block {kind!r}.",
            where=given,
            do=f"use one of {', '.join(get_args(BlockKind))}.",
        )
    return profile.name(plain), cast(BlockKind, kind) if kind else None


def _check_chosen() -> None:
    """Raise `SettingsError` where no server is chosen: blocks would go to one that nobody looks at again."""
    if not get_current_settings().api.url:
        raise SettingsError(
            "No Prefect server is chosen, so there is nowhere to write blocks to; nothing was written.",
            where="PREFECT_API_URL",
            do="set it to the server's address, or start the local stack with make demo. Without a server flows take "
            "their blocks from the same variables.",
        )


def _check_root(made: Block, name: str) -> None:
    """Raise `SettingsError` for a relative folder: each run would have one of its own, wherever it happens to be."""
    if isinstance(made, LakeLocation | FileLocation) and not (
        "://" in made.root or Path(made.root).is_absolute()
    ):
        raise SettingsError(
            f"The folder {made.root} is relative, and a block is read by processes that run elsewhere.",
            where=f"{prefix(name)}ROOT",
            do=f"write it in full, such as {Path(made.root).absolute()}.",
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headworks register-blocks",
        description="Write the flows' blocks to the Prefect server, from HEADWORKS_<NAME>_<FIELD> variables.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="blocks (default: those of the project); NAME=KIND for one that the project does not name: "
        f"{', '.join(get_args(BlockKind))}",
    )
    parser.add_argument(
        "--file", type=Path, help="take variables from this file too; the environment goes first"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
