"""A frozen text encoder: captions to states, as Stable Diffusion's denoisers were taught to read them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTextModel, CLIPTokenizer

from sdmodel.condition import Condition


class TextEncoder:
    """CLIP's text model (Radford et al. 2021, arXiv:2103.00020), in float32 and without gradients.

    Every caption is padded to `length` tokens and the padding may be attended to, as Stable Diffusion's
    pipelines do: denoisers that learned so expect it.
    """

    def __init__(
        self,
        model: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        length: int = 0,
        device: torch.device | str = "cpu",
    ):
        """length: tokens of a caption; 0 is as many as the model knows places for.

        ValueError: it knows no more than so many."""
        self.model: Any = model.to(device).float().eval().requires_grad_(False)  # pyright: ignore
        self.tokenizer: Any = tokenizer
        self.device = torch.device(device)
        most = int(self.model.config.max_position_embeddings)
        if not 0 <= length <= most:
            raise ValueError(f"encode.length={length}: the text encoder knows places for {most} tokens")
        self.length = length or most

    @torch.no_grad()
    def encode(self, captions: Sequence[str]) -> Condition:
        """B captions: pooled (B, D), states (B, length, D), both float32 on the CPU; the mask is all true."""
        words = self.tokenizer(
            list(captions), padding="max_length", truncation=True, max_length=self.length, return_tensors="pt"
        )
        found = self.model(input_ids=words["input_ids"].to(self.device))
        states, pooled = found.last_hidden_state.float().cpu(), found.pooler_output.float().cpu()
        return Condition(pooled, states, torch.ones(states.shape[:2], dtype=torch.bool))


def read(folder: Path, length: int = 0, device: torch.device | str = "cpu") -> TextEncoder:
    """The text encoder in a folder with `text_encoder` and `tokenizer` in it, as Stable Diffusion's have.

    ValueError: there is none in it, or `length` is above what it knows places for."""
    try:
        # transformers reads JSON and safetensors here; no pickle is opened.
        model: Any = CLIPTextModel.from_pretrained(
            folder / "text_encoder", local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
        tokenizer: Any = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{folder} holds no CLIP text encoder in transformers' layout: {error}") from error
    return TextEncoder(model, tokenizer, length, device)
