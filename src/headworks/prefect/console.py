"""A flow as a program: its parameters as options, its account as output, its end as exit code."""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

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

from headworks.errors import ConcurrentRun, GateClosed, HeadworksError, SettingsError, did_you_mean
from headworks.ops.account import ACCOUNT, account_text, keep_account, result_text
from headworks.ops.escaping import printable
from headworks.ops.pipes import outlive_readers
from headworks.redaction import redacted, redacted_error
from headworks.reports import RunReport

OK, FAILED, GATE_CLOSED, REFUSED = 0, 1, 2, 3
LOCAL_STACK = Path(".headworks/env")
_PATIENT: dict[Any, Any] = {PREFECT_CLIENT_RETRY_EXTRA_CODES: {500}}
"""A server whose database restarts answers 500, which Prefect's client retries only where it is configured to."""
_HEALTH_TIMEOUT_S = 5
_OWN_SERVER_S = 180
_SENDERS = ("APILogWorker", "EventsWorker")
"""The loggers of Prefect's services that send log lines and events, named by their classes."""
_SENDING_S = 30
_EVENTS = ("Error emitting event", "Service 'EventsWorker' failed")
_ENDS = "exit codes: 0 done; 1 failed, or the command line is wrong; 2 the gate is closed; 3 another run is at work."


def run_as_program(
    flow: Callable[..., Any], arguments: Sequence[str] | None = None, *, prog: str | None = None
) -> int:
    """Run a flow with options from the command line, print its account, and return the exit code.

    Each parameter of the flow is an option. ``prog`` is what the command is called.

    0: done. 1: failed. 2: the gate is closed. 3: refused, since another run was at work. Errors of ours are one
    message on standard error, without a traceback.
    """
    if arguments is None:
        outlive_readers()
    try:
        options, unknown = _parser(flow, prog).parse_known_args(arguments)
        parameters = _parameters(flow, options, unknown)
    except SettingsError as problem:
        print(printable(str(redacted_error(problem))), file=sys.stderr)
        return FAILED
    _forget()
    _quiet_end()
    try:
        with _one_line_errors(), local_stack():
            check_server()
            report = flow(**parameters)
    except HeadworksError as problem:
        _print_account(_ended(flow), options)
        said = printable(f"{type(problem).__name__}: {redacted_error(problem)}")
        print(f"\n{said}", file=sys.stderr)
        return {GateClosed: GATE_CLOSED, ConcurrentRun: REFUSED}.get(type(problem), FAILED)
    except (ValidationError, ParameterTypeError) as problem:
        print(f"\n{_wrong(problem)}", file=sys.stderr)
        return FAILED
    if not isinstance(report, RunReport):
        # Flows that ingest no data have no account; what they return is shown as it is.
        print(_json(report) if options.json else result_text(report))
        return OK
    _print_account(report, options)
    return REFUSED if report.status == "refused" else OK


def _wrong(problem: ValidationError | ParameterTypeError) -> str:
    """Return which parameters are wrong, one a line, without the pages of the library that says so."""
    if not isinstance(problem, ValidationError):
        return f"A parameter is wrong: {printable(redacted(str(problem)))}"
    lines = [
        f"A parameter is wrong: {'.'.join(map(str, each['loc']))}: {each['msg']}."
        for each in problem.errors(include_input=False, include_url=False)
    ]
    return printable(redacted("\n".join(lines)))


class _LateEnough(logging.Filter):
    """Hides for a while after a run that Prefect still sends the run's log lines, which it does anyway.

    What takes longer than that is shown: then the server does not take them, and the program waits for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first: float | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is shown."""
        if not record.getMessage().startswith("Still processing items"):
            return True
        self.first = time.monotonic() if self.first is None else self.first
        return time.monotonic() - self.first > _SENDING_S


_LATE_ENOUGH = _LateEnough()


def _no_events(record: logging.LogRecord) -> bool:
    """Hide that a server of the run's own took no events: nobody reads them there, and it is gone after the run."""
    return not (record.getMessage().startswith(_EVENTS) and not get_current_settings().api.url)


def _quiet_end() -> None:
    """Hide the last log lines on their way to the server, but not that they do not arrive."""
    _LATE_ENOUGH.first = None
    for name in _SENDERS:
        logging.getLogger(name).addFilter(_LATE_ENOUGH)
    for name in ("prefect.events.utilities", "prefect._internal.concurrency"):
        logging.getLogger(name).addFilter(_no_events)


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
    keep_account(report, account)
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


