"""A run's background, from the config to what people are told of a row."""

from pathlib import Path

import numpy as np
import pytest

from flows.step import Step
from flows.steps import COLLECT, DEDUP, FILTER, SCORE, SHARD
from stages.artifacts.artifact import Artifact
from stages.config.collect import CollectConfig, FolderSource
from stages.config.run import DedupConfig, Run, ShardConfig
from stages.report.summary import summary
from stages.report.trace import as_lines, trace_row
from stages.store import open_store
from tests.stages.handmade import save


@pytest.mark.parametrize(("background", "blank"), [("#ffffff", "white"), ("#000000", "black")])
def test_what_is_blank_on_it_is_traced_to_the_shard_that_left_it_out(
    tmp_path: Path, background: str, blank: str
) -> None:
    folder = tmp_path / "art"
    folder.mkdir()
    y, x = np.mgrid[:40, :40] - 19.5
    for name, level, inside in (
        ("white", 255, np.hypot(x, y) < 12),
        ("black", 0, np.hypot(x, y) < 15),
        ("grey", 120, abs(x) < 9),
        ("other", 90, abs(y) < 5),
    ):
        pixels = np.full((40, 40, 4), level, np.uint8)
        pixels[..., 3] = np.where(inside, 255, 0)
        (folder / f"{name}.png").write_bytes(save(pixels))
        (folder / f"{name}.txt").write_text(f"{name} art")
    sources = CollectConfig(folders=(FolderSource(name="art", folder=str(folder)),), workers=1)
    run = Run(
        name="art",
        store=str(tmp_path / "store"),
        background=background,
        collect=sources,
        dedup=DedupConfig(workers=1),
        shard=ShardConfig(workers=1),
    )
    store = open_store(run.store)

    def made(step: Step, *read: Artifact) -> Artifact:
        return step.run(store, run.name, getattr(run, step.name), read)

    images = made(COLLECT)
    assert images.funnel.rows_out == 4  # whatever the background, it is a picture
    selection = made(FILTER, images, made(DEDUP, images), made(SCORE, images))
    dataset = made(SHARD, images, selection)
    assert dict(dataset.funnel.reasons) == {"blank_on_background": 1}
    location = next(place for place in images.table("images")["location"] if blank in place)
    lines = "\n".join(as_lines(trace_row(store, location)))
    assert f"reason blank_on_background, rule background={background}" in lines
    assert "blank_on_background" in summary(dataset)
