"""A small CLIP as a stock open_clip model, and the folder that open_clip loads as "local-dir:FOLDER"."""

import json
from pathlib import Path
from typing import Any

import open_clip
from safetensors.torch import save_file
from torch import Tensor

from sdmodel.config.train import TrainConfig
from sdmodel.contrastive.tower import vision_config
from sdmodel.text.tokenizer import END, END_ID, PAD, PAD_ID, START, Tokenizer


def model_config(config: TrainConfig, vocabulary: int) -> dict[str, Any]:
    """open_clip's own description of the model: its image tower, see tower.py, and its text transformer."""
    clip = config.contrastive
    return {
        "embed_dim": clip.embedding,
        "vision_cfg": vision_config(config),
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
