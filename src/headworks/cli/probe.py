"""``headworks probe``: looks at an API and proposes the resource to paste."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from headworks.cli.shared import Commands, api_at
from headworks.errors import SettingsError


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parser in."""
    probe = commands.add_parser("probe", help="look at an API, and propose how it is to be read")
    probe.add_argument("url", help="address of a resource's first page; with --block its path will do")
    probe.add_argument("--block", metavar="NAME", help="the block with the API's credentials")
    probe.add_argument("--body", metavar="JSON", help="ask by POST with this JSON, or with that of @FILE")
    probe.set_defaults(command=_probe)


def _probe(options: argparse.Namespace) -> int:
    from headworks.sources.api.client import ApiClient
    from headworks.sources.api.probe import probe

    settings, path, parameters = api_at(options.url, options.block)
    client = ApiClient(settings, name=options.block or settings.base_url)
    found = probe(client, path, parameters, body=body_of(options.body))
    for reason in found.reasons:
        print(f"- {reason}")
    if found.unknown:
        print("\nWhat could not be found out:\n")
        for unknown in found.unknown:
            print(f"- {unknown}")
    if "pagination" in found.resource:
        print("\nThe resource, to be checked and pasted:\n")
    else:
        print("\nNo resource is proposed. This much of it is known; its pagination is for you to add:\n")
    print(json.dumps(found.resource, indent=2, ensure_ascii=False))
    return 0


def body_of(given: str | None) -> dict[str, Any] | None:
    """Return the body to ask with; raises `SettingsError` where it is no JSON object."""
    if given is None:
        return None
    try:
        text = Path(given[1:]).read_text(encoding="utf-8") if given.startswith("@") else given
        found = json.loads(text)
    except (OSError, ValueError) as problem:
        raise SettingsError(
            f"The body cannot be read: {problem}.",
            where="--body",
            do="give a JSON object, or @ and a file with one.",
        ) from problem
    if not isinstance(found, dict):
        raise SettingsError("The body is no JSON object.", where="--body", do="give one in braces.")
    return found
