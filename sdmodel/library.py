"""The package as a library: train on an index in this process, with parts of one's own, and load the result.

docs/library.md shows it. A training with several processes, evaluations and everything that is kept of a run
is `sdflow`'s.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from sdmodel.conditions.interface import ConditionLayout
from sdmodel.config.train import TrainConfig
from sdmodel.data.tar_index import tars_of
from sdmodel.diffusion import folder as folders
from sdmodel.diffusion.generate import TextToImage
from sdmodel.diffusion.model import CaptionEncoder
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.diffusion.own import NetworkFactory, OwnParts
from sdmodel.module_objective import KIND as MODULE
from sdmodel.module_objective import ModuleObjective
from sdmodel.objective import Objective
from sdmodel.train.job import JOB, JobSpec
from sdmodel.train.prepare import Build
from sdmodel.train.process.messages import Message
from sdmodel.train.run import run

MODEL = "model"
"""Folder of the model, in a training's."""
PRETRAINED = "pretrain.json"
"""In folders of pretrained text encoders, of whatever kind: what they are."""


def fit(
    config: TrainConfig,
    index: Path | str,
    folder: Path | str,
    *,
    network: NetworkFactory | None = None,
    condition: Callable[[], CaptionEncoder] | None = None,
    objective: Callable[[], nn.Module] | None = None,
    report: Callable[[Message], None] = lambda message: None,
) -> Path:
    """Trains in this process and returns the model's folder, FOLDER/model, for `load`.

    The same call again goes on where it was interrupted, and does nothing once the model is there. FOLDER
    gets metrics.jsonl, curve.png, checkpoints/ and samples/ besides.

    Args:
        config: of the training, of one process.
        index: of `index_tars`, or index.parquet of a dataset that `sdflow export` wrote; paths of tars are
            relative to it.
        folder: of this training alone.
        network: makes a denoiser, in the place of the one that the config describes.
        condition: makes what reads captions, in the place of text encoders.
        objective: makes a module whose `forward(batch)` returns named losses, in the place of a text-to-image
            model; see `Objective.modules`.
        report: gets progress, warnings and checkpoints.

    ValueError: the config does not fit the data or the parts, several processes are asked for, or the folder
    holds another training. FloatingPointError: a loss is not finite.
    """
    if config.processes > 1:
        raise ValueError(f"processes={config.processes}: fit trains in this process alone; leave it at 0")
    if tables := [each.pseudo.labels for each in config.conditions.columns if each.pseudo.labels]:
        raise ValueError(
            f"conditions.columns: pseudo.labels={tables[0]!r} is a table of a store; `sdflow run` takes it, "
            "here write its labels into the index"
        )
    own = OwnParts(network=network, condition=condition)
    if objective and own.names:
        raise ValueError(f"objective and {' and '.join(own.names)}: an objective brings all of its parts")
    place = Path(folder).resolve()
    tars = {name: str(tar) for name, tar in tars_of(index).items()}
    start, encoder = (Path(name).resolve() if name else None for name in (config.start, config.encoder))
    labels = Path(index).resolve()
    job = JobSpec(
        folder=place, index=labels, tars=tars, config=config, start=start, encoder=encoder, labels=labels
    )
    _claim(place, job)
    run(job, build=_build(own, objective, starting=start is not None), report=report)
    return place / MODEL


