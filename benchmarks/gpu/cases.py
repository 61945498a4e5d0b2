"""What is measured, each case in a process of its own: a function of the scale and an empty folder that
returns figures by name."""

import gc
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from benchmarks.gpu.scale import Scale
from benchmarks.gpu.training import Model, Training, Watched, learn, losses, on_gpu, prepared, speed
from sdmodel.diffusion.cost import CaptionShape, step_cost
from sdmodel.train.metrics import peak_memory

STEPS = 8
"""Steps that are watched, or compared."""
Figures = dict[str, float]


def pinned(scale: Scale, folder: Path) -> Figures:
    """How many of a batch's tensors lie in pinned memory, and arrive unchanged from it."""
    training = prepared(scale, "dit_b", folder, "check")
    batch = training.stream.at(0)
    assert batch.text is not None
    tensors = [batch.images, batch.text.states, batch.text.pooled, batch.text.mask]
    sent = [tensor.to(training.device, non_blocking=True) for tensor in tensors]
    arrived = [
        torch.equal(there.cpu(), here) and (here.is_pinned() or not on_gpu(scale))
        for here, there in zip(tensors, sent, strict=True)
    ]
    return {"tensors": sum(arrived)}


def waiting(scale: Scale, folder: Path) -> Figures:
    """How many steps of the loop, in two parts each, never make the host wait for the device."""

    class Strict(Watched):
        def started(self) -> None:
            super().started()
            _sync_debug_mode(scale, "error")

        def ended(self) -> None:
            _sync_debug_mode(scale, "default")
            super().ended()

    training = prepared(scale, "dit_b", folder, "check", accumulate=2)
    stream = Strict(training.stream, training.device, seconds=60, batches=STEPS)
    try:
        learn(training, stream)
    except RuntimeError:  # what torch raises where the host would wait
        traceback.print_exc(file=sys.stdout)
        return {"steps": max(0, stream.seen - 1)}
    finally:
        _sync_debug_mode(scale, "default")
    return {"steps": stream.seen}


def bf16(scale: Scale, folder: Path) -> Figures:
    """How far losses in bfloat16 are off from those in float32, in percent."""
    whole, half = (
        losses(training, training.placed(), STEPS, bf16=name == "half")
        for name in ("whole", "half")
        for training in [prepared(scale, "dit_b", folder / name, "check", precision="fp32")]
    )
    return {"off": _off(whole, half)}


def nccl(scale: Scale, folder: Path) -> Figures:
    """How far losses are off with gradients that go through NCCL, of one process, in percent."""
    plain = _losses(scale, folder / "plain")
    training = prepared(scale, "dit_b", folder / "group", "check")
    _join(scale, folder)
    ones = torch.ones(4, device=training.device)
    dist.all_reduce(ones)
    assert ones.tolist() == [1.0] * 4
    return {"off": _off(plain, losses(training, DistributedDataParallel(training.placed()), STEPS))}


def sharding(scale: Scale, folder: Path) -> Figures:
    """How far losses are off with weights in shards, all of which one process has, in percent."""
    plain = _losses(scale, folder / "plain")
    training = prepared(scale, "dit_b", folder / "group", "check")
    _join(scale, folder)
    objective = training.objective
    mesh = init_device_mesh(training.device.type, (1,))
    for module in [*objective.heavy, objective.modules]:
        fully_shard(module, mesh=mesh)
    return {"off": _off(plain, losses(training, objective.modules, STEPS))}


def dit_b(scale: Scale, folder: Path) -> Figures:
    """DiT-B/2, as it is and compiled."""
    plain, compiled = (_timed(scale, "dit_b", folder / name, compiled=name == "b") for name in ("a", "b"))
    return {**compiled, "gain": compiled["speed"] / plain["speed"]}


def dit_xl(scale: Scale, folder: Path) -> Figures:
    """DiT-XL/2, compiled."""
    return _timed(scale, "dit_xl", folder, compiled=True)


def unet(scale: Scale, folder: Path) -> Figures:
    """The UNet of Stable Diffusion 1.5."""
    return _timed(scale, "unet", folder, compiled=False)


CASES: Mapping[str, Callable[[Scale, Path], Figures]] = {
    case.__name__: case for case in (pinned, waiting, dit_xl, dit_b, unet, bf16, nccl, sharding)
}
"""By name."""


def _timed(scale: Scale, model: Model, folder: Path, *, compiled: bool) -> Figures:
    """Images a second, the share of the peak in percent, and memory in percent of what formulas say."""
    gc.collect()  # whatever was trained before
    # What a rehearsal would compile takes minutes on a CPU.
    training = prepared(scale, model, folder, compile="on" if compiled and on_gpu(scale) else "off")
    images = speed(training, scale.seconds)
    mfu = training.gauge.read(images, 0.0, 0.0).get("mfu", 0.0)
    return {
        "speed": images,
        "mfu": 100 * mfu,
        "memory": 100 * peak_memory() / _by_formula(scale, training, model),
    }


def _by_formula(scale: Scale, training: Training, model: Model) -> float:
    """Bytes."""
    cost = step_cost(
        training.config,
        training.objective.modules.space,
        CaptionShape(length=scale.length, width=scale.width),
        unet=dict(scale.unet) if model == "unet" else None,
        bf16=training.accelerator.mixed_precision == "bf16",
    )
    return cost.memory.total(training.config.batch, checkpointing=False)


def _losses(scale: Scale, folder: Path) -> list[float]:
    training = prepared(scale, "dit_b", folder, "check")
    return losses(training, training.placed(), STEPS)


def _off(mine: list[float], theirs: list[float]) -> float:
    """The largest relative difference in percent."""
    return 100 * max(abs(a - b) / abs(a) for a, b in zip(mine, theirs, strict=True))


def _join(scale: Scale, folder: Path) -> None:
    """A process group of one, which meets in a file."""
    store = dist.FileStore(str(folder / "rendezvous"), 1)  # pyright: ignore[reportPrivateImportUsage]
    dist.init_process_group("nccl" if on_gpu(scale) else "gloo", store=store, rank=0, world_size=1)


def _sync_debug_mode(scale: Scale, mode: str) -> None:
    if on_gpu(scale):
        torch.cuda.set_sync_debug_mode(mode)
