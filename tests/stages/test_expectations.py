"""Expectations of datasets that the stages really made, from folders that lose and change pictures."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import Reference, approve, references, resolve
from stages.collect.collect import collect
from stages.collect.sources.files import snapshot
from stages.config.collect import CollectConfig, FolderSource
from stages.config.expectations import ExpectConfig
from stages.config.run import DedupConfig, FilterConfig, ScoreConfig, ShardConfig
from stages.dedup import dedup
from stages.expectations import mean_direction, refer_judged, unmet
from stages.filter import filter_
from stages.pretrained.clip import clip_snapshot
from stages.score import score
from stages.shard import shard
from stages.store import Store, open_store
from tests.stages.test_score import folder_of_clip

ANYTHING = ExpectConfig(max_loss=None)
TWO_WORDS = FilterConfig(min_words=2)


class Line:
    """Makes versions of one dataset out of what a folder holds at the time."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        folder.mkdir()
        self.captions: dict[int, str] = {}

    def write(self, numbers: Iterable[int], *, seed: int = 0, brightness: int = 256) -> None:
        """Add pictures, or put others in their place."""
        for number in numbers:
            pixels = np.random.default_rng([seed, number]).integers(0, brightness, (8, 8, 3), np.uint8)
            Image.fromarray(pixels.repeat(8, 0).repeat(8, 1)).save(self.folder / f"{number:03d}.png")
            self.captions.setdefault(number, "a bird")

    def delete(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            (self.folder / f"{number:03d}.png").unlink()
            del self.captions[number]

    def make(self, edition: str, chosen: FilterConfig | None = None, model: str = "") -> Artifact:
        """The dataset of what is there now."""
        lines = [f"{number:03d}.png,{text}" for number, text in sorted(self.captions.items())]
        (self.folder / "metadata.csv").write_text("\n".join(["file_name,text", *lines]) + "\n")
        source = FolderSource(name="p", folder=str(self.folder))
        config = CollectConfig(folders=(source,), edition=edition, part_rows=50, workers=1)
        clip = ScoreConfig(model=model, device="cpu", part_rows=6)
        images = collect(None, snapshot(config), None, config, store=self.store)
        duplicates = dedup(images, DedupConfig(workers=1), store=self.store)
        scores = score(images, clip_snapshot(model), clip, store=self.store)
        selection = filter_(images, duplicates, scores, None, chosen or FilterConfig(), store=self.store)
        return shard(images, selection, ShardConfig(workers=1), store=self.store)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Artifact]:
    """Datasets of one config, called by what they hold; of another are "two words" and "fewer words"."""
    folder = tmp_path_factory.mktemp("versions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDFLOW_CACHE", str(folder / "cache"))
        line = Line(open_store(str(folder / "store")), folder / "pictures")
        line.write(range(20))
        made = {"20": line.make("monday")}
        line.write([20, 21])
        line.write([1, 2, 3], seed=1)
        line.captions |= {3: "another bird", 4: "another bird"}
        line.delete([0])
        made["changed"] = line.make("tuesday")
        line.delete(range(1, 11))
        line.delete([20, 21])
        made["9"] = line.make("wednesday")
        line.captions |= {11: "bird", 12: "bird"}
        made["two words"] = line.make("thursday", TWO_WORDS)
        line.delete(range(13, 17))
        made["fewer words"] = line.make("friday", TWO_WORDS)
        (line.folder / "011.png").write_text("<html>")
        line.captions[12] = ""
        made["poor"] = line.make("saturday")
    return made


class History:
    """A name of a test's own, under which versions are filed one after the other."""

    def __init__(self, versions: Mapping[str, Artifact], name: str) -> None:
        self.versions, self.name = versions, name
        self.store = versions["20"].store

    def refer(self, version: str, expect: ExpectConfig | None) -> tuple[str, ...]:
        """File a version; why it is on hold."""
        return refer_judged(self.store, self.name, self.versions[version], expect).on_hold

    def approve(self, number: int) -> None:
        approve(self.store, f"{self.name}@{number}", why="the archive left the site", by="ann")

    @property
    def entries(self) -> list[Reference]:
        return references(self.store, self.name)

    @property
    def newest(self) -> str:
        """Which version `@latest` means."""
        digest = resolve(self.store, f"{self.name}@latest").digest
        return next(version for version, each in self.versions.items() if each.digest == digest)


