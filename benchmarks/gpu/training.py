"""Trainings as `sdmodel.train.run` sets them up, in random latents with random text states."""

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from benchmarks.gpu.scale import Scale
from benchmarks.train.model import write_tokenizer
from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.data.stream import Stream
from sdmodel.denoise.unet2d import UNet2D
from sdmodel.device import resolve_device
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.losses import total
from sdmodel.train.fsdp import place
from sdmodel.train.loop import train
from sdmodel.train.metrics import Gauge
from sdmodel.train.prepare import prepare
from sdmodel.train.profile.measure import measurement_job
from sdmodel.train.run import accelerator_of, gauge_of, trade_memory_for_speed

Model = Literal["dit_b", "dit_xl", "unet"]
WARM = 5
"""Batches before a clock starts, or before a wait of the host counts: the first ones compile, choose kernels,
and make moments and averages."""
ENDLESS = 10**12
"""Images."""


class Enough(Exception):  # noqa: N818 -- it is no error
    """All that was to be measured is."""


@dataclass(frozen=True)
class Training:
    """All that a training is made of."""

    config: TrainConfig
    folder: Path
    accelerator: Accelerator
    objective: DiffusionObjective
    stream: Stream
    gauge: Gauge

    @property
    def device(self) -> torch.device:
        """Of the weights."""
        return self.accelerator.device

    def placed(self) -> nn.Module:
        """The objective's modules on that device."""
        return place(self.objective, self.config, self.accelerator)


def prepared(scale: Scale, model: Model, folder: Path, batch: str = "", **changes: Any) -> Training:
    """A training of a model, as large as `scale` says, in an empty folder.

    batch: key of `scale.batches`; empty: the model's. changes: keys of its config."""
    encoders = folder / "encoders"
    write_encoders(encoders, scale)
    network = "unet2d" if model == "unet" else "dit"
    config = TrainConfig(
        network=network,
        dit=scale.dit_xl if model == "dit_xl" else scale.dit_b,
        size=scale.size,
        batch=scale.batches[batch or model],
        images=ENDLESS,
        checkpoint_every=ENDLESS,
        optimizer=OptimizerConfig(kind="adamw", adam_rate=1e-4),
        device=scale.device,  # pyright: ignore[reportArgumentType]
        processes=1,
        precision="bf16" if scale.device == "cuda" else "fp32",
        compile="off",
    )
    job = measurement_job(replace(config, **changes), folder, encoders=encoders, length=scale.length)
    accelerator = accelerator_of(job.config)
    parts = prepare(job, accelerator)
    objective = parts.objective
    assert isinstance(objective, DiffusionObjective)
    if model == "unet":
        unet = dict(scale.unet)
        objective.modules.network = UNet2D(unet, objective.modules.process.schedule, padded=False)
    gauge = gauge_of(job.config, accelerator, objective, parts.stream)
    return Training(job.config, folder, accelerator, objective, parts.stream, gauge)


def write_encoders(folder: Path, scale: Scale) -> None:
    """Small encoders of the shapes that matter: latents of 4 channels and 8 pixels to a place, text states of
    the scale's width. None is called: what they would have made is random."""
    torch.manual_seed(0)
    AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
    ).save_pretrained(folder / "autoencoder")
    tokens = write_tokenizer(folder / "tokenizer")
    CLIPTextModel(
        CLIPTextConfig(
            vocab_size=tokens,
            hidden_size=scale.width,
            intermediate_size=scale.width,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=scale.length,
            bos_token_id=tokens - 2,
            eos_token_id=tokens - 1,
            pad_token_id=tokens - 1,
        )
    ).save_pretrained(folder / "text_encoder")


class Watched:
    """A stream whose batches are counted, from the first one after the warm ones on."""

    def __init__(self, stream: Stream, device: torch.device, *, seconds: float, batches: float) -> None:
        """It ends after so many seconds, or so many batches, whichever comes first."""
        self.stream, self.device, self.limits = stream, device, (seconds, batches)
        self.began, self.seconds, self.seen = 0.0, 0.0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def started(self) -> None:
        """The warm batches are over."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.began = time.perf_counter()

    def ended(self) -> None:
        """All batches were learned from."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds = time.perf_counter() - self.began

    def batches(self, images_seen: int) -> Iterator[Batch]:
        """The stream's. Enough: a limit is reached."""
        source = self.stream.batches(images_seen)
        for _ in range(WARM):
            yield next(source)
        self.started()
        seconds, batches = self.limits
        while self.seen < batches and time.perf_counter() - self.began < seconds:
            yield next(source)
            self.seen += 1
        self.ended()
        raise Enough


def speed(training: Training, seconds: float) -> float:
    """Images a second of the loop itself, after the first batches, which compile and choose kernels."""
    trade_memory_for_speed(
        training.objective, training.config, training.accelerator, training.gauge, training.config.images
    )
    watched = Watched(training.stream, training.device, seconds=seconds, batches=math.inf)
    learn(training, watched)
    return watched.seen * training.config.batch / watched.seconds


def learn(training: Training, stream: Any) -> None:
    """The loop, until the stream has enough."""
    with suppress(Enough):
        train(
            training.objective,
            stream,
            training.config,
            training.accelerator,
            training.folder,
            lambda message: None,
            gauge=training.gauge,
        )


def losses(training: Training, modules: nn.Module, steps: int, *, bf16: bool = False) -> list[float]:
    """The loss of the first batch before each of some steps of AdamW on it, and after them.

    modules: the objective's on their device, or what wraps them. bf16: under autocast, in a training that is
    none of mixed precision itself."""
    optimizer = torch.optim.AdamW(modules.parameters(), lr=1e-4)
    batch = training.stream.at(0).to(training.device)
    kind = training.device.type
    found: list[float] = []
    for _ in range(steps + 1):
        with torch.autocast(kind, torch.bfloat16) if bf16 else training.accelerator.autocast():
            loss = total(modules(batch))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        found.append(loss.item())
    return found


def on_gpu(scale: Scale) -> bool:
    """Whether this is no rehearsal."""
    return resolve_device(scale.device) == "cuda"
