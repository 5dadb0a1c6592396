"""What people do: cancel, start twice, and get parameters wrong."""

from __future__ import annotations

import pytest

from tests.docker.conftest import DEPLOYMENT
from tests.faults.ground import Ground

pytestmark = [pytest.mark.docker, pytest.mark.server]


def test_a_cancelled_run_ends_as_cancelled_gives_its_lease_back_and_the_next_goes_on(ground: Ground) -> None:
    with ground.working():
        with ground.held() as reached:
            begun = ground.begin()
            reached()
            ground.cancel(begun)
            ground.until(
                lambda: "Asked to stop" in ground.operator.output(begun.id), "it was not asked to stop"
            )
        # The statement that waits for the lock is the batch in hand: it is waited for.
        ground.operator.watch(begun.id, "CANCELLED")
        ground.until(lambda: not ground.is_running(begun), "the container continues")
        ground.assert_lease_is_free()
        ground.run()
    ground.assert_exact()


def test_of_two_runs_of_one_deployment_the_second_waits_for_its_turn(ground: Ground) -> None:
    with ground.working():
        with ground.held() as reached:
            first = ground.begin()
            reached()
            second = ground.begin()
            ground.until(
                lambda: (
                    ground.operator.read(f"flow_runs/{second.id}")["state_name"] == "AwaitingConcurrencySlot"
                ),
                "the second one does not wait",
            )
        ground.operator.watch(first.id, "COMPLETED")
        ground.operator.watch(second.id, "COMPLETED")
    ground.assert_exact()


def test_of_two_deployments_that_do_the_same_one_is_refused_before_it_reads(ground: Ground) -> None:
    deployed = ground.operator.read(f"deployments/name/{DEPLOYMENT}")
    wanted = (
        "flow_id",
        "entrypoint",
        "work_pool_name",
        "job_variables",
        "parameters",
        "parameter_openapi_schema",
    )
    twin = {name: deployed[name] for name in wanted}
    made = ground.operator.post("deployments/", {**twin, "name": "sales-twin"})
    try:
        with ground.working():
            with ground.held() as reached:
                first = ground.begin()
                reached()
                second = ground.begin(deployment="sales/sales-twin")
                run = ground.operator.watch(second.id, "COMPLETED")
                assert run["state_name"] == "Refused"
                assert "Another run is at work on sales" in run["state"]["message"]
                assert first.id in run["state"]["message"], "it does not say which"
            ground.operator.watch(first.id, "COMPLETED")
    finally:
        ground.operator.delete(f"deployments/{made['id']}")
    ground.assert_exact()


def test_a_wrong_parameter_is_refused_where_the_server_can_tell_and_fails_the_run_where_it_cannot(
    ground: Ground,
) -> None:
    with pytest.raises(AssertionError, match="sometimes"):
        ground.begin("--param", 'mode="sometimes"')
    backwards = '{"start": "2026-02-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}'
    with ground.working():
        begun = ground.begin("--param", f"window={backwards}")
        run = ground.operator.watch(begun.id, "FAILED")
        assert "window" in run["state"]["message"]
        assert "must lie before its end" in run["state"]["message"]
        ground.until_heard("the run", "failed", "must lie before its end")
        ground.run()
    ground.assert_exact()
