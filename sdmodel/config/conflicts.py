"""Values of a training's config that are within their limits but cannot be together."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sdmodel.config import representation
from sdmodel.config.adversary_conflicts import autoencoder_conflicts, gan_conflicts
from sdmodel.config.buckets import STEP, bucket_shapes
from sdmodel.config.conditions import condition_conflicts
from sdmodel.config.limits import Mistake
from sdmodel.config.text import FORETELLING, columns_of

DRAWING = ("diffusion", "gan")
"""Objectives whose models draw pictures."""


if TYPE_CHECKING:
    from sdmodel.config.train import TrainConfig


def conflicts(config: "TrainConfig") -> Iterator[Mistake]:
    """Values that cannot train together."""
    if config.accelerate:
        yield config.mistake(
            "must stay empty: a training takes one machine, and `processes` of its GPUs", "accelerate"
        )
    if config.processes and config.batch % config.processes:
        yield config.mistake("processes must divide batch", "processes", "batch")
    elif config.accumulate and config.batch // (config.processes or 1) % config.accumulate:
        yield config.mistake(
            "accumulate must divide each process's rows of a batch; 0 finds the fewest parts that fit",
            *("accumulate", "batch", "processes"),
        )
    if config.accumulate > 1 and config.whole_batch:
        yield config.mistake(
            "all rows of a batch are compared, which cannot be taken in parts; lower batch, or set "
            "accumulate to 1",
            *("accumulate", "objective"),
        )
    if config.fsdp and config.optimizer.kind == "adamw8bit":
        yield config.mistake(
            "this optimizer needs blocks of whole weights, of which processes have parts; take adamw",
            *("fsdp", "optimizer.kind"),
        )
    if config.fsdp and not config.accumulate:
        yield config.mistake(
            "what fits is tried with whole weights; say into how many parts, 1 or more",
            "fsdp",
            "accumulate",
        )
    yield from _starts(config)
    yield from representation.conflicts(config)
    if config.lora.rank and not config.lora.merge and config.objective != "diffusion":
        yield config.mistake(
            "folders of this objective hold whole models; set merge to true", "lora.merge", "objective"
        )
    if config.validation.prompts and config.objective not in DRAWING:
        yield config.mistake(
            "this objective draws no pictures; leave the prompts empty", "validation.prompts", "objective"
        )
    yield from condition_conflicts(config)
    yield from _encoder(config)
    yield from _sizes(config)
    yield from _buckets(config)
    match config.objective:
        case "diffusion":
            yield from _of_diffusion(config)
        case "contrastive":
            yield from _of_contrastive(config)
        case "text":
            yield from _of_text(config)
        case "autoencoder":
            yield from _multiple(config, "autoencoder.channels", config.autoencoder.factor)
            yield from _sides(config, "autoencoder.channels", config.autoencoder.factor)
            yield from autoencoder_conflicts(config)
        case "gan":
            yield from gan_conflicts(config)
        case "selfsupervised":
            yield from _of_selfsupervised(config)


def _starts(config: "TrainConfig") -> Iterator[Mistake]:
    if config.continue_from and (config.start or config.lora.rank):
        yield config.mistake(
            "a training goes on with a model's whole state, or begins with its weights alone, which are "
            "what low-rank changes are to; leave one out",
            *("continue_from", "start", "lora.rank"),
        )
    elif config.lora.rank and not config.start:
        yield config.mistake(
            "low-rank changes are to a model that has learned; name one in start, or set lora.rank to 0",
            *("lora.rank", "start"),
        )
    if config.lora.rank and config.noise.loss == "learned":
        yield config.mistake(
            "low-rank changes are all that learns; measure the error elsewhere", "noise.loss", "lora.rank"
        )


def _encoder(config: "TrainConfig") -> Iterator[Mistake]:
    """An image encoder that nothing would see pictures by; of the autoencoder objective its own conflicts
    tell."""
    aligned = config.alignment.kind == "repa"
    reads = config.objective == "diffusion" and (aligned or config.conditions.picture.source)
    if config.encoder and config.objective != "autoencoder" and not reads:
        yield config.mistake(
            "nothing would see pictures by this encoder; set alignment.kind to repa, or "
            "conditions.picture.source, of a diffusion, or leave it out",
            *("encoder", "objective"),
        )


def denoiser_conflicts(config: "TrainConfig", factor: int = 1) -> Iterator[Mistake]:
    """Why the denoiser cannot work on pictures of this size.

    factor: pixels to a side of one place of what it sees: 1 for pixels, an autoencoder's for latents."""
    if config.network == "unet":
        yield from _multiple(config, "unet.patch", config.unet.multiple * factor, "unet.channels")
        yield from _sides(config, "unet.patch", config.unet.multiple * factor)
    elif config.network == "dit":
        yield from _multiple(config, "dit.patch", config.dit.patch * factor)
        yield from _sides(config, "dit.patch", config.dit.patch * factor)


def _of_diffusion(config: "TrainConfig") -> Iterator[Mistake]:
    yield from denoiser_conflicts(config)
    if config.network == "unet2d" and config.data.augment:
        yield config.mistake(
            "diffusers' UNet cannot be told how pictures were moved; set data.augment to 0, or take unet "
            "or dit",
            *("network", "data.augment"),
        )
    if not config.text.start and config.text.width % config.text.heads:
        yield config.mistake(
            "heads pool the tokens for the denoiser and must divide width", "text.width", "text.heads"
        )


