"""A flow as a program: its parameters as options, its account as output, its end as exit code."""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from dotenv import dotenv_values
from prefect.exceptions import ParameterTypeError
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_RETRY_EXTRA_CODES,
    PREFECT_HOME,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    get_current_settings,
    temporary_settings,
)
from prefect.utilities.callables import parameter_schema
from pydantic import TypeAdapter, ValidationError

from headworks.errors import ConcurrentRun, GateClosed, HeadworksError, SettingsError
from headworks.ops.account import account_text, result_text
from headworks.ops.escaping import printable
from headworks.redaction import redacted_error
from headworks.reports import RunReport

OK, FAILED, GATE_CLOSED, REFUSED = 0, 1, 2, 3
ACCOUNT = Path(".headworks/account.json")
LOCAL_STACK = Path(".headworks/env")
_PATIENT: dict[Any, Any] = {PREFECT_CLIENT_RETRY_EXTRA_CODES: {500}}
"""A server whose database restarts answers 500, which Prefect's client retries only where it is configured to."""
_HEALTH_TIMEOUT_S = 5
_OWN_SERVER_S = 180


def run_as_program(flow: Callable[..., Any], arguments: Sequence[str] | None = None) -> int:
    """Run a flow with options from the command line, print its account, and return the exit code.

    0: done. 1: failed. 2: the gate is closed. 3: refused, since another run was at work. Errors of ours are one
    message on standard error, without a traceback.
    """
    options = _parser(flow).parse_args(arguments)
    _forget()
    try:
        with _one_line_errors(), local_stack():
            check_server()
            report = flow(**_parameters(flow, options))
    except HeadworksError as problem:
        _print_account(_ended(flow), options)
        said = printable(f"{type(problem).__name__}: {redacted_error(problem)}")
        print(f"\n{said}", file=sys.stderr)
        return {GateClosed: GATE_CLOSED, ConcurrentRun: REFUSED}.get(type(problem), FAILED)
    except (ValidationError, ParameterTypeError) as problem:
        print(f"\nA parameter is wrong: {problem}", file=sys.stderr)
        return FAILED
    if not isinstance(report, RunReport):
        # Flows that ingest no data have no account; what they return is shown as it is.
        print(_json(report) if options.json else result_text(report))
        return OK
    _print_account(report, options)
    return REFUSED if report.status == "refused" else OK


def _forget() -> None:
    from headworks.prefect.running import forget

    forget()


def _ended(flow: Callable[..., Any]) -> RunReport | None:
    """Return the account of a run that failed, if it came so far as to have one."""
    from headworks.prefect.running import ended

    name = getattr(flow, "name", "").replace("-", "_")
    report = ended()
    return report if report is not None and report.flow == name else None


def _print_account(report: RunReport | None, options: argparse.Namespace) -> None:
    """Print a run's account, and write it to its file: after a failed run, too, or the file would be another run's."""
    account: Path = options.account
    if report is None:
        account.unlink(missing_ok=True)
        return
    print(report.model_dump_json(indent=2) if options.json else f"\n{account_text(report)}")
    account.parent.mkdir(parents=True, exist_ok=True)
    account.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    print(f"The account as JSON: {account}", file=sys.stderr if options.json else sys.stdout)


def _json(result: Any) -> str:
    return TypeAdapter(type(result)).dump_json(result, indent=2).decode()


@contextmanager
def local_stack(written: Path = LOCAL_STACK) -> Iterator[None]:
    """Use the local stack's Prefect server where no other is chosen and the stack has left its address."""
    settings = get_current_settings()
    found = dotenv_values(written) if written.exists() and not settings.api.url else {}
    url, home = found.get("PREFECT_API_URL"), found.get("PREFECT_HOME")
    if not url:
        # Prefect's own server starts within seconds, but not where all else runs too: twenty of them are too few.
        with temporary_settings(
            {**_PATIENT, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: _OWN_SERVER_S}
        ):
            yield
        return
    print(f"Using the local stack's Prefect server at {url}, as {written} says.", file=sys.stderr)
    updates: dict[Any, Any] = {**_PATIENT, PREFECT_API_URL: url}
    if home:
        updates[PREFECT_HOME] = Path(home)
    with temporary_settings(updates):
        yield


