import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sdmodel import lora
from sdmodel.condition import Condition
from sdmodel.config.learning import LoraConfig, OptimizerConfig
from sdmodel.config.model import ContrastiveConfig, DiTConfig, UNet2DConfig, UNetConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.data.index import read_index
from sdmodel.data.reader import Reader
from sdmodel.data.stream import Stream
from sdmodel.denoise.build import build_denoiser
from sdmodel.latents.space import PIXELS
from sdmodel.noise.schedule import NoiseSchedule
from sdmodel.objective import Objective
from sdmodel.objectives import objective_of
from sdmodel.train.loop import train
from tests.sdmodel.decoding import decode_all
from tests.sdmodel.train.toy import KilledError

EVERYWHERE = LoraConfig(rank=4, alpha=8.0, targets=("query", "key_value", "out", "widen", "stem"))
"""Linear layers, and convolutions of one place, of nine, and with strides."""
CONFIG = TrainConfig(
    images=96,
    batch=8,
    start="models/base@1",
    size=8,
    checkpoint_every=32,
    text=TextConfig(width=16, heads=2, queries=2, length=8, vocabulary=300),
    unet=UNetConfig(channels=(8, 16), heads=2, condition=16, fine=4),
    dit=DiTConfig(width=16, layers=1, heads=2),
    unet2d=UNet2DConfig(channels=(8, 8), blocks=1, attention=(True, False), head_width=4, groups=4),
    optimizer=OptimizerConfig(warmup=16, weight_decay=0.01),
    lora=EVERYWHERE,
)
CAPTIONS = ["a red half", "a blue half"]


