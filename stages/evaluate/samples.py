"""Samples as parts: another evaluation of the same model samples only what is new."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.config.evaluate import EvaluateConfig
from stages.evaluate.conditions import as_lists
from stages.evaluate.prompts import Prompt
from stages.fingerprint import canonical_config, fingerprint_of
from stages.output import Output, PartResult, PartSpec


def sample(
    prompts: Sequence[Prompt],
    model: str,
    load: Callable[[], Any],
    config: EvaluateConfig,
    out: Output,
    depends: Mapping[str, Any] = MappingProxyType({}),
) -> NDArray[np.uint8]:
    """Sample every prompt that was not sampled before.

    Args:
        prompts: what to sample.
        model: digest of the model.
        load: gives sdmodel's TextToImage; called only if something is to be sampled.
        config: sampling, images to a part and to a batch.
        out: keeps the parts.
        depends: what samples depend on besides.

    Returns:
        (N, S, S, 3) uint8 in the order of the prompts.
    """
    specs: list[PartSpec] = []
    for group in dict.fromkeys(prompt.group for prompt in prompts):
        mine = [prompt for prompt in prompts if prompt.group == group]
        size = 1 if group == "new" else config.part_rows  # people add captions one by one, anywhere
        for start in range(0, len(mine), size):
            rows = mine[start : start + size]
            inputs = [model, fingerprint_of([_named(prompt) for prompt in rows])]
            specs.append(PartSpec(f"{group}-{start // size:05d}", inputs, rows))

    def make(folder: Path, rows: list[Prompt]) -> PartResult:
        from sdmodel.data.pixels import to_uint8

        pictures: list[NDArray[np.uint8]] = []
        for start in range(0, len(rows), config.batch):
            out.check()
            some = rows[start : start + config.batch]
            captions, seeds = [prompt.text for prompt in some], [prompt.seed for prompt in some]
            beside = _pictures(some) | _conditions(some)
            images = load().sample(captions, seeds, config.sampling, **beside)
            pictures.append(to_uint8(images).permute(0, 2, 3, 1).cpu().numpy())  # (B, S, S, 3)
        np.save(folder / "images.npy", np.concatenate(pictures), allow_pickle=False)
        return PartResult()

    settings = {"sampling": canonical_config(config.sampling), **depends}
    parts = out.parts(specs, make, config=settings, note=f"sampling {len(prompts)} images")
    return np.concatenate([np.load(part.path("images.npy"), allow_pickle=False) for part in parts])


def _named(prompt: Prompt) -> list[str]:
    """What decides the image, besides model and sampling."""
    conditions = [json.dumps(prompt.conditions)] if prompt.conditions else []
    named = [prompt.text, str(prompt.seed), *conditions]
    return named if prompt.picture is None else [*named, hashlib.sha256(prompt.picture.tobytes()).hexdigest()]


def _pictures(prompts: Sequence[Prompt]) -> dict[str, Any]:
    """What the model is shown, (3, H, W) float32 in [-1, 1] each; nothing where all prompts are text
    alone."""
    from sdmodel.data.pixels import to_float

    shown = [prompt.picture for prompt in prompts]
    if all(picture is None for picture in shown):
        return {}
    return {
        "pictures": [picture if picture is None else to_float(picture).permute(2, 0, 1) for picture in shown]
    }


def _conditions(prompts: Sequence[Prompt]) -> dict[str, Any]:
    """What else is known of each; nothing where it is of none: models of other kinds know no condition."""
    conditions = as_lists([prompt.conditions for prompt in prompts])
    return {"conditions": conditions} if conditions else {}
