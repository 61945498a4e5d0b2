"""The diffusion objective: to find the picture in the noise."""

import filecmp
import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sdmodel.conditions.interface import ConditionLayout
from sdmodel.conditions.picture import PictureLayout
from sdmodel.config.buckets import bucket_shapes
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.denoise.build import build_denoiser
from sdmodel.denoise.unet2d import UNet2D
from sdmodel.diffusion import folder as folders
from sdmodel.diffusion.conditions import add_to_pipeline, conditions_of, conditions_of_start
from sdmodel.diffusion.denoising_errors import level_errors
from sdmodel.diffusion.generate import TextToImage
from sdmodel.diffusion.model import CaptionEncoder, Diffusion
from sdmodel.diffusion.own import NOTHING, OwnParts
from sdmodel.diffusion.sizes import check_size
from sdmodel.latents import autoencoder
from sdmodel.latents import text as frozen
from sdmodel.latents.cache import read_empty, read_settings
from sdmodel.latents.space import PIXELS
from sdmodel.noise.process import ForwardProcess
from sdmodel.pipeline_family import is_pipeline, shown
from sdmodel.row_dropout import copy_rates
from sdmodel.selfsupervised.teacher import load_teacher
from sdmodel.start import Pipeline, load_unet, read_pipeline
from sdmodel.text.conditioner import TextConditioner
from sdmodel.text.lengths import CaptionReader
from sdmodel.text.pipeline import PipelineTextEncoder
from sdmodel.text.unread import UnreadCaptions

LEFT_OUT = ("dropout", "stochastic_depth")
"""Of the configs of denoisers and text encoders, what is about learning and not about their shape."""


