"""What is wanted of a server: ``prefect.yaml`` and ``deployments/server.yaml``, read strictly.

Prefect ignores what it does not know in a ``prefect.yaml``; here an unknown key is an error.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from headworks.errors import SettingsError
from headworks.prefect.blocks.profiles import Profile
from headworks.settings import Settings

_TAG = "prefect.tag."
SERVER = Path("deployments") / "server.yaml"
"""Where a project has it, below its root."""


class Queue(Settings):
    """A queue of a work pool."""

    name: str
    description: str = ""
    priority: int = Field(ge=1, description="The lower the number, the sooner its runs are started.")
    concurrency_limit: int | None = Field(default=None, ge=0, description="Runs side by side.")


class Pool(Settings):
    """A work pool, with its base job template in a file."""

    name: str
    type: str
    description: str = ""
    template: Path = Field(
        description="The base job template, a JSON file; a relative path counts from server.yaml."
    )
    concurrency_limit: int | None = Field(default=None, ge=0, description="Runs side by side.")
    queues: tuple[Queue, ...] = ()


class GlobalLimit(Settings):
    """A global concurrency limit; with a decay it is a rate limit."""

    name: str
    limit: int = Field(ge=0)
    slot_decay_per_second: float = Field(default=0.0, ge=0)


class TagLimit(Settings):
    """How many task runs with a tag may run at once."""

    tag: str
    limit: int = Field(ge=0)


class DeclaredAutomation(Settings):
    """An automation; an action of the type ``alert`` goes out by the block ``alerts``, and needs it."""

    name: str
    description: str = ""
    trigger: dict[str, Any]
    actions: tuple[dict[str, Any], ...]


class Server(Settings):
    """All of server.yaml."""

    work_pools: tuple[Pool, ...]
    global_limits: tuple[GlobalLimit, ...] = ()
    tag_limits: tuple[TagLimit, ...] = ()
    automations: tuple[DeclaredAutomation, ...] = ()


class Schedule(Settings):
    """When a deployment runs. Without ``active``, so that what a person paused stays paused."""

    slug: str
    cron: str
    timezone: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class ConcurrencyLimit(Settings):
    """How many runs of a deployment may run at once, and what becomes of the next."""

    limit: int = Field(ge=1)
    collision_strategy: str


class WorkPool(Settings):
    """Where a deployment's runs are done."""

    name: str
    work_queue_name: str = "default"
    job_variables: dict[str, Any] = Field(default_factory=dict)


class Declared(Settings):
    """One deployment of prefect.yaml."""

    name: str
    description: str
    entrypoint: str
    tags: list[str] = Field(default_factory=list)
    parameters: dict[str, Any] = Field(default_factory=dict)
    schedules: tuple[Schedule, ...] = ()
    concurrency_limit: ConcurrencyLimit
    work_pool: WorkPool
    triggers: tuple[dict[str, Any], ...] = ()
    build: list[Any] = Field(default=[], max_length=0)
    push: list[Any] = Field(default=[], max_length=0)

    @property
    def image(self) -> str | None:
        """The image that its runs are done in, if they are done in one."""
        image = self.work_pool.job_variables.get("image")
        return str(image) if image else None


class PrefectFile(Settings):
    """All of prefect.yaml."""

    name: str
    pull: list[Any] = Field(max_length=0)
    definitions: dict[str, Any] = Field(
        default_factory=dict, description="What deployments have in common, by YAML's anchors."
    )
    deployments: tuple[Declared, ...]


def read_server(profile: Profile, path: Path = SERVER) -> Server:
    """Read what a server needs alongside deployments, with the names of a profile."""
    plain: Server = _read(path, Server)
    return plain.model_copy(
        update={
            "work_pools": tuple(
                _renamed(one, profile).model_copy(update={"template": path.parent / one.template})
                for one in plain.work_pools
            ),
            "global_limits": tuple(_renamed(one, profile) for one in plain.global_limits),
            "tag_limits": tuple(
                one.model_copy(update={"tag": profile.name(one.tag)}) for one in plain.tag_limits
            ),
            "automations": tuple(
                _renamed(one, profile).model_copy(update={"trigger": trigger_of(one.trigger, profile, plain)})
                for one in plain.automations
            ),
        }
    )


def read_deployments(profile: Profile, path: Path) -> tuple[Declared, ...]:
    """Read the deployments, with the names of a profile."""
    return tuple(
        one.model_copy(
            update={
                "name": profile.name(one.name),
                "tags": profile.tags(one.tags),
                "work_pool": one.work_pool.model_copy(update={"name": profile.name(one.work_pool.name)}),
                "triggers": tuple(trigger_of(trigger, profile) for trigger in one.triggers),
            }
        )
        for one in _read(path, PrefectFile).deployments
    )


def template_of(pool: Pool, profile: Profile, networks: Sequence[str] = ()) -> dict[str, Any]:
    """Return a pool's base job template. With a profile its runs know which one it is.

    ``networks`` are those that the containers of a Docker pool join.
    """
    try:
        template: dict[str, Any] = json.loads(pool.template.read_text(encoding="utf-8"))
    except OSError as problem:
        raise SettingsError(
            f"The template of work pool {pool.name} cannot be read: {problem.strerror}.",
            where=str(pool.template),
            do="put it there; a template is named relative to the file that declares the pool.",
        ) from problem
    properties = template["variables"]["properties"]
    if networks and "networks" in properties:
        properties["networks"]["default"] = list(networks)
    if profile.label:
        properties["env"]["default"] = {**properties["env"].get("default", {}), **profile.variables()}
    return template


def trigger_of(trigger: dict[str, Any], profile: Profile, server: Server | None = None) -> dict[str, Any]:
    """Return a trigger that looks at this profile's runs, pools and products."""
    pools = {one.name for one in server.work_pools} if server else set()

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: named(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [named(inner) for inner in value]
        if isinstance(value, str) and value.startswith(_TAG):
            return f"{_TAG}{profile.own_tag(value.removeprefix(_TAG))}"
        return profile.name(value) if value in pools else value

    return {key: named(value) for key, value in trigger.items()}


def _renamed(one: Any, profile: Profile) -> Any:
    return one.model_copy(update={"name": profile.name(one.name)})


def _read(path: Path, model: Any) -> Any:
    try:
        return model.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as problem:
        raise SettingsError(
            "The file is not there.", where=str(path), do="run this in the checkout, or name it."
        ) from problem
    except yaml.YAMLError as problem:
        raise SettingsError(
            f"The file is no YAML: {problem}.", where=str(path), do="correct it there."
        ) from problem
    except ValidationError as problem:
        faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problem.errors())
        raise SettingsError(
            f"The file says what is not known: {faults}.",
            where=str(path),
            do="correct these fields, or take them out.",
        ) from problem
