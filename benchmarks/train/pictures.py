"""The pictures as the peers read them: files, decoded for each step."""

import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms


class Pictures(Dataset[dict[str, Tensor]]):
    """{"pixel_values": (3, S, S) float32 in [-1, 1], "input_ids": (L,) int64}, as train_text_to_image.py
    has them."""

    def __init__(self, folder: Path, size: int, tokenizer: Any) -> None:
        lines = (folder / "metadata.jsonl").read_text().splitlines()
        self.rows = [json.loads(line) for line in lines]
        self.folder, self.tokenizer = folder, tokenizer
        self.transforms = transforms.Compose(
            [
                transforms.Resize(size, interpolation=transforms.InterpolationMode.BILINEAR),
                transforms.RandomCrop(size),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize([0.5], [0.5]),
            ]
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        with Image.open(self.folder / self.rows[row]["file_name"]) as image:
            pixels = self.transforms(image.convert("RGB"))
        tokens = self.tokenizer(
            self.rows[row]["text"],
            max_length=self.tokenizer.model_max_length,
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        )
        return {"pixel_values": pixels, "input_ids": tokens.input_ids[0]}


def collate(examples: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A batch."""
    pixels = torch.stack([example["pixel_values"] for example in examples])
    pixels = pixels.to(memory_format=torch.contiguous_format).float()
    return {"pixel_values": pixels, "input_ids": torch.stack([example["input_ids"] for example in examples])}