def check_server() -> None:
    """Ask the chosen Prefect server whether it is there, before Prefect fails in its own many words.

    Raises `SettingsError` where it does not answer.
    """
    url = get_current_settings().api.url
    if not url:
        # Prefect starts a server of its own; without internet it would try for long to reach a collector.
        os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        return
    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=_HEALTH_TIMEOUT_S).raise_for_status()
    except httpx.HTTPError as problem:
        raise SettingsError(
            f"The Prefect server does not answer: {type(problem).__name__}: {problem}.",
            where=url,
            do="start it (prefect server start, or make demo), correct PREFECT_API_URL, or unset it and run without.",
        ) from problem


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Keep tracebacks of our own errors off the terminal: such an error says all there is to say."""

    def shorten(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if record.name.startswith("prefect.flow_runs") and _is_ours(record, text):
            # The last line of the program says the same, with what to do.
            return False
        if text.startswith("Finished in state Failed("):
            record.msg, record.args = "Finished in state Failed", ()
        if record.exc_info and isinstance(record.exc_info[1], (HeadworksError, ParameterTypeError)):
            record.exc_info, record.exc_text = None, None
        return True

    # Those of the terminal are the root's; those that send to the server keep the traceback.
    handlers = logging.getLogger().handlers
    for handler in handlers:
        handler.addFilter(shorten)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(shorten)


def _is_ours(record: logging.LogRecord, text: str) -> bool:
    """Return whether a record of a flow run is about an error of ours that ends it."""
    if not text.startswith("Encountered exception during execution"):
        return False
    return record.exc_info is not None and isinstance(record.exc_info[1], HeadworksError)


def _parser(flow: Callable[..., Any]) -> argparse.ArgumentParser:
    name = getattr(flow, "name", "flow").replace("-", "_")
    parser = argparse.ArgumentParser(
        prog=f"python -m flows.{name}",
        description=(flow.__doc__ or "").partition("\n")[0],
        epilog=_described(flow),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = inspect.signature(flow).parameters
    if "mode" in known:
        _add_data_options(parser)
    parser.add_argument(
        "--account", type=Path, default=ACCOUNT, help=f"where the account goes (default {ACCOUNT})"
    )
    parser.add_argument("--json", action="store_true", help="print the account, or the result, as JSON")
    if "dry_run" in known:
        parser.add_argument("--dry-run", action="store_true", help="look and report, but change nothing")
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="any parameter of those below; NAME=@FILE takes the JSON of a file",
    )
    return parser


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of flows that take data in."""
    parser.add_argument(
        "--mode", choices=["incremental", "full"], help="take what is new, or read everything again"
    )
    parser.add_argument("--start", metavar="TIME", help="with --end: read only what changed from here on")
    parser.add_argument("--end", metavar="TIME", help="with --start: read only what changed before this")
    parser.add_argument(
        "--on-conflict", choices=["refuse", "wait"], help="what to do when another run is at work"
    )


def _described(flow: Callable[..., Any]) -> str:
    """Return the flow's parameters with their descriptions, as the Prefect UI shows them."""
    properties = parameter_schema(flow).properties
    lines = [f"  {name:<20}{about.get('description', '')}" for name, about in properties.items()]
    return "\n".join(["parameters:", *lines])


def _parameters(flow: Callable[..., Any], options: argparse.Namespace) -> dict[str, Any]:
    chosen = {name: getattr(options, name, None) for name in ("mode", "on_conflict")}
    parameters = {name: value for name, value in chosen.items() if value is not None}
    if getattr(options, "dry_run", False):
        parameters["dry_run"] = True
    start, end = getattr(options, "start", None), getattr(options, "end", None)
    if bool(start) != bool(end):
        raise SettingsError("A window needs both its ends.", do="give --start and --end, or neither.")
    if start:
        parameters["window"] = {"start": start, "end": end}
    known = list(inspect.signature(flow).parameters)
    for text in options.param:
        name, separator, value = text.partition("=")
        if not separator:
            raise SettingsError(f"{text!r} is not NAME=JSON.", do='write it as --param lake="staging-lake".')
        if name not in known:
            raise SettingsError(f"There is no parameter {name!r}.", do=f"use one of {', '.join(known)}.")
        parameters[name] = _json_or_text(value)
    return parameters


def _json_or_text(value: str) -> Any:
    """Read a value as JSON, or take it as text; ``@file.json`` represents what is in the file."""
    if value.startswith("@"):
        try:
            value = Path(value[1:]).read_text(encoding="utf-8")
        except OSError as problem:
            raise SettingsError(
                f"The file of a parameter cannot be read: {problem.strerror}.",
                where=value[1:],
                do="correct the name after the @.",
            ) from problem
    try:
        return json.loads(value)
    except ValueError:
        return value