class DiffusionObjective:
    """Trains a text-to-image model, in pixels or in cached latents."""

    enough = None
    players = ()

    def __init__(
        self,
        config: TrainConfig,
        captions: list[str],
        latents: Path | None = None,
        *,
        texts: Sequence[Path | None] = (),
        encoder: Path | None = None,
        starting: bool = False,
        own: OwnParts = NOTHING,
        conditions: Sequence[ConditionLayout] = (),
    ):
        """Args:
        config: of the training.
        captions: those of the training split, from which our own text encoder's words are learned.
        latents: folder of cached latents or text states, which are trained on in the place of pixels or of
            captions.
        texts: folders of pretrained encoders for `config.text` and each of `config.texts`, None where one
            begins with random weights; empty: all do.
        encoder: folder of the frozen image encoder that pictures are seen by: as a condition, or to align
            hidden features with.
        starting: `start` will bring the weights; the denoiser has none until then.
        own: parts whose classes the caller brings.
        conditions: what is known beside captions, in the order in which guidance adds it."""
        self.config = config
        self.layouts = tuple(conditions)
        self.own = own
        self.latents = latents
        settings = read_settings(latents) if latents else None
        space = settings.space if settings and settings.space else PIXELS
        pictures = autoencoder.load_autoencoder(self._beside(folders.AUTOENCODER)) if space.latent else None
        text: CaptionEncoder
        if own.condition:
            text = own.condition()
        elif latents and settings and settings.token_width:
            text = frozen.load_text_encoder(latents, settings.text_length)
            text.empty = read_empty(latents)
        else:
            text = learned_text(config, captions, texts)
        if (picture := config.conditions.picture).source:
            self.layouts += (PictureLayout.of(picture, encoder, config.size, latent=space.latent),)
        beside = conditions_of(config, self.layouts, text)
        pooled = text.pooled_width + (beside.pooled_width if beside else 0)
        with torch.device("meta") if starting else nullcontext():
            process = ForwardProcess.of_config(config.shifted_noise, pixels=not space.latent)
            if own.network:
                network = own.network(
                    channels=space.channels, pooled_width=pooled, token_width=text.token_width
                )
            else:
                network = build_denoiser(
                    config,
                    space,
                    pooled,
                    text.token_width,
                    process.schedule,
                    padded=text.padded,
                    beside=beside.channels if beside else 0,
                )
        self.teacher = load_teacher(config, encoder, settings)
        parts = (config, text, network, process, space, pictures, own.names)
        self.modules = Diffusion(*parts, self.teacher, beside)
        if not starting:
            self._check_rates()

    @property
    def whole_batch(self) -> bool:
        """Whether hidden features of a batch are compared."""
        return self.config.whole_batch

    @property
    def heavy(self) -> list[nn.Module]:
        """Of the denoiser."""
        return getattr(self.modules.network, "heavy", [])  # one that a caller brings need not name any

    @property
    def readers(self) -> Sequence[CaptionReader]:
        """What reads captions."""
        return self.modules.text.readers

    def errors(self, batch: Batch) -> dict[str, Tensor]:
        """Sums of denoising errors for each level of noise."""
        model = self.modules
        x_0 = model.clean(batch)
        return level_errors(model.denoise, x_0, model.condition(batch), batch)

    def sample(self, captions: list[str], seeds: list[int], size: int = 0) -> Tensor:
        """Pictures (B, 3, S, S) float32 in [-1, 1] on the CPU, each of its caption and its seed alone; the
        model is in evaluation mode afterwards.

        size: S, pixels; 0 is the config's."""
        side = size or self.config.size
        pictures = TextToImage(self.modules).sample(captions, seeds, size=(side, side))
        self.modules.put_away()
        return pictures

    def start(self, folder: Path) -> None:
        """Takes weights and tokenizer from one of our model folders, or from a pipeline's in the layout of
        Stable Diffusion.

        ValueError: it holds another kind or shape of model, one of other encoders than were cached, or one
        that pictures of the config's sizes do not fit."""
        self.modules = self._pipeline(read_pipeline(folder)) if is_pipeline(folder) else self._ours(folder)
        data = self.config.data
        for size, _ in self.config.stages:
            for shape in bucket_shapes(size, data.buckets, data.max_aspect):
                check_size(shape, *self.modules.layout, self.modules.space.factor)
        self._check_rates()

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes a model folder; encoders that did not learn go with it."""
        names = [folders.AUTOENCODER] if self.modules.space.latent else []
        if isinstance(self.modules.text, frozen.FrozenTextEncoder):
            names += folders.TEXT
        folders.save(folder, self.modules, weights, [self._beside(name) for name in names])

    def _check_rates(self) -> None:
        """ValueError: rates are set of text encoders that are not `config.text` and `config.texts`."""
        rates = [text.rate for text in (self.config.text, *self.config.texts) if text.rate != 1]
        ours = isinstance(self.modules.text, TextConditioner) or (
            self.config.stock_text and isinstance(self.modules.text, PipelineTextEncoder)
        )
        if rates and not ours:
            instead = (
                "cached states learn nothing; leave it out"
                if not isinstance(self.modules.text, PipelineTextEncoder)
                else 'a pipeline brings its own; freeze it by optimizer.frozen: ["text."], or slow it by '
                'optimizer.rates: {"text.": 0.1}'
            )
            raise ValueError(
                f"text.rate={rates[0]:g} is of encoders that the config describes, but {instead}"
            )

    def _ours(self, folder: Path) -> Diffusion:
        mine, model = self.modules, folders.load(folder, learn=True, own=self.own)
        own, theirs = comparable(mine), comparable(model)
        if isinstance(model.network, UNet2D):  # its own config says what it is
            own["settings"] = theirs["settings"]
        if not theirs["text"] and not isinstance(mine.text, frozen.FrozenTextEncoder):
            own["text"] = theirs["text"]  # a pipeline's, which goes on learning, or nothing that reads
        for encoder, other, text in zip(
            own["text"] or (), theirs["text"] or (), (self.config.text, *self.config.texts), strict=False
        ):
            if not text.length:  # what it was taught on, not what these captions would ask for
                encoder["length"] = other["length"]
        if own != theirs:
            differ = [key for key in theirs if own[key] != theirs[key]]
            raise ValueError(
                f"{folder}: holds a model of { {key: theirs[key] for key in differ} }; the config asks for "
                f"{ {key: own[key] for key in differ} }; {', '.join(differ)} must agree"
            )
        # Schedule, prediction and space are its own: the weights learned what they know by them.
        process = ForwardProcess.of_model(self.config.shifted_noise, model.process)
        if not isinstance(model.network, UNet2D):
            copy_rates(mine.network, model.network)
        text = model.text
        if isinstance(text, TextConditioner):
            assert isinstance(mine.text, TextConditioner)
            copy_rates(mine.text, text)
            text.set_rates((self.config.text, *self.config.texts))
        elif isinstance(text, PipelineTextEncoder):
            self._put_dropout(text)
        if isinstance(mine.text, frozen.FrozenTextEncoder):
            self._same(folder, folders.TEXT[0])
            text = mine.text
        if mine.space.latent:
            self._same(folder, folders.AUTOENCODER)
        conditions = conditions_of_start(folder, self.config, self.layouts, model, own=self.own)
        parts = (self.config, text, model.network, process, model.space, mine.autoencoder)
        return Diffusion(*parts, self.own.names, self.teacher, conditions)

    def _pipeline(self, pipeline: Pipeline) -> Diffusion:
        """ValueError: latents or text states were not cached by the pipeline's own encoders."""
        mine, folder = self.modules, pipeline.folder
        self.own.check((), folder)
        if self.config.network != "unet2d":
            raise ValueError(
                f'{folder} holds diffusers\' UNet; set train.network to "unet2d", not {self.config.network!r}'
            )
        if pipeline.space.latent != mine.space.latent:
            raise ValueError(
                f"{folder}: its denoiser works on latents; set encode.autoencoder to this folder"
            )
        if mine.space.latent:
            self._same(folder, folders.AUTOENCODER, "vae")
        text = self._text_of(pipeline)
        process = ForwardProcess.of_pipeline(self.config.shifted_noise, pipeline.schedule)
        network = UNet2D(pipeline.unet, process.schedule, padded=text.padded)
        load_unet(folder, network)
        conditions = conditions_of(self.config, self.layouts, text)
        if conditions:
            add_to_pipeline(folder, self.config, conditions, network)
        parts = (self.config, text, network, process, pipeline.space, mine.autoencoder)
        return Diffusion(*parts, conditions=conditions)

    def _text_of(self, pipeline: Pipeline) -> CaptionEncoder:
        """What reads captions for a pipeline's denoiser. ValueError: it was not taught to read that."""
        text, folder = self.modules.text, pipeline.folder
        if not pipeline.conditional:
            if isinstance(text, frozen.FrozenTextEncoder):
                raise ValueError(f"{folder}: its denoiser reads no captions; leave encode.text empty")
            return UnreadCaptions()
        if isinstance(text, frozen.FrozenTextEncoder):
            self._same(folder, folders.TEXT[0])
        elif pipeline.text:
            text = PipelineTextEncoder.load(folder)
            self._put_dropout(text)
        width = pipeline.unet.get("cross_attention_dim", 1280)
        if text.token_width != width:
            raise ValueError(
                f"{folder}: its denoiser reads captions of width {shown(width)}; the text encoder's have "
                f"{text.token_width}"
            )
        return text

    def _put_dropout(self, text: PipelineTextEncoder) -> None:
        """Dropout, where the config describes the encoder: a folder's has none."""
        if self.config.stock_text and self.config.text.rate:
            from sdmodel.text.clip import put_dropout  # it takes seconds to import

            put_dropout(text.model, self.config.text.dropout)

    def _beside(self, name: str) -> Path:
        """Folder of an encoder that lies beside the cached latents."""
        assert self.latents is not None
        return self.latents / name

    def _same(self, folder: Path, name: str, theirs: str = "") -> None:
        """ValueError: an encoder of the model to start from is not that of the cache."""
        mine, other = self._beside(name), folder / (theirs or name)
        weights = sorted(path.name for path in mine.glob("*.safetensors"))
        same = filecmp.cmpfiles(mine, other, weights, shallow=False)[0] == weights
        if not same or _shape(mine) != _shape(other):
            raise ValueError(
                f"{other}: other weights than those of {name} that the cached latents were made with; encode "
                "with the encoders of the model to start from"
            )


