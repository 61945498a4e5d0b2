"""Shapes of the models that a run reads from folders: all that a plan from formulas needs to know of them.

Where such a folder is not here, the shapes of Stable Diffusion 1.5 stand for it, and the plan says so.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdmodel.config.limits import spelled
from sdmodel.diffusion.cost import CaptionShape
from sdmodel.latents.space import PIXELS, Space
from sdmodel.pipeline_family import is_pipeline
from sdmodel.start import read_pipeline
from stages.artifacts.reference import resolve
from stages.config.encode import EncodeConfig
from stages.config.run import Run
from stages.pretrained.files import autoencoder_config, check_fits, factor_of, text_files
from stages.report.text_to_image import settings_of
from stages.store import open_store

UNET: Mapping[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
"""What unet/config.json of Stable Diffusion 1.5 says besides diffusers' defaults."""
VAE: Mapping[str, Any] = {"latent_channels": 4, "block_out_channels": [128, 256, 512, 512]}
"""Likewise vae/config.json."""
CLIP = CaptionShape(length=77, width=768)
"""States of its text encoder."""

LEARNED_ALONG = (
    "--card knows no shape of a pretrained text encoder that is learned along; freeze it by encode.text, or "
    "leave --card out, and the training is measured here"
)


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """What is known of a run's models."""

    space: Space
    """What the denoiser works on."""
    captions: CaptionShape | None
    """States of a frozen text encoder; None: one is learned along."""
    unet: dict[str, Any] | None
    """diffusers' config of the UNet to start from or to go on with; None: the config says what the network
    is."""
    pipeline: bool
    """Whether the training starts from a pipeline in the layout of Stable Diffusion."""
    assumed: tuple[str, ...]
    """What was not here, and what was taken instead, in sentences."""


def shapes_of(run: Run) -> Shapes:
    """Of a run's models.

    ValueError: pictures do not fit the autoencoder, or a start or an encoder is of a kind whose cost no
    formula here tells."""
    train, encode = run.train, run.encode
    if train.objective != "diffusion":
        raise ValueError(
            f"--card tells what the diffusion objective costs, not {train.objective!r}; leave it out, and "
            "the training is measured here"
        )
    if hidden := [key for key in ("alignment", "joint") if getattr(train, key).kind != "none"]:
        raise ValueError(
            f"no formula of --card counts train.{hidden[0]}; leave --card out, and the training is measured "
            "here, or set its kind to none"
        )
    pretrained = [text.start for text in (train.text, *train.texts) if text.start]
    pipeline = train.start and not train.start.startswith("models/")
    if pretrained or (pipeline and not encode.text):
        raise ValueError(LEARNED_ALONG)
    assumed = {
        folder: f"{spelled(folder)} is not here: shapes as of Stable Diffusion 1.5"
        for folder in (encode.autoencoder, encode.text, train.start)
        if folder and not folder.startswith("models/") and not Path(folder).is_dir()
    }
    unet = None
    if ours := train.continue_from or ("" if pipeline else train.start):
        unet = _unet_of_model(run, ours, assumed)
    elif pipeline:
        unet = _unet(train.start, assumed)
    return Shapes(
        space=_space(run, assumed),
        captions=_captions(encode, assumed) if encode.text else None,
        unet=unet,
        pipeline=bool(pipeline and unet),
        assumed=tuple(assumed.values()),
    )


def _space(run: Run, assumed: Mapping[str, str]) -> Space:
    encode = run.encode
    if not encode.autoencoder:
        return PIXELS
    if encode.autoencoder in assumed:
        model = VAE
    else:
        model = autoencoder_config(lambda: open_store(run.store, writable=False), encode.autoencoder)
    check_fits(encode, model)
    channels = int(model.get("latent_channels", 4))
    return Space(channels, factor_of(model), (0.0,) * channels, (1.0,) * channels)


def _captions(encode: EncodeConfig, assumed: Mapping[str, str]) -> CaptionShape:
    if encode.text in assumed:
        states = CLIP
    else:
        model = json.loads(text_files(Path(encode.text))["text_encoder/config.json"].read_text())
        states = CaptionShape(length=model["max_position_embeddings"], width=model["hidden_size"])
    return CaptionShape(length=encode.length, width=states.width) if encode.length else states


def _unet(start: str, assumed: Mapping[str, str]) -> dict[str, Any] | None:
    if start in assumed:
        return dict(UNET)
    return read_pipeline(Path(start)).unet if is_pipeline(Path(start)) else None


def _unet_of_model(run: Run, name: str, assumed: dict[str, str]) -> dict[str, Any] | None:
    """diffusers' config of a model of ours that has such a UNet, which goes on as it is; a model that is not
    here is assumed to be what the config describes. ValueError: it reads captions with a pipeline's text
    encoder, which learns along."""
    try:
        model = resolve(open_store(run.store, writable=False), name)
    except ValueError:
        assumed[name] = f"{spelled(name)} is not here: shapes as the config has them"
        return None
    settings = settings_of(model, name)
    if settings.get("text", []) is None and not run.encode.text and not run.train.stock_text:
        raise ValueError(LEARNED_ALONG)
    return settings["unet2d"] if settings["network"] == "unet2d" else None