def scattered(modules: nn.Module, seed: int = 0) -> nn.Module:
    """None of the weights that learn is zero, as after a training."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in (p for p in modules.parameters() if p.requires_grad):
            p.add_(torch.randn_like(p), alpha=0.1)
    return modules


def started(config: TrainConfig = CONFIG) -> Objective:
    torch.manual_seed(0)
    objective = objective_of(config, CAPTIONS * 4)
    scattered(objective.modules)
    return objective


def changed() -> Objective:
    """What a training with low-rank changes has come to."""
    objective = started()
    lora.inject(objective.modules, EVERYWHERE)
    scattered(objective.modules, seed=1)
    return objective


def held(modules: nn.Module) -> dict[str, Tensor]:
    return {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in modules.state_dict().items()
    }


def loss(modules: nn.Module) -> Tensor:
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    batch = Batch(
        images=images, captions=CAPTIONS * 2, uids=CAPTIONS * 2, index=torch.arange(4), size=4, start=0
    )
    return modules(batch)["denoising"]


@pytest.mark.parametrize("network", ["unet", "dit", "unet2d"])
def test_nothing_is_changed_at_first_and_the_changes_alone_learn(network: Any):
    torch.manual_seed(0)
    config = replace(CONFIG, network=network)
    denoiser = scattered(build_denoiser(config, PIXELS, 8, 6, NoiseSchedule.named("flow")))
    x, condition = (
        torch.randn(2, 3, 8, 8),
        Condition(torch.randn(2, 8), torch.randn(2, 5, 6), torch.ones(2, 5, dtype=torch.bool)),
    )
    before = denoiser(x, torch.tensor([0.3, 0.6]), condition)
    lora.inject(denoiser, LoraConfig(rank=2))
    after = denoiser(x, torch.tensor([0.3, 0.6]), condition)
    assert torch.equal(before, after)
    after.square().mean().backward()
    learned = {name for name, p in denoiser.named_parameters() if p.requires_grad}
    assert learned == {name for name, _ in denoiser.named_parameters() if ".lora_" in name}
    got = {name for name, p in denoiser.named_parameters() if p.grad is not None and p.grad.abs().sum()}
    assert got == {name for name in learned if ".lora_B." in name}


def test_all_processes_draw_the_same():
    first, second = (held(changed().modules) for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_merged_apart_and_laid_over_they_compute_the_same(tmp_path: Path):
    import peft

    objective = changed()
    expected, weights = loss(objective.modules), held(objective.modules)
    whole = started().modules
    assert abs(loss(whole) - expected) > 1e-3

    whole.load_state_dict(lora.published(objective.modules, weights, EVERYWHERE, tmp_path))
    torch.testing.assert_close(loss(whole), expected, rtol=1e-5, atol=1e-5)
    assert not (tmp_path / "adapter").exists()

    kept_apart = replace(EVERYWHERE, merge=False)
    base = lora.published(objective.modules, weights, kept_apart, tmp_path)
    assert all(torch.equal(value, base[name]) for name, value in held(started().modules).items())
    adapted = started().modules
    adapted.load_state_dict(base)
    assert lora.apply_adapter(tmp_path, adapted)
    assert all(torch.equal(value, adapted.state_dict()[name]) for name, value in whole.state_dict().items())
    assert all(p.requires_grad for p in adapted.parameters())

    theirs: Any = started().modules
    theirs.load_state_dict(base)
    theirs = peft.PeftModel.from_pretrained(theirs, str(tmp_path / "adapter"))
    torch.testing.assert_close(loss(theirs), expected, rtol=1e-6, atol=1e-6)
    theirs.merge_and_unload()
    torch.testing.assert_close(loss(theirs.get_base_model()), expected, rtol=1e-5, atol=1e-5)


def test_without_changes_weights_stay(tmp_path: Path):
    modules = started().modules
    weights = held(modules)
    assert lora.published(modules, weights, LoraConfig(), tmp_path) is weights
    assert not lora.apply_adapter(tmp_path, modules)


def test_what_fits_nothing_is_refused():
    modules = started().modules
    with pytest.raises(ValueError, match=r"'to_q', 'space'.*'query', 'key_value'"):
        lora.inject(modules, LoraConfig(rank=4, targets=("to_q", "space", "uery")))


def test_changes_of_other_models_are_refused(tmp_path: Path):
    objective = changed()
    lora.apart(objective.modules, held(objective.modules), tmp_path)
    wide = started(replace(CONFIG, unet=replace(CONFIG.unet, fine=8, condition=8, channels=(8, 24)))).modules
    with pytest.raises(ValueError, match=r"change of a weight of \(.*; the model's is \("):
        lora.apply_adapter(tmp_path, wide)
    with pytest.raises(ValueError, match="changes no layer"):
        lora.apply_adapter(tmp_path, nn.ModuleDict({"text": nn.Linear(3, 3)}))
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"use_dora": True}))
    with pytest.raises(ValueError, match="use_dora"):
        lora.apply_adapter(tmp_path, started().modules)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of one process."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_processes_miss_no_gradient(alone: None):
    """DistributedDataParallel would refuse the second step if a change had taken no part in the first."""
    objective = started()
    lora.inject(objective.modules, EVERYWHERE)
    wrapped = DistributedDataParallel(objective.modules, gradient_as_bucket_view=True)
    for _ in range(2):
        loss(wrapped).backward()
    assert all(p.grad is not None for p in objective.modules.parameters() if p.requires_grad)


@pytest.fixture(scope="module")
def pictures(dataset: Any) -> Reader:
    return decode_all(read_index(dataset.index, dataset.tars, "train"), 8)


def life(pictures: Reader, folder: Path, kill_at: int | None = None) -> tuple[Objective, dict[str, Tensor]]:
    """A training of changes, unless it dies when `kill_at` images are reported."""
    folder.mkdir(exist_ok=True)
    objective = started()
    torch.manual_seed(CONFIG.seed)
    lora.inject(objective.modules, CONFIG.lora)

    def report(message: dict[str, Any]) -> None:
        if kill_at is not None and message.get("images", 0) >= kill_at and "loss" in message:
            raise KilledError

    stream = Stream(pictures, batch=CONFIG.batch, seed=CONFIG.seed)
    weights = train(objective, stream, CONFIG, Accelerator(cpu=True), folder, report)
    assert weights is not None
    return objective, weights


def test_the_loop_trains_and_resumes_changes_alone(pictures: Reader, tmp_path: Path):
    objective, weights = life(pictures, tmp_path / "whole")
    before = held(started().modules)
    for name, value in lora.merged(objective.modules, weights).items():
        is_changed = f"{name.removesuffix('.weight')}.lora_A.default.weight" in weights
        assert torch.equal(value, before[name]) != is_changed, name

    with pytest.raises(KilledError):
        life(pictures, tmp_path / "killed", kill_at=72)
    _, again = life(pictures, tmp_path / "killed")
    assert all(torch.equal(value, again[name]) for name, value in weights.items())
    last = tmp_path / "whole" / "checkpoints" / "000000096"
    assert all(".lora_" in name for name in load_file(last / "averages.safetensors"))
    assert all(".lora_" in name for name in load_file(last / "optimizer.safetensors"))


def test_model_folders_hold_plain_weights(tmp_path: Path):
    objective = changed()
    (tmp_path / "model").mkdir()
    weights = lora.published(
        objective.modules, held(objective.modules), replace(EVERYWHERE, merge=False), tmp_path / "model"
    )
    objective.save(tmp_path / "model", weights)
    again = objective_of(replace(CONFIG, seed=9), ["other"])
    assert (tmp_path / "model/adapter").is_dir()
    again.start(tmp_path / "model")  # lays the changes over
    torch.testing.assert_close(loss(again.modules), loss(objective.modules), rtol=1e-5, atol=1e-5)


def test_layers_that_are_never_called_are_no_targets():
    config = replace(
        CONFIG, objective="contrastive", size=32, lora=LoraConfig(rank=2, targets=("q_proj", "c_proj")),
        contrastive=ContrastiveConfig(embedding=8, image_width=4, text_width=16, text_layers=1, text_heads=2),
    )  # fmt: skip
    modules = objective_of(config, ["red", "blue"]).modules
    lora.inject(modules, config.lora)
    changed = {name for name, p in modules.named_parameters() if p.requires_grad}
    assert changed
    assert not any(".attnpool." in name for name in changed)
