"""CLIP's text model (Radford et al. 2021, arXiv:2103.00020) as a text encoder, from transformers' folders and
from open_clip's, as the contrastive objective writes them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from sdmodel.config.text import TextConfig
from sdmodel.text.encoder import Vocabulary
from sdmodel.text.pretrained import Pretrained
from sdmodel.text.tokenizer import END_ID, PAD_ID, START_ID

OPEN_CLIP, OPEN_CLIP_WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
NAMES = (
    ("positional_embedding", "embeddings.position_embedding.weight"),
    ("token_embedding.", "embeddings.token_embedding."),
    ("ln_final.", "final_layer_norm."),
    ("transformer.resblocks.", "encoder.layers."),
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
    (".attn.", ".self_attn."),
)
"""Parts of names, of open_clip and of transformers."""


class Clip(Pretrained):
    """A token's state knows those before it alone; pooled is that of the last, the caption's end.

    The projection to images' space is left out."""

    model_types = frozenset({"clip", "clip_text_model"})
    model_class = CLIPTextModel
    attention_dropout_names = ("attention_dropout",)  # it has no other: dropout is put into it

    def __init__(self, config: TextConfig, tokenizer: Vocabulary, model: Any = None) -> None:
        super().__init__(config, tokenizer, model)
        put_dropout(self.model, config.dropout)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See `TextEncoder.forward`."""
        # transformers looks for the end by its id, but an end of 2 it takes for a mistake of old configs and
        # takes the highest id instead.
        states = self.states(ids, mask)
        last = mask.sum(1) - 1
        return states, states[torch.arange(len(ids), device=ids.device), last]

    def causal_states(self, ids: Tensor, mask: Tensor) -> list[tuple[Tensor, int]]:
        """The states themselves."""
        return [(self.states(ids, mask), 1)]

    @classmethod
    def load(cls, folder: Path, config: TextConfig, captions: Sequence[str] = ()) -> Self:
        """From transformers' layout, as `Pretrained.load`, or from open_clip's with its own text transformer.

        ValueError: it holds none."""
        if not (folder / OPEN_CLIP).exists():
            return super().load(folder, config, captions)
        clip = json.loads((folder / OPEN_CLIP).read_text())["model_cfg"]
        text = clip["text_cfg"]
        if "hf_model_name" in text:
            raise ValueError(
                f"{folder} holds a CLIP with the text model {text['hf_model_name']}, not its own"
            )
        model_config = CLIPTextConfig(
            vocab_size=text["vocab_size"],
            hidden_size=text["width"],
            intermediate_size=int(text["width"] * text.get("mlp_ratio", 4.0)),
            num_hidden_layers=text["layers"],
            num_attention_heads=text["heads"],
            max_position_embeddings=text["context_length"],
            hidden_act="quick_gelu" if clip.get("quick_gelu") else "gelu",
            pad_token_id=text.get("pad_id", PAD_ID),
            bos_token_id=START_ID,
            eos_token_id=text.get("eos_id", END_ID),
        )
        model = CLIPTextModel(model_config)
        try:
            model.load_state_dict(transformers_weights(load_file(folder / OPEN_CLIP_WEIGHTS)))
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{folder} holds no text transformer of open_clip's own: {error}") from error
        return cls.from_model(model, cls.load_tokenizer(folder), config, folder, captions)


def put_dropout(model: Any, share: float) -> None:
    """Makes a CLIPTextModel leave out so much of what attention and perceptron of each layer add to their
    input; once for a model."""
    for layer in model.encoder.layers:
        for part in (layer.self_attn, layer.mlp):
            part.drop = nn.Dropout(share)
            part.register_forward_hook(_dropped)


def _dropped(part: Any, inputs: Any, output: Any) -> Any:
    """What attention (beside its weights) or perceptron gave, after dropout."""
    return (part.drop(output[0]), *output[1:]) if isinstance(output, tuple) else part.drop(output)


def transformers_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of an open_clip model's weights its text transformer's, float32, by the names of CLIPTextModel."""
    renamed: dict[str, Tensor] = {}
    for name, value in weights.items():
        new = name.removeprefix("text.")
        if not new.startswith(tuple(old for old, _ in NAMES[:4])):
            continue
        for old, ours in NAMES:
            new = new.replace(old, ours)
        if ".in_proj_" in new:  # queries, keys and values in one
            for part, each in zip("qkv", value.float().chunk(3), strict=True):
                renamed[new.replace("in_proj_", f"{part}_proj.")] = each
        else:
            renamed[new] = value.float()
    return renamed


ENCODER = Clip
