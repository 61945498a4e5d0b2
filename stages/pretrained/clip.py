"""CLIP by open_clip: any model with pretrained weights, or an open_clip folder. What score and evaluate
share."""

import difflib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.artifact import Snapshot
from stages.fingerprint import fingerprint_of, sha256_of

LOCAL = "local-dir:"
SAFE = ".safetensors"
Embeddings = NDArray[np.float32]


def clip_snapshot(model: str, pretrained: str = "") -> Snapshot | None:
    """Which weights a model name means now, as a stage's input; None where the name is empty: the run has no
    CLIP.

    Args:
        model: open_clip's model name, or "local-dir:FOLDER".
        pretrained: open_clip's tag of pretrained weights, or a path to weights.

    Raises:
        ValueError: the folder is no open_clip folder, or the weights are a pickle.
    """
    if not model:
        return None
    if model.startswith(LOCAL):
        folder = Path(model.removeprefix(LOCAL))
        if not (folder / "open_clip_config.json").is_file():
            raise ValueError(
                f"{folder} is no open_clip folder: open_clip_config.json is missing; name a folder that "
                f"`train` with "
                "objective contrastive wrote, or one downloaded from the hub"
            )
        if not any(path.suffix == SAFE for path in folder.iterdir()):
            raise ValueError(_unsafe(f"{folder} holds no weights as {SAFE}"))
        files = {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.is_file()}
        # The files say which model it is, wherever the folder lies.
        return Snapshot(fingerprint_of(files), {"files": files})
    weights = pretrained
    if pretrained and Path(pretrained).is_file():
        if Path(pretrained).suffix != SAFE:
            raise ValueError(_unsafe(f"{pretrained} is no {SAFE} file"))
        weights = sha256_of(Path(pretrained))
    contents = {"model": model, "pretrained": weights}
    return Snapshot(fingerprint_of(contents), contents)


class OpenClip:
    """A loaded model that embeds pictures and captions on the unit sphere."""

    def __init__(self, model: str, pretrained: str = "", device: str = "auto") -> None:
        """Load a model.

        Args:
            model: open_clip's model name, or "local-dir:FOLDER".
            pretrained: open_clip's tag of pretrained weights, or a path; unused with local-dir.
            device: "cpu", "cuda" or "auto".

        Raises:
            ValueError: open_clip knows no such model or no such tag; names near ones.
        """
        import open_clip
        import torch

        from sdmodel.device import resolve_device

        if not model.startswith(LOCAL):
            _check_known(model, pretrained, open_clip)
        self._torch = torch
        self._device = torch.device(resolve_device(device))
        loaded: Any = open_clip.create_model_from_pretrained(
            model, pretrained=pretrained or None, device=self._device, weights_only=True
        )
        self._model: Any = loaded[0].float().eval()
        self._preprocess: Any = loaded[1]
        self._tokenizer: Any = open_clip.get_tokenizer(model)

    def images(self, pictures: Sequence[NDArray[np.uint8]], batch: int = 128) -> Embeddings:
        """Embeddings of pictures.

        Args:
            pictures: each (H, W, 3) uint8, of any size.
            batch: pictures in a forward pass.

        Returns:
            (N, D) float32 of length 1.
        """
        from PIL import Image

        with ThreadPoolExecutor(2) as pool:
            ready = list(pool.map(lambda picture: self._preprocess(Image.fromarray(picture)), pictures))
        return self._embed(
            ready, lambda part: self._model.encode_image(self._torch.stack(part).to(self._device)), batch
        )

    def texts(self, captions: Sequence[str], batch: int = 512) -> Embeddings:
        """Embeddings of captions, (N, D) float32 of length 1."""
        return self._embed(
            list(captions),
            lambda part: self._model.encode_text(self._tokenizer(part).to(self._device)),
            batch,
        )

    @property
    def length(self) -> int:
        """Tokens that it reads of a caption."""
        return int(self._model.context_length)

    def cut(self, captions: Sequence[str], batch: int = 512) -> list[bool]:
        """Which captions have more tokens than it reads."""
        # No token is shorter than half a byte, whatever is normalised before.
        long = [number for number, text in enumerate(captions) if 2 * len(text.encode()) > self.length - 2]
        truncated = [False] * len(captions)
        padding = self._tokenizer([""], context_length=self.length + 1)[0, -1]
        for start in range(0, len(long), batch):
            some = long[start : start + batch]
            texts = [captions[number] for number in some]
            whole, read = (self._tokenizer(texts, context_length=self.length + more) for more in (1, 0))
            differ = (whole[:, :-1] != read).any(1) | (whole[:, -1] != padding)
            for number, differs in zip(some, differ.tolist(), strict=True):
                truncated[number] = differs
        return truncated

    def _embed(self, items: list[Any], encode: Any, batch: int) -> Embeddings:
        torch = self._torch
        parts: list[Embeddings] = []
        with torch.inference_mode():
            for start in range(0, len(items), batch):
                # In float32: normalising in half precision can divide by zero.
                features = encode(items[start : start + batch]).float()
                parts.append(torch.nn.functional.normalize(features, dim=-1).cpu().numpy())
        return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


def _unsafe(words: str) -> str:
    return (
        f"{words}; other files of weights are pickles, which can run code when they are opened: convert them "
        "where you trust them (safetensors.torch.save_file), or name weights by their tag"
    )


def _check_known(model: str, pretrained: str, open_clip: Any) -> None:
    known: list[str] = open_clip.list_models()
    if model not in known:
        near = ", ".join(difflib.get_close_matches(model, known, 5)) or "see open_clip.list_models()"
        raise ValueError(f"open_clip knows no model {model!r}; near: {near}; or use local-dir:FOLDER")
    tags: list[str] = open_clip.list_pretrained_tags_by_model(model)
    if not pretrained or (pretrained not in tags and not Path(pretrained).is_file()):
        raise ValueError(
            f"open_clip knows no weights {pretrained!r} for {model}; known: {', '.join(tags) or 'none'}; "
            f"or give a file"
        )
