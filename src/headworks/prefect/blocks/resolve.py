"""Finds a block by its name: on the Prefect server, else filled from the environment or from ``.env``.

Where both describe it, the server's block is used; variables that say something else are reported, never passed over.

The variables of a block are ``HEADWORKS_<NAME>_<FIELD>``, so the token of ``shop-api`` is ``HEADWORKS_SHOP_API_TOKEN``.
So plain Python needs no set-up on any server. A variable may be given as a file: ``HEADWORKS_SHOP_API_TOKEN_FILE``
names one that holds the token. With a profile, the block's name begins with it (``profiles.py``).
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from dotenv import dotenv_values
from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import get_current_settings
from pydantic import BaseModel, Secret, SecretStr, ValidationError

from headworks.errors import CredentialsRefused, HeadworksError, ServerUnavailable, SettingsError
from headworks.ops.channels import Mail, Slack, Webhook
from headworks.prefect.blocks.alerts import AlertChannel
from headworks.prefect.blocks.api import ApiCredentials
from headworks.prefect.blocks.files import FileLocation
from headworks.prefect.blocks.lake import LakeLocation
from headworks.prefect.blocks.profiles import Profile
from headworks.project import BlockKind
from headworks.settings import DatabaseSettings, FilesSettings, LakeSettings
from headworks.sources.api.settings import ApiSettings

if TYPE_CHECKING:
    from prefect_sqlalchemy import SqlAlchemyConnector

B = TypeVar("B", bound=Block)

_LOGGER = logging.getLogger(__name__)
_SERVER_WAITS_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""A server whose database restarts answers 500 for some seconds: so long it is asked again, and no longer."""

_reported: set[str] = set()


def lake_settings(name: str) -> LakeSettings:
    """Return the settings of the lake that the block ``name`` describes."""
    return located_lake(name)[0]


def located_lake(name: str) -> tuple[LakeSettings, str]:
    """Return the settings of a lake, and in words what they come from: a block of a server, or a variable."""
    block, source = _found(LakeLocation, name, "ROOT", _lake_from)
    return _validated(block.to_settings, name), source


def files_settings(name: str) -> FilesSettings:
    """Return the settings of the place of files that the block ``name`` describes."""
    return _validated(lambda: _find(FileLocation, name, "ROOT", _files_from).to_settings(), name)


def api_settings(name: str) -> ApiSettings:
    """Return the settings of the API that the block ``name`` describes."""
    return _validated(lambda: _find(ApiCredentials, name, "BASE_URL", _api_from).to_settings(), name)


def load_database(name: str, *, postgres: bool = False) -> DatabaseSettings:
    """Return the settings of the database that the block ``name`` describes; ``postgres`` refuses any other kind."""
    from prefect_sqlalchemy import SqlAlchemyConnector

    from headworks.prefect.blocks.database import database_settings

    return database_settings(_find(SqlAlchemyConnector, name, "URL", _database_from), postgres=postgres)


def alert_channels(name: str = "alerts") -> tuple[Webhook | Slack | Mail, ...]:
    """Return the channel that the block ``name`` describes; none where no such block exists: nobody is notified."""
    given = variables()
    name = Profile.of(given).name(name)
    found = saved_block(AlertChannel, name) or _alerts_from(name, given)
    if found is None:
        return ()
    return (_validated(found.to_settings, name),)


def variables(file: Path | None = None) -> dict[str, str]:
    """Return the environment's variables over those of a file, else of ``.env`` in the working directory.

    Raises `SettingsError` where a named file is not there or cannot be read.
    """
    if file is not None and not file.exists():
        raise SettingsError("The file of variables is not there.", where=str(file), do="correct --file.")
    written = {
        name: value for name, value in dotenv_values(file or Path(".env")).items() if value is not None
    }
    return _with_files({**written, **os.environ})


def _with_files(given: dict[str, str]) -> dict[str, str]:
    """Add what files hold that variables ending in ``_FILE`` name, as a secret manager mounts them."""
    read: dict[str, str] = {}
    for variable, path in given.items():
        plain = variable.removesuffix("_FILE")
        if plain == variable or not variable.startswith("HEADWORKS_") or not path:
            continue
        if given.get(plain):
            raise SettingsError(
                f"Both {plain} and {variable} are set.", where="variables", do="keep one of them."
            )
        try:
            read[plain] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as problem:
            raise SettingsError(
                f"The file that {variable} names cannot be read: {type(problem).__name__}.",
                where=path,
                do="correct the path, or who may read it.",
            ) from problem
    return {**given, **read}


def prefix(name: str) -> str:
    """Return what the variables of the block ``name`` begin with."""
    return f"HEADWORKS_{name.upper().replace('-', '_')}_"