def _of_contrastive(config: "TrainConfig") -> Iterator[Mistake]:
    yield from _captioned(config)
    yield from _tower(config, "objective")
    for key, wrong in {
        "text.kind": config.text.kind not in ("transformer", "clip"),
        "text.start": config.text.start,
        "texts": config.texts,
    }.items():
        if wrong:
            yield config.mistake(
                "a CLIP is made with a text tower of its own; leave it out, or take objective text with "
                "pretrain.contrastive, which teaches any encoder by pictures",
                *("objective", key),
            )


def _of_text(config: "TrainConfig") -> Iterator[Mistake]:
    yield from _captioned(config)
    pretrain = config.pretrain
    losses = [f"pretrain.{name}" for name in ("contrastive", "labels", "masked", "next")]
    if not (pretrain.contrastive or pretrain.labels or pretrain.masked or pretrain.next):
        yield config.mistake("nothing would be learned; set one of them above 0", *losses)
    if config.texts:
        yield config.mistake(
            "one encoder is learned at a time: text; leave texts empty", "objective", "texts"
        )
    if pretrain.contrastive:
        yield from _tower(config, "pretrain.contrastive")
    if pretrain.labels and not columns_of(pretrain):
        yield config.mistake(
            "name the columns that hold labels, or a table of clusters",
            *("pretrain.labels", "pretrain.columns", "pretrain.clusters"),
        )
    if pretrain.next and config.text.kind not in FORETELLING:
        yield config.mistake(
            "this encoder sees whole captions and has nothing to foretell; take "
            f"{', '.join(FORETELLING)}, or set next to 0",
            *("pretrain.next", "text.kind"),
        )
    if pretrain.flips and not config.validation.every:
        yield config.mistake(
            "flips are counted on the validation split; set validation.every",
            *("pretrain.flips", "validation.every"),
        )


def _of_selfsupervised(config: "TrainConfig") -> Iterator[Mistake]:
    learned = config.selfsupervised
    if learned.compares and config.batch < 2:
        yield config.mistake(
            "pictures are compared with each other; take a batch of 2 or more", "batch", "objective"
        )
    if learned.tower == "vit":
        yield from _multiple(config, "selfsupervised.vit.patch", learned.multiple)
        yield from _sides(config, "selfsupervised.vit.patch", learned.multiple)
    least = min(size for size, _ in config.stages)
    if learned.method == "masked" and least < 2 * learned.multiple:
        yield config.mistake(
            "a picture has one patch, of which nothing can be hidden; take smaller ones",
            *("size", "selfsupervised.vit.patch"),
        )
    if learned.method == "rotation" and config.data.buckets > 1:
        yield config.mistake(
            "turned pictures are told apart by their shape, unless they are squares; leave buckets out",
            *("selfsupervised.method", "data.buckets"),
        )


def _captioned(config: "TrainConfig") -> Iterator[Mistake]:
    """What is of pictures without a caption, where an objective learns from captions alone."""
    if config.data.uncaptioned != 1:
        yield config.mistake(
            "this objective leaves pictures without a caption out; leave it at 1",
            *("data.uncaptioned", "objective"),
        )


def _tower(config: "TrainConfig", key: str) -> Iterator[Mistake]:
    """Why the image tower, which `key` asks for, cannot see these pictures."""
    for also, several in {"data.buckets": config.data.buckets > 1, "sizes": config.sizes}.items():
        if several:
            yield config.mistake(
                "the image tower learns a position for each place of squares of one size, which is what "
                f"open_clip loads; leave {also} out",
                *(key, also),
            )
    of = "contrastive.patch" if config.contrastive.tower == "vit" else "contrastive.tower"
    yield from _multiple(config, of, config.contrastive.multiple)


def _multiple(config: "TrainConfig", key: str, multiple: int, *keys: str) -> Iterator[Mistake]:
    """Squares whose sides are no multiples of what `key` asks for."""
    for size in dict.fromkeys(size for size, _ in config.stages):
        if size % multiple:
            near = max(1, round(size / multiple)) * multiple
            mine = ("sizes", "size") if config.sizes else ("size",)
            yield config.mistake(f"make {size} a multiple of {multiple}, as {near}", *mine, key, *keys)


def _sides(config: "TrainConfig", key: str, multiple: int) -> Iterator[Mistake]:
    """Buckets whose sides are no multiples of what `key` asks for."""
    data = config.data
    if data.buckets == 1 or any(_buckets(config)):
        return
    shapes = {
        shape for size, _ in config.stages for shape in bucket_shapes(size, data.buckets, data.max_aspect)
    }
    if unfit := sorted({side for shape in shapes for side in shape if side % multiple}):
        yield config.mistake(
            f"sides of buckets must be multiples of {multiple}, and {unfit} are not; take squares alone, "
            "another size, or smaller patches or fewer levels",
            *("size", key, "data.buckets"),
        )


def _sizes(config: "TrainConfig") -> Iterator[Mistake]:
    total = sum(images for _, images in config.sizes)
    if config.sizes and total != config.images:
        yield config.mistake(f"sizes add up to {total} images; set images to that", "sizes", "images")
    if config.sizes and config.sizes[-1][0] != config.size:
        yield config.mistake(f"the last size is {config.sizes[-1][0]}; set size to that", "sizes", "size")


def _buckets(config: "TrainConfig") -> Iterator[Mistake]:
    data = config.data
    if data.buckets > 1 and (any(size % STEP for size, _ in config.stages) or data.max_aspect == 1):
        yield config.mistake(
            f"several buckets take a size of a multiple of {STEP}, and an aspect above 1",
            *("sizes" if config.sizes else "size", "data.buckets", "data.max_aspect"),
        )
