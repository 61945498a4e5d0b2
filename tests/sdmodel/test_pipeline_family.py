import json
from pathlib import Path
from typing import Any

import pytest

from sdmodel.pipeline_family import is_pipeline, layout_of
from sdmodel.start import load_unet, read_pipeline
from tests import frozen
from tests.sdmodel.denoise.test_unet2d import started

XL = {"addition_embed_type": "text_time", "projection_class_embeddings_input_dim": 2816}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen.pipeline(tmp_path_factory.mktemp("family"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (XL, "the UNet of Stable Diffusion XL;"),
        (XL | {"projection_class_embeddings_input_dim": 2560}, "Stable Diffusion XL's refiner"),
        ({"in_channels": 9}, "Stable Diffusion for inpainting, which takes 9 channels and not 3"),
        ({"in_channels": 8}, "InstructPix2Pix"),
        ({"in_channels": 7, "num_class_embeds": 1000}, "the upscaler"),
        ({"in_channels": 5}, "depth"),
        ({"in_channels": 6}, "from '6' to '3' channels"),
        ({"class_embed_type": "projection"}, "class_embed_type='projection'"),
        ({"encoder_hid_dim": 1280}, "encoder_hid_dim='1280'"),
        ({"time_cond_proj_dim": 256}, "latent consistency"),
        ({"_class_name": "UNet3DConditionModel"}, "another kind, 'UNet3DConditionModel'"),
        ({"_class_name": "x" * 500}, r"'x{60}'"),
        ({"in_channels": 4, "out_channels": 4}, "do not belong together"),
    ],
)
def test_unets_of_other_families_are_refused_by_name(
    pipeline: Path, tmp_path: Path, change: dict[str, Any], words: str
):
    config = json.loads((pipeline / "unet/config.json").read_text())
    for part in ("unet", "scheduler", "vae"):
        (tmp_path / part).mkdir()
    (tmp_path / "unet/config.json").write_text(json.dumps(config | change))
    for name in ("vae/config.json", "scheduler/scheduler_config.json"):
        (tmp_path / name).write_bytes((pipeline / name).read_bytes())
    with pytest.raises(ValueError, match=words):
        read_pipeline(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("StableDiffusionXLPipeline", "Stable Diffusion XL "),
        ("StableDiffusion3Pipeline", "Stable Diffusion 3 "),
        ("FluxPipeline", "Flux "),
        ("StableDiffusionInpaintPipeline", "inpainting"),
        ("LDMPipeline", "a VQModel"),
        ("SanaPipeline", "whose denoiser is a transformer"),
    ],
)
def test_pipelines_of_other_families_are_refused_by_name(tmp_path: Path, name: str, words: str):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": name}))
    (tmp_path / "transformer").mkdir()
    assert is_pipeline(tmp_path)
    with pytest.raises(ValueError, match=f"{words}.*starts from Stable Diffusion 1 or 2"):
        layout_of(tmp_path)


def test_other_schedules_and_autoencoders_are_refused(pipeline: Path, tmp_path: Path):
    folder = frozen.pipeline(tmp_path / "a")
    (folder / "vae/config.json").write_text(json.dumps({"_class_name": "VQModel"}))
    with pytest.raises(ValueError, match="its vae is 'VQModel'"):
        read_pipeline(folder)
    schedule = folder / "scheduler/scheduler_config.json"
    schedule.write_text(json.dumps({"_class_name": "FlowMatchEulerDiscreteScheduler"}))
    with pytest.raises(ValueError, match="'FlowMatchEulerDiscreteScheduler', which has not DDPM's timesteps"):
        read_pipeline(folder)
    schedule.write_text("{")
    with pytest.raises(ValueError, match="holds no JSON"):
        read_pipeline(folder)
    schedule.unlink()
    with pytest.raises(ValueError, match=r"no scheduler/scheduler_config\.json"):
        read_pipeline(folder)


def test_weights_that_are_missing_are_named(tmp_path: Path):
    folder = frozen.pipeline(tmp_path)
    network, _ = started(folder)
    for file in (folder / "unet").glob("*.safetensors"):
        file.unlink()
    with pytest.raises(ValueError, match="holds no weights"):
        load_unet(folder, network)
