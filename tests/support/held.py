"""A Prefect server that was deployed to: what it holds, and how it is waited for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from headworks.prefect.deploying.automations import in_order

HTTP_S = 60
"""How long a server may take to answer on a busy machine, in seconds."""
_PATIENCE_S = 120
_POLL_S = 0.25


@dataclass(frozen=True)
class Operated:
    """A server by the address of its API."""

    url: str

    def post(self, path: str, content: object = None) -> Any:
        """Ask something that is asked in a body."""
        return self._ask("POST", path, content or {})

    def patch(self, path: str, content: Mapping[str, Any]) -> None:
        """Change something, as a person does in the UI."""
        self._ask("PATCH", path, content)

    def get(self, path: str) -> Any:
        """Read something."""
        return self._ask("GET", path, None)

    def delete(self, path: str) -> None:
        """Delete something."""
        self._ask("DELETE", path, None)

    def _ask(self, method: str, path: str, content: object) -> Any:
        def ask() -> httpx.Response | None:
            answer = httpx.request(method, f"{self.url}/{path}", json=content, timeout=HTTP_S, verify=False)
            # SQLite is locked now and then, and Prefect's own client asks again just so.
            return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

        answer: httpx.Response = wait_for(f"{method} {path}", ask)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def deployment(self, name: str) -> Any:
        """Return a deployment by flow and name."""
        return self.get(f"deployments/name/{name}")

    def automation(self, name: str) -> Any:
        """Return the one automation of a name."""
        (found,) = [one for one in self.post("automations/filter") if one["name"] == name]
        return found

    def runs_of(self, deployment_name: str) -> list[Any]:
        """Return the runs that something has asked for, but for those of a schedule."""
        wanted = {"deployments": {"name": {"any_": [deployment_name]}}}
        return [run for run in self.post("flow_runs/filter", wanted) if not run["auto_scheduled"]]

    def holdings(self) -> dict[str, dict[str, str]]:
        """Return all that deploying makes: by kind, the id of each thing and its content with its time of change."""
        queues = [
            queue
            for pool in self.post("work_pools/filter")
            for queue in self.post(f"work_pools/{pool['name']}/queues/filter")
        ]
        found = {
            "pools": self.post("work_pools/filter"),
            "queues": queues,
            "limits": self.post("v2/concurrency_limits/filter"),
            "tags": self.post("concurrency_limits/filter", {"limit": 200}),
            "automations": self.post("automations/filter"),
            "blocks": self.post("block_documents/filter", {"include_secrets": True}),
            "deployments": self.post("deployments/filter"),
            "flows": self.post("flows/filter"),
        }
        # Whether a worker was there lately is no part of what was deployed.
        fleeting = {"status", "last_polled", "is_paused"}
        return {
            kind: {
                one["id"]: json.dumps(
                    in_order({k: v for k, v in one.items() if k not in fleeting}), sort_keys=True
                )
                for one in each
            }
            for kind, each in found.items()
        }


def wait_for(what: str, ready: Callable[[], Any]) -> Any:
    """Wait until something is there, and return it; fails after a long while."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        found = ready()
        if found is not None and found is not False and found != []:
            return found
        time.sleep(_POLL_S)
    raise AssertionError(f"{what}: not within {_PATIENCE_S} s")
