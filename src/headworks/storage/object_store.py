"""Object stores as obstore reaches them, from the options that delta-rs takes.

delta-rs alone gives no access to single objects with a condition, so those who need one come here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import from_url

from headworks.settings import PlaceSettings

_SCHEMES = {"s3", "s3a", "gs", "az", "abfs", "abfss"}
_TRUE = {"true", "1", "t", "yes", "y", "on"}
_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>ms|s|m|h)")
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_CLIENT_OPTIONS = {"allow_http", "allow_invalid_certificates", "timeout", "connect_timeout", "proxy_url"}
# What delta-rs takes for itself; obstore refuses options that it does not know.
_OF_DELTA = {
    "allow_unsafe_rename",
    "s3_allow_unsafe_rename",
    "s3_locking_provider",
    "max_retries",
    "retry_timeout",
}


def open_store(settings: PlaceSettings) -> Any:
    """Open the object store that the settings describe; raises `ValueError` for a scheme that has no reader."""
    scheme = settings.root.partition("://")[0]
    if scheme not in _SCHEMES:
        raise ValueError(f"there is no reader for {scheme}://")
    options = {key.lower(): value for key, value in (settings.options() or {}).items()}
    client: dict[str, Any] = {"timeout": "60s", "connect_timeout": "5s"}
    for key in list(options):
        name = key.removeprefix("aws_")
        if name in _CLIENT_OPTIONS:
            value = options.pop(key)
            client[name] = value.lower() == "true" if value.lower() in {"true", "false"} else value
        elif name in _OF_DELTA:
            del options[key]
    _check_http(options, client)
    retries: Any = {"max_retries": 5, "retry_timeout": timedelta(seconds=8)}
    return from_url(settings.root, config=options, client_options=client, retry_config=retries)  # type: ignore[call-overload]


def options_of_polars(options: Mapping[str, str] | None) -> dict[str, Any]:
    """Return options of delta-rs as Polars takes them: it refuses a number of retries that is written as a text."""
    made: dict[str, Any] = dict(options or {})
    given = {key.lower(): value for key, value in made.items()}
    if (retries := given.get("max_retries", "")).isdecimal():
        made |= {key: int(retries) for key in options or {} if key.lower() == "max_retries"}
    if found := _DURATION.fullmatch(given.get("retry_timeout", "")):
        made["retry_timeout_ms"] = round(float(found["number"]) * _MILLISECONDS[found["unit"]])
    return made


def _check_http(options: dict[str, str], client: dict[str, Any]) -> None:
    """Raise `ValueError` for an endpoint without TLS that nobody allowed: the library's own error does not say so."""
    allowed = client.get("allow_http", os.environ.get("AWS_ALLOW_HTTP", ""))
    if str(allowed).lower() in _TRUE:
        return
    named = {key: value for key, value in options.items() if "endpoint" in key}
    named |= {key: os.environ[key] for key in _ENDPOINTS if key in os.environ and not named}
    for key, value in named.items():
        if value.lower().startswith("http://"):
            raise ValueError(
                f"the endpoint in {key} is {value.partition('?')[0]}, which is not encrypted, and that is not allowed: "
                'set AWS_ALLOW_HTTP to "true" in the storage options, or use https'
            )


def put_new(store: Any, path: str, data: bytes) -> bool:
    """Write an object unless one of that name is there, and know whether it was written; raises `OSError`."""
    try:
        obstore.put(store, path, data, mode="create")
    except AlreadyExistsError:
        return False
    except BaseError as problem:
        raise OSError(str(problem)) from problem
    return True
