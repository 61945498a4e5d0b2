"""Low-rank changes that were kept apart, as diffusers and peft load them."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sdmodel import lora
from sdmodel.config.learning import LoraConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.diffusion import folder as folders
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.export.lora import export_lora
from tests import frozen

UNET = ("to_q", "to_k", "to_v", "to_out.0", "conv1", "time_emb_proj")
CONFIG = TrainConfig(
    network="unet2d",
    size=16,
    start="elsewhere",
    text=TextConfig(width=8, heads=2, queries=2, length=8, vocabulary=300),
    lora=LoraConfig(rank=2, alpha=6.0, targets=(*UNET, "q_proj", "out_proj", "fc1"), merge=False),
)
STOCK = Path(__file__).parent / "stock_lora.py"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen.pipeline(tmp_path_factory.mktemp("pipeline"), latent=False)


def trained(pipeline: Path, folder: Path, config: TrainConfig = CONFIG) -> Path:
    """The model folder of changes that have become something."""
    folder.mkdir()
    torch.manual_seed(0)
    objective = DiffusionObjective(config, ["red"], starting=True)
    objective.start(pipeline)
    lora.inject(objective.modules, config.lora)
    with torch.no_grad():
        for parameter in (p for p in objective.modules.parameters() if p.requires_grad):
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    weights = {name: value.detach().contiguous() for name, value in objective.modules.state_dict().items()}
    objective.save(folder, lora.published(objective.modules, weights, config.lora, folder))
    return folder


def stock(pipeline: Path, exported: Path, inputs: dict[str, torch.Tensor]) -> tuple[Any, dict[str, Any]]:
    """What a stock pipeline says of itself, and what it makes of the inputs."""
    save_file(inputs, exported / "inputs.safetensors")
    paths = (pipeline, exported, exported / "inputs.safetensors", exported / "outputs.safetensors")
    process = subprocess.run(
        [sys.executable, "-I", STOCK, *paths], cwd=exported, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1]), load_file(exported / "outputs.safetensors")


def test_a_stock_pipeline_and_peft_compute_what_the_merged_model_does(pipeline: Path, tmp_path: Path):
    folder, exported = trained(pipeline, tmp_path / "model"), tmp_path / "exported"
    files = export_lora(folder, exported)
    assert sorted(path.relative_to(exported).as_posix() for path in files) == [
        "pytorch_lora_weights.safetensors",
        "unet_adapter/adapter_config.json",
        "unet_adapter/adapter_model.safetensors",
    ]
    merged = folders.load(folder)
    text: Any = merged.text
    words = text.tokenizer(["red"], padding="max_length", max_length=8, return_tensors="pt")["input_ids"]
    x, timestep = torch.randn(1, 3, 16, 16), torch.tensor([300])
    facts, made = stock(pipeline, exported, {"x": x, "timestep": timestep, "ids": words})

    assert facts["loaded"] == facts["written"] == len(load_file(folder / "adapter" / lora.WEIGHTS))
    assert facts["same"]
    assert facts["ours"] == []
    with torch.no_grad():
        states = text.model(words).last_hidden_state
        prediction = merged.network.unet(x, timestep, states)[0]  # pyright: ignore
    torch.testing.assert_close(made["states"], states, rtol=0, atol=1e-5)
    torch.testing.assert_close(made["prediction"], prediction, rtol=0, atol=1e-5)
    torch.testing.assert_close(made["peft"], prediction, rtol=0, atol=1e-5)
    assert (made["unchanged"] - prediction).abs().max() > 1e-2
    assert (made["before"] - states).abs().max() > 1e-2


def test_changes_of_the_text_encoder_alone_bring_no_folder_for_the_unet(pipeline: Path, tmp_path: Path):
    config = replace(CONFIG, lora=replace(CONFIG.lora, targets=("v_proj",)))
    files = export_lora(trained(pipeline, tmp_path / "model", config), tmp_path / "exported")
    assert [path.name for path in files] == ["pytorch_lora_weights.safetensors"]
    assert all(name.startswith("text_encoder.text_model.encoder.layers.") for name in load_file(files[0]))


def test_what_a_pipeline_has_no_room_for_is_named(pipeline: Path, tmp_path: Path):
    folder = trained(pipeline, tmp_path / "model")
    about = json.loads((folder / "config.json").read_text())
    about["model"]["text"] = [{"kind": "transformer"}]
    (folder / "config.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=r"no room for changes of text\.model\..*train\.lora\.targets"):
        export_lora(folder, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


def test_a_folder_without_changes_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"train\.lora\.merge: false"):
        export_lora(tmp_path, tmp_path / "exported")
