"""A small CLIP as a stock open_clip model, and the folder that open_clip loads as "local-dir:FOLDER"."""

import json
from pathlib import Path
from typing import Any

import open_clip
from safetensors.torch import save_file
from torch import Tensor

from sdmodel.config import TrainConfig
from sdmodel.text.tokenizer import END, END_ID, PAD, PAD_ID, START, Tokenizer


def model_config(config: TrainConfig, vocabulary: int) -> dict[str, Any]:
    """open_clip's own description of the model: its ModifiedResNet and its text transformer.

    Of open_clip's image towers the ResNet learns small pictures fastest: on 12,000 pictures of the demo world
    a transformer with patches of 4 never saw the backgrounds' patterns. Its batch norm takes each process's
    rows for themselves. ValueError: size is no multiple of 32, or text_heads does not divide text_width."""
    clip = config.contrastive
    if config.size % 32:
        raise ValueError(
            f"size={config.size}: the image tower halves the sides five times; take a multiple of 32"
        )
    if clip.text_width % clip.text_heads:
        raise ValueError(
            f"contrastive.text_heads={clip.text_heads} must divide contrastive.text_width={clip.text_width}"
        )
    return {
        "embed_dim": clip.embedding,
        "vision_cfg": {
            "image_size": config.size,
            "layers": [clip.image_blocks] * 4,
            "width": clip.image_width,
            "head_width": 4 * clip.image_width,  # 8 heads pool the last stage
        },
        "text_cfg": {
            "context_length": config.text.length,
            "vocab_size": vocabulary,
            "width": clip.text_width,
            "heads": clip.text_heads,
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
        {name: value.half() if value.is_floating_point() else value for name, value in weights.items()},
        folder / "open_clip_model.safetensors",
    )
    tokenizer.save(folder)
    special = {"bos_token": START, "eos_token": END, "pad_token": PAD}
    fast = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": config.text.length, **special}
    _write_json(folder / "tokenizer_config.json", fast)
    _write_json(folder / "special_tokens_map.json", special)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
