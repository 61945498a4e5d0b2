"""Trains with weights shared out, and whole for comparison, killed and resumed either way:
`python -m tests.sdmodel.train.fsdp_runs JOB DIR CASE...`, in two processes.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import nn
from torch.distributed.tensor import DTensor

from sdmodel.config.learning import OptimizerConfig, ValidationConfig
from sdmodel.config.model import DiTConfig, UNet2DConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.stream import Stream
from sdmodel.objective import Objective
from sdmodel.train.job import JobSpec
from sdmodel.train.loop import train
from sdmodel.train.optim import muon
from sdmodel.train.prepare import prepare
from sdmodel.train.process.rendezvous import join
from sdmodel.train.speed import checkpoint_heavy
from sdmodel.train.validation import Validator
from tests.sdmodel.train import interruptions
from tests.sdmodel.train.intruder import Watch
from tests.sdmodel.train.toy import KilledError, Toy, ToyObjective

CONFIG = replace(
    interruptions.CONFIG,
    images=32,
    checkpoint_every=16,
    network="dit",
    dit=DiTConfig(width=16, layers=2, heads=2, patch=4),
    unet2d=UNet2DConfig(channels=(8, 16), blocks=1, attention=(False, True), head_width=8, groups=4),
    optimizer=OptimizerConfig(kind="adamw", warmup=16, weight_decay=0.01),
    validation=ValidationConfig(every=16, rows=8, patience=9, prompts=("a red half on the left",)),
)
CASES: dict[str, TrainConfig] = {
    "toy": replace(CONFIG, size=8, optimizer=OptimizerConfig(kind="muon", warmup=16, weight_decay=0.01)),
    "dit": CONFIG,
    "unet2d": replace(
        CONFIG,
        network="unet2d",
        accumulate=2,
        activation_checkpointing=True,
        optimizer=OptimizerConfig(kind="lion", adam_rate=1e-4),
        validation=ValidationConfig(every=16, rows=8, patience=9),
    ),
}
LIVES = {
    "whole": (False, False),
    "shared": (True, True),
    "killed": (True, True),
    "then_shared": (False, True),
    "then_whole": (True, False),
}
"""Of a case: whether the weights are shared out until it is killed, and afterwards. The first two live on."""
LIVED = {case: tuple(LIVES)[: None if case == "toy" else 3] for case in CASES}
END = 3
"""Batches that who is killed takes, of four."""


class Uneven(ToyObjective):
    """Momenta, running statistics, dropout, and tensors that two processes cannot halve."""

    def __init__(self) -> None:
        super().__init__(Toy())
        self.modules.features[0] = nn.Conv2d(3, 8, 3, bias=False)  # normalisation makes a bias meaningless
        self.modules.scale = nn.Parameter(torch.ones(1))
        self.modules.words = nn.Embedding(127, 16)
        self.modules.features[5] = nn.Sequential(nn.Linear(288, 7), nn.Linear(7, 16))
        self.modules.fused_layers = {"features.5.1": (2, 2)}  # whose matrices lie across the processes' parts


def life(
    parts: tuple[Objective, Stream, Validator | None],
    config: TrainConfig,
    folder: Path,
    accelerator: Accelerator,
    end: int = -1,
) -> None:
    """Train in `folder`; all processes are killed before batch `end`. Weights go to weights.safetensors."""
    batches = count()

    def stopping() -> bool:
        if next(batches) == end:
            raise KilledError
        return False

    objective, stream, validator = parts
    if config.activation_checkpointing:
        checkpoint_heavy(objective)
    try:
        weights = train(
            objective,
            stream,
            config,
            accelerator,
            folder,
            lambda message: None,
            validator=validator,
            stopping=stopping,
        )
    except KilledError:
        accelerator.wait_for_everyone()
        return
    own = sum(
        p.to_local().numel() if isinstance(p, DTensor) else p.numel() for p in objective.modules.parameters()
    )
    assert (own < 0.6 * sum(p.numel() for p in objective.modules.parameters())) == config.fsdp
    assert weights is not None
    assert config.validation.patience  # the best weights are in the main process alone
    assert bool(weights) == accelerator.is_main_process
    if accelerator.is_main_process:
        save_file(weights, folder / "weights.safetensors")


def cases(job: JobSpec, root: Path, names: Sequence[str]) -> None:
    """ROOT/CASE/LIFE of the cases named, see CASES and LIVES; ROOT/RANK.json says what was unpickled."""
    join(on_gpu=False)
    accelerator = Accelerator(cpu=True)
    watch = Watch()
    for case, config in ((name, CASES[name]) for name in names):
        for name in LIVED[case]:
            folder = root / case / name
            folder.mkdir(parents=True, exist_ok=True)
            alone = name in ("whole", "shared")
            for fsdp, end in zip(LIVES[name], (END, -1), strict=True):
                if alone and end == END:
                    continue
                sharded = replace(config, fsdp=fsdp)
                made = prepare(replace(job, folder=folder, config=sharded), accelerator)
                if case == "toy":
                    torch.manual_seed(config.seed)
                    toy = Uneven()
                    validator = Validator(toy, made.stream, made.stream, config.validation)
                    life((toy, made.stream, validator), sharded, folder, accelerator, end)
                else:
                    life((made.objective, made.stream, made.validator), sharded, folder, accelerator, end)
    watch.write(root / f"{accelerator.process_index}.json")
    accelerator.end_training()


if __name__ == "__main__":
    torch.set_num_threads(1)
    muon.WORTH_SHARING = 1  # matrices this small are dealt to the processes, too
    cases(JobSpec.read(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3:])
