"""A plain accelerate loop, measured.

    python -m benchmarks.train.plain TASK.json REPORT.json

The loop of accelerate's documentation (v1.15, basic_tutorials/migration: model, optimizer, loader and
scheduler through `prepare`, `accelerator.backward`, step, zero_grad), on the same model, loss and pictures:
no average of weights, no clipping, no logging. The frozen parts are run at each step.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch.optim.lr_scheduler import LambdaLR
from transformers import CLIPTextModel, CLIPTokenizer

from benchmarks.train.meter import Enough, Meter
from benchmarks.train.pictures import Pictures, collate
from benchmarks.train.script import epochs
from benchmarks.train.task import Task


def main(task: Task, meter: Meter) -> None:
    """Trains until the meter has enough."""
    accelerator = Accelerator(cpu=True, mixed_precision="no")
    torch.manual_seed(0)
    model = task.place / "model"
    noise_scheduler = DDPMScheduler.from_pretrained(model, subfolder="scheduler")
    tokenizer = CLIPTokenizer.from_pretrained(model / "tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(model / "text_encoder").requires_grad_(False)
    vae = AutoencoderKL.from_pretrained(model, subfolder="vae").requires_grad_(False)
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet").train()
    optimizer = torch.optim.AdamW(unet.parameters(), lr=task.rate, weight_decay=task.decay)
    loader = torch.utils.data.DataLoader(
        Pictures(task.place / "pictures", task.size, tokenizer),
        shuffle=True,
        collate_fn=collate,
        batch_size=task.batch,
    )
    scheduler = LambdaLR(optimizer, lambda step: 1.0)
    unet, optimizer, loader, scheduler = accelerator.prepare(unet, optimizer, loader, scheduler)
    for batch in meter.batches(epochs(loader)):
        optimizer.zero_grad()
        with torch.no_grad():
            latents = vae.encode(batch["pixel_values"]).latent_dist.sample() * vae.config.scaling_factor
            states = text_encoder(batch["input_ids"]).last_hidden_state
        noise = torch.randn_like(latents)
        timesteps = torch.randint(0, noise_scheduler.config.num_train_timesteps, (len(latents),))
        noisy = noise_scheduler.add_noise(latents, noise, timesteps)
        loss = F.mse_loss(unet(noisy, timesteps, states).sample, noise)
        accelerator.backward(loss)
        optimizer.step()
        scheduler.step()


if __name__ == "__main__":
    mine = Task.read(Path(sys.argv[1]))
    measured = Meter(mine, Path(sys.argv[2]))
    try:
        main(mine, measured)
    except Enough:
        measured.write()
