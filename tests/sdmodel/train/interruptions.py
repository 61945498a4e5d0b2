"""Trains every objective whole, and again killed and resumed:
`python -m tests.sdmodel.train.interruptions JOB DIR`.

A program of its own, so that two processes can share it.
"""

import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import get_args, get_type_hints

import torch
from accelerate import Accelerator
from safetensors.torch import save_file

from sdmodel.config.learning import EmaConfig, OptimizerConfig, ValidationConfig
from sdmodel.config.model import AutoencoderConfig, ContrastiveConfig, SelfSupervisedConfig, UNetConfig
from sdmodel.config.text import PretrainConfig, TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.train.job import JobSpec
from sdmodel.train.loop import train
from sdmodel.train.prepare import prepare
from sdmodel.train.process.rendezvous import join
from tests.sdmodel.gradients import gradients
from tests.sdmodel.train.intruder import Watch, intrude
from tests.sdmodel.train.toy import KilledError

OBJECTIVES: tuple[str, ...] = get_args(get_type_hints(TrainConfig)["objective"])
CONFIG = TrainConfig(
    images=96,
    batch=8,
    size=16,
    checkpoint_every=32,
    device="cpu",
    text=TextConfig(width=16, heads=2, queries=2, length=12, vocabulary=300),
    unet=UNetConfig(channels=(8, 16)),
    contrastive=ContrastiveConfig(embedding=8, image_width=4, text_width=16, text_layers=1, text_heads=2),
    autoencoder=AutoencoderConfig(channels=(8, 8), groups=4, latent=2),
    selfsupervised=SelfSupervisedConfig(width=4, embedding=8),
    pretrain=PretrainConfig(
        labels=0.5, columns=("colour",), labelled=0.5, masked=1.0, next=0.5, noise=0.5, consistency=1.0
    ),
    optimizer=OptimizerConfig(warmup=16),
    ema=EmaConfig(lengths=(0.05, 0.1)),
    validation=ValidationConfig(every=32, rows=8, patience=9),
)


def config_of(objective: str) -> TrainConfig:
    """The image tower of contrastive and text halves its sides five times; text learns a kind with states of
    its own for each direction, and with dropout."""
    text = replace(CONFIG.text, kind="lstm", layers=2, dropout=0.3) if objective == "text" else CONFIG.text
    size = 32 if objective in ("contrastive", "text") else 16
    return replace(CONFIG, objective=objective, text=text, size=size)  # type: ignore[arg-type]


def train_until(job: JobSpec, folder: Path, objective: str, accelerator: Accelerator, end: int = -1) -> None:
    """Train in `folder`; all processes are killed before batch `end`."""
    config = config_of(objective)
    batches = count()

    def stopping() -> bool:
        if next(batches) == end:
            raise KilledError
        return False

    folder.mkdir(parents=True, exist_ok=True)
    prepared = prepare(replace(job, folder=folder, config=config), accelerator)
    train(
        prepared.objective,
        prepared.stream,
        config,
        accelerator,
        folder,
        lambda message: None,
        validator=prepared.validator,
        stopping=stopping,
    )


def interrupted(job: JobSpec, root: Path) -> None:
    """ROOT/OBJECTIVE/whole and /killed, and /gradients-RANK.safetensors of a single step; ROOT/RANK.json says
    what was unpickled, although an intruder meddles between two trainings."""
    join(on_gpu=False)
    accelerator = Accelerator(cpu=True)
    watch = Watch()
    for objective in OBJECTIVES:
        (root / objective).mkdir(parents=True, exist_ok=True)
        tensors = {name: value.contiguous() for name, value in gradients(accelerator, objective).items()}
        save_file(tensors, root / objective / f"gradients-{accelerator.process_index}.safetensors")
        train_until(job, root / objective / "whole", objective, accelerator)
        for end in (5, 1):
            try:
                train_until(job, root / objective / "killed", objective, accelerator, end)
            except KilledError:
                accelerator.wait_for_everyone()
        if accelerator.num_processes > 1 and accelerator.is_main_process:
            intrude(root / "intruded")
        train_until(job, root / objective / "killed", objective, accelerator)
    watch.write(root / f"{accelerator.process_index}.json")
    accelerator.end_training()


if __name__ == "__main__":
    torch.set_num_threads(1)
    interrupted(JobSpec.read(Path(sys.argv[1])), Path(sys.argv[2]))