def from_variables(name: str, kind: BlockKind, found: Mapping[str, str]) -> Block | None:
    """Make the block ``name`` of a kind from variables; None where they describe none."""
    return _MAKERS[kind](name, found)


def kind_of(name: str, found: Mapping[str, str], declared: Mapping[str, BlockKind]) -> BlockKind | None:
    """Return the kind of a block: what the project declares, or else the only one whose variables are there.

    ``name`` and those of ``declared`` are as on the server. None where nothing describes the block. Raises
    `SettingsError` for a root that may be a lake's or that of files.
    """
    if name in declared:
        return declared[name]
    for variable, kind in _BY_VARIABLE.items():
        if found.get(f"{prefix(name)}{variable}"):
            return kind
    if found.get(f"{prefix(name)}ROOT"):
        raise SettingsError(
            f"{prefix(name)}ROOT may be the root of a lake or of files, and the project does not name {name}.",
            where=f"block {name}",
            do=f"write {name}=lake or {name}=files, or declare it in the project.",
        )
    return None


def content(block: Block) -> dict[str, Any]:
    """Return all that a block holds, secrets in clear, for comparing alone."""
    # Not model_dump: Prefect makes the schema of the block again for each of its fields.
    return {name: _clear(getattr(block, name)) for name in type(block).model_fields}


def server_name() -> str:
    """Return which Prefect server is asked, in words."""
    url = get_current_settings().api.url
    return f"the Prefect server at {url}" if url else "no Prefect server, since PREFECT_API_URL chooses none"


def saved_block(kind: type[B], name: str) -> B | None:
    """Return the block that the server has of a kind and a name, or None where it has none.

    Without a chosen server none is asked: one of Prefect's own would be started for it, and would have nothing to say.
    A server that does not answer, or answers with an error that heals, is asked again for about a minute. Raises
    `ServerUnavailable` after it, and `CredentialsRefused` where the server does not let us in.
    """
    if not get_current_settings().api.url:
        return None
    for wait_s in (*_SERVER_WAITS_S, None):
        try:
            return _loaded(kind, name)
        except ServerUnavailable as problem:
            if wait_s is None:
                raise
            _LOGGER.warning("%s Asking again in %.0f s.", problem.what, wait_s)
            time.sleep(wait_s)
    raise AssertionError("unreachable: the last round returns or raises")


def _loaded(kind: type[B], name: str) -> B | None:
    try:
        return kind.load(name)  # type: ignore[return-value]
    except ObjectNotFound:
        return None
    except ValidationError as problem:
        raise _wrong_block(problem, name) from None
    except ValueError as problem:
        if isinstance(problem.__cause__, ObjectNotFound):
            return None
        raise _unavailable(f"its answer cannot be read ({type(problem).__name__})") from problem
    except PrefectHTTPStatusError as problem:
        raise _refused_by(problem.response.status_code) from problem
    except httpx.TransportError as problem:
        raise _unavailable(type(problem).__name__) from problem


def _refused_by(status: int) -> HeadworksError:
    """Return the error of ours for a status of the Prefect server."""
    if status in {401, 403}:
        return CredentialsRefused(
            f"{server_name()} does not let us in ({status}).",
            where="PREFECT_API_AUTH_STRING, PREFECT_API_KEY",
            do="set what this server asks for.",
        )
    if status >= 500 or status in {408, 429}:
        return _unavailable(f"status {status}")
    return SettingsError(
        f"{server_name()} answers {status} when asked for a block.",
        where="PREFECT_API_URL",
        do="check that it is the address of a Prefect server's API, of this version.",
    )


def _unavailable(why: str) -> ServerUnavailable:
    return ServerUnavailable(
        f"{server_name()} does not answer as it should: {why}.",
        where="blocks",
        do="look at the server and its database; run again when they are back.",
    )