def load(
    folder: Path | str,
    *,
    network: NetworkFactory | None = None,
    condition: Callable[[], CaptionEncoder] | None = None,
    objective: Callable[[], nn.Module] | None = None,
    device: str = "cpu",
) -> TextToImage | nn.Module:
    """The model in a folder that `fit`, or `sdflow export`, wrote, in evaluation mode.

    A text-to-image model comes as `TextToImage`, whose `sample(captions, seeds)` draws pictures and whose
    `model` is the module; others as their module: an image encoder, a text encoder, a generator, diffusers'
    AutoencoderKL.

    Args:
        folder: of the model.
        network: what `fit` was given; a folder names no class.
        condition: the same.
        objective: the same.
        device: where it goes.

    ValueError: the folder holds no model that is known, or one of another library, which the message names;
    or one with other parts.
    """
    place, own = Path(folder), OwnParts(network=network, condition=condition)
    kind = _kind(place)
    if kind == folders.KIND and not objective:
        return TextToImage(folders.load(place, own=own).to(torch.device(device)))
    own.check((), place)
    if (kind == MODULE) != bool(objective):
        remedy = (
            f"is its maker's; pass it: sdmodel.load({str(folder)!r}, objective=YOURS)"
            if kind == MODULE
            else f"is no caller's but of kind {kind!r}; leave objective out"
        )
        raise ValueError(f"{place}: the class of this model {remedy}")
    return _module(place, kind, objective).eval().to(device)


def _claim(folder: Path, job: JobSpec) -> None:
    """ValueError: the folder is another training's."""
    file = folder / JOB
    if file.exists() and JobSpec.read(file) != job:
        raise ValueError(
            f"{folder} holds a training with another config or index; take another folder, or remove this one"
        )
    folder.mkdir(parents=True, exist_ok=True)
    job.write(file)


def _build(own: OwnParts, objective: Callable[[], nn.Module] | None, *, starting: bool) -> Build | None:
    def of_module(
        config: TrainConfig, captions: list[str], conditions: Sequence[ConditionLayout]
    ) -> Objective:
        assert objective
        return ModuleObjective(objective())

    def of_parts(
        config: TrainConfig, captions: list[str], conditions: Sequence[ConditionLayout]
    ) -> Objective:
        if config.objective != "diffusion":
            raise ValueError(
                f"objective={config.objective!r} takes no {' and '.join(own.names)} of yours; set it to "
                '"diffusion"'
            )
        if own.network and config.network == "unet2d":
            raise ValueError('network="unet2d" and a network of yours: leave the config\'s out')
        encoder = Path(config.encoder) if config.encoder else None
        return DiffusionObjective(
            config, captions, starting=starting, own=own, conditions=conditions, encoder=encoder
        )

    if objective:
        return of_module
    return of_parts if own.names else None


def _kind(folder: Path) -> str:
    """What a folder holds. ValueError: nothing that is known, or what another library loads."""
    if (folder / "open_clip_config.json").exists():
        raise ValueError(
            f"{folder} holds a CLIP: open_clip.create_model_and_transforms('local-dir:{folder}') loads it"
        )
    if (folder / "model_index.json").exists():
        raise ValueError(
            f"{folder} holds a pipeline: diffusers.DiffusionPipeline.from_pretrained({str(folder)!r}) loads "
            "it; to train on, name it in train.start"
        )
    if (folder / PRETRAINED).exists():
        return "text"
    file = folder / "config.json"
    about = json.loads(file.read_text()) if file.exists() else {}
    kind = about.get("kind") or about.get("_class_name")
    if kind not in (folders.KIND, MODULE, "gan", "selfsupervised", "AutoencoderKL"):
        raise ValueError(
            f"{folder} holds no model that is known; a folder of one has a config.json that says"
        )
    return kind


def _module(folder: Path, kind: str, objective: Callable[[], nn.Module] | None) -> nn.Module:
    # Each brings libraries that the others do not need.
    match kind:
        case "text":
            from sdmodel.config.adapter import adapter_of
            from sdmodel.config.text import TextConfig
            from sdmodel.text import build

            about = json.loads((folder / PRETRAINED).read_text())
            return build.load(folder, adapter_of(TextConfig).validate_python(about["text"]))
        case "gan":
            from sdmodel.gan.folder import load as load_gan

            return load_gan(folder).generator
        case "selfsupervised":
            from sdmodel.selfsupervised import encoder

            return encoder.load(folder)
        case "AutoencoderKL":
            from sdmodel.latents.autoencoder import read_autoencoder_kl

            return read_autoencoder_kl(folder)
        case _:
            assert objective
            mine = ModuleObjective(objective())
            mine.start(folder)
            return mine.modules
