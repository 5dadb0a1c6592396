"""``headworks api``: the recipes of real APIs, and a description out of one to paste."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pprint import pformat
from typing import TYPE_CHECKING, Any

from headworks.cli.shared import Commands, print_table, show_json
from headworks.errors import SettingsError

if TYPE_CHECKING:
    from headworks.sources.api.recipes import Recipe

_AUTH = {
    "bearer": {"token": "token"},
    "api_key": {"key": "api_key", "name": "api_key_name", "send_in": "api_key_in"},
    "basic": {"username": "username", "password": "password"},
    "oauth2": {
        "token_url": "token_url",
        "client_id": "client_id",
        "client_secret": "client_secret",
        "send_in": "client_secret_in",
        "scope": "scope",
        "audience": "audience",
    },
}
"""The block's fields for the fields of each kind of credentials."""
_PAGE = """# Recipes

Descriptions of {count} APIs, ready to paste: `headworks api recipes` lists them, and

    headworks api like stripe --resource charges

prints the block and the resource; `--json` gives the resource alone, for `--resource @charges.json`, and
`--set shop=acme` fills a place such as `<shop>`. They are data files in `headworks/sources/api/recipes`, follow the
vendors' documentation of the month in the last column, and are each read in the tests from a server of that shape. No
vendor's server was asked: check a description against your account, which `headworks probe` does.

*Stable* are the resources whose pages are led on by what the documentation calls a cursor or a key, which the
description says with `stable: true`. Of other tokens and links each run sees for itself whether they hold a key. Where
nothing shows it, a reading of several pages is repeated until two agree, or is not shown to be complete, as
[Reading APIs](api.md#what-is-promised-and-what-is-not) says.

This page is written by `headworks api recipes --markdown`.
"""
_LIMITS = {"requests_per_s", "in_flight", "timeout_s", "attempts", "longest_wait_s"}


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parsers in."""
    api = commands.add_parser("api", help="descriptions of well-known APIs")
    actions = api.add_subparsers(required=True, metavar="ACTION")
    listed = actions.add_parser("recipes", help="list the APIs that are described")
    form = listed.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--markdown", action="store_true", help="as the page of the docs")
    listed.set_defaults(command=_recipes)
    like = actions.add_parser("like", help="print a description to paste: the block, and a resource")
    like.add_argument("recipe", metavar="NAME", help="one of: headworks api recipes")
    like.add_argument("--resource", metavar="NAME", help="one resource of it; without it all are listed")
    like.add_argument(
        "--block", metavar="NAME", help="name of the block (default: the recipe's name and -api)"
    )
    like.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PLACE=VALUE",
        help="fill a place such as <shop>; again for more",
    )
    form = like.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the resource alone, as JSON, for --resource @file")
    form.add_argument("--python", action="store_true", help="the resource alone, as Python")
    like.set_defaults(command=_like)


def block_fields(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of an API as the fields of its block."""
    auth = dict(settings.get("auth", {}))
    kind = auth.pop("kind", "none")
    fields = {"base_url": settings["base_url"], "auth": kind}
    fields |= {_AUTH[kind][name]: value for name, value in auth.items()}
    if settings.get("headers"):
        fields["headers"] = settings["headers"]
    return fields | {name: value for name, value in settings.get("limits", {}).items() if name in _LIMITS}


def _recipes(options: argparse.Namespace) -> int:
    from headworks.sources.api.recipes import recipe, recipe_names

    found = [recipe(name) for name in recipe_names()]
    if options.markdown:
        print(markdown(found), end="")
    elif options.json:
        show_json([{"name": one.name, "title": one.title, "resources": list(one.resources)} for one in found])
    else:
        print_table(
            ("recipe", "API", "resources"), [(one.name, one.title, ", ".join(one.resources)) for one in found]
        )
    return 0


def _looked_up(recipe: Recipe) -> str:
    """Say which facts were looked up, when and where; empty where none were."""
    found = recipe.verified
    if found is None:
        return ""
    pages = _numbered(found.source)
    said = f"; looked up {found.month}: {found.what}" + (f" ({pages})" if pages else "")
    if recipe.version is not None:
        ends = recipe.version
        said += f"; version {ends.name}, supported until {ends.until} ({_numbered(ends.source)})"
    if recipe.cursor is None:
        return said
    cursor = recipe.cursor
    return f"{said}; cursor, looked up {cursor.month}: {cursor.what} ({_numbered(cursor.source)})"


