"""What the groups of the command share: finding the lake or an API, and reporting rows."""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from typing import TYPE_CHECKING, Any

from headworks.errors import SettingsError
from headworks.ops.printing import print_table

if TYPE_CHECKING:
    from headworks.reports import GateReport, RunReport, RunStatus
    from headworks.sources.api.settings import ApiSettings
    from headworks.storage.store import Lake


class NothingWritten(Exception):
    """Nothing was ever written to the lake that a command only looks at: no error, and nothing to show."""


__all__ = [
    "ByHand",
    "Commands",
    "NothingWritten",
    "add_lake",
    "api_at",
    "look_at_lake",
    "open_any_lake",
    "open_lake",
    "print_table",
    "show_json",
]

Commands = argparse._SubParsersAction


def add_lake(parser: argparse.ArgumentParser) -> None:
    """Let the lake be chosen by the name of its block."""
    parser.add_argument("--lake", default="lake", help="the block of the lake (default: lake)")


def open_lake(options: argparse.Namespace) -> Lake:
    """Open the chosen lake to work on it; creates nothing.

    Without another Prefect server the local stack's is asked for the block. Raises `LakeUnusable` where the lake is not
    on this machine, and `SettingsError` where nothing was written to it.
    """
    lake, source = _located(options)
    if lake is None:
        raise SettingsError(
            f"Nothing was written to the lake at {source} yet, so there is nothing to work on.",
            where=source.partition(", ")[2],
            do="run a flow first, or name another lake with --lake.",
        )
    return lake


def look_at_lake(options: argparse.Namespace, *, any_format: bool = False) -> Lake:
    """Open the chosen lake to look at it; raises `NothingWritten` where there is nothing to see yet.

    With ``any_format`` also one whose format this version does not read.
    """
    lake, source = _located(options, any_format=any_format)
    if lake is None:
        raise NothingWritten(f"Nothing was written to the lake at {source} yet.")
    return lake


def open_any_lake(options: argparse.Namespace) -> Lake:
    """Open the chosen lake whatever its format, to migrate it; raises `NothingWritten` where there is nothing yet."""
    return look_at_lake(options, any_format=True)


def _located(options: argparse.Namespace, *, any_format: bool = False) -> tuple[Lake | None, str]:
    """Return the chosen lake, or None where nothing was written to it; and its root with what named it."""
    from headworks.prefect.blocks import located_lake
    from headworks.prefect.console import check_server, local_stack
    from headworks.storage.format import check_format
    from headworks.storage.presence import is_written
    from headworks.storage.store import Lake

    with local_stack():
        check_server()
        settings, source = located_lake(options.lake)
        lake = Lake(settings)
        written = is_written(lake, source)
        if written and not any_format:
            check_format(lake)
        return (lake if written else None), f"{settings.root}, {source}"


class ByHand:
    """A command that changes or decides something without a flow: it has an account as a flow's run has."""

    def __init__(self, lake: Lake, command: str) -> None:
        from headworks.ops.recorder import Recorder

        self.lake = lake
        self.recorder = Recorder(f"by-hand-{uuid.uuid4()}", command, "incremental", lake.settings.root)

    @property
    def run_id(self) -> str:
        """The id under which its rows, decisions and account are found."""
        return self.recorder.run_id

    def decided(
        self,
        about: str,
        decision: str,
        *,
        by: str = "",
        note: str = "",
        quiet: bool = True,
        status: RunStatus = "unchanged",
    ) -> None:
        """Keep the account of a decision that changes no rows of silver by itself; the command says what it did."""
        self.recorder.decided(about, decision, by=by, note=note)
        self._keep(self.recorder.report(status), quiet=quiet)

    def ended(self, gate: GateReport | None, *, changed: bool, dry_run: bool, quiet: bool = False) -> None:
        """Keep the account in the ledger and in its file, and show it; a dry run's is shown alone.

        That it cannot be kept is reported: what the command did is done.
        """
        self.recorder.gate(gate)
        closed = gate is not None and not gate.open
        status: RunStatus = "landed" if changed else "unchanged"
        message = "; ".join(gate.reasons) if gate is not None and closed else ""
        report = self.recorder.report("dry run" if dry_run else "gate closed" if closed else status, message)
        self._keep(report, quiet=quiet, dry_run=dry_run)

    def _keep(self, report: RunReport, *, quiet: bool = False, dry_run: bool = False) -> None:
        from headworks.errors import HeadworksError
        from headworks.ops.account import ACCOUNT, account_text, keep_account
        from headworks.ops.ledger import record_run

        if not quiet:
            print(f"\n{account_text(report)}")
        if dry_run:
            return
        keep_account(report)
        try:
            record_run(self.lake, report)
        except HeadworksError as problem:
            print(f"The account is in {ACCOUNT} and not in the ledger: {problem}", file=sys.stderr)


def show_json(value: object) -> None:
    """Print a value as JSON, for programs."""
    print(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def api_at(
    url: str, block: str | None, *, new_block: bool = False
) -> tuple[ApiSettings, str, dict[str, Any]]:
    """Return how an API is reached, and the path and the parameters that an address asks for.

    With a block its path will do, and an address has to be of the block's API, where the credentials belong.
    ``new_block``: there may be no such block yet; the address then says where the API is.
    """
    from headworks.prefect.blocks import api_settings
    from headworks.prefect.console import local_stack
    from headworks.sources.api.probe import split_url
    from headworks.sources.api.settings import ApiSettings

    origin, path, parameters = split_url(url)
    is_whole = "://" in url
    if not block:
        if not is_whole:
            raise SettingsError("The address has no http:// or https://.", where=url, do="write it in full.")
        return ApiSettings(base_url=origin), path, parameters
    try:
        with local_stack():
            settings = api_settings(block)
    except SettingsError:
        if not (new_block and is_whole):
            raise
        settings = ApiSettings(base_url=origin)
    if is_whole:
        if not url.startswith(settings.base_url):
            raise SettingsError(
                f"The address does not begin with {settings.base_url}, where the block's credentials belong.",
                where=url.partition("?")[0],
                do="give an address of that API, or name another block.",
            )
        path = url.removeprefix(settings.base_url).partition("?")[0] or "/"
    return settings, path, parameters
