"""A process that has diffusers and none of our packages: it loads exported folders and draws with them.

`python -I -S stock.py SITE_PACKAGES REQUEST.json`: without site no path files are read, so that no editable
installation is found. REQUEST holds {folder: {"pipeline": class, "arrays": safetensors}}; beside each arrays'
file goes one with what was computed.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any


def main(packages: str, request: Path) -> None:
    """Draws with each folder."""
    sys.path.append(packages)
    for name in ("sdmodel", "stages", "flows"):
        assert importlib.util.find_spec(name) is None, f"{name} can be imported"
    import diffusers
    import torch
    from safetensors.torch import load_file, save_file

    kinds: Any = diffusers
    torch.set_grad_enabled(False)
    for folder, asked in json.loads(request.read_text()).items():
        arrays = load_file(asked["arrays"])
        pipe = getattr(kinds, asked["pipeline"]).from_pretrained(folder)
        pipe.set_progress_bar_config(disable=True)
        # With the settings in the folder: a StableDiffusionPipeline changes some of them when it is made.
        pipe.scheduler = kinds.DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
        results: dict[str, torch.Tensor] = {}
        if asked["pipeline"] == "DDPMPipeline":
            results["predicted"] = pipe.unet(arrays["x"], arrays["timestep"]).sample
            pipe.scheduler.set_timesteps(asked["steps"])
            x = arrays["noise"]
            for timestep in pipe.scheduler.timesteps:
                x = pipe.scheduler.step(pipe.unet(x, timestep).sample, timestep, x).prev_sample
            results["pictures"] = x / 2 + 0.5
        else:
            words = pipe.tokenizer(
                asked["captions"],
                padding="max_length",
                max_length=pipe.tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            )
            states = pipe.text_encoder(words.input_ids)[0]
            results["states"] = states
            results["predicted"] = pipe.unet(arrays["x"], arrays["timestep"], states).sample
            options = {"num_inference_steps": asked["steps"], "guidance_scale": asked["guidance"]}
            pictures = pipe(asked["captions"], latents=arrays["noise"], output_type="pt", **options)
            results["pictures"] = pictures.images
            results["encoded"] = pipe.vae.encode(arrays["picture"]).latent_dist.mean
            results["encoded"] = results["encoded"] * pipe.vae.config.scaling_factor
        save_file({name: value.contiguous() for name, value in results.items()}, f"{asked['arrays']}.stock")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
