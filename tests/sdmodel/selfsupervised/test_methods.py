"""What each method teaches, beyond its loss: towers, labels of rows, noised views, folders of the others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.losses import METRIC, total
from sdmodel.pretrain.labels import Labels
from sdmodel.selfsupervised.encoder import load
from sdmodel.selfsupervised.noised import noised
from sdmodel.selfsupervised.objective import SelfSupervisedObjective
from sdmodel.selfsupervised.row_classes import RowClasses
from sdmodel.selfsupervised.tower import build, maps, width
from tests.sdmodel.golden import tiny

METHODS = ("selfsupervised", "supervised", "masked", "rotation")
NAMES = [str(row) for row in range(8)]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Of a column of classes, one of tags, and one of which every second row has none."""
    columns = {
        "uid": NAMES,
        "colour": ["red", "blue"] * 4,
        "tags": [["a"], ["a", "b"]] * 4,
        "rare": ["x", None, "y", None] * 2,
    }
    pq.write_table(pa.table(columns), tmp_path / "labels.parquet")
    return tmp_path / "labels.parquet"


def made(curve: str, labels: Path, seed: int = 0, **changes: Any) -> SelfSupervisedObjective:
    config = tiny.config_of(curve)
    config = replace(config, selfsupervised=replace(config.selfsupervised, **changes))
    torch.manual_seed(seed)
    return SelfSupervisedObjective(config, labels)


def pictures() -> Batch:
    """Of one row for each name, all different, and reddish or bluish as their labels say."""
    images = 0.2 * torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images[::2, 0] += 0.5
    images[1::2, 2] += 0.5
    return Batch(images=images, captions=NAMES, uids=NAMES, index=torch.arange(8), size=8, start=0)


def saved(objective: SelfSupervisedObjective, folder: Path) -> Path:
    folder.mkdir()
    weights = {name: value.clone().contiguous() for name, value in objective.modules.state_dict().items()}
    objective.save(folder, weights)
    return folder


