"""``headworks probe``: looks at an API and proposes the resource to paste.

What belongs here: arguments and messages. What does not: guessing (``headworks.sources.api.probe``).
"""

from __future__ import annotations

import argparse
import json

from deployments.commands.shared import Commands
from headworks.errors import SettingsError


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parser in."""
    probe = commands.add_parser("probe", help="look at an API, and propose how it is to be read")
    probe.add_argument("url", help="address of a resource's first page; with --block its path will do")
    probe.add_argument("--block", metavar="NAME", help="the block with the API's credentials")
    probe.set_defaults(command=_probe)


def _probe(options: argparse.Namespace) -> int:
    from headworks.sources.api.client import ApiClient
    from headworks.sources.api.probe import probe, split_url
    from headworks.sources.api.settings import ApiSettings

    origin, path, parameters = split_url(options.url)
    if options.block:
        from blocks import api_settings
        from flows.console import local_stack

        with local_stack():
            settings = api_settings(options.block)
        if "://" in options.url:
            if not options.url.startswith(settings.base_url):
                raise SettingsError(
                    f"The address does not begin with {settings.base_url}, where the block's credentials belong.",
                    where=options.url.partition("?")[0],
                    do="probe an address of that API, or name another block.",
                )
            path = options.url.removeprefix(settings.base_url).partition("?")[0] or "/"
    elif "://" not in options.url:
        raise SettingsError(
            "The address has no http:// or https://.", where=options.url, do="write it in full."
        )
    else:
        settings = ApiSettings(base_url=origin)
    found = probe(ApiClient(settings, name=options.block or origin), path, parameters)
    for reason in found.reasons:
        print(f"- {reason}")
    print("\nThe resource, to be checked and pasted:\n")
    print(json.dumps(found.resource, indent=2, ensure_ascii=False))
    return 0
