"""A model by declaration alone on a real lake: judged, promoted, scored, killed at any place, and taken up again."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from crm.timelapse import Learned, learn_week
from headworks.bronze.generations import begin_generation, complete_generation
from headworks.bronze.landing import Landing, land
from headworks.errors import LakeUnusable
from headworks.gold.products import open_product, read_product, roll_back
from headworks.models.champions import read_champions, score
from headworks.models.features import AsOf, PointInTime
from headworks.models.training import dumped, load, loaded
from headworks.ops.maintenance import MaintenanceSettings, maintain
from headworks.settings import LakeSettings
from headworks.silver.refinement import refine
from headworks.silver.work import Refinement
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from tests.support.shipments import (
    FEATURES,
    FIRST,
    LATE,
    LIVED,
    MODEL,
    SHIPMENTS,
    START,
    WEEK,
    features,
    receive,
    shipments,
)
from tests.support.sources import Frames


def _lake(root: Path) -> Lake:
    return Lake(LakeSettings(root=str(root)))


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return shipments(LIVED)


def _at(week: int) -> datetime:
    return START + week * WEEK


@pytest.fixture(scope="module")
def learned(late_champion: Path, tmp_path_factory: pytest.TempPathFactory, frame: pl.DataFrame) -> Path:
    """A lake with a champion, which has received a week more since; not to be changed, only copied."""
    root = tmp_path_factory.mktemp("learned") / "lake"
    shutil.copytree(late_champion, root)
    receive(_lake(root), frame, [FIRST], "more")
    return root


@pytest.fixture
def root(learned: Path, tmp_path: Path) -> Path:
    shutil.copytree(learned, tmp_path / "lake")
    return tmp_path / "lake"


def _learn(root: Path, run_id: str, seed: int = 1) -> Learned:
    now = _at(FIRST) + (_at(1) - _at(0)) / 7
    return learn_week(_lake(root), lambda: now, run_id, seed=seed, of=LATE)


def _published(root: Path) -> tuple[int, int, pl.DataFrame]:
    """Return the publication that readers see, whole: its sequence, its champion, and the scores of just that one."""
    lake = _lake(root)
    version = read_product(lake, "late")
    champion = read_champions(lake, "late", MODEL).newest
    assert version is not None
    assert champion is not None
    tables = open_product(lake, "late")
    scores = tables[MODEL.scores].collect().sort("shipment_id")
    assert set(scores.get_column("champion")) == {champion.sequence}
    assert set(scores.get_column("model")) == {champion.trained.file}
    load(lake, MODEL, champion.trained.file, "champion 1")
    features = tables[MODEL.features.name].collect().filter(pl.col("cut") == scores.get_column("cut")[0])
    assert features.get_column("shipment_id").sort().equals(scores.get_column("shipment_id"))
    return version.sequence, champion.sequence, scores


def test_a_model_by_declaration_alone_is_promoted_and_scores(root: Path) -> None:
    sequence, champion, scores = _published(root)
    assert (sequence, champion) == (1, 1)
    again = _learn(root, "second")
    assert again.product is not None, again.reasons
    assert _published(root)[:2] == (2, 2)
    assert scores.height > 50


def test_a_run_without_news_changes_nothing(root: Path) -> None:
    _learn(root, "second")
    before = _published(root)
    _learn(root, "third")
    after = _published(root)
    assert before[:2] == after[:2]
    assert before[2].equals(after[2])


def test_scores_by_parts_are_the_same_and_a_file_that_was_changed_or_holds_strange_types_is_not_loaded(
    root: Path,
) -> None:
    lake = _lake(root)
    champion = read_champions(lake, "late", MODEL).newest
    version = read_product(lake, "late")
    assert champion is not None
    assert version is not None
    features = version.table(MODEL.features.name)
    rows = open_product(lake, "late")[MODEL.features.name].collect()
    newest = rows.filter(pl.col("cut") == pl.col("cut").max())
    whole = score(lake, MODEL, champion, newest, features)
    assert score(lake, MODEL, champion, newest, features, part_rows=17).equals(whole)
    data = lake.get_bytes(f"_headworks/models/late/{champion.trained.file}.skops")
    assert loaded(data, champion.trained.file, ())
    with pytest.raises(LakeUnusable, match="not what its name says"):
        loaded(data + b" ", champion.trained.file, ())
    from hashlib import sha256

    from crm.churn import estimator

    strange = dumped(estimator(1).fit([[0.0], [1.0]] * 50, [0, 1] * 50))
    with pytest.raises(LakeUnusable, match=r"does not trust: .*lightgbm\.sklearn\.LGBMClassifier"):
        loaded(strange, sha256(strange).hexdigest(), ())
    digest = sha256(strange).hexdigest()
    lake.put_bytes(f"_headworks/models/late/{digest}.skops", strange)
    with pytest.raises(LakeUnusable, match="file of champion 4 of the model late holds types") as caught:
        load(lake, replace(MODEL, trusted=()), digest, "champion 4")
    assert caught.value.where == f"champion 4 of the model late, {digest[:12]}.skops"
    assert "'lightgbm.sklearn.LGBMClassifier' to trusted of the Model" in caught.value.do


def test_after_a_full_read_the_same_is_learned_from(root: Path, frame: pl.DataFrame, tmp_path: Path) -> None:
    """Every version is landed again, and none of them was received by that."""
    shutil.copytree(root, tmp_path / "twin")
    lake, now = _lake(root), _at(FIRST) + (_at(1) - _at(0)) / 7
    order = ["shipment_id", "valid_from"]
    before = lake.must_open("silver", SHIPMENTS.name).scan().sort(order).collect()
    whole = frame.filter(pl.col("updated_at") <= _at(FIRST) + timedelta(hours=5))
    landing = Landing(lake, SHIPMENTS.name, SHIPMENTS.name, "full", clock=lambda: now)
    generation = begin_generation(landing, whole.schema)
    land(replace(landing, stream=generation.stream), Frames([whole]))
    complete_generation(landing, generation)
    report = refine(Refinement(lake, "full", lambda: now), SHIPMENTS).report
    assert report.unchanged == whole.height
    after = lake.must_open("silver", SHIPMENTS.name).scan().sort(order).collect()
    assert after.get_column("_ingested_at").equals(before.get_column("_ingested_at"))
    files = []
    for place in (root, tmp_path / "twin"):
        made = _learn(place, "second")
        assert made.product is not None, made.reasons
        champion = read_champions(_lake(place), "late", MODEL).newest
        assert champion is not None
        files.append(champion.trained.file)
    assert files[0] == files[1]


def _files(root: Path) -> set[str]:
    return {file.stem for file in (root / "_headworks/models/late").glob("*.skops")}


def test_files_of_models_that_no_publication_needs_are_collected_and_those_to_roll_back_to_stay(
    root: Path,
) -> None:
    lake = _lake(root)
    for seed in (2, 3):
        assert _learn(root, f"seed-{seed}", seed=seed).product is not None
    files = [one.trained.file for one in read_champions(lake, "late", MODEL).known]
    assert len(set(files)) == 3
    refused = f"{0:064x}"
    lake.put_bytes(f"_headworks/models/late/{refused}.skops", b"of a challenger that was refused")
    parts = len(lake.list_objects("_headworks/models/late/parts"))

    def care(days: int, now: datetime, *, dry_run: bool = False) -> int:
        settings = MaintenanceSettings(keep_publications_days=days)
        cared = maintain(lake, settings, clock=lambda: now, dry_run=dry_run)
        assert not any(one.failed for one in cared)
        return sum(one.objects_removed for one in cared if one.table == "model.late")

    now = datetime.now(UTC)
    assert care(0, now) == 0, "what is young may belong to a run"
    later = now + timedelta(days=2)
    assert care(1000, later, dry_run=True) == 1 + parts
    assert _files(root) == {*files, refused}
    assert care(1000, later) == 1 + parts > 1
    assert _files(root) == {*files}
    roll_back(lake, "late", "seed-2", "a test")
    assert _published(root)[1] == 2
    # The newest version of the table stays too: its publication may still be on its way.
    care(0, later)
    assert _files(root) == {files[1], files[2]}
    assert _published(root)[1] == 2
    assert care(0, later, dry_run=True) == 0


def test_a_model_that_is_trained_again_from_the_same_rows_has_a_young_file(root: Path) -> None:
    """So maintenance, which looks at the age, does not take the file of a run that is at work."""
    _learn(root, "second")
    champion = read_champions(_lake(root), "late", MODEL).newest
    assert champion is not None
    file = root / f"_headworks/models/late/{champion.trained.file}.skops"
    os.utime(file, (0, 0))
    _learn(root, "third")
    assert file.stat().st_mtime > 0


class _Killed(BaseException):
    """As if the process had ended here."""


@contextmanager
def _killed_at(place: int) -> Iterator[list[str]]:
    """End what runs at the n-th write, before it or just after it: two places for each write."""
    passed: list[str] = []

    def counted(name: str, write: Callable[..., Any]) -> Callable[..., Any]:
        def made(self: Any, *args: Any, **kwargs: Any) -> Any:
            passed.append(f"before {name}")
            if len(passed) == place:
                raise _Killed
            result = write(self, *args, **kwargs)
            passed.append(f"after {name}")
            if len(passed) == place:
                raise _Killed
            return result

        return made

    with pytest.MonkeyPatch.context() as patch:
        for kind, names in (
            (Lake, ("put_object", "put_bytes", "put_rows")),
            (Table, ("overwrite", "append")),
        ):
            for name in names:
                patch.setattr(kind, name, counted(name, getattr(kind, name)))
        yield passed


def places(root: Path) -> int:
    """Return at how many places a run can be killed."""
    with _killed_at(-1) as passed:
        _learn(root, "counted", seed=2)
    return len(passed)


def kill_and_take_up(root: Path, place: int) -> None:
    """Kill a run at a place: readers see the former publication whole or the new one; the next run finishes it."""
    before = _published(root)
    with _killed_at(place), pytest.raises(_Killed):
        _learn(root, "killed", seed=2)
    then = _published(root)
    assert (then[2].equals(before[2]) and then[:2] == before[:2]) or then[0] == before[0] + 1
    finished = _learn(root, "next", seed=2)
    assert finished.product is not None, finished.reasons
    after = _published(root)
    assert after[0] == before[0] + 1
    assert after[1] > before[1]


def test_a_killed_run_leaves_one_champion_and_whole_scores_and_the_next_one_finishes_it(
    root: Path, tmp_path: Path, learned: Path
) -> None:
    count = places(root)
    assert count > 10
    for place in Random(3).sample(range(1, count + 1), 3):
        there = tmp_path / f"killed-{place}"
        shutil.copytree(learned, there)
        kill_and_take_up(there, place)


def test_features_without_a_row_say_where_they_were_lost(root: Path) -> None:
    """Whether the sources gave nothing or the function left nothing, and not only that a contract tested no row."""

    def nobody(known: AsOf) -> pl.LazyFrame:
        return features(known).filter(pl.col("carrier") == "Fast")

    assert isinstance(FEATURES.transform, PointInTime)
    table = replace(FEATURES, transform=replace(FEATURES.transform, features=nobody))
    of = replace(LATE, tables=(table,), models=(replace(MODEL, features=table),))
    now = _at(FIRST) + timedelta(days=1)
    made = learn_week(_lake(root), lambda: now, "second", of=of)
    assert made.product is None
    (said,) = [reason for reason in made.reasons if reason.startswith("the transform gives rows")]
    assert said == made.reasons[0], "before what a contract says of no row"
    assert re.search(r"shop\.shipments has \d{4} rows; correct what .*nobody or outcomes joins", said), said


def test_features_of_sources_that_gave_nothing_name_those(tmp_path: Path, frame: pl.DataFrame) -> None:
    lake = _lake(tmp_path / "lake")
    landing = Landing(lake, SHIPMENTS.name, SHIPMENTS.name, "first", clock=lambda: START)
    land(landing, Frames([frame.clear()]))
    refine(Refinement(lake, "first", lambda: START), SHIPMENTS)
    made = learn_week(lake, lambda: START, "first", of=LATE)
    assert "look why nothing of shop.shipments is in silver" in made.reasons[0]
