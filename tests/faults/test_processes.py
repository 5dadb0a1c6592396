"""What runs is killed, or cannot be started: the run ends in the right state, and the next one makes all exact."""

from __future__ import annotations

import signal

import pytest

from headworks.prefect.local.processes import stop
from tests.docker.conftest import docker
from tests.faults.ground import Ground

pytestmark = [pytest.mark.docker, pytest.mark.server, pytest.mark.campaign]


def test_the_container_is_killed_while_it_reads(ground: Ground) -> None:
    with ground.working():
        with ground.held() as reached:
            begun = ground.begin()
            reached()
            docker("kill", begun.container)
            run = ground.operator.watch(begun.id, "CRASHED")
        assert "137" in run["state"]["message"]
        ground.until_heard("sales-daily-docker", "failed")
        ground.run()
    ground.assert_exact()


def test_the_container_is_killed_while_it_publishes(ground: Ground) -> None:
    with ground.working():
        with ground.held("analytics", "analytics.sales_daily") as reached:
            begun = ground.begin()
            reached()
            docker("kill", begun.container)
            ground.operator.watch(begun.id, "CRASHED")
        ground.until_heard("sales-daily-docker", "failed")
        ground.run()
    ground.assert_exact()


def test_a_container_without_memory_ends_as_crashed(ground: Ground) -> None:
    with ground.working():
        begun = ground.begin(mem_limit="120m", memswap_limit="120m")
        ground.operator.watch(begun.id, "CRASHED")
        assert ground.exit_code(begun) != 0
        ground.until_heard("sales-daily-docker", "failed")
        ground.run()
    ground.assert_exact()


def test_a_stopped_container_puts_its_run_back_for_another_one(ground: Ground) -> None:
    with ground.working():
        with ground.held() as reached:
            begun = ground.begin()
            reached()
            docker("kill", "--signal", "TERM", begun.container)
            ground.until(
                lambda: "Asked to stop" in ground.operator.output(begun.id), "it was not asked to stop"
            )
        run = ground.operator.watch(begun.id, "COMPLETED")
    assert run["run_count"] > 1
    ground.assert_exact()


def test_a_killed_worker_does_not_matter_to_the_run_in_its_container(ground: Ground) -> None:
    with ground.working() as worker, ground.held() as reached:
        begun = ground.begin()
        reached()
        stop(worker, signal.SIGKILL)
    ground.operator.watch(begun.id, "COMPLETED")
    ground.assert_exact()
    with ground.working():
        ground.run()
    ground.assert_exact()


def test_worker_and_container_killed_leave_a_zombie_that_is_found_and_whose_place_is_freed(
    ground: Ground,
) -> None:
    with ground.held() as reached:
        with ground.working() as worker:
            begun = ground.begin()
            reached()
            stop(worker, signal.SIGKILL)
            docker("kill", begun.container)
        assert ground.operator.read(f"flow_runs/{begun.id}")["state_type"] == "RUNNING"
    with ground.working():
        # The deployment allows one run at a time: this one waits for the zombie's place.
        following = ground.begin()
        ground.operator.watch(begun.id, "CRASHED")
        ground.until_heard("sales-daily-docker", "failed")
        ground.operator.watch(following.id, "COMPLETED")
    ground.assert_exact()


def test_the_server_is_restarted_in_the_middle_of_a_run(ground: Ground) -> None:
    with ground.working():
        with ground.held() as reached:
            begun = ground.begin()
            reached()
            ground.stack.stop_server()
            ground.stack.up()
        ground.operator.watch(begun.id, "COMPLETED")
    ground.assert_exact()


def test_an_image_that_is_missing_is_said_and_the_next_run_goes_on(ground: Ground) -> None:
    with ground.working():
        begun = ground.begin(image="headworks:never-built", image_pull_policy="Never")
        run = ground.operator.watch(begun.id, "CRASHED")
        assert "headworks:never-built" in run["state"]["message"]
        ground.until_heard("sales-daily-docker", "failed")
        ground.run()
    ground.assert_exact()