@pytest.fixture
def history(versions: Mapping[str, Artifact], request: pytest.FixtureRequest) -> History:
    return History(versions, f"datasets/{request.node.name}")


def test_a_version_that_lost_too_much_is_passed_over_until_it_is_approved(history: History) -> None:
    name = history.name
    assert history.refer("20", ExpectConfig()) == ()
    assert history.refer("9", ExpectConfig()) == (
        f"lost 11 of 20 pictures (55.0%) since {name}@1, more than max_loss=0.5 (11 left_the_table)",
    )
    assert history.newest == "20"
    assert resolve(history.store, f"{name}@2").digest == history.versions["9"].digest
    history.approve(2)
    assert history.newest == "9"
    # From now on it is what the next version is compared with.
    (words,) = history.refer("poor", ExpectConfig(max_loss=0.6))
    assert words.startswith(f"lost 6 of 9 pictures (66.7%) since {name}@2, ")
    assert [entry.number for entry in history.entries] == [1, 2, 3]


def test_exactly_the_limit_is_not_more_than_it(history: History) -> None:
    history.refer("20", ANYTHING)
    (words,) = history.refer("9", ExpectConfig(max_loss=0.5499))
    assert words.startswith("lost 11 of 20 pictures")
    assert history.refer("9", ExpectConfig(max_loss=0.55)) == ()


def test_what_is_on_hold_is_not_compared_with(history: History) -> None:
    history.refer("20", ExpectConfig())
    history.refer("9", ExpectConfig())
    (words,) = history.refer("poor", ExpectConfig())
    assert words.startswith(f"lost 17 of 20 pictures (85.0%) since {history.name}@1")


def test_new_pictures_other_bytes_and_other_captions_count_as_change(history: History) -> None:
    history.refer("20", ANYTHING)
    assert history.refer("changed", ExpectConfig(max_change=0.28)) == (
        "6 of 21 pictures (28.6%) are new, or have other bytes or captions than in "
        f"{history.name}@1, more than max_change=0.28",
    )
    assert history.refer("changed", ExpectConfig(max_change=0.29)) == ()


def test_too_few_rows_and_too_many_of_a_reason_are_said_with_their_stage(history: History) -> None:
    limits = {"not_an_image": 0.1, "no_caption": 0.1, "blank": 0}
    assert history.refer("poor", ExpectConfig(min_rows=4, min_success=0.9, max_reasons=limits)) == (
        "3 pictures, fewer than min_rows=4",
        "collect brought pictures for 4 of 5 rows (80.0%), less than min_success=0.9",
        "filter left out 1 of 4 rows (25.0%) as no_caption, more than max_reasons.no_caption=0.1",
        "collect left out 1 of 5 rows (20.0%) as not_an_image, more than max_reasons.not_an_image=0.1",
    )
    limits = {"not_an_image": 0.2, "no_caption": 0.25}
    assert history.refer("poor", ExpectConfig(min_rows=3, min_success=0.8, max_reasons=limits)) == ()


def test_a_config_that_was_changed_on_purpose_is_not_compared_and_another_edition_is(
    history: History,
) -> None:
    strict = ExpectConfig(max_loss=0)
    history.refer("20", strict)
    assert history.refer("two words", strict) == ()
    (words,) = history.refer("fewer words", strict)
    assert words.startswith(f"lost 4 of 7 pictures (57.1%) since {history.name}@2")


def test_the_same_again_adds_no_entry_whatever_its_verdict(history: History) -> None:
    for version in ("20", "9"):
        verdict = history.refer(version, ExpectConfig())
        entries = history.entries
        assert history.refer(version, ExpectConfig()) == verdict
        assert history.refer(version, None) == verdict  # outside a run nothing is judged, and nothing freed
        assert history.entries == entries
    history.approve(2)
    for expect in (ExpectConfig(), ExpectConfig(min_rows=1000), None):
        history.refer("9", expect)
    assert history.entries == entries
    assert history.newest == "9"


