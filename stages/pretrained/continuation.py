"""What a training goes on with: the state of one that is finished, a checkpoint that its model holds."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sdmodel.config.limits import ConfigError, Mistake, spelled
from sdmodel.config.optimization import NOTHING
from sdmodel.config.train import TrainConfig
from stages.artifacts.artifact import Artifact, Digested
from stages.artifacts.excerpt import Excerpt
from stages.artifacts.reference import resolve
from stages.config.differences import differences
from stages.fingerprint import canonical_config
from stages.store import Store

KEY = "train.continue_from"
STATE = re.compile(r"checkpoints/(\d+)/state\.json")
"""The file of a checkpoint that holds all, and SHA-256 of its other files."""
FILES = ("model.safetensors", "averages.safetensors", "optimizer.safetensors", "metrics.jsonl")
"""Others that such a checkpoint has."""
OPTIMIZER, FROM_PIPELINE = "optimizer", "from_pipeline"
"""Of a model's statistics: which optimizer it learned by, at which rates; and in it, that these follow from a
pipeline that it started from."""
FREE = (
    *("images", "batch", "caption_dropout", "precision", "checkpoint_", "validation.", "guard."),
    *("noise.gamma", "noise.times", "noise.mean", "noise.deviation", "noise.mode_scale", "noise.stratified"),
    *("noise.shift", "noise.offset", "noise.huber", "sampling."),
    *("data.flip", "data.crop", "data.colour", "data.copies", "data.weight"),
    "data.uncaptioned",
    *("optimizer.muon_rate", "optimizer.adam_rate", "optimizer.weight_decay", "optimizer.warmup"),
    *(
        "optimizer.base_batch",
        "optimizer.base_width",
        "optimizer.decay",
        "optimizer.clip",
        "optimizer.rates",
        "ema.half_life",
        "ema.ramp",
    ),
    *("contrastive.foils", "selfsupervised.temperature", "selfsupervised.least_area"),
    *("selfsupervised.colour", "selfsupervised.masked.share", "selfsupervised.noised"),
    *("pretrain.mask", "pretrain.flips"),
    *("gan.loss", "gan.penalty", "gan.augment", "gan.beta", "gan.discriminator_rate"),
    *("autoencoder.adversary.rate", "autoencoder.adversary.beta", "autoencoder.perceptual"),
    *("alignment.weight", "alignment.until", "alignment.spatial", "alignment.temperature"),
    *("joint.alpha", "joint.over", "joint.decay", "joint.temperature", "joint.hidden"),
    *("conditions.dropout", "conditions.size.dropout", "conditions.size.guidance"),
    *("conditions.picture.dropout", "conditions.picture.guidance", "conditions.picture.least_area"),
    *("conditions.picture.mirror", "conditions.picture.colour"),
    *("text.dropout", "unet.dropout", "unet.stochastic_depth", "dit.dropout", "dit.stochastic_depth"),
)
"""Beginnings of the keys that may change on the way: no weight, average or momentum has its shape or its
meaning from them."""
OF_EACH = re.compile(r"conditions\.(columns|numbers)\.\d+\.(dropout|guidance|pseudo\.confidence)")
"""Other keys that may change so, of blocks in a list."""
SIGNED = re.compile(
    r"data\.augment|autoencoder\.(kl|adversary\.weight)|(text|texts\.\d+)\.rate|"
    r"pretrain\.(contrastive|labels|masked|next|noise|consistency)"
)
"""Keys whose value may change, but not from 0 or to 0: something is learned, or is not."""
UNMEASURED = (
    *("images", "caption_dropout", "checkpoint_", "guard.", "optimizer.", "ema."),
    *("validation.every", "validation.patience", "validation.prompts", "noise.", "sampling."),
)
"""Beginnings of the keys that no validation's error depends on but through the weights."""


@dataclass(frozen=True)
class Continuation(Excerpt):
    """A checkpoint of a model, to go on with."""

    images: int
    """Seen when it was taken."""

    @property
    def prefix(self) -> str:
        """Beginning of the names of its files."""
        return _folder(self.images)


def continuation_input(store: Store, config: TrainConfig) -> Continuation | None:
    """What `TrainConfig.continue_from` names, as an input of train; None where it names nothing.

    Raises:
        ValueError: it is no model of train that holds its state, or the config is of another training than
            can go on with it; every key that is.
    """
    if not config.continue_from:
        return None
    try:
        model = resolve(store, config.continue_from)
    except ValueError as error:
        raise ValueError(f"{KEY}={config.continue_from!r}: {error}") from error
    return continuation_of(model, config)


def continuation_of(model: Artifact, config: TrainConfig) -> Continuation:
    """The newest checkpoint of a model that holds all, for a training with this config.

    ValueError: as `continuation_input`."""
    images = _newest(model, config.continue_from or model.short_name)
    if mistakes := list(_mistakes(model, images, config)):
        raise ConfigError(config.continue_from or model.short_name, mistakes)
    digest = model.entry(f"{_folder(images)}state.json").sha256
    return Continuation(artifact=model, name="state", digest=digest, images=images)


