"""The workflow for a public CI calls targets that there are, those that `.ci/run` calls, and needs nothing outside."""

from __future__ import annotations

import re

import pytest
import yaml

from headworks.scaffold import generated
from tests.support.pools import CHECKOUT

OURS = (CHECKOUT / ".github/workflows/ci.yml").read_text(), (CHECKOUT / "Makefile").read_text()
THEIRS = generated("lemon")[".github/workflows/ci.yml"], generated("lemon")["Makefile"]


@pytest.mark.parametrize(("workflow", "makefile"), [OURS, THEIRS], ids=["this repository", "a new project"])
def test_each_step_of_the_workflow_is_a_target(workflow: str, makefile: str) -> None:
    (job,) = yaml.safe_load(workflow)["jobs"].values()
    called = [step["run"] for step in job["steps"] if "run" in step]
    assert {"make check", "make test"} <= set(called)
    for command in called:
        target = command.removeprefix("make ")
        named = target.replace(".venv/ready", "$(READY)")
        assert re.search(rf"^{re.escape(named)}:", makefile, re.MULTILINE), command
    assert "../" not in workflow


def test_what_ci_runs_are_targets_and_what_is_outside_is_optional() -> None:
    script = (CHECKOUT / ".ci/run").read_text()
    for target in re.findall(r"^\s*(?:if .*; then )?suite ([a-z-]+)", script, re.MULTILINE):
        assert re.search(rf"^{target}:", OURS[1], re.MULTILINE), target
    # What is alongside the checkout may make it quicker, and each use of it asks whether it is there.
    assert len(re.findall(r"\.\./", script)) == 1
    for use in re.findall(r"^.*\$tools/.*$", script, re.MULTILINE):
        assert "-x" in use or "start-docker-engine" in use