def learned_text(
    config: TrainConfig, captions: list[str], texts: Sequence[Path | None] = ()
) -> TextConditioner | PipelineTextEncoder:
    """The text encoder that learns with the denoiser; arguments as of `DiffusionObjective`."""
    if config.stock_text:
        return PipelineTextEncoder.of_config(config.text, captions, next(iter(texts), None))
    pooled = config.network != "unet2d"  # which reads tokens alone
    return TextConditioner.learn((config.text, *config.texts), captions, texts, pooled=pooled)


def _shape(folder: Path) -> dict[str, Any]:
    """An encoder's config, without where it came from and who wrote it."""
    file = folder / "config.json"
    config = json.loads(file.read_text()) if file.exists() else {}
    config = {name: value for name, value in config.items() if not name.startswith("_")}
    return {name: value for name, value in config.items() if name not in ("transformers_version", "dtype")}


def _without_dropout(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in LEFT_OUT}


def comparable(model: Diffusion) -> dict[str, Any]:
    """What must agree between a model to start from and the one that is asked for."""
    settings = folders.described(model)
    same = {key: settings[key] for key in ("network", "augment")}
    same["settings"] = _without_dropout(settings.get(settings["network"], {}))
    same["text"] = settings["text"] and [_without_dropout(encoder) for encoder in settings["text"]]
    same["space"] = (model.space.channels, model.space.factor)
    return same
