"""Weights in folders of diffusers and transformers: the plain ones, or a variant's, as `save_pretrained` with
`variant="fp16"` names them (`model.fp16.safetensors`)."""

from pathlib import Path
from re import compile

SHARD = r"(-\d+-of-\d+)?"
PLAIN = compile(rf"(diffusion_pytorch_|open_clip_)?model{SHARD}\.safetensors(\.index\.json)?")
"""Weights without a variant, whole or in shards, and their index."""
VARIANT = compile(
    rf"(diffusion_pytorch_)?model(\.(?P<whole>\w+){SHARD}\.safetensors|\.safetensors\.index\.(?P<index>\w+)\.json"
    r"|-\d+-of-\d+\.(?P<shard>\w+)\.safetensors)"
)
"""The same of a variant; older libraries name it after a shard's number."""


def weight_names(folder: Path) -> list[str]:
    """Names of the weight files of a folder that count, sorted: the plain ones, else those of its variant.

    ValueError: there are several variants and none is plain."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    plain = [name for name in names if PLAIN.fullmatch(name)]
    if plain:
        return plain
    variant = variant_of(folder)
    return [name for name in names if variant and _variant(name) == variant]


def variant_of(folder: Path) -> str | None:
    """What a folder's weights are a variant of, "fp16", as the argument `variant` of `from_pretrained`; None:
    they are plain, or there are none.

    ValueError: there are several variants and none is plain."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if any(PLAIN.fullmatch(name) for name in names):
        return None
    variants = sorted({variant for name in names if (variant := _variant(name))})
    if len(variants) > 1:
        raise ValueError(
            f"{folder} holds weights of the variants {', '.join(variants)} and none without; keep the files "
            "of one of them"
        )
    return variants[0] if variants else None


def _variant(name: str) -> str:
    match = VARIANT.fullmatch(name)
    return next((group for group in match.groupdict().values() if group), "") if match else ""
