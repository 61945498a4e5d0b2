"""The training process, `python -m sdmodel.train.run JOB.json`: job, data, objective, loop, model folder.

Running it again goes on where it stopped, or does nothing when it is done. Results, in the job's folder:
model/, metrics.jsonl, curve.png, samples/, checkpoints/, and best.json where the weights are those of the
best validation; cache/ and logs/ are no results. SIGTERM, or a file `stop` in the folder, makes it save and
end with status 75.
"""

import json
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from sdmodel.conditions.pseudo import pseudo_warnings
from sdmodel.config.train import TrainConfig
from sdmodel.data.size_warnings import size_warnings
from sdmodel.data.sized_stream import SizedStream
from sdmodel.data.stream import Stream
from sdmodel.device import flushed_denormals, resolve_device
from sdmodel.lora import published
from sdmodel.objective import Objective
from sdmodel.text import lengths
from sdmodel.train import trackers
from sdmodel.train.bf16 import leave_onednn
from sdmodel.train.fit import black
from sdmodel.train.fsdp import is_sharded
from sdmodel.train.job import JobSpec
from sdmodel.train.loop import train
from sdmodel.train.memory import check_fits, estimate_memory, tight_memory
from sdmodel.train.metrics import Gauge, draw_curve
from sdmodel.train.prepare import Build, prepare
from sdmodel.train.process import failure
from sdmodel.train.process.command import PARENT_HOLDS_STDIN
from sdmodel.train.process.messages import Message, send
from sdmodel.train.process.rendezvous import join
from sdmodel.train.process.stopping import RESUME, Stopping
from sdmodel.train.speed import (
    checkpoint_heavy,
    compile_heavy,
    count_rows,
    peak_flops,
    worth_compiling,
)

REMEDY = (
    "Set train.text.length to read more, where the text encoder has places for them (states that are cached: "
    "encode.length), or shorten the captions (filter.max_words)."
)
"""Of captions that are cut."""
UNREAD = (
    "The model to start from reads no captions: those of the dataset are ignored, here and when it draws, "
    "and so is caption_dropout."
)
"""Of an unconditional model."""
BEST = "best.json"
"""Which validation the published weights are of."""


@flushed_denormals()
def run(
    job: JobSpec,
    stopping: Stopping | None = None,
    *,
    build: Build | None = None,
    report: Callable[[Message], None] | None = None,
) -> bool:
    """Runs a job in this process, which is one of those that share the training.

    stopping: listens to signals while the training can save; None never stops. build: makes the objective;
    None takes the one that the config names. report: gets progress and warnings; None sends them to the
    launcher. False: it stopped, and has saved. ValueError, FloatingPointError, OSError: as `prepare` and the
    loop say."""
    folder, config = job.folder, job.config
    model = folder / "model"
    if model.exists():
        return True
    trackers.check(config.trackers)
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = accelerator_of(config)
    main = accelerator.is_main_process
    report = report or send
    prepared = prepare(job, accelerator, build)
    config, objective, stream = prepared.config, prepared.objective, prepared.stream
    if main:
        learned = sum(p.numel() for p in objective.modules.parameters() if p.requires_grad)
        index = stream.of(config.size_at(0)).reader.index
        captions = [caption for own in index.captions for caption in own]
        cut = lengths.truncation_warnings(objective.readers, captions, REMEDY)
        unread = config.objective == "diffusion" and not (build or objective.readers)
        foreign = pseudo_warnings(index, config.conditions, job.pseudo)
        for warning in [*size_warnings(index, config, learned), *cut, *[UNREAD] * unread, *foreign]:
            report({"warning": warning})
    check_fits(objective.modules, config, accelerator.device, accelerator.num_processes)
    gauge = gauge_of(config, accelerator, objective, stream)
    if main and gauge.memory:
        tight = tight_memory(gauge.memory, config, accelerator.device, accelerator.num_processes)
        if tight:
            report({"warning": tight})
    left = config.images - (job.continued.images if job.continued else 0)
    trade_memory_for_speed(objective, config, accelerator, gauge, left)

    # Training, and the model folder, which appears whole.
    if stopping:
        stopping.listen()
    weights = train(
        objective,
        stream,
        config,
        accelerator,
        folder,
        report,
        validator=prepared.validator,
        stopping=stopping or (lambda: False),
        gauge=gauge,
        continued=job.continued,
    )
    if main and weights is not None:
        draw_curve(folder / "metrics.jsonl", folder / "curve.png")
        if prepared.validator and config.validation.patience:
            (folder / BEST).write_text(json.dumps(prepared.validator.best, sort_keys=True))
        aside = folder / ".model"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        objective.save(aside, published(objective.modules, weights, config.lora, aside))
        aside.rename(model)
    if main and stopping and weights is None:
        stopping.file.unlink(missing_ok=True)  # the same command shall go on
    accelerator.end_training()
    return weights is not None


