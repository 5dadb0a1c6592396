"""The disk is full, or results are gone: what is committed stays, and the next run continues."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.docker.conftest import docker, remove_volume
from tests.faults.ground import Begun, Ground

pytestmark = [pytest.mark.docker, pytest.mark.server, pytest.mark.campaign]

_MARGIN_KB = 64


def test_a_full_disk_fails_the_run_and_breaks_nothing(ground: Ground, image: str) -> None:
    """The lake is moved to a small disk in memory, which a ballast then fills."""
    volume, keeper = "headworks-test-small", "headworks-test-keeper"
    options = ("type=tmpfs", "device=tmpfs", "o=size=64m,uid=10001,gid=10001,mode=777")
    docker("volume", "create", *(word for option in options for word in ("--opt", option)), volume)
    try:
        # Such a volume lives as long as a container has it.
        mounts = ("--volume", f"{volume}:/data", "--volume", f"{ground.data}:/old")
        docker("run", "--detach", "--name", keeper, *mounts, image, "sleep", "infinity")
        docker("exec", keeper, "cp", "-r", "/old/lake", "/data/lake")
        fill = (
            f"dd if=/dev/zero of=/data/ballast bs=1k; truncate -s -{_MARGIN_KB}k /data/ballast; df -k /data"
        )
        docker("exec", keeper, "sh", "-c", fill)
        with ground.working():
            begun = ground.begin(volumes=[f"{volume}:/data"])
            run = ground.operator.watch(begun.id, "FAILED", "CRASHED")
            assert "No space left" in ground.operator.output(begun.id), run["state"]
            docker("exec", keeper, "rm", "/data/ballast")
            ground.run(volumes=[f"{volume}:/data"])
        shutil.rmtree(ground.data / "lake")
        docker("exec", keeper, "cp", "-r", "/data/lake", "/old/lake")
        ground.assert_exact()
    finally:
        # The runs' containers are kept to be looked at, and hold the volume as the keeper does.
        remove_volume(volume)


def test_a_failed_run_is_retried_in_another_container_and_goes_on_after_what_was_landed(
    ground: Ground,
) -> None:
    begun = failed_at_the_api(ground)
    with ground.working():
        ground.operator.prefect("flow-run", "retry", begun.id)
        ground.operator.watch(begun.id, "COMPLETED")
    first, again = landed_by(ground, begun.id, "shop.orders")
    assert again == first > 0, "the account of one run counts on, and nothing was landed again"
    ground.assert_exact()


def test_results_that_are_lost_are_made_again(ground: Ground) -> None:
    begun = failed_at_the_api(ground)
    shutil.rmtree(ground.data / "results")
    with ground.working():
        ground.operator.prefect("flow-run", "retry", begun.id)
        ground.operator.watch(begun.id, "COMPLETED")
    first, again = landed_by(ground, begun.id, "shop.orders")
    assert again == first > 0, "progress is in the tables, and in no result"
    ground.assert_exact()


def failed_at_the_api(ground: Ground) -> Begun:
    """Let a run fail for want of the API, whose tables are read by then."""
    with ground.working(), ground.without_api():
        begun = ground.begin()
        ground.operator.watch(begun.id, "FAILED")
    return begun


def landed_by(ground: Ground, flow_run: str, dataset: str) -> list[int]:
    """Return how many rows of a dataset a flow run had landed after each of its tries, by what it reported."""
    output = re.findall(rf"{re.escape(dataset)}: \d+ read, (\d+) landed", ground.operator.output(flow_run))
    return [int(rows) for rows in output]