@pytest.mark.parametrize("curve", METHODS)
def test_every_weight_has_a_gradient(curve: str, labels: Path):
    objective = made(curve, labels)
    for parameter in objective.modules.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # none is zero, as after a few steps
    total(objective.modules(pictures())).backward()
    idle = [n for n, p in objective.modules.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert idle == []


@pytest.mark.parametrize("curve", METHODS[1:])
def test_it_learns_on_the_same_pictures(curve: str, labels: Path):
    changes = {"noised": 0.0, "labelled": 1.0} if curve == "supervised" else {}
    objective, rows = made(curve, labels, **changes), pictures()
    errors = objective.errors(rows)
    optimizer = torch.optim.AdamW(objective.modules.parameters(), 5e-3)
    for step in range(40):
        total(objective.modules(replace(rows, seed=step))).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert objective.errors(rows)["selfsupervised"] < 0.9 * errors["selfsupervised"]
    if curve == "rotation":
        right, of = objective.errors(rows)["rotation_right"].tolist()
        assert of == 8
        assert right > errors["rotation_right"][0]


@pytest.mark.parametrize("tower", ["resnet18", "vit"])
def test_towers_give_features_and_maps_of_any_size(tower: str):
    config = SelfSupervisedConfig(tower=tower)  # type: ignore[arg-type]
    encoder = build(config).eval()
    for height, width_ in ((16, 16), (24, 40)):
        images = torch.rand(2, 3, height, width_)
        features, levels = encoder(images), maps(encoder, images)
        assert features.shape == (2, width(config)) == levels[-1].mean((2, 3)).shape
        torch.testing.assert_close(levels[-1].mean((2, 3)), features)
        finest = 1 if tower == "resnet18" else config.vit.patch
        assert levels[0].shape[2:] == (height // finest, width_ // finest)
    if tower == "resnet18":
        assert width(config) == 512
        weights = sum(p.numel() for p in encoder.parameters())
        # torchvision's resnet18 has 11,689,512: without its 512 x 1000 + 1000 and with 3 x 3 for its 7 x 7.
        assert weights == 11_689_512 - 513_000 - 64 * 3 * (49 - 9)
    else:
        with pytest.raises(ValueError, match="18 x 16 cannot be cut into patches of 4"):
            encoder(torch.rand(1, 3, 18, 16))


def test_hidden_patches_are_not_seen(labels: Path):
    """Whatever stands in them, the states of the seen ones are the same; the loss is not."""
    objective, rows = made("masked", labels), pictures()
    task = objective.modules
    order = rows.uniform("hidden patches", 16).argsort(dim=1, stable=True)
    hidden = torch.zeros(8, 16, dtype=torch.bool).scatter(1, order[:, 4:], True)
    grid = hidden.view(8, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    states = list[Tensor]()
    task.encoder.norm.register_forward_hook(lambda _m, _i, out: states.append(out))
    losses = [
        task(replace(rows, images=torch.where(grid, other, rows.images)))["selfsupervised"]
        for other in (rows.images, torch.rand_like(rows.images))
    ]
    assert states[0].shape[1] == 4
    assert torch.equal(states[0], states[1])
    assert losses[0] != losses[1]


def test_rows_that_are_equal_in_all_columns_are_of_one_class(labels: Path):
    colours = RowClasses(Labels.read(labels, ("colour",)))
    assert colours(["0", "1", "2", "of another dataset"]).tolist() == [1, 0, 1, -1]
    both = RowClasses(Labels.read(labels, ("colour", "rare")))
    assert both(NAMES).tolist() == [0, -1, 1, -1] * 2
    assert RowClasses(Labels.read(labels, ("tags",)))(NAMES).tolist() == [0, 1] * 4
    few = RowClasses(Labels.read(labels, ("colour",), 0.5))
    assert 0 < (few(NAMES) >= 0).sum() < 8


def test_labels_change_what_is_learned_and_must_be_there(labels: Path):
    alike = made("supervised", labels, labelled=1.0)
    apart = made("supervised", labels, labelled=1.0, columns=("colour", "rare"))
    rows = pictures()
    assert alike.modules(rows)["selfsupervised"] != apart.modules(rows)["selfsupervised"]
    with pytest.raises(ValueError, match=r"selfsupervised\.columns: the table of labels has no size"):
        made("supervised", labels, columns=("size",))
    with pytest.raises(ValueError, match="there is no table of labels"):
        SelfSupervisedObjective(tiny.config_of("supervised"))


def test_a_share_of_what_is_seen_is_noised_at_times_of_its_own():
    rows = Batch(
        images=torch.ones(4000, 3, 2, 2),
        captions=[""] * 4000,
        uids=[""] * 4000,
        index=torch.arange(4000),
        size=4000,
        start=0,
    )
    assert noised(rows, rows.images, 0.0) is rows.images
    half = noised(rows, rows.images, 0.5)
    changed = (half != rows.images).flatten(1).any(1)
    assert abs(changed.float().mean().item() - 0.5) < 0.03
    # x_t = t x_0 + (1 - t) eps with t uniform: E = 1/2 and Var = E[t^2] - 1/4 + E[(1 - t)^2] = 5/12.
    every = noised(rows, rows.images, 1.0)
    assert abs(every.mean().item() - 0.5) < 0.02
    assert abs(every.var().item() - 5 / 12) < 0.02
    assert not torch.equal(noised(rows, rows.images, 1.0, view=1), every)
    assert torch.equal(noised(rows.micro_batch(1, 4), rows.images[:1000], 1.0), every[1000:2000])


def test_a_training_starts_from_the_encoder_of_another_method(labels: Path, tmp_path: Path):
    folder = saved(made("selfsupervised", labels), tmp_path / "contrastive")
    same = made("supervised", labels, seed=1)
    same.start(folder)
    other = made("rotation", labels, seed=1)
    before = {name: value.clone() for name, value in other.modules.head.state_dict().items()}
    other.start(folder)
    encoder = load(folder)
    for objective in (same, other):
        images = pictures().images
        torch.testing.assert_close(objective.modules.encoder(images), encoder(images))
    for name, value in other.modules.head.state_dict().items():
        assert torch.equal(value, before[name])
    expected = load_file(folder / "head.safetensors")
    assert all(torch.equal(value, expected[name]) for name, value in same.modules.head.state_dict().items())
    with pytest.raises(ValueError, match="holds an encoder of"):
        made("masked", labels).start(folder)


def test_a_folder_says_how_its_encoder_was_taught(labels: Path, tmp_path: Path):
    objective = made("masked", labels, noised=0.25)
    encoder = load(saved(objective, tmp_path / "model"))
    assert (encoder.size, encoder.width) == (16, 16)
    words = (tmp_path / "model/config.json").read_text()
    assert '"noised": 0.25' in words
    assert '"method": "masked"' in words
    torch.testing.assert_close(encoder(pictures().images), objective.modules.encoder(pictures().images))


def test_a_metric_is_no_loss(labels: Path):
    losses = made("rotation", labels).modules(pictures())
    assert set(losses) == {"selfsupervised", f"{METRIC}rotation_right"}
    assert torch.equal(total(losses), losses["selfsupervised"])


@pytest.mark.parametrize(
    ("curve", "whole"), [("selfsupervised", True), ("supervised", True), ("masked", False)]
)
def test_where_pictures_are_compared_a_batch_is_not_taken_in_parts(curve: str, whole: bool, labels: Path):
    config: TrainConfig = tiny.config_of(curve)
    assert made(curve, labels).whole_batch == config.whole_batch == whole
