"""A small Stable Diffusion with random weights, in the layout of its folders.

What its parts cost is in the proportion of Stable Diffusion 1 at 512 pixels, counted by
torch.utils.flop_counter: encoding a picture takes 0.46 of what the denoiser's forward and backward take
there (1117 to 3 * 803 GFLOPs), 0.45 here (38 to 86 MFLOPs a picture), and the text encoder under 1 %. What a
cache saves is decided by this. Heads are 32 wide, as they are 40 and more there; so the time, too, is in this
proportion (0.48 on one core). With heads 4 wide attention took 56 % of the denoiser's time.
"""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

LENGTH = 77
"""Tokens of a caption, padded to it."""
TEXT_WIDTH = 64
CHANNELS = (32, 64, 128)
"""Of the denoiser's levels."""
BLOCKS = 2
HEADS = (1, 2, 4)
"""diffusers' attention_head_dim, which means the number of heads here, as in Stable Diffusion: 32 wide."""
GROUPS = 8


def write_model(folder: Path, size: int) -> None:
    """unet/, vae/, text_encoder/, tokenizer/ and scheduler/ for pictures of `size` pixels to a side."""
    torch.manual_seed(0)
    tokens = write_tokenizer(folder / "tokenizer")
    vae = AutoencoderKL(
        block_out_channels=(24, 40, 88),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=GROUPS,
        sample_size=size,
    )
    unet = UNet2DConditionModel(
        sample_size=size // 4,
        block_out_channels=CHANNELS,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=BLOCKS,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=HEADS,
        norm_num_groups=GROUPS,
    )
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=tokens,
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            bos_token_id=tokens - 2,
            eos_token_id=tokens - 1,
            pad_token_id=tokens - 1,
        )
    )
    vae.save_pretrained(folder / "vae")
    unet.save_pretrained(folder / "unet")
    text.save_pretrained(folder / "text_encoder")
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    scheduler.save_pretrained(folder / "scheduler")
    parts = {
        "unet": "UNet2DConditionModel",
        "vae": "AutoencoderKL",
        "scheduler": "DDPMScheduler",
    }
    index = {name: ["diffusers", kind] for name, kind in parts.items()}
    index |= {
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
    }
    (folder / "model_index.json").write_text(
        json.dumps({"_class_name": "StableDiffusionPipeline", **index}, indent=1)
    )


def write_tokenizer(folder: Path) -> int:
    """Writes a byte-pair tokenizer of single letters; the number of its tokens."""
    folder.mkdir(parents=True)
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=LENGTH
    ).save_pretrained(folder)
    return len(tokens)
