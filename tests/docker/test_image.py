"""The image holds what a flow run needs, and nothing that somebody who got into it could use."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.docker.conftest import docker

pytestmark = pytest.mark.docker

# What models need is 210 MB of it: SciPy, scikit-learn, LightGBM.
_LARGEST_BYTES = 1_400_000_000
_PROGRAMS = ("gcc", "cc", "c++", "clang", "make", "git", "curl", "pip", "pip3", "uv")


def _in_image(image: str, script: str) -> str:
    return docker("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", script)


def _python(image: str, program: str) -> str:
    return docker("run", "--rm", "--network", "none", image, "python", "-c", program)


def _config(image: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", image))
    return config


def test_it_runs_as_a_user_with_a_number_who_is_not_root(image: str) -> None:
    user, _, group = _config(image)["User"].partition(":")
    assert int(user) >= 10_000, "an orchestrator can report from a number alone that this is not root"
    assert _in_image(image, "id -u; id -g").split() == [user, group]


def test_the_user_can_write_at_home_and_in_data_and_nowhere_in_the_code(image: str) -> None:
    code = "$(python -c 'import os, flows; print(os.path.dirname(flows.__file__))')"
    script = (
        f"touch here /data/there && for d in /opt/headworks {code} /usr/local;"
        " do test -w $d && echo $d; done; pwd"
    )
    assert _in_image(image, script) == "/home/headworks"


def test_no_compiler_no_installer_and_no_cache_of_packages_is_left_inside(image: str) -> None:
    assert _in_image(image, f"for p in {' '.join(_PROGRAMS)}; do command -v $p; done; true") == ""
    found = _in_image(
        image, "find / -xdev \\( -name '*.whl' -o -path '*/.cache/pip*' \\) 2>/dev/null | head -3; true"
    )
    assert found == "", "wheels or pip's cache were left behind"
    for module in ("pip", "ensurepip", "hatchling", "pytest", "streamlit"):
        assert _python(image, f"import importlib.util as u; print(u.find_spec({module!r}))") == "None"


def test_no_program_inside_runs_with_more_rights_than_who_starts_it(image: str) -> None:
    assert _in_image(image, "find / -xdev -type f -perm /6000 2>/dev/null; true") == ""


def test_the_code_is_the_installed_wheel_and_no_file_of_the_checkout_lies_around(image: str) -> None:
    where = _python(
        image,
        "import flows.sales as f, headworks, shop; print(f.__file__, headworks.__file__, shop.__file__)",
    )
    assert where.count("/opt/headworks/lib/python3.12/site-packages/") == 3
    names = "-name pyproject.toml -o -name prefect.yaml -o -name Dockerfile -o -name locks"
    # Prefect brings examples of its own file along.
    strays = f"find / -xdev \\( {names} \\) ! -path '*/site-packages/prefect/*' 2>/dev/null"
    assert _in_image(image, f"{strays}; true") == ""
    assert _in_image(image, "find . -type f ! -name '.bash*' ! -name .profile") == "", "the home is not empty"


def test_everything_is_compiled_so_that_a_run_compiles_nothing(image: str) -> None:
    program = """
import importlib.util, pathlib, sysconfig
folders = [pathlib.Path(sysconfig.get_path(name)) for name in ("purelib", "stdlib")]
for package in ("flows", "headworks", "prefect", "polars"):
    for source in (folders[0] / package).glob("*.py"):
        assert pathlib.Path(importlib.util.cache_from_source(str(source))).exists(), source
for source in folders[1].glob("*.py"):
    assert pathlib.Path(importlib.util.cache_from_source(str(source))).exists(), source
print("compiled")
"""
    assert _python(image, program) == "compiled"


def test_every_module_of_ours_can_be_imported_with_the_locked_packages_alone(image: str) -> None:
    program = """
import importlib, pkgutil, flows, tasks, blocks, headworks, shop
packages = (flows, tasks, blocks, headworks, shop)
names = [m.name for p in packages for m in pkgutil.walk_packages(p.__path__, p.__name__ + ".")]
# What is for those who test their own sources needs pytest; the demo's local stack is an extra that no container has.
elsewhere = ("headworks.testing.suite", "headworks.prefect.local.")
for name in names:
    if name.startswith(elsewhere):
        continue
    importlib.import_module(name)
print(len(names))
"""
    assert int(_python(image, program)) > 50


def test_the_size_is_told_and_bounded(
    image: str, record_testsuite_property: Callable[[str, object], None]
) -> None:
    size = int(docker("image", "inspect", "--format", "{{.Size}}", image))
    record_testsuite_property("image_size_mb", size // 1_000_000)
    assert size < _LARGEST_BYTES


def test_the_history_tells_no_secret_and_no_index(image: str) -> None:
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    for word in ("index-url", "PIP_", "password", "token"):
        assert word not in history