def test_other_limits_judge_what_is_on_hold_again_and_nothing_else(history: History) -> None:
    history.refer("20", ExpectConfig())
    assert history.refer("20", ExpectConfig(min_rows=1000)) == ()  # stricter limits are for the next version
    assert history.refer("9", ExpectConfig())
    (words,) = history.refer("9", ExpectConfig(max_loss=0.52))
    assert words.endswith("more than max_loss=0.52 (11 left_the_table)")
    assert history.newest == "20"
    assert history.refer("9", ExpectConfig(max_loss=0.6)) == ()
    assert history.newest == "9"
    assert [bool(entry.on_hold) for entry in history.entries] == [False, True, True, False]
    # Under the old limits again, it is what was let through.
    assert history.refer("9", ExpectConfig()) == ()
    assert len(history.entries) == 4


def test_an_older_version_that_was_let_through_may_come_back(history: History) -> None:
    history.refer("9", ANYTHING)
    history.refer("20", ANYTHING)
    assert history.refer("9", ExpectConfig()) == ()
    assert history.newest == "9"
    history.refer("poor", ExpectConfig())
    history.refer("20", ExpectConfig())
    assert history.refer("poor", None)  # and one on hold comes back on hold
    assert history.newest == "20"


def test_a_verdict_stands_when_what_it_was_compared_with_is_gone(
    versions: Mapping[str, Artifact], tmp_path: Path
) -> None:
    shutil.copytree(versions["20"].store.url, tmp_path / "store")
    store = open_store(str(tmp_path / "store"))
    before, after = (Artifact.open(store, "shard", versions[name].fingerprint) for name in ("20", "9"))
    refer_judged(store, "datasets/birds", before, ExpectConfig())
    verdict = refer_judged(store, "datasets/birds", after, ExpectConfig()).on_hold
    (tmp_path / "store" / f"manifests/shard/{before.fingerprint}.json").unlink()
    assert refer_judged(store, "datasets/birds", after, ExpectConfig()).on_hold == verdict
    (words,) = refer_judged(store, "datasets/birds", after, ExpectConfig(max_loss=0.7)).on_hold
    assert words.startswith("it cannot be compared with datasets/birds@1: ")
    assert refer_judged(store, "datasets/birds", after, ANYTHING).on_hold == ()  # nothing to compare


def test_drift_is_the_cosine_distance_of_the_datasets_mean_embeddings(tmp_path: Path) -> None:
    line = Line(open_store(str(tmp_path / "store")), tmp_path / "pictures")
    model = f"local-dir:{folder_of_clip(tmp_path / 'clip', 0)}"
    line.write(range(8))
    line.captions |= {0: "", 7: ""}  # of these there are embeddings, and they are in no dataset
    before = line.make("monday", model=model)
    line.write(range(4, 8), seed=2, brightness=40)
    after = line.make("tuesday", model=model)

    def expected(dataset: Artifact) -> Any:
        selection = dataset.input("selection")
        assert selection is not None
        scores = selection.input("scores")
        assert scores is not None
        rows = scores.table("scores").set_index("uid").loc[dataset.table("index")["uid"]]
        places = zip(rows["file"], rows["index"], strict=True)
        vectors = [np.load(scores.path(file))[row] for file, row in places]
        mean = np.mean(np.asarray(vectors, np.float64), axis=0)
        return mean / np.linalg.norm(mean)

    direction = mean_direction(before)
    assert direction is not None
    assert np.allclose(direction, expected(before), atol=1e-12)
    drift = 1 - float(expected(before) @ expected(after))
    assert drift > 1e-5
    entry = refer_judged(line.store, "datasets/birds", before, None)
    expect = replace(ANYTHING, max_drift=drift * 0.9)
    assert unmet(after, entry, expect) == (
        f"the mean embedding has drifted by {drift:.3g} (cosine distance) since datasets/birds@1, more than "
        f"max_drift={expect.max_drift}",
    )
    assert unmet(after, entry, replace(ANYTHING, max_drift=drift * 1.1)) == ()


def test_without_a_clip_nothing_drifts(versions: Mapping[str, Artifact]) -> None:
    assert mean_direction(versions["20"]) is None
