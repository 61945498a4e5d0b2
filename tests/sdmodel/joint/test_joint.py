"""Joint training: what learns from what, and what is written down."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sdmodel.config.limits import ConfigError
from sdmodel.config.noise import NoiseConfig
from sdmodel.config.representation import JointConfig
from sdmodel.data.batch import Batch
from sdmodel.joint.contrastive import ContrastiveTask
from sdmodel.joint.masked import MaskedTask
from sdmodel.losses import total
from sdmodel.selfsupervised.nt_xent import nt_xent
from sdmodel.train.run import run
from tests.sdmodel.golden.tiny import CONFIG, config_of, job
from tests.sdmodel.gradients import batch, made


@pytest.mark.parametrize("kind", ["contrastive", "masked"])
@pytest.mark.parametrize("network", ["unet", "dit"])
def test_both_losses_teach_the_trunk_and_each_its_own_end(network: Any, kind: Any):
    config = replace(CONFIG, network=network, joint=JointConfig(kind=kind))
    objective = made(config)
    losses = objective.modules(batch(config))
    assert total(losses).item() == pytest.approx(
        0.99 * losses["metric/denoising"].item() + 0.01 * losses["metric/joint"].item(), rel=1e-5
    )
    names = list(dict(objective.modules.named_parameters()))
    learned = [dict(objective.modules.named_parameters())[name] for name in names]

    def taught(loss: str) -> set[str]:
        gradients: list[Any] = list(
            torch.autograd.grad(losses[loss], learned, retain_graph=True, allow_unused=True)
        )
        return {name for name, g in zip(names, gradients, strict=True) if g is not None and g.any()}

    denoising, joint = taught("denoising_weighted"), taught("joint_weighted")
    assert "network.stem.weight" in denoising & joint
    assert "network.out.weight" in denoising - joint
    assert {name for name in names if name.startswith("joint.task")} <= joint - denoising
    assert denoising | joint == set(names)


def test_the_denoising_error_is_that_of_a_training_without_it():
    plain, rows = made(CONFIG), batch(CONFIG)
    for kind in ("contrastive", "masked"):
        joint = made(replace(CONFIG, joint=JointConfig(kind=kind)))  # type: ignore[arg-type]
        weights = dict(joint.modules.named_parameters())
        with torch.no_grad():
            for name, weight in plain.modules.named_parameters():
                weights[name].copy_(weight)
        loss = joint.modules(rows)["metric/denoising"]
        assert torch.equal(plain.modules(rows)["denoising"].detach(), loss)


def test_a_view_tells_nothing_of_its_caption():
    """Else pictures could be told apart by their captions, and nothing need be seen in them."""
    objective = made(replace(CONFIG, joint=JointConfig(kind="masked")))
    rows = batch(CONFIG)
    other = replace(rows, captions=[*rows.captions[1:], rows.captions[0]])
    found = [objective.modules(some) for some in (rows, other)]
    assert torch.equal(found[0]["metric/joint"], found[1]["metric/joint"])
    assert not torch.equal(found[0]["metric/denoising"], found[1]["metric/denoising"])


def test_the_contrastive_task_is_nt_xent_of_pooled_features():
    torch.manual_seed(0)
    task = ContrastiveTask(6, 4, 0.5)
    first, second = torch.randn(2, 5, 6, 2, 2)
    times = torch.rand(2, 5)
    losses, of = task(first, second, times)
    z = [torch.nn.functional.normalize(task.projector(view.mean((2, 3))), dim=-1) for view in (first, second)]
    assert losses.shape == of.shape == (10,)
    torch.testing.assert_close(losses.mean(), nt_xent(z[0], z[1], 0.5))
    assert torch.equal(of, times.flatten())
    for name, weight in task.projector.named_parameters():
        weight.data.fill_(float(name.endswith("bias")))
    alike, _ = task(first, second, times)  # of views that are all alike the other one is found by chance
    torch.testing.assert_close(alike, torch.full((10,), math.log(9)))


def test_the_masked_task_asks_hidden_patches_alone():
    torch.manual_seed(0)
    task = MaskedTask(5, 3, 4, 0.5)
    mask = task.mask(torch.rand(2, 2, 4))
    assert mask.sum((1, 2, 3)).tolist() == [4, 4]
    x = torch.randn(2, 3, 8, 16)
    shown = task.hide(x, mask)
    cut = torch.nn.functional.pixel_unshuffle(shown, 4)  # (2, 48, 2, 4)
    assert torch.equal((cut == 0).all(1, keepdim=True), mask)
    features = torch.randn(2, 5, 2, 4)
    error = task(features, x, mask)
    visible = torch.nn.functional.interpolate((~mask).float(), scale_factor=4).bool()
    assert torch.equal(error, task(features, torch.where(visible, 99.0, x), mask))
    # Told exactly, there is none.
    for name, weight in task.head.named_parameters():
        weight.data.fill_(0.25 * float(name == "bias"))
    assert torch.equal(task(features, torch.full_like(x, 0.25), mask), torch.zeros(2))


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_something_is_hidden_and_something_shown(share: float):
    mask = MaskedTask(5, 3, 4, share).mask(torch.rand(3, 2, 4))
    assert mask.any((1, 2, 3)).all()
    assert not mask.all((1, 2, 3)).any()


def test_losses_and_weights_are_written_down_and_the_model_has_none_of_it(dataset: Any, tmp_path: Path):
    run(job(tmp_path / "training", dataset, config_of("joint-dit")))
    lines = (tmp_path / "training/metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["weight_joint"] for row in rows[:5]] == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1])
    assert rows[-1]["weight_joint"] == 0
    for row in rows:
        assert row["weight_joint"] + row["weight_denoising"] == pytest.approx(1)
        parts = [row[f"weight_{name}"] * row[name] for name in ("denoising", "joint", "alignment")]
        assert row["loss"] == pytest.approx(sum(parts), rel=1e-4)
    saved = load_file(tmp_path / "training/model/model.safetensors")
    assert not [name for name in saved if name.startswith(("joint", "alignment"))]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "unet2d"}, "gives no hidden features; take unet or dit"),
        ({"joint": JointConfig(kind="masked", layer=9)}, "features can be taken at 0 to 2"),
        ({"accumulate": 2}, "all rows of a batch are compared"),
        ({"noise": NoiseConfig(prediction="v", loss="learned")}, "would be weighed twice"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        replace(config_of("joint"), **changes)


def test_a_masked_batch_can_be_taken_in_parts():
    config = replace(CONFIG, joint=JointConfig(kind="masked"))
    assert not config.whole_batch
    objective, rows = made(config), batch(config)
    halves: list[Batch] = [rows.micro_batch(number, 2) for number in range(2)]
    with torch.no_grad():
        whole = objective.modules(rows)["metric/joint"]
        parts = [objective.modules(half)["metric/joint"] for half in halves]
    torch.testing.assert_close((parts[0] + parts[1]) / 2, whole)