def _clear(value: Any) -> Any:
    if isinstance(value, Secret | SecretStr):
        return _clear(value.get_secret_value())
    if isinstance(value, BaseModel):
        return {name: _clear(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {name: _clear(inner) for name, inner in value.items()}
    return [_clear(one) for one in value] if isinstance(value, list | tuple) else value


def _find(
    kind: type[B],
    name: str,
    main_field: str,
    make: Callable[[str, Mapping[str, str]], B | None],
) -> B:
    return _found(kind, name, main_field, make)[0]


def _found(
    kind: type[B],
    name: str,
    main_field: str,
    make: Callable[[str, Mapping[str, str]], B | None],
) -> tuple[B, str]:
    given = variables()
    name = Profile.of(given).name(name)
    variable = f"{prefix(name)}{main_field}"
    saved = saved_block(kind, name)
    if saved is not None:
        _report_losing(saved, name, variable, given, make)
        return saved, f"block {name} of {server_name()}"
    made = make(name, given)
    if made is not None:
        return made, f"variable {variable}"
    raise SettingsError(
        f"There is no block {kind.get_block_type_slug()}/{name}. Looked for it on {server_name()}, then for "
        f"{variable} in the environment, then for {variable} in {Path('.env').absolute()}.",
        where=f"block {name}",
        do=f"register it with headworks register-blocks, or set {variable}.",
    )


def _report_losing(
    saved: Block,
    name: str,
    variable: str,
    given: Mapping[str, str],
    make: Callable[[str, Mapping[str, str]], Block | None],
) -> None:
    """Report variables that describe a block otherwise than the server does, once in a process."""
    try:
        made = make(name, given)
    except (HeadworksError, ValidationError):
        # They cannot be read. Nothing depends on them here.
        made = None
    if made is None or content(made) == content(saved) or name in _reported:
        return
    _reported.add(name)
    _LOGGER.warning(
        "The block %s of %s is used. %s and its like say something else and are NOT used: unset them, or write them "
        "to the server with headworks register-blocks %s.",
        name,
        server_name(),
        variable,
        name,
    )


def _lake_from(name: str, found: Mapping[str, str]) -> LakeLocation | None:
    root = found.get(f"{prefix(name)}ROOT")
    if not root:
        return None
    options = _json_object(f"{prefix(name)}STORAGE_OPTIONS", found)
    return LakeLocation.model_validate({"root": root, "storage_options": options})


def _files_from(name: str, found: Mapping[str, str]) -> FileLocation | None:
    root = found.get(f"{prefix(name)}ROOT")
    if not root:
        return None
    options = _json_object(f"{prefix(name)}STORAGE_OPTIONS", found)
    return FileLocation.model_validate({"root": root, "storage_options": options})


def _api_from(name: str, found: Mapping[str, str]) -> ApiCredentials | None:
    base_url = found.get(f"{prefix(name)}BASE_URL")
    if not base_url:
        return None
    given = {field: found.get(f"{prefix(name)}{field.upper()}") for field in ApiCredentials.model_fields}
    values: dict[str, Any] = {field: value for field, value in given.items() if value}
    for field in ("auth_arguments", "headers"):
        if field in values:
            values[field] = _json_object(f"{prefix(name)}{field.upper()}", found)
    return ApiCredentials.model_validate(values)


def _database_from(name: str, found: Mapping[str, str]) -> SqlAlchemyConnector | None:
    from headworks.prefect.blocks.database import database_connector

    variable = f"{prefix(name)}URL"
    url = found.get(variable)
    sslmode = found.get(f"{prefix(name)}SSLMODE") or None
    return database_connector(SecretStr(url), where=variable, sslmode=sslmode) if url else None


def _alerts_from(name: str, found: Mapping[str, str]) -> AlertChannel | None:
    start = prefix(name)
    fields: dict[str, Any] = {
        field: found[f"{start}{field.upper()}"]
        for field in AlertChannel.model_fields
        if found.get(f"{start}{field.upper()}")
    }
    if "kind" not in fields:
        return None
    fields["recipients"] = [part.strip() for part in fields.get("recipients", "").split(",") if part.strip()]
    return _validated(lambda: AlertChannel.model_validate(fields), name)


def _json_object(variable: str, found: Mapping[str, str]) -> dict[str, str]:
    text = found.get(variable)
    if not text:
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise SettingsError(
            "The variable is not a JSON object.",
            where=variable,
            do='write it as {"NAME": "…"}.',
        )
    return {str(key): str(item) for key, item in value.items()}


S = TypeVar("S")


def _validated(make: Callable[[], S], name: str) -> S:
    """Turn a rejected value into an error of ours that does not show the value."""
    try:
        return make()
    except ValidationError as problem:
        raise _wrong_block(problem, name) from None


def _wrong_block(problem: ValidationError, name: str) -> SettingsError:
    faults = "; ".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problem.errors(include_input=False)
    )
    return SettingsError(
        f"The block holds something wrong: {faults}.", where=f"block {name}", do="correct these fields of it."
    )


_MAKERS: Mapping[BlockKind, Callable[[str, Mapping[str, str]], Block | None]] = {
    "lake": _lake_from,
    "api": _api_from,
    "database": _database_from,
    "files": _files_from,
    "alerts": _alerts_from,
}
_BY_VARIABLE: Mapping[str, BlockKind] = {"BASE_URL": "api", "URL": "database", "KIND": "alerts"}
"""The variables that one kind of block alone has."""
