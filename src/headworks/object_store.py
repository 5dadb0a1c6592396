"""Object stores as obstore reaches them, from the options that delta-rs takes.

delta-rs alone gives no access to single objects with a condition, so those who need one come here. What belongs here:
opening a store, and the one conditional write. What does not: paths, and what the objects are.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import from_url

from headworks.settings import PlaceSettings

_SCHEMES = {"s3", "s3a", "gs", "az", "abfs", "abfss"}
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
    retries: Any = {"max_retries": 5, "retry_timeout": timedelta(seconds=8)}
    return from_url(settings.root, config=options, client_options=client, retry_config=retries)  # type: ignore[call-overload]


def put_new(store: Any, path: str, data: bytes) -> bool:
    """Write an object unless one of that name is there, and tell whether it was written; raises `OSError`."""
    try:
        obstore.put(store, path, data, mode="create")
    except AlreadyExistsError:
        return False
    except BaseError as problem:
        raise OSError(str(problem)) from problem
    return True
