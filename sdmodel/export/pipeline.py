"""Model folders as stock pipelines of diffusers: StableDiffusionPipeline, and DDPMPipeline of those that read
no captions. Written by the `save_pretrained` of diffusers' and transformers' own classes."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from sdmodel.denoise.unet2d import UNet2D
from sdmodel.diffusion import folder as folders
from sdmodel.diffusion.model import Diffusion
from sdmodel.export.autoencoder import pixel_autoencoder, scaled_autoencoder
from sdmodel.latents.text import FrozenTextEncoder
from sdmodel.noise.process import PREDICTION_TYPES
from sdmodel.text.pipeline import LEARNED, PipelineTextEncoder
from sdmodel.text.unread import UnreadCaptions

SIDES = 8
"""StableDiffusionPipeline draws pictures whose sides are multiples of it."""
TEXT_MODEL = "text_model."
"""Beginning of names in the files of CLIP's text model: transformers 4 asks for it, 5 takes it and writes
none."""
HERE = ("is_local", "local_files_only")
"""What transformers 5 writes of how a tokenizer was loaded."""
LOADS = "sdmodel.load(DIR) loads what `sdflow export` writes without --to"


def export_pipeline(model_folder: Path, target: Path) -> list[Path]:
    """Writes a stock pipeline of the model in a folder into `target`, which is made where it is missing;
    returns the files.

    Low-rank changes that were kept apart are added in. ValueError: no stock pipeline computes what the model
    does; nothing is written then."""
    model = folders.load(model_folder)
    if model.conditions:
        names = ", ".join(model.conditions.modules_by_name)
        raise ValueError(f"no stock pipeline reads conditions beside the caption ({names}); {LOADS}")
    make = _unconditional if isinstance(model.text, UnreadCaptions) else _stable_diffusion
    pipeline = make(model)
    pipeline.save_pretrained(target)
    _scheduler(model).save_pretrained(
        target / "scheduler"
    )  # as taught: pipelines change some of its settings
    if (target / "text_encoder").is_dir():
        _name_text_weights(target / "text_encoder/model.safetensors")
        _complete_tokenizer(target)
    return sorted(path for path in target.rglob("*") if path.is_file())


def _unconditional(model: Diffusion) -> Any:
    """A DDPMPipeline. ValueError: it has no room for the model."""
    from diffusers import DDPMPipeline  # pyright: ignore[reportPrivateImportUsage]

    scheduler = _scheduler(model)
    if model.space.latent:
        raise ValueError(f"diffusers' DDPMPipeline draws pixels, not {model.space.describe()}; {LOADS}")
    return DDPMPipeline(unet=_unet(model), scheduler=scheduler)


def _stable_diffusion(model: Diffusion) -> Any:
    """A StableDiffusionPipeline. ValueError: it has no room for the model."""
    from diffusers import StableDiffusionPipeline  # pyright: ignore[reportPrivateImportUsage]

    unet, scheduler, size = _unet(model), _scheduler(model), model.config.size
    if size % SIDES:
        raise ValueError(
            f"train.size={size}: diffusers' StableDiffusionPipeline draws sides that are multiples of "
            f"{SIDES}; {LOADS}"
        )
    text = model.text.clip if isinstance(model.text, FrozenTextEncoder) else model.text
    if not isinstance(text, PipelineTextEncoder):
        raise ValueError(
            "captions are read by encoders that no stock pipeline has; train with text.kind: clip and no "
            f"texts, or start from a pipeline; {LOADS}"
        )
    if model.autoencoder is None:
        vae = pixel_autoencoder()
    else:
        vae = scaled_autoencoder(model.autoencoder.vae, model.space)
    tokenizer = text.tokenizer
    tokenizer.model_max_length = text.length  # stock pipelines pad captions to as many tokens
    # It would change these settings itself, with a warning; those that were taught are written afterwards.
    scheduler = type(scheduler).from_config(scheduler.config, steps_offset=1, clip_sample=False)
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text.model,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,  # pyright: ignore[reportArgumentType] - as its documentation says
        feature_extractor=None,  # pyright: ignore[reportArgumentType] - likewise
        requires_safety_checker=False,
    )


def _unet(model: Diffusion) -> Any:
    """diffusers' UNet. ValueError: the denoiser is none."""
    if not isinstance(model.network, UNet2D):
        raise ValueError(
            f"train.network={model.config.network!r} is a denoiser of this project, which diffusers does not "
            f"have; {LOADS}"
        )
    unet = model.network.unet
    unet.register_to_config(sample_size=model.config.size // model.space.factor)
    return unet


def _scheduler(model: Diffusion) -> Any:
    """The scheduler that the model was taught with. ValueError: diffusers has none of its schedule and
    prediction."""
    import diffusers

    settings, prediction = model.process.schedule.settings, model.process.prediction
    if settings is None:
        raise ValueError(
            "the model was taught on the straight path (train.noise.schedule: flow), by which stock "
            f"pipelines of UNets do not draw; train with schedule linear, scaled_linear or cosine; {LOADS}"
        )
    words = {ours: theirs for theirs, ours in PREDICTION_TYPES.items()}
    if prediction not in words:
        raise ValueError(
            f"train.noise.prediction={prediction!r} is none that diffusers' schedulers know; train with "
            f"{', '.join(words)}; {LOADS}"
        )
    known: list[str] = diffusers.DDPMScheduler._compatibles  # pyright: ignore[reportPrivateImportUsage]
    name = settings.get("_class_name", "DDPMScheduler")
    kinds: Any = diffusers
    kind = getattr(kinds, name) if name in known else kinds.DDPMScheduler
    return kind.from_config({**settings, "prediction_type": words[prediction]})


def _name_text_weights(file: Path) -> None:
    weights = load_file(file)
    named = {f"{TEXT_MODEL}{name.removeprefix(TEXT_MODEL)}": value for name, value in weights.items()}
    save_file(named, file, metadata={"format": "pt"})


def _complete_tokenizer(target: Path) -> None:
    """What transformers 4 needs besides: CLIP's vocabulary and merges as files of their own, and the older
    name of the class of tokenizers that were learned here."""
    folder, index = target / "tokenizer", target / "model_index.json"
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings = {name: value for name, value in settings.items() if name not in HERE}
    if settings["tokenizer_class"] in LEARNED:
        settings["tokenizer_class"] = LEARNED[0]
    else:
        bpe = json.loads((folder / "tokenizer.json").read_text())["model"]
        merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in bpe["merges"]]
        (folder / "vocab.json").write_text(json.dumps(bpe["vocab"], ensure_ascii=False))
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    pipeline = json.loads(index.read_text())
    pipeline["tokenizer"] = ["transformers", settings["tokenizer_class"]]
    index.write_text(json.dumps(pipeline, indent=2, sort_keys=True) + "\n")
