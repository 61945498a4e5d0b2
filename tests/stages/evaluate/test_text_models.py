"""What the report says of models of the text objective."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sdmodel.config.model import ContrastiveConfig
from sdmodel.config.text import PretrainConfig, TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.data.pixels import to_float
from sdmodel.pretrain.objective import TextObjective
from stages.artifacts.artifact import Artifact, Funnel
from stages.config.evaluate import EvaluateConfig
from stages.config.run import ShardConfig
from stages.errors import Stopped
from stages.evaluate import evaluate, text_models
from stages.evaluate.report import markdown
from stages.evaluate.text_models import understanding
from stages.output import Output
from stages.stage import Stats, stage
from stages.store import Store
from tests.stages import worlds

COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}
PARTS = {"upper": slice(0, 16), "lower": slice(16, 32)}
CONFIG = worlds.changed(
    objective="text",
    size=32,
    pretrain=PretrainConfig(
        contrastive=1.0, labels=1.0, masked=1.0, columns=("colour", "said"), noise=0.3, consistency=0.2
    ),
    text=TextConfig(width=16, heads=2, length=8, vocabulary=30, tokens="words"),
    contrastive=ContrastiveConfig(tower="vit", embedding=8, image_width=4),  # no running statistics
)


def world() -> tuple[np.ndarray, list[str], list[dict[str, Any]]]:
    """(6, 32, 32, 3) uint8 pictures, captions and labels."""
    pictures = np.full((6, 32, 32, 3), 120, np.uint8)
    captions, rows = [], []
    for number, (colour, part) in enumerate((colour, part) for colour in COLOURS for part in PARTS):
        pictures[number, PARTS[part]] = COLOURS[colour]
        captions.append(f"the {part} half is {colour}")
        rows.append({"uid": str(number), "colour": colour if number else None, "said": [part]})
    return pictures, captions, rows


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FOLDER/model, and FOLDER/labels.parquet."""
    folder = tmp_path_factory.mktemp("trained")
    pictures, captions, rows = world()
    pq.write_table(pa.Table.from_pylist(rows), folder / "labels.parquet")
    torch.manual_seed(0)
    objective = TextObjective(CONFIG, captions * 2, folder / "labels.parquet")
    optimizer = torch.optim.AdamW(objective.modules.parameters(), 1e-2)
    uids = [row["uid"] for row in rows]
    images = to_float(pictures).permute(0, 3, 1, 2).contiguous()
    batch = Batch(images=images, captions=captions, uids=uids, index=torch.arange(6), size=6, start=0)
    for step in range(240):
        torch.stack(list(objective.modules(replace(batch, seed=step)).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    (folder / "model").mkdir()
    objective.save(folder / "model", {name: w.detach() for name, w in objective.modules.state_dict().items()})
    return folder


def told(
    folder: Path,
    table: str = "labels.parquet",
    count: int = 6,
    seed: int = 0,
    check: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    pictures, captions, rows = world()
    uids = [row["uid"] for row in rows]
    return understanding(
        folder / "model", folder / table, uids[:count], pictures[:count], captions[:count], "cpu", seed, check
    )


def test_what_was_learned_is_found_again_and_stands_beside_constant_guesses(
    trained: Path, monkeypatch: pytest.MonkeyPatch
):
    found = told(trained)
    assert (found["rows"], found["of"], found["r_at_1"]) == (6, 6, 1.0)
    assert found["labels"]["colour"] == {"right": 1.0, "constant": 0.4, "of": 5}  # one has none
    assert found["labels"]["said"] == {"right": 1.0, "constant": 0.5, "of": 12}
    assert found["masked"]["of"] == 6  # of 5 words, 15 % are 1
    assert 0 <= found["masked"]["constant"] < 1
    assert 0 <= found["flips"] <= 1
    assert found == told(trained)
    monkeypatch.setattr(text_models, "CHUNK", 4)
    parts = told(trained)
    assert (parts["labels"], parts["r_at_1"]) == (found["labels"], found["r_at_1"])
    words = markdown({"model": "m", "dataset": "d", "understanding": {**found, "split": "test"}})
    assert "| label colour | 100.0% | 40.0% | 5 |" in words
    assert "found first in 100.0% of the captions" in words


def test_columns_that_a_table_lacks_are_not_measured(trained: Path):
    rows = [{"uid": str(number), "colour": "violet" if number else "red"} for number in range(6)]
    pq.write_table(pa.Table.from_pylist(rows), trained / "other.parquet")
    found = told(trained, "other.parquet")
    assert set(found["labels"]) == {"colour"}
    assert found["labels"]["colour"]["of"] == 1  # no such colour was learned


def test_the_stage_reports_them(store: Store, dataset: Artifact):
    config = worlds.changed(objective="text", size=32, pretrain=PretrainConfig(masked=1.0))
    model = worlds.model(store, dataset, config)
    result = evaluate(model, dataset, None, (), EvaluateConfig(device="cpu"), store=store)
    report = result.json("report.json")["understanding"]
    assert set(report) == {"rows", "of", "r_at_1", "masked", "split"}
    assert report["rows"] == result.funnel.rows_in == int((dataset.table("index")["split"] == "test").sum())
    assert "masked token" in result.read("report.md").decode()


def test_clusters_that_a_model_learned_from_are_its_labels(store: Store, dataset: Artifact):
    """A dataset's own index has no such column."""

    @stage(version=1, kind="clusters", name="cluster")
    def clustered(dataset: Artifact, config: ShardConfig, out: Output) -> Stats:
        uids = dataset.table("index")["uid"].tolist()
        rows = [{"uid": uid, "cluster": f"{number % 2:02d}"} for number, uid in enumerate(uids)]
        pq.write_table(pa.Table.from_pylist(rows), out.write("clusters.parquet"))
        return Stats(Funnel(len(rows), len(rows)))

    @stage(version=1, kind="model", name="train")
    def taught(dataset: Artifact, labels: Artifact, config: TrainConfig, out: Output) -> Stats:
        captions = [one["text"] for row in dataset.table("index")["captions"] for one in row]
        objective = TextObjective(config, captions, labels.path("clusters.parquet"))
        objective.save(out.write("model/any").parent, objective.modules.state_dict())
        return Stats(Funnel(0, 0))

    labels = PretrainConfig(contrastive=0.0, labels=1.0, columns=("cluster",))
    config = worlds.changed(objective="text", size=32, pretrain=labels)
    model = taught(dataset, clustered(dataset, ShardConfig(), store=store), config, store=store)
    result = evaluate(model, dataset, None, (), EvaluateConfig(device="cpu"), store=store)
    found = result.json("report.json")["understanding"]
    assert found["labels"]["cluster"]["of"] == found["rows"] > 0


def test_it_can_be_stopped_between_pictures(trained: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_models, "CHUNK", 2)
    asked: list[int] = []

    def check() -> None:
        asked.append(1)
        if len(asked) == 2:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        told(trained, check=check)