def _numbered(pages: Sequence[str]) -> str:
    """Return links to pages whose texts are their numbers."""
    return ", ".join(f"[{number}]({page})" for number, page in enumerate(pages, 1))


def markdown(recipes: Sequence[Recipe]) -> str:
    """Return the page of the docs that lists all recipes."""
    rows = [
        (
            f"`{one.name}`",
            "; ".join(_in_short(one, name) for name in one.resources),
            one.rate_limit,
            one.deletions,
            " ".join(one.unknown),
            f"{_numbered(one.source)} of {one.dated}{_looked_up(one)}",
        )
        for one in recipes
    ]
    header = (
        "API",
        "resources: pages, mark",
        "requests",
        "deleted records",
        "a reading cannot know",
        "documentation",
    )
    lines = [" | ".join(row) for row in (header, ("---",) * len(header), *rows)]
    return f"{_PAGE.format(count=len(recipes))}\n" + "\n".join(f"| {line} |" for line in lines) + "\n"


def _in_short(recipe: Recipe, name: str) -> str:
    resource = recipe.resource(name)
    mark = f", `{resource.incremental.parameter}`" if resource.incremental else ""
    gone = ", tombstones" if resource.tombstone else ""
    stable = ", stable" if recipe.is_stable(name) else ""
    return f"{name} ({resource.pagination.kind}{stable}{mark}{gone})"


def check_places(found: Recipe, filled: Mapping[str, str]) -> None:
    """Raise `SettingsError` for a place that a recipe does not have."""
    unknown = sorted(set(filled) - set(found.fill))
    if unknown:
        raise SettingsError(
            f"The recipe {found.name} has no place {', '.join(unknown)}.",
            where="--set",
            do=f"choose from {', '.join(found.fill)}.",
        )


def _like(options: argparse.Namespace) -> int:
    from headworks.sources.api.recipes import recipe

    found, filled = recipe(options.recipe), filled_places(options.set)
    check_places(found, filled)
    if options.resource is None and (options.json or options.python):
        raise SettingsError(
            "One resource can be printed, and none was named.",
            where="--resource",
            do=f"name one of {', '.join(found.resources)}.",
        )
    if options.resource is not None:
        content = found.content(options.resource, filled)
        if options.json:
            show_json(content)
            return 0
        if options.python:
            print(f"Resource.model_validate(\n{_indented(pformat(content, sort_dicts=False, width=100))}\n)")
            return 0
    _print(found, options, filled)
    return 0


def _print(found: Recipe, options: argparse.Namespace, filled: Mapping[str, str]) -> None:
    """Print all that a recipe says."""
    block = options.block or f"{found.name}-api"
    print(f"{found.title}, as its documentation said in {found.dated}:")
    for page in found.source:
        print(f"  {page}")
    print(f"Rate limit: {found.rate_limit}\nDeletions: {found.deletions}\nWhat a reading cannot know:")
    unshown = found.unshown([options.resource] if options.resource else list(found.resources))
    for one in (*found.unknown, *unshown, *found.ends()):
        print(f"  - {one}")
    places = {name: what for name, what in found.fill.items() if name not in filled}
    if places:
        print("To be filled in, here or with --set:")
        for name, what in places.items():
            print(f"  <{name}>: {what}")
    print(f"\nThe block {block}, as variables of the environment:\n")
    for name, value in block_fields(found.api(filled)).items():
        text = json.dumps(value) if isinstance(value, dict) else str(value)
        print(f"export HEADWORKS_{block.upper().replace('-', '_')}_{name.upper()}='{text}'")
    if options.resource is None:
        print("\nIts resources, each printed with --resource NAME:\n")
        for name in found.resources:
            print(f"  {name}: {found.about(name)}")
        return
    print(f"\nThe resource {options.resource}: {found.about(options.resource)}\n")
    show_json(found.content(options.resource, filled))


def filled_places(given: list[str]) -> dict[str, str]:
    """Return what ``--set`` fills, by place; raises `SettingsError` where one has no value."""
    filled = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals:
            raise SettingsError(f"{one} has no value.", where="--set", do="write it as --set shop=acme.")
        filled[name.strip("<>")] = value
    return filled


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
