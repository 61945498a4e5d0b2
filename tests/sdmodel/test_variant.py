"""Folders that diffusers and transformers saved with variant="fp16"."""

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from sdmodel.config.text import TextConfig
from sdmodel.denoise.unet2d import UNet2D
from sdmodel.latents import autoencoder
from sdmodel.latents import text as frozen_text
from sdmodel.noise.schedule import NoiseSchedule
from sdmodel.start import load_unet, read_pipeline
from sdmodel.text import build
from sdmodel.variant import variant_of, weight_names
from stages.pretrained.files import autoencoder_files, text_files
from stages.pretrained.start import pipeline_files
from stages.pretrained.text import text_files as encoder_files
from tests import frozen

PART = "diffusion_pytorch_model"


@pytest.mark.parametrize(
    ("names", "variant", "counted"),
    [
        (["model.safetensors", "model.fp16.safetensors"], None, ["model.safetensors"]),
        (["model.fp16.safetensors", "config.json"], "fp16", ["model.fp16.safetensors"]),
        ([f"{PART}.fp16.safetensors"], "fp16", [f"{PART}.fp16.safetensors"]),
        (
            [f"{PART}.safetensors.index.fp16.json", f"{PART}.fp16-00001-of-00002.safetensors"],
            "fp16",
            [f"{PART}.fp16-00001-of-00002.safetensors", f"{PART}.safetensors.index.fp16.json"],
        ),
        (["model-00001-of-00002.bf16.safetensors"], "bf16", ["model-00001-of-00002.bf16.safetensors"]),
        (["model.safetensors.index.json", "model-00001-of-00002.safetensors"], None, 2),
        (["pytorch_model.fp16.bin", "model.fp16.bin", "config.json"], None, []),
        ([], None, []),
    ],
)
def test_which_weights_count(tmp_path: Path, names: list[str], variant: str | None, counted: Any):
    for name in names:
        (tmp_path / name).touch()
    assert variant_of(tmp_path) == variant
    assert weight_names(tmp_path) == (sorted(names) if counted == 2 else counted)
    assert weight_names(tmp_path / "none") == []


def test_several_variants_are_named(tmp_path: Path):
    for name in ("model.fp16.safetensors", "model.non_ema.safetensors"):
        (tmp_path / name).touch()
    for look in (variant_of, weight_names):
        with pytest.raises(ValueError, match="variants fp16, non_ema and none without; keep"):
            look(tmp_path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same pipeline, plain and as a variant."""
    folder = tmp_path_factory.mktemp("variant")
    return frozen.pipeline(folder / "plain"), frozen.pipeline(folder / "half", variant="fp16")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Of all models of a pipeline, as trainings and the stage encode load them."""
    pipeline = read_pipeline(folder)
    network = UNet2D(pipeline.unet, NoiseSchedule(pipeline.schedule), padded=False)
    load_unet(folder, network)
    kind = build.load(folder, TextConfig(kind="clip"))
    parts: dict[str, Any] = {
        "unet": network.unet,
        "vae": autoencoder.load_autoencoder(folder / "vae").vae,
        "frozen": frozen_text.load_text_encoder(folder).clip,
        "text": kind,
    }
    return {f"{part}.{name}": held for part, one in parts.items() for name, held in one.state_dict().items()}


def test_a_variant_is_loaded_wherever_such_folders_are(folders: tuple[Path, Path]):
    plain, half = (weights(folder) for folder in folders)
    assert plain.keys() == half.keys()
    for name, value in half.items():
        assert value.dtype == plain[name].dtype, name
        expected = plain[name].half().float() if value.is_floating_point() else plain[name]
        assert torch.equal(value, expected), name


def test_its_files_are_what_stages_hash_and_copy(folders: tuple[Path, Path]):
    _, half = folders
    for found in (
        pipeline_files(half),
        autoencoder_files(half),
        text_files(half),
        encoder_files(half),
    ):
        assert any(name.endswith(".fp16.safetensors") for name in found)


def test_a_variant_in_shards_is_loaded(tmp_path: Path):
    whole = frozen.autoencoder(tmp_path / "whole")
    model: Any = diffusers.AutoencoderKL.from_pretrained(whole)  # pyright: ignore[reportPrivateImportUsage]
    model.save_pretrained(tmp_path / "shards", variant="fp16", max_shard_size=4000)
    assert len(weight_names(tmp_path / "shards")) > 2
    loaded, expected = (
        autoencoder.load_autoencoder(tmp_path / name).vae.state_dict() for name in ("shards", "whole")
    )
    assert all(torch.equal(value, loaded[name]) for name, value in expected.items())
