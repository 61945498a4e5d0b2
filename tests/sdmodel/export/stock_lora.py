"""A stock pipeline with changes that were exported, in a process that cannot import our packages.

`python stock_lora.py PIPELINE EXPORTED INPUTS OUTPUTS`: of the inputs x, timestep and ids what UNet and text
encoder make, with the file that diffusers reads and with the folder that peft reads."""

import importlib
import json
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any


class Blocked(MetaPathFinder):
    """Finds our packages first, and refuses them."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname.partition(".")[0] in ("sdmodel", "stages", "flows", "tests"):
            raise ImportError(f"{fullname} is not to be imported here")


sys.meta_path.insert(0, Blocked())

import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402

diffusers, peft, transformers = (
    importlib.import_module(name) for name in ("diffusers", "peft", "transformers")
)

pipeline, exported, inputs, outputs = map(Path, sys.argv[1:])
given = load_file(inputs)


def unet() -> Any:
    return diffusers.UNet2DConditionModel.from_pretrained(pipeline / "unet")


@torch.no_grad()
def predicted(network: Any, states: Tensor) -> Tensor:
    return network(given["x"], given["timestep"], states, return_dict=False)[0]


pipe: Any = diffusers.StableDiffusionPipeline(
    vae=diffusers.AutoencoderKL(block_out_channels=(4,), norm_num_groups=2, latent_channels=3),
    text_encoder=transformers.CLIPTextModel.from_pretrained(pipeline / "text_encoder"),
    tokenizer=transformers.CLIPTokenizer.from_pretrained(pipeline / "tokenizer"),
    unet=unet(),
    scheduler=diffusers.DDIMScheduler.from_pretrained(pipeline / "scheduler"),
    safety_checker=None,
    feature_extractor=None,
    requires_safety_checker=False,
)
with torch.no_grad():
    before = pipe.text_encoder(given["ids"]).last_hidden_state
pipe.load_lora_weights(exported, adapter_name="changes")
with torch.no_grad():
    states = pipe.text_encoder(given["ids"]).last_hidden_state

parts: dict[str, nn.Module] = {"unet": pipe.unet, "text_encoder": pipe.text_encoder}
held = {
    f"{part}.{name.replace('.changes.', '.')}": value
    for part, module in parts.items()
    for name, value in module.state_dict().items()
    if ".lora_" in name
}
written = {
    name.replace("text_encoder.text_model.", "text_encoder."): value
    for name, value in load_file(exported / "pytorch_lora_weights.safetensors").items()
}
if not hasattr(pipe.text_encoder, "text_model"):
    held = {name.replace("text_encoder.text_model.", "text_encoder."): value for name, value in held.items()}
same = held.keys() == written.keys() and all(torch.equal(held[name], written[name]) for name in written)

bare = peft.PeftModel.from_pretrained(unet(), str(exported / "unet_adapter"))
save_file(
    {
        "states": states,
        "before": before,
        "prediction": predicted(pipe.unet, states),
        "peft": predicted(bare, states),
        "unchanged": predicted(unet(), states),
    },
    outputs,
)
ours = [name for name in sys.modules if name.partition(".")[0] in ("sdmodel", "stages", "flows")]
facts = {"loaded": len(held), "written": len(written), "same": same, "ours": ours}
sys.stdout.write(json.dumps(facts) + "\n")