def parameters_of(flow: Callable[..., Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the schema of each parameter of a flow, as its form in the UI has it, and those that are needed."""
    schema = parameter_schema(flow)
    return schema.properties, tuple(schema.required or ())


class _Parser(argparse.ArgumentParser):
    """Reads a flow's options; a wrong one is an error of ours, since 2 is the exit code of a closed gate."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(
            f"The command line is wrong: {message}.", where=self.prog, do=f"see {self.prog} --help."
        )


def _parser(flow: Callable[..., Any], prog: str | None) -> argparse.ArgumentParser:
    name = getattr(flow, "name", "flow").replace("-", "_")
    parser = _Parser(
        prog=prog or f"python -m flows.{name}",
        description=(flow.__doc__ or "").partition("\n")[0],
        epilog=_ENDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    schema = parameter_schema(flow)
    parameters = parser.add_argument_group("parameters of the flow")
    for parameter, about in schema.properties.items():
        _add_parameter(parameters, parameter, about, needed=parameter in (schema.required or ()))
    if "window" in schema.properties and not {"start", "end"} & {*schema.properties}:
        parameters.add_argument(
            "--start", metavar="TIME", help="with --end: read only what changed from here on"
        )
        parameters.add_argument(
            "--end", metavar="TIME", help="with --start: read only what changed before this"
        )
    parser.add_argument(
        "--account", type=Path, default=ACCOUNT, help=f"where the account goes (default {ACCOUNT})"
    )
    parser.add_argument("--json", action="store_true", help="print the account, or the result, as JSON")
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="a parameter by its name, as an option of that name gives it; NAME=@FILE takes the JSON of a file",
    )
    return parser


def _add_parameter(
    group: argparse._ArgumentGroup, name: str, about: Mapping[str, Any], *, needed: bool
) -> None:
    """Add a flow's parameter as an option."""
    option, text = f"--{name.replace('_', '-')}", str(about.get("description", "")).replace("%", "%%")
    if about.get("type") == "boolean":
        # --no-… only where it says what is not so already.
        is_so = about.get("default") is True
        group.add_argument(
            option,
            dest=name,
            action=argparse.BooleanOptionalAction if is_so else "store_true",
            default=None,
            help=f"{text}{' (it is so unless --no-… says otherwise)' if is_so else ''}",
        )
        return
    default = about.get("default")
    shown = f" (default: {default})" if default not in (None, "", [], {}) else ""
    group.add_argument(
        option,
        dest=name,
        default=None,
        choices=about.get("enum"),
        metavar=None if about.get("enum") else "VALUE" if _is_text(about) else "JSON",
        help=f"{text}{' (needed)' if needed else shown}",
    )


def _is_text(about: Mapping[str, Any]) -> bool:
    """Return whether a parameter is nothing but text, which is taken as it is written: 007 is no number."""
    return about.get("type") == "string"


def _parameters(
    flow: Callable[..., Any], options: argparse.Namespace, unknown: Sequence[str]
) -> dict[str, Any]:
    schema = parameter_schema(flow)
    known = list(inspect.signature(flow).parameters)
    options_of = [_option(each) for each in known]
    for word in unknown:
        if not word.startswith("-"):
            raise SettingsError(
                f"The word {word!r} belongs to no option.",
                do="leave it out: a switch such as --dry-run takes no value; quote a value that has blanks.",
            )
        near = did_you_mean(_option(word.lstrip("-").partition("=")[0]), options_of)
        raise SettingsError(f"There is no option {word}.{near}", do=f"use one of {', '.join(options_of)}.")
    parameters: dict[str, Any] = {}
    given = {name: getattr(options, name, None) for name in known}
    window = "window" in known and not {"start", "end"} & {*known}
    start, end = (getattr(options, name, None) if window else None for name in ("start", "end"))
    if bool(start) != bool(end):
        raise SettingsError("A window needs both its ends.", do="give --start and --end, or neither.")
    if start:
        parameters["window"] = {"start": start, "end": end}
    for name, value in given.items():
        if value is not None:
            parameters[name] = _value(value, schema.properties.get(name, {}), _option(name))
    for text in options.param:
        name, separator, value = text.partition("=")
        if name not in known:
            raise SettingsError(
                f"There is no parameter {name!r}.{did_you_mean(name, known)}",
                do=f"use one of {', '.join(known)}.",
            )
        if not separator:
            raise SettingsError(f"{text!r} is not NAME=JSON.", do=f'write it as --param {name}="a value".')
        parameters[name] = _value(value, schema.properties.get(name, {}), name)
    missing = [name for name in schema.required or () if name not in parameters]
    if missing:
        about = schema.properties[missing[0]].get("description", "")
        raise SettingsError(
            f"The parameter {missing[0]} is missing{f': {about}' if about else '.'}",
            do=f"give {', '.join(map(_option, missing))}.",
        )
    return parameters


def _option(name: str) -> str:
    """Return the option of a parameter."""
    return f"--{name.replace('_', '-')}"


def _value(given: Any, about: Mapping[str, Any], name: str) -> Any:
    """Return a parameter's value: what is nothing but text as it is written, unless it is JSON of a text."""
    if not isinstance(given, str):
        return given
    read = _json_or_text(given)
    if _is_text(about) and not isinstance(read, str):
        return given
    if about.get("type") == "array" and not isinstance(read, list):
        raise SettingsError(
            f"{name} takes a list in JSON, and {given!r} is none.",
            do=f"write it as {name} '{json.dumps([read])}'; a file that holds it as @file.json.",
        )
    return read


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
