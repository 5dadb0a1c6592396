"""Where steps run is said by two variables, and what they say wrongly is refused before anything runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from headworks.errors import LakeUnusable, SettingsError
from headworks.prefect.placement import ADDRESS, SCALE, THREADS, is_elsewhere, step_runner
from headworks.prefect.steps.extract import Run
from headworks.settings import LakeSettings
from headworks.storage.format import ensure_format
from headworks.storage.store import Lake


def test_without_a_word_steps_run_in_threads() -> None:
    assert step_runner({}) is step_runner({SCALE: ""}) is THREADS
    assert not is_elsewhere({})


def test_with_an_address_steps_run_at_the_cluster_and_may_be_on_other_machines() -> None:
    variables = {SCALE: "dask", ADDRESS: "tcp://scheduler:8786"}
    assert type(step_runner(variables)).__name__ == "DaskTaskRunner"
    assert is_elsewhere(variables)
    assert not is_elsewhere({SCALE: "dask"}), "processes of this machine"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({SCALE: "dusk"}, "There is no scale dusk. Did you mean dask?"),
        ({ADDRESS: "tcp://scheduler:8786"}, "names a cluster that nothing is sent to"),
        ({SCALE: "threads", ADDRESS: "tcp://scheduler:8786"}, "names a cluster that nothing is sent to"),
    ],
)
def test_what_the_variables_say_wrongly_is_refused(variables: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        step_runner(variables)
    assert said in str(caught.value)


def test_where_dask_is_not_installed_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prefect_dask", None)
    with pytest.raises(SettingsError, match=r"pip install 'headworks\[dask\]'"):
        step_runner({SCALE: "dask"})


@pytest.mark.parametrize(
    ("scale", "runner"), [("threads", "ThreadPoolTaskRunner"), ("dask", "DaskTaskRunner")]
)
def test_flows_run_where_the_variable_of_their_process_says(
    scale: str, runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SCALE, scale)
    code = "from headworks.prefect.running import RUNNER; print(type(RUNNER).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split()[-1] == runner


def test_a_step_on_a_machine_without_the_flows_lake_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that describes another lake, and a folder that is not shared, would each look like an empty lake."""
    there, other = tmp_path / "there", tmp_path / "other"
    for root in (there, other):
        ensure_format(Lake(LakeSettings(root=str(root))))
    run = Run(run_id="one", lake="lake", root=str(there))
    monkeypatch.setenv("HEADWORKS_LAKE_ROOT", str(there))
    assert run.open_lake().settings.root == str(there)
    monkeypatch.setenv("HEADWORKS_LAKE_ROOT", str(other))
    with pytest.raises(LakeUnusable, match="where the flow's lake is not"):
        run.open_lake()
    monkeypatch.setenv("HEADWORKS_LAKE_ROOT", str(tmp_path / "gone"))
    with pytest.raises(LakeUnusable, match="all machines share"):
        run.model_copy(update={"root": str(tmp_path / "gone")}).open_lake()
