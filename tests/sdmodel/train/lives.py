"""Trains every objective whole, and again killed and resumed: `python -m tests.sdmodel.train.lives PLAN DIR`.

A program of its own, so that two processes can share it.
"""

import json
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, get_args, get_type_hints

import torch
from accelerate import Accelerator
from safetensors.torch import save_file

from sdmodel.config.learning import EmaConfig, OptimizerConfig, ValidationConfig
from sdmodel.config.model import AutoencoderConfig, ContrastiveConfig, SelfSupervisedConfig, UNetConfig
from sdmodel.config.text import PretrainConfig, TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.train.loop import train
from sdmodel.train.prepare import prepare
from sdmodel.train.process.rendezvous import join
from tests.sdmodel.gradients import gradients
from tests.sdmodel.train.stranger import Watch, intrude
from tests.sdmodel.train.toy import KilledError

OBJECTIVES: tuple[str, ...] = get_args(get_type_hints(TrainConfig)["objective"])
CONFIG = TrainConfig(
    images=96,
    batch=8,
    size=16,
    snapshot_every=32,
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


def life(plan: dict[str, Any], folder: Path, objective: str, accelerator: Accelerator, end: int = -1) -> None:
    """Train in `folder`; all processes are killed before batch `end`."""
    config = config_of(objective)
    asked = count()

    def stopping() -> bool:
        if next(asked) == end:
            raise KilledError
        return False

    folder.mkdir(parents=True, exist_ok=True)
    made = prepare({**plan, "folder": str(folder)}, config, accelerator)
    told: list[dict[str, Any]] = []
    train(
        made.objective,
        made.stream,
        config,
        accelerator,
        folder,
        told.append,
        judge=made.judge,
        stopping=stopping,
    )


def lives(plan: dict[str, Any], root: Path) -> None:
    """ROOT/OBJECTIVE/whole and /killed, and /gradients-RANK.safetensors of a single step; ROOT/RANK.json says
    what was unpickled, although a stranger meddles between two trainings."""
    join(on_gpu=False)
    accelerator = Accelerator(cpu=True)
    watch = Watch()
    for objective in OBJECTIVES:
        (root / objective).mkdir(parents=True, exist_ok=True)
        held = {name: value.contiguous() for name, value in gradients(accelerator, objective).items()}
        save_file(held, root / objective / f"gradients-{accelerator.process_index}.safetensors")
        life(plan, root / objective / "whole", objective, accelerator)
        for end in (5, 1):
            try:
                life(plan, root / objective / "killed", objective, accelerator, end)
            except KilledError:
                accelerator.wait_for_everyone()
        if accelerator.num_processes > 1 and accelerator.is_main_process:
            intrude(root / "intruded")
        life(plan, root / objective / "killed", objective, accelerator)
    watch.write(root / f"{accelerator.process_index}.json")
    accelerator.end_training()


if __name__ == "__main__":
    torch.set_num_threads(1)
    lives(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
