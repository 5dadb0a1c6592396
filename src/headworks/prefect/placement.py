"""Where the steps of a flow run: in threads of its process, or on the workers of a Dask cluster.

``HEADWORKS_SCALE=dask`` sends what flows submit (reading a source, refining a dataset, making and auditing a table)
to the cluster at ``HEADWORKS_DASK_ADDRESS``; without an address to processes of this machine, which end with the run.
What commits gold and publishes runs in the flow's own process. A worker that dies costs time alone: Dask gives its
step to another one, and the protocol of landing and refining makes a step that is repeated exact.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast

from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from headworks.errors import SettingsError, did_you_mean

Runner = TaskRunner[PrefectFuture[Any]]

SCALE = "HEADWORKS_SCALE"
ADDRESS = "HEADWORKS_DASK_ADDRESS"
_WAYS = ("threads", "dask")

# Sources are read and datasets refined side by side; more threads would only wait for the same cores.
THREADS = cast(Runner, ThreadPoolTaskRunner(max_workers=4))


def step_runner(variables: Mapping[str, str] = os.environ) -> Runner:
    """Return what runs a flow's steps, as the variables say.

    Raises `SettingsError` for another word than threads and dask, for an address where nothing is sent to it, and where
    prefect-dask is not installed.

    Example:
        >>> step_runner({"HEADWORKS_SCALE": "threads"}) is THREADS
        True
    """
    way, address = variables.get(SCALE, "") or "threads", variables.get(ADDRESS, "")
    if way not in _WAYS:
        raise SettingsError(
            f"There is no scale {way}.{did_you_mean(way, _WAYS)}",
            where=SCALE,
            do=f"use {' or '.join(_WAYS)}.",
        )
    if way == "threads":
        if address:
            raise SettingsError(
                f"{ADDRESS} names a cluster that nothing is sent to.",
                where=ADDRESS,
                do=f"set {SCALE}=dask, or take the address out.",
            )
        return THREADS
    try:
        from prefect_dask import DaskTaskRunner
    except ImportError as problem:
        raise SettingsError(
            "Dask is not installed here.", where=SCALE, do="pip install 'headworks[dask]'."
        ) from problem
    if address:
        return cast(Runner, DaskTaskRunner(address=address))
    # One thread each: Polars has threads of its own, and a step that is killed takes no other one along.
    local = {"processes": True, "threads_per_worker": 1, "dashboard_address": None}
    return cast(Runner, DaskTaskRunner(cluster_kwargs=local))


def is_elsewhere(variables: Mapping[str, str] = os.environ) -> bool:
    """Return whether steps may run on other machines than their flow's."""
    return variables.get(SCALE) == "dask" and bool(variables.get(ADDRESS))