def accelerator_of(config: TrainConfig) -> Accelerator:
    """Device, processes and precision. ValueError: CUDA is asked for and not there, or another launcher
    started this process."""
    on_gpu = resolve_device(config.device) == "cuda"
    bf16 = config.precision == "bf16" or (config.precision == "auto" and on_gpu)
    if bf16 and not on_gpu:
        leave_onednn()
    if on_gpu:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    join(on_gpu=on_gpu)
    ddp = DistributedDataParallelKwargs(gradient_as_bucket_view=True)
    return Accelerator(cpu=not on_gpu, mixed_precision="bf16" if bf16 else "no", kwargs_handlers=[ddp])


def end_with_parent() -> None:
    """Ends this process, with its process group, when the launching process is gone: nobody else would."""

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)  # returns when the other end closes
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def gauge_of(
    config: TrainConfig, accelerator: Accelerator, objective: Objective, stream: Stream | SizedStream
) -> Gauge:
    """What the training's speed is worth, and what memory a step takes. FLOPs and activations are counted on
    two rows (one, of an odd number), by all processes together, and on the CPU where weights are to be
    sharded; of each size, where there are several. A loss that compares rows needs the whole batch, and the
    device that the processes talk through: sharded, nothing of it is counted."""
    device, world, sharded = accelerator.device, accelerator.num_processes, is_sharded(config, accelerator)
    flops, memory = 0.0, None
    of_size: dict[int, float] = {}
    if not (sharded and objective.whole_batch):
        place = torch.device("cpu") if sharded else device
        objective.modules.to(place)
        batch = stream.at(0)
        if not objective.whole_batch:
            batch = batch.micro_batch(0, len(batch) // 2 if len(batch) % 2 == 0 else len(batch))
        with accelerator.autocast():
            count = most = count_rows(objective, batch.to(place))
            flops = count.flops / len(batch)
            for size, _ in config.sizes:
                count = count_rows(objective, black(batch, size, size).to(place))
                of_size[size] = count.flops / len(batch)
                most = max(most, count, key=lambda count: count.saved.row)
        memory = estimate_memory(objective.modules, config, most, len(batch))
    if device.type == "cuda":  # the peak that is reported is the training's
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    precision = "bf16" if accelerator.mixed_precision == "bf16" else "fp32"
    peak = world * peak_flops(device, precision)
    stages = tuple((images, of_size.get(size, 0.0)) for size, images in config.sizes)
    return Gauge(flops, peak, config.price, stages, memory)


def trade_memory_for_speed(
    objective: Objective, config: TrainConfig, accelerator: Accelerator, gauge: Gauge, images: int
) -> None:
    """Activation checkpointing and compilation, as the config asks for, of a training that sees so many
    images; after the FLOPs are counted, since what is computed twice is no use. What is checkpointed cannot
    be compiled any more."""
    flops = max([gauge.flops, *(flops for _, flops in gauge.stages)])
    if worth_compiling(config, accelerator.device, images // accelerator.num_processes, flops):
        compile_heavy(objective)
    if config.activation_checkpointing:
        checkpoint_heavy(objective)


def exit_status(job: JobSpec, act: Callable[[], int]) -> int:
    """What `act` returns, an exit status; 1 after a failure that was reported to whoever launched it."""
    try:
        return act()
    except Exception as error:
        message = failure.message_of(error, job.config)
        if message is None:
            raise
        traceback.print_exc()
        send(message)
        return 1


def main(job: JobSpec) -> int:
    """Runs a job and returns the process's exit status: 0 done, 75 stopped and saved, 1 failed."""

    def act() -> int:
        if run(job, Stopping(job.folder)):
            return 0
        send({"stopped": True})
        return RESUME

    return exit_status(job, act)


if __name__ == "__main__":
    if os.environ.get(PARENT_HOLDS_STDIN):
        end_with_parent()
    if len(sys.argv) != 2:
        sys.exit("usage: python -m sdmodel.train.run JOB.json")
    sys.exit(main(JobSpec.read(Path(sys.argv[1]))))
