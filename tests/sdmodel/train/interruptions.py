"""Trains every objective whole, and again killed and resumed:
`python -m tests.sdmodel.train.interruptions JOB DIR`.

A program of its own, so that two processes can share it.
"""

import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, get_args, get_type_hints

import torch
from accelerate import Accelerator
from safetensors.torch import save_file

from sdmodel.config.adversary import PatchAdversaryConfig
from sdmodel.config.autoencoder import AutoencoderConfig
from sdmodel.config.gan import GanConfig
from sdmodel.config.learning import EmaConfig, OptimizerConfig, ValidationConfig
from sdmodel.config.model import ContrastiveConfig, UNetConfig
from sdmodel.config.noise import NoiseConfig
from sdmodel.config.representation import AlignmentConfig, JointConfig
from sdmodel.config.selfsupervised import SelfSupervisedConfig
from sdmodel.config.text import PretrainConfig, TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.objective import Objective
from sdmodel.train.ema import WeightAverages
from sdmodel.train.job import ContinuedFrom, JobSpec
from sdmodel.train.loop import train
from sdmodel.train.prepare import prepare
from sdmodel.train.process.rendezvous import join
from tests.sdmodel.golden import tiny
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
    noise=NoiseConfig(schedule="cosine", prediction="v", loss="learned"),
    text=TextConfig(width=16, heads=2, queries=2, length=12, vocabulary=300),
    unet=UNetConfig(channels=(8, 16)),
    contrastive=ContrastiveConfig(embedding=8, image_width=4, text_width=16, text_layers=1, text_heads=2),
    autoencoder=AutoencoderConfig(channels=(8, 8), groups=4, latent=2),
    gan=GanConfig(
        network="residual",
        latent=8,
        channels=4,
        loss="relativistic",
        fake_penalty=1.0,
        penalty_every=2,
        augment=("colour", "translation", "cutout"),
    ),
    selfsupervised=SelfSupervisedConfig(width=4, embedding=8),
    pretrain=PretrainConfig(
        labels=0.5, columns=("colour",), labelled=0.5, masked=1.0, next=0.5, noise=0.5, consistency=1.0
    ),
    optimizer=OptimizerConfig(warmup=16),
    ema=EmaConfig(lengths=(0.05, 0.1)),
    validation=ValidationConfig(every=32, rows=8, patience=9),
)
VARIANTS: dict[str, Any] = {
    "repa": {"alignment": AlignmentConfig(kind="repa", until=64)},
    "vae-gan": {
        "objective": "autoencoder",
        "autoencoder": replace(
            CONFIG.autoencoder,
            log_variance=True,
            adversary=PatchAdversaryConfig(weight=0.5, begins=24, channels=4, layers=1),
        ),
    },
    **{name: tiny.CURVES[name] for name in ("supervised", "masked", "rotation")},
    "joint": {
        "alignment": AlignmentConfig(kind="dispersive", layer=0),
        "joint": JointConfig(kind="contrastive", weights="noise_level", embedding=8),
        "noise": NoiseConfig(schedule="cosine", prediction="v"),
    },
    "conditions": tiny.CURVES["conditions"],
    "picture": tiny.CURVES["picture"],
    "prior": tiny.CURVES["prior"],
}
"""Further trainings: what is changed of CONFIG, for the diffusion objective unless it says another, by the
name of their golden curve."""
TRAININGS = (*OBJECTIVES, *VARIANTS)
STAGES = ((8, 40), (16, 56))
"""Sizes of the objectives whose models see pictures of any; they change where a training is killed."""
HALF = 48
"""Images after which a training goes on as another one; no report or checkpoint is due there."""


def config_of(objective: str) -> TrainConfig:
    """Sizes follow each other where an objective knows several. The image tower of contrastive and text
    halves its sides five times; text learns a kind with states of its own for each direction, and with
    dropout."""
    if objective in VARIANTS:
        return replace(config_of("diffusion"), **VARIANTS[objective])
    text = replace(CONFIG.text, kind="lstm", layers=2, dropout=0.3) if objective == "text" else CONFIG.text
    size = 32 if objective in ("contrastive", "text") else 16
    sizes = STAGES if objective in ("diffusion", "autoencoder") else ()
    # A discriminator's loss says nothing of how good pictures are: there is no best validation.
    validation = replace(CONFIG.validation, patience=0) if objective == "gan" else CONFIG.validation
    own: dict[str, Any] = {"text": text, "size": size, "sizes": sizes, "validation": validation}
    return replace(CONFIG, objective=objective, **own)  # type: ignore[arg-type]


def train_until(
    job: JobSpec,
    folder: Path,
    objective: str,
    accelerator: Accelerator,
    end: int = -1,
    *,
    stops: bool = False,
) -> Objective:
    """Train in `folder`; all processes are killed before batch `end`, or stop there, as `stops` says."""
    config = config_of(objective)
    batches = count()

    def stopping() -> bool:
        ended = next(batches) == end
        if ended and not stops:
            raise KilledError
        return ended

    folder.mkdir(parents=True, exist_ok=True)
    prepared_job = replace(job, folder=folder, config=config)
    prepared = prepare(prepared_job, accelerator)
    train(
        prepared.objective,
        prepared.stream,
        config,
        accelerator,
        folder,
        lambda message: None,
        validator=prepared.validator,
        stopping=stopping,
        continued=prepared_job.continued,
    )
    return prepared.objective


def go_on(job: JobSpec, root: Path, objective: str, accelerator: Accelerator) -> None:
    """ROOT/half stops after HALF images, and ROOT/continued goes on with its state, as another training."""
    half = train_until(job, root / "half", objective, accelerator, HALF // CONFIG.batch, stops=True)
    weights = WeightAverages(half.modules, EmaConfig(), CONFIG.batch).weights()
    if accelerator.is_main_process:
        (root / "model").mkdir()
        half.save(root / "model", weights)
    accelerator.wait_for_everyone()
    continued = ContinuedFrom(checkpoint=root / f"half/checkpoints/{HALF:09d}", images=HALF)
    later = replace(job, start=root / "model", continued=continued)
    train_until(later, root / "continued", objective, accelerator)


def interrupted(job: JobSpec, root: Path) -> None:
    """ROOT/OBJECTIVE/whole, /killed and /continued, and /gradients-RANK.safetensors of a single step;
    ROOT/RANK.json says what was unpickled, although an intruder meddles between two trainings."""
    join(on_gpu=False)
    accelerator = Accelerator(cpu=True)
    watch = Watch()
    for objective in TRAININGS:
        (root / objective).mkdir(parents=True, exist_ok=True)
        step = gradients(accelerator, objective, job.encoder)
        tensors = {name: value.contiguous() for name, value in step.items()}
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
        if accelerator.num_processes > 1 or objective == "text":
            go_on(job, root / objective, objective, accelerator)
    watch.write(root / f"{accelerator.process_index}.json")
    accelerator.end_training()


if __name__ == "__main__":
    torch.set_num_threads(1)
    interrupted(JobSpec.read(Path(sys.argv[1])), Path(sys.argv[2]))
