"""Makes a Prefect server as the checkout says: ``headworks deploy``, or ``make deploy``.

The image, the work pools with their queues, limits, blocks, automations, and all of ``prefect.yaml``. Running it again
changes nothing, and says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings

from headworks.errors import HeadworksError, SettingsError
from headworks.ops.printing import print_table
from headworks.prefect.blocks.profiles import VARIABLE, Profile
from headworks.prefect.blocks.resolve import prefix, variables
from headworks.prefect.console import check_server
from headworks.prefect.deploying.automations import ALERTS, ensure_automation, ensure_notifier
from headworks.prefect.deploying.declared import (
    SERVER,
    Declared,
    Server,
    read_deployments,
    read_server,
    template_of,
)
from headworks.prefect.deploying.flows import ensure_deployment
from headworks.prefect.deploying.image import REGISTRY, ensure_image, image_name
from headworks.prefect.deploying.limits import apply_limits
from headworks.prefect.deploying.outcomes import Change, Outcome, summary
from headworks.prefect.deploying.pools import ensure_pool
from headworks.prefect.deploying.register_blocks import register
from headworks.project import BlockKind, this_project

NETWORKS = "HEADWORKS_DOCKER_NETWORKS"
"""The Docker networks that runs join, separated by commas."""

_POOL = "headworks-docker"
_OF_BLOCKS: Mapping[str, Change] = {
    "registered": "created",
    "updated": "updated",
    "unchanged": "unchanged",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploy, and report what became of each thing; the exit code."""
    options = the_parser().parse_args(arguments)
    try:
        given = variables(options.file)
        profile = Profile(options.profile) if options.profile is not None else Profile.of(given)
        outcomes = list(deploy(options, profile, given))
    except HeadworksError as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except PrefectHTTPStatusError as problem:
        print(f"\nThe Prefect server refused: {problem.response.text}", file=sys.stderr)
        return 1
    if not options.summary:
        print_table(
            ("what", "name", "change", ""), [(one.kind, one.name, one.change, one.note) for one in outcomes]
        )
        print()
    print(summary(outcomes, dry_run=options.dry_run))
    return 0


def deploy(options: argparse.Namespace, profile: Profile, given: Mapping[str, str]) -> Iterator[Outcome]:
    """Bring everything to the server in the order in which one thing needs the other."""
    _check_address()
    check_server()
    server = read_server(profile, options.server or options.prefect_file.absolute().parent / SERVER)
    declared = _chosen(
        read_deployments(profile, options.prefect_file), server, profile, options.pool or [_POOL]
    )
    registry = given.get(REGISTRY, "")
    if not options.no_image:
        for image in sorted({one.image for one in declared if one.image}):
            whole = image_name(image, registry)
            yield ensure_image(
                options.prefect_file.absolute().parent, whole, push=bool(registry), dry_run=options.dry_run
            )
    with get_client(sync_client=True) as client:
        for pool in server.work_pools:
            if pool.name in {one.work_pool.name for one in declared}:
                networks = [one.strip() for one in given.get(NETWORKS, "").split(",") if one.strip()]
                template = template_of(pool, profile, networks)
                yield from ensure_pool(client, pool, template, dry_run=options.dry_run)
        yield from apply_limits(client, server, dry_run=options.dry_run)
        blocks = _blocks(client, declared, profile, given, dry_run=options.dry_run)
        # Nobody has to be alerted where a person looks on.
        alerts = profile.name(ALERTS)
        yield from (
            one for one in blocks if not (options.by_hand and one.name == alerts and one.change == "missing")
        )
        if not options.by_hand:
            yield from ensure_notifier(profile, dry_run=options.dry_run)
            for automation in server.automations:
                yield ensure_automation(client, automation, profile, dry_run=options.dry_run)
        for one in declared:
            yield from ensure_deployment(
                client, _with_image(one, registry), dry_run=options.dry_run, by_hand=options.by_hand
            )


def _blocks(
    client: SyncPrefectClient,
    declared: Sequence[Declared],
    profile: Profile,
    given: Mapping[str, str],
    *,
    dry_run: bool,
) -> Iterator[Outcome]:
    """Write the blocks that variables describe; of the others report whether the server has them."""
    here = this_project()
    named = {
        value
        for one in declared
        for value in one.parameters.values()
        if isinstance(value, str) and value in here.other_blocks
    }
    kinds: dict[str, BlockKind] = {**here.blocks(), ALERTS: "alerts"}
    for plain in [*here.used_blocks(), ALERTS, *sorted(named)]:
        name = profile.name(plain)
        change = register(name, given, kinds[plain], dry_run=dry_run)
        if change is not None:
            yield Outcome("block", name, _OF_BLOCKS[change])
        elif _has_block(client, name):
            yield Outcome("block", name, "kept", "no variables: left as it is")
        else:
            yield Outcome("block", name, "missing", f"set {prefix(name)}…")


def _has_block(client: SyncPrefectClient, name: str) -> bool:
    wanted = {"block_documents": {"name": {"any_": [name]}}}
    answer = client.request("POST", "/block_documents/filter", json=wanted)
    found: list[Any] = answer.json()
    return bool(found)


def _chosen(
    declared: Sequence[Declared], server: Server, profile: Profile, pools: Sequence[str]
) -> list[Declared]:
    """Return the deployments of the chosen pools; raises `SettingsError` for a pool that is not declared."""
    known = [pool.name for pool in server.work_pools]
    wanted = [profile.name(pool) for pool in pools]
    strange = {*wanted, *(one.work_pool.name for one in declared)} - set(known)
    if strange:
        raise SettingsError(
            f"No pool {', '.join(sorted(strange))} is declared.",
            where="deployments/server.yaml",
            do=f"declare it, or use one of {', '.join(known)}.",
        )
    return [one for one in declared if one.work_pool.name in wanted]


def _with_image(declared: Declared, registry: str) -> Declared:
    if declared.image is None:
        return declared
    job_variables = {**declared.work_pool.job_variables, "image": image_name(declared.image, registry)}
    pool = declared.work_pool.model_copy(update={"job_variables": job_variables})
    return declared.model_copy(update={"work_pool": pool})


def _check_address() -> None:
    if not get_current_settings().api.url:
        raise SettingsError(
            "No Prefect server is chosen.",
            where="PREFECT_API_URL",
            do="set it to the server's address, such as http://prefect.example.com:4200/api.",
        )


def the_parser() -> argparse.ArgumentParser:
    """Return what reads the command's options."""
    parser = argparse.ArgumentParser(
        prog="headworks deploy",
        description="Make the Prefect server at PREFECT_API_URL as this checkout says; again changes nothing.",
    )
    parser.add_argument(
        "--pool",
        action="append",
        metavar="NAME",
        help=f"deploy for this work pool (default: {_POOL}); may be given several times",
    )
    parser.add_argument(
        "--profile", metavar="NAME", help=f"what all names begin with, such as staging (default: ${VARIABLE})"
    )
    parser.add_argument("--file", type=Path, help="take variables of blocks from this file too")
    parser.add_argument("--dry-run", action="store_true", help="report what would change, and change nothing")
    parser.add_argument(
        "--by-hand",
        action="store_true",
        help="let nothing start by itself: new schedules begin paused, and no automation is made",
    )
    parser.add_argument("--summary", action="store_true", help="print one line alone")
    parser.add_argument("--no-image", action="store_true", help="build no image: it is there already")
    parser.add_argument("--prefect-file", type=Path, default=Path("prefect.yaml"), help=argparse.SUPPRESS)
    parser.add_argument("--server", type=Path, default=None, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