def optimizer_of(model: Artifact) -> Mapping[str, Any]:
    """Which optimizer a model's statistics say that it learned by; empty of models of former versions."""
    return model.statistics.get(OPTIMIZER) or {}


def same_measure(model: Artifact, dataset: Artifact, config: TrainConfig) -> bool:
    """Whether validations of a training of this dataset measure what the model's did, of the same rows, so
    that the least error until then counts."""
    before = model.manifest.inputs["dataset"] or {}
    return before.get("digest") == dataset.digest and all(
        key.startswith(UNMEASURED) for key in differences(model.config, canonical_config(config))
    )


def check_inputs(model: Artifact, inputs: Mapping[str, Digested | None]) -> None:
    """Look whether a training has the frozen models that a model to go on with was trained with.

    Args:
        model: of train.
        inputs: of the training, as its manifest will name them: name -> what it is.

    Raises:
        ValueError: the text encoders or the labels are others, or latents took the place of pixels or the
            other way round.
    """
    before = model.manifest.inputs
    frozen = {
        name for name in {*before, *inputs} if name == "labels" or name.startswith(("texts", "encoders"))
    }
    for name in sorted(frozen):
        old, new = (before.get(name) or {}).get("digest"), getattr(inputs.get(name), "digest", None)
        if old != new:
            raise ValueError(
                f"{KEY}: {model.short_name} was trained with another {name.replace('.', ' number ')} than "
                "this config names; name the same, or begin with its weights alone, by train.start"
            )
    check_latents(model, inputs.get("latents") is not None)


def check_latents(model: Artifact, latents: bool) -> None:
    """Look whether a training is on latents where the model to go on with was, and on pixels where not.

    Args:
        model: of train.
        latents: whether the training is on them.

    Raises:
        ValueError: it is not.
    """
    before = model.manifest.inputs
    if bool(before.get("latents")) != latents:
        learned, needed = ("latents", "pixels") if before.get("latents") else ("pixels", "latents")
        raise ValueError(
            f"{KEY}: {model.short_name} learned from {learned}, and this config asks for {needed}; "
            "leave encode as it was"
        )


def _folder(images: int) -> str:
    return f"checkpoints/{images:09d}/"


def _newest(model: Artifact, text: str) -> int:
    """Images seen by the newest checkpoint that holds all. ValueError: there is none."""
    if model.kind != "model":
        raise ValueError(f"{KEY}={text!r} is no model but {model.short_name}; `sdflow ls models` shows them")
    if model.stage != "train":
        raise ValueError(
            f"{KEY}={text!r} was made by {model.stage}, and has no training's state to go on with; name the "
            "model that it was made of, or begin with its weights alone, by train.start"
        )
    states = [int(match[1]) for name in model.names("checkpoints/") if (match := STATE.fullmatch(name))]
    whole = [images for images in states if all(f"{_folder(images)}{name}" in model.files for name in FILES)]
    if not whole:
        raise ValueError(
            f"{KEY}={text!r} ({model.short_name}) holds no state to go on with: it was trained without "
            "checkpoint_keep_state; train it again with train.checkpoint_keep_state=true, or begin with its "
            "weights alone, by train.start"
        )
    return max(whole)


def _mistakes(model: Artifact, images: int, config: TrainConfig) -> Iterator[Mistake]:
    """What of a config cannot go on with a model's state after so many images."""
    lora: Any = model.config.get("lora", {})
    if lora.get("rank"):
        yield Mistake(
            {KEY: config.continue_from},
            f"was trained with lora.rank={lora['rank']}: it holds the changes, and not what they are to; "
            "begin with its weights alone, by train.start",
        )
        return
    if config.images <= images:
        yield Mistake(
            {"train.images": config.images},
            f"must be above {images:,}, which {model.short_name} has seen: images count from its beginning",
        )
    for key, (before, now) in differences(model.config, canonical_config(config)).items():
        if key == "optimizer.kind":  # auto is one of the others
            recorded = optimizer_of(model)
            before = recorded.get("kind") or (NOTHING.kind if before == "auto" else before)
            now = config.starting(pipeline=bool(recorded.get(FROM_PIPELINE))).optimizer.kind
            if before == now:
                continue
        if key == "sizes" and _goes_on_at_last(before, now):
            continue
        if (
            key.startswith(FREE)
            or OF_EACH.fullmatch(key)
            or (SIGNED.fullmatch(key) and bool(before) == bool(now))
        ):
            continue
        yield Mistake(
            {f"train.{key}": now},
            f"is {spelled(before)} in {model.short_name}, whose state has its shape or its order from it; "
            "leave it so, or begin with its weights alone, by train.start",
        )


def _goes_on_at_last(before: Any, now: Any) -> bool:
    """Whether sizes in stages, (size, images) each, are those of before, of which the last lasts longer."""
    if not before or len(before) != len(now):
        return False
    same = [list(stage) for stage in before[:-1]] == [list(stage) for stage in now[:-1]]
    (size, images), (new_size, new_images) = before[-1], now[-1]
    return same and size == new_size and new_images >= images
