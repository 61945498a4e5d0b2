"""A small CLIP as a stock open_clip model, and the folder that open_clip loads as "local-dir:FOLDER"."""

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor

from sdmodel.config import TrainConfig
from sdmodel.text.tokenizer import END, END_ID, PAD, PAD_ID, START, Tokenizer


def model_config(config: TrainConfig, vocabulary: int) -> dict[str, Any]:
    """open_clip's own description of the model.

    ValueError: patch does not divide size, or heads does not divide width."""
    clip = config.contrastive
    if config.size % clip.patch:
        raise ValueError(f"contrastive.patch={clip.patch} must divide size={config.size}")
    if clip.width % clip.heads:
        raise ValueError(f"contrastive.heads={clip.heads} must divide contrastive.width={clip.width}")
    return {
        "embed_dim": clip.embedding,
        "vision_cfg": {
            "image_size": config.size,
            "patch_size": clip.patch,
            "width": clip.width,
            "head_width": clip.width // clip.heads,
            "layers": clip.image_layers,
        },
        "text_cfg": {
            "context_length": config.text.length,
            "vocab_size": vocabulary,
            "width": clip.width,
            "heads": clip.heads,
            "layers": clip.text_layers,
            "hf_tokenizer_name": "tokenizer.json",  # not empty; whatever it says, the folder's own is read
            "pool_type": "eos",
            "eos_id": END_ID,
            "pad_id": PAD_ID,
        },
    }


def build(config: TrainConfig, vocabulary: int) -> open_clip.CLIP:
    """The model with initial weights from torch's global generator."""
    described = model_config(config, vocabulary)
    return open_clip.CLIP(described["embed_dim"], described["vision_cfg"], described["text_cfg"])


def save(folder: Path, config: TrainConfig, tokenizer: Tokenizer, weights: dict[str, Tensor]) -> None:
    """Writes the open_clip folder, weights in float16: open_clip widens them when it loads."""
    preprocess = {
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }  # [-1, 1]
    described = {"model_cfg": model_config(config, len(tokenizer)), "preprocess_cfg": preprocess}
    _write_json(folder / "open_clip_config.json", described)
    save_file(
        {name: value.to(torch.float16) for name, value in weights.items()},
        folder / "open_clip_model.safetensors",
    )
    tokenizer.save(folder)
    special = {"bos_token": START, "eos_token": END, "pad_token": PAD}
    fast = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": config.text.length, **special}
    _write_json(folder / "tokenizer_config.json", fast)
    _write_json(folder / "special_tokens_map.json", special)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
