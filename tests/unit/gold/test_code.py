"""What a gold table is made by: whatever the transform uses changes the number, and nothing else does.

Each case is a small project of modules on disk, read by a process of its own: as it is, and with one thing changed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = {
    "used/rates.py": "FACTOR = 1\nUNUSED = 7\n\n\ndef unused():\n    return 1\n",
    "used/deep.py": "def deepest(value):\n    return value + 0\n",
    "used/helper.py": """\
from used import deep


def help(value):
    return deep.deepest(value)


def unused(value):
    return value
""",
    "used/names.py": """\
import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    ONE = 'one'


@dataclass(frozen=True)
class Plan:
    name: str = 'a'
    other: str = 'b'


PLAN = Plan()


class Making:
    by = 2

    def make(self, value):
        return value * self.by

    def __call__(self, value):
        return self.make(value)
""",
    "used/late.py": "def late(value):\n    return value\n",
    "used/default.py": "def chosen(value):\n    return value\n\n\nWHOLE = [1, 2]\n",
    "used/__init__.py": "",
    "other/unrelated.py": "VALUE = 1\n",
    "other/__init__.py": "",
    "transforms.py": """\
import functools

import polars as pl

import other.unrelated
from used import helper, names, rates
from used.default import WHOLE, chosen

NOT_USED_HERE = 1


def closing(by):
    def made(inputs):
        return by(inputs)
    return made


def direct(inputs):
    return pl.col("x") * rates.FACTOR


def transitive(inputs):
    return helper.help(inputs)


closure = closing(lambda inputs: helper.help(inputs))
partial = functools.partial(lambda value, inputs: value, rates.FACTOR)


def default(inputs, by=chosen, among=tuple(WHOLE)):
    return by(inputs)


def late(inputs):
    from used.late import late as made
    return made(inputs)


def late_module(inputs):
    import used.late as module
    return module.late(inputs)


def enumerated(inputs):
    return names.Kind.ONE.value


def attribute(inputs):
    return names.PLAN.name


calling = names.Making()
method = names.Making().make


@functools.cache
def decorated(inputs):
    return [helper.help(each) for each in inputs]


def nested(inputs):
    def inside():
        return (lambda: rates.FACTOR)()
    return inside()
""",
}
ALL = (
    "direct", "transitive", "closure", "partial", "default", "late", "late_module", "enumerated", "attribute",
    "calling", "method", "decorated", "nested",
)  # fmt: skip
CHANGES: dict[str, tuple[str, str, str, set[str]]] = {
    "a constant of another module": (
        "used/rates.py",
        "FACTOR = 1",
        "FACTOR = 100",
        {"direct", "partial", "nested"},
    ),
    "a function that a helper's helper calls": (
        "used/deep.py",
        "value + 0",
        "value + 1",
        {"transitive", "closure", "decorated"},
    ),
    "a helper's body": (
        "used/helper.py",
        "return deep.deepest(value)",
        "return deep.deepest(value) * 2",
        {"transitive", "closure", "decorated"},
    ),
    "a default argument's function": ("used/default.py", "return value", "return -value", {"default"}),
    "a default argument's value": ("used/default.py", "[1, 2]", "[1, 3]", {"default"}),
    "a module that is imported when it runs": (
        "used/late.py",
        "return value",
        "return value + 1",
        {"late", "late_module"},
    ),
    "a member of an enum": ("used/names.py", "'one'", "'two'", {"enumerated"}),
    "a field of a plan": ("used/names.py", "name: str = 'a'", "name: str = 'z'", {"attribute"}),
    "a method": ("used/names.py", "value * self.by", "value + self.by", {"calling", "method"}),
    "an attribute of a class": ("used/names.py", "by = 2", "by = 3", {"calling", "method"}),
    "a function inside": (
        "transforms.py",
        "(lambda: rates.FACTOR)()",
        "(lambda: -rates.FACTOR)()",
        {"nested"},
    ),
    "a closure's function": (
        "transforms.py",
        "closing(lambda inputs: helper.help(inputs))",
        "closing(lambda inputs: -helper.help(inputs))",
        {"closure"},
    ),
    "an unrelated module": ("other/unrelated.py", "VALUE = 1", "VALUE = 2", set()),
    "another constant of a module that is used": ("used/rates.py", "UNUSED = 7", "UNUSED = 8", set()),
    "another function of a module that is used": (
        "used/helper.py",
        "def unused(value):\n    return value",
        "def unused(value):\n    return 0",
        set(),
    ),
    "another field of a plan": ("used/names.py", "other: str = 'b'", "other: str = 'y'", set()),
    "a constant that it does not use": ("transforms.py", "NOT_USED_HERE = 1", "NOT_USED_HERE = 2", set()),
    "a comment": ("used/helper.py", "from used", "# why\nfrom used", set()),
    "empty lines": ("used/deep.py", "def deepest", "\n\n\ndef deepest", set()),
}
READ = f"""\
import sys
import transforms
from headworks.gold.code import fingerprint
for name in {ALL}:
    print(name, fingerprint(getattr(transforms, name)))
# Again, after everything was used: what ran before changes nothing.
transforms.late(1), transforms.late_module(1), transforms.nested(1)
for name in {ALL}:
    print(name + "@again", fingerprint(getattr(transforms, name)))
"""


def numbers(folder: Path, seed: str = "0") -> dict[str, str]:
    source = Path(__file__).parents[3] / "src"
    done = subprocess.run(
        [sys.executable, "-c", READ],
        cwd=folder,
        env={"PYTHONPATH": f"{source}:{folder}", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split() for line in done.stdout.splitlines())


def write(folder: Path) -> None:
    for name, text in PROJECT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture(scope="module")
def as_it_is(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("as-it-is")
    write(folder)
    return numbers(folder)


def test_another_process_another_folder_and_another_hash_seed_give_the_same(
    as_it_is: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path)
    assert numbers(tmp_path, seed="4711") == as_it_is
    assert all(as_it_is[name] == as_it_is[f"{name}@again"] for name in ALL)
    assert len({as_it_is[name] for name in ALL}) == len(ALL)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_by_just_the_transforms_that_use_it(
    as_it_is: dict[str, str], tmp_path: Path, change: str
) -> None:
    file, old, new, users = CHANGES[change]
    write(tmp_path)
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    after = numbers(tmp_path)
    assert {name for name in ALL if after[name] != as_it_is[name]} == users
