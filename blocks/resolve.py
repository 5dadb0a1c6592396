"""Finds a block by its name: on the Prefect server, else filled from the environment or from ``.env``.

The variables of a block are ``HEADWORKS_<NAME>_<FIELD>``, so the token of ``shop-api`` is ``HEADWORKS_SHOP_API_TOKEN``.
So plain Python needs no set-up on any server. A variable may be given as a file: ``HEADWORKS_SHOP_API_TOKEN_FILE``
names one that holds the token. With a profile, the block's name begins with it (``profiles.py``).

What belongs here: that search. What does not: the blocks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from dotenv import dotenv_values
from prefect.blocks.core import Block
from prefect_sqlalchemy import SqlAlchemyConnector
from pydantic import SecretStr, ValidationError

from blocks.alerts import AlertChannel
from blocks.api import ApiCredentials
from blocks.database import database_connector, database_settings
from blocks.files import FileLocation
from blocks.lake import LakeLocation
from blocks.profiles import Profile
from headworks.errors import SettingsError
from headworks.observe.channels import Mail, Slack, Webhook
from headworks.settings import DatabaseSettings, FilesSettings, LakeSettings
from headworks.sources.api.settings import ApiSettings

B = TypeVar("B", bound=Block)


def lake_settings(name: str) -> LakeSettings:
    """Return the settings of the lake that the block ``name`` describes."""
    return _validated(lambda: _find(LakeLocation, name, "ROOT", _lake_from).to_settings(), name)


def files_settings(name: str) -> FilesSettings:
    """Return the settings of the place of files that the block ``name`` describes."""
    return _validated(lambda: _find(FileLocation, name, "ROOT", _files_from).to_settings(), name)


def api_settings(name: str) -> ApiSettings:
    """Return the settings of the API that the block ``name`` describes."""
    return _validated(lambda: _find(ApiCredentials, name, "BASE_URL", _api_from).to_settings(), name)


def load_database(name: str, *, postgres: bool = False) -> DatabaseSettings:
    """Return the settings of the database that the block ``name`` describes; ``postgres`` refuses any other kind."""
    return database_settings(_find(SqlAlchemyConnector, name, "URL", _database_from), postgres=postgres)


def alert_channels(name: str = "alerts") -> tuple[Webhook | Slack | Mail, ...]:
    """Return the channel that the block ``name`` describes; none where there is no such block: nobody is told then."""
    given = variables()
    name = Profile.of(given).name(name)
    found = _saved(AlertChannel, name) or _alerts_from(name, given)
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


def from_variables(name: str, found: Mapping[str, str]) -> Block | None:
    """Make a block from variables by the ending of its name: -api, -database, -files, alerts, or else a lake."""
    maker: Callable[[str, Mapping[str, str]], Block | None]
    if name.endswith("-api"):
        maker = _api_from
    elif name.endswith("-database"):
        maker = _database_from
    elif name.endswith("alerts"):
        maker = _alerts_from
    elif name.endswith("-files"):
        maker = _files_from
    else:
        maker = _lake_from
    return maker(name, found)


def _find(
    kind: type[B],
    name: str,
    main_field: str,
    make: Callable[[str, Mapping[str, str]], B | None],
) -> B:
    given = variables()
    name = Profile.of(given).name(name)
    saved = _saved(kind, name)
    if saved is not None:
        return saved
    made = make(name, given)
    if made is not None:
        return made
    variable = f"{prefix(name)}{main_field}"
    raise SettingsError(
        f"There is no block {kind.get_block_type_slug()}/{name}. Looked for it on the Prefect server, then for "
        f"{variable} in the environment, then for {variable} in {Path('.env').absolute()}.",
        where=f"block {name}",
        do=f"register it with python -m deployments.register_blocks, or set {variable}.",
    )


def _saved(kind: type[B], name: str) -> B | None:
    """Return the saved block, or None where the server has none of that name."""
    try:
        return kind.load(name)  # type: ignore[return-value]
    except ValueError:
        return None


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
    variable = f"{prefix(name)}URL"
    url = found.get(variable)
    return database_connector(SecretStr(url), where=variable) if url else None


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
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in problem.errors(include_input=False)
        )
        raise SettingsError(f"The block holds something wrong: {faults}.", where=f"block {name}") from None
