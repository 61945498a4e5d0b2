"""Tiny random encoders in the folders that diffusers and transformers write, for tests of frozen encoders."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch


def _save(model: Any, folder: Path, variant: str | None) -> None:
    """As the libraries do; a variant in half precision."""
    (model.half() if variant else model).save_pretrained(folder, variant=variant)


def autoencoder(
    folder: Path, *, levels: int = 2, channels: int = 3, seed: int = 0, variant: str | None = None
) -> Path:
    """An AutoencoderKL of some hundred weights whose latents have 1 / 2**(levels - 1) of the sides."""
    import diffusers

    torch.manual_seed(seed)
    kind: Any = diffusers.AutoencoderKL  # pyright: ignore[reportPrivateImportUsage]
    model = kind(
        block_out_channels=(4,) * levels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=2,
    )
    with torch.no_grad():  # else all latents are nearly the same
        model.encoder.conv_out.bias += torch.arange(2.0 * channels)
        model.encoder.conv_out.weight *= 3
    _save(model, folder, variant)
    return folder


def text_encoder(
    folder: Path,
    *,
    places: int = 8,
    width: int = 8,
    layers: int = 2,
    pad: str = "<|endoftext|>",
    seed: int = 0,
    variant: str | None = None,
) -> Path:
    """A CLIP text model, its tokenizer one of letters, in a pipeline's layout; pad: what it pads with."""
    from transformers import CLIPTextConfig, CLIPTextModel

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir(parents=True)
    (tokenizer / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    about = {"tokenizer_class": "CLIPTokenizer", "pad_token": pad}
    (tokenizer / "tokenizer_config.json").write_text(json.dumps(about))
    torch.manual_seed(seed)
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        max_position_embeddings=places,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
        pad_token_id=len(words) - 1,
    )
    _save(CLIPTextModel(config), folder / "text_encoder", variant)
    return folder


def pipeline(
    folder: Path,
    *,
    prediction: str = "epsilon",
    latent: bool = True,
    seed: int = 0,
    variant: str | None = None,
) -> Path:
    """A Stable Diffusion of some thousand weights: unet, scheduler, text encoder, and a vae unless it works
    on pixels."""
    import diffusers

    if latent:
        autoencoder(folder / "vae", seed=seed, variant=variant)
    text_encoder(folder, seed=seed, variant=variant)
    torch.manual_seed(seed)
    unet: Any = diffusers.UNet2DConditionModel(  # pyright: ignore[reportPrivateImportUsage]
        in_channels=3,
        out_channels=3,
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=8,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    _save(unet, folder / "unet", variant)
    schedule: Any = diffusers.DDIMScheduler  # pyright: ignore[reportPrivateImportUsage]
    scheduler = schedule(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        clip_sample=False,
        set_alpha_to_one=False,
    )
    scheduler.save_pretrained(folder / "scheduler")
    return folder


def second(folder: Path) -> Path:
    """The same in the layout of Stable Diffusion 2: heads by level, linear projections, velocity, captions
    padded with a sign."""
    pipeline(folder, prediction="v_prediction")
    shutil.rmtree(folder / "text_encoder")
    shutil.rmtree(folder / "tokenizer")
    text_encoder(folder, layers=3, pad="z</w>")
    config = json.loads((folder / "unet/config.json").read_text())
    config |= {"attention_head_dim": [1, 2], "use_linear_projection": True, "block_out_channels": [8, 16]}
    import diffusers

    kinds: Any = diffusers
    torch.manual_seed(2)
    shutil.rmtree(folder / "unet")
    kinds.UNet2DConditionModel.from_config(config).save_pretrained(folder / "unet")
    return folder


def unconditional(folder: Path, *, flat: bool = False, seed: int = 0) -> Path:
    """A DDPM of pixels without captions; flat: all at the top of the folder, as the first were published."""
    import diffusers

    kinds: Any = diffusers
    torch.manual_seed(seed)
    unet: Any = kinds.UNet2DModel(
        sample_size=16,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    scheduler: Any = kinds.DDPMScheduler(clip_sample=True)
    if flat:
        unet.save_pretrained(folder)
        scheduler.save_pretrained(folder)
    else:
        kinds.DDPMPipeline(unet=unet, scheduler=scheduler).save_pretrained(folder)
    return folder


def image_encoder(folder: Path, *, seed: int = 0) -> Path:
    """An image encoder of ours that has learned nothing, as a training writes it."""
    from sdmodel.selfsupervised.objective import SelfSupervisedObjective
    from tests.sdmodel.golden.tiny import config_of

    torch.manual_seed(seed)
    objective = SelfSupervisedObjective(config_of("selfsupervised"))
    weights = objective.modules.state_dict()
    folder.mkdir(parents=True, exist_ok=True)
    objective.save(folder, {name: weight.contiguous() for name, weight in weights.items()})
    return folder
