"""Who ends empty names the first stage that lost the rows, not the last one that had none."""

from pathlib import Path

import pytest

from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.collect.collect import collect
from stages.collect.sources.files import snapshot
from stages.config.collect import CollectConfig, FolderSource
from stages.config.run import DedupConfig, FilterConfig, ScoreConfig, ShardConfig
from stages.dedup import dedup
from stages.emptiness import emptied, emptied_by
from stages.filter import filter_
from stages.score import score
from stages.shard import shard
from stages.store import Store, open_store
from tests.stages.handmade import Picture, collection


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def packed(images: Artifact, store: Store, rules: FilterConfig | None = None) -> Artifact:
    """The line from a collection to its dataset."""
    duplicates = dedup(images, DedupConfig(workers=1), store=store)
    scores = score(images, None, ScoreConfig(), store=store)
    selection = filter_(images, duplicates, scores, None, rules or FilterConfig(), store=store)
    return shard(images, selection, ShardConfig(workers=1), store=store)


def test_a_collection_that_took_in_nothing_is_named_by_who_comes_after(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = [f"{n}.png,a picture" for n in range(5)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,text", *rows]))
    for name in ("3.png", "4.png"):
        (folder / name).write_bytes(b"<html>")
    config = CollectConfig(folders=(FolderSource(name="own", folder=str(folder)),), workers=1)
    images = collect(None, snapshot(config), None, config, store=store)
    words = "collect took in 0 of 5 rows: 3 missing_file, 2 not_an_image (its rejects.parquet says why"
    (warning,) = images.statistics["warnings"]
    assert warning.startswith(words)
    with pytest.raises(
        ValueError, match="the selection is empty: collect took in 0 of 5 rows: 3 missing_file"
    ):
        packed(images, store)


def test_a_filter_that_passes_nothing_on_is_named(store: Store) -> None:
    data = Path("docs/grid.png").read_bytes()
    images = collection(store, [[Picture("one", data, ("too short",))]])
    with pytest.raises(ValueError, match="is empty: filter passed on 0 of 1 rows: 1 caption_too_short"):
        packed(images, store, FilterConfig(min_words=9))


def test_of_many_reasons_the_greatest_are_told() -> None:
    reasons = {f"reason_{n}": n for n in range(1, 9)}
    words = emptied("collect", Funnel(36, 0, reasons))
    assert "0 of 36 rows: 8 reason_8, 7 reason_7, 6 reason_6" in words
    assert "3 reason_3, 3 others (" in words
    assert emptied("collect", Funnel(0, 0)) == (
        "collect was given no row at all; look at what its sources name"
    )
    assert "dedup passed on 0 of 2 rows: 2 x" in emptied("dedup", Funnel(2, 0, {"x": 2}), [Snapshot("ab")])


def test_a_line_of_empty_results_is_gone_back_to_its_beginning(store: Store) -> None:
    images = collection(store, [])
    duplicates = dedup(images, DedupConfig(workers=1), store=store)
    assert emptied_by(duplicates).startswith("collect was given no row at all")
