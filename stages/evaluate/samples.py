"""Samples as parts: another evaluation of the same model samples only what is new."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.config.evaluate import EvaluateConfig
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
            rows = [(prompt.caption, prompt.seed) for prompt in mine[start : start + size]]
            inputs = [model, fingerprint_of([[caption, str(seed)] for caption, seed in rows])]
            specs.append(PartSpec(f"{group}-{start // size:05d}", inputs, rows))

    def make(folder: Path, rows: list[tuple[str, int]]) -> PartResult:
        from sdmodel.data.pixels import to_uint8

        pictures: list[NDArray[np.uint8]] = []
        for start in range(0, len(rows), config.batch):
            out.check()
            captions, seeds = zip(*rows[start : start + config.batch], strict=True)
            images = load().sample(list(captions), list(seeds), config.sampling)
            pictures.append(to_uint8(images).permute(0, 2, 3, 1).cpu().numpy())  # (B, S, S, 3)
        np.save(folder / "images.npy", np.concatenate(pictures), allow_pickle=False)
        return PartResult()

    settings = {"sampling": canonical_config(config.sampling), **depends}
    parts = out.parts(specs, make, config=settings, note=f"sampling {len(prompts)} images")
    return np.concatenate([np.load(part.path("images.npy"), allow_pickle=False) for part in parts])
