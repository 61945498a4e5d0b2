"""The logic of diffusers' `examples/text_to_image/train_text_to_image.py` (v0.42), measured.

    python -m benchmarks.train.script TASK.json REPORT.json

https://github.com/huggingface/diffusers/blob/v0.42.0/examples/text_to_image/train_text_to_image.py, written
anew from its main(), with its defaults and with --use_ema --random_flip --max_grad_norm=1: pictures decoded,
scaled, cropped and flipped for each step by a DataLoader of 0 workers, the frozen autoencoder and text
encoder run at each step, torch.optim.AdamW as it comes, the learning rate through accelerate, the loss
gathered and read at each step, curves to TensorBoard. The datasets library is left out for a torch Dataset
over the same files, which does no more than it must.
"""

import math
import random
import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration, set_seed
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from tqdm.auto import tqdm
from transformers import CLIPTextModel, CLIPTokenizer

from benchmarks.train.meter import Enough, Meter
from benchmarks.train.pictures import Pictures, collate
from benchmarks.train.task import Task
from sdmodel.train.process.rendezvous import join


def main(task: Task, meter: Meter) -> None:
    """The script's main(), until the meter has enough."""
    output = meter.report.parent
    project = ProjectConfiguration(project_dir=str(output), logging_dir=str(output / "logs"))
    join(on_gpu=False)  # several processes meet as ours do, not through a port that is open to everybody
    accelerator = Accelerator(
        cpu=True,
        gradient_accumulation_steps=1,
        mixed_precision="no",
        log_with="tensorboard",
        project_config=project,
    )
    set_seed(0)
    model = task.place / "model"
    noise_scheduler = DDPMScheduler.from_pretrained(model, subfolder="scheduler")
    tokenizer = CLIPTokenizer.from_pretrained(model / "tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(model / "text_encoder")
    vae = AutoencoderKL.from_pretrained(model, subfolder="vae")
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet")
    vae.requires_grad_(False)
    text_encoder.requires_grad_(False)
    unet.train()
    ema_model = UNet2DConditionModel.from_pretrained(model, subfolder="unet")
    ema_unet = EMAModel(ema_model.parameters(), model_cls=UNet2DConditionModel, model_config=ema_model.config)
    optimizer = torch.optim.AdamW(
        unet.parameters(), lr=task.rate, betas=(0.9, 0.999), weight_decay=task.decay, eps=1e-8
    )
    batch_size = task.batch // accelerator.num_processes
    train_dataset = Pictures(task.place / "pictures", task.size, tokenizer)
    train_dataloader = torch.utils.data.DataLoader(
        train_dataset, shuffle=True, collate_fn=collate, batch_size=batch_size, num_workers=0
    )
    per_epoch = math.ceil(len(train_dataloader) / accelerator.gradient_accumulation_steps)
    max_train_steps = task.epochs * per_epoch
    lr_scheduler = get_scheduler(
        "constant",
        optimizer=optimizer,
        num_warmup_steps=500 * accelerator.num_processes,
        num_training_steps=max_train_steps * accelerator.num_processes,
    )
    unet, optimizer, train_dataloader, lr_scheduler = accelerator.prepare(
        unet, optimizer, train_dataloader, lr_scheduler
    )
    ema_unet.to(accelerator.device)
    text_encoder.to(accelerator.device, dtype=torch.float32)
    vae.to(accelerator.device, dtype=torch.float32)
    accelerator.init_trackers("text2image-fine-tune", {"learning_rate": task.rate})

    progress_bar = tqdm(range(max_train_steps), desc="Steps", disable=not accelerator.is_local_main_process)
    global_step = 0
    batches = meter.batches(epochs(train_dataloader))
    for batch in batches:
        train_loss = 0.0
        with accelerator.accumulate(unet):
            latents = vae.encode(batch["pixel_values"].to(torch.float32)).latent_dist.sample()
            latents = latents * vae.config.scaling_factor
            noise = torch.randn_like(latents)
            bsz = latents.shape[0]
            timesteps = torch.randint(
                0, noise_scheduler.config.num_train_timesteps, (bsz,), device=latents.device
            )
            timesteps = timesteps.long()
            noisy_latents = noise_scheduler.add_noise(latents, noise, timesteps)
            encoder_hidden_states = text_encoder(batch["input_ids"], return_dict=False)[0]
            model_pred = unet(noisy_latents, timesteps, encoder_hidden_states, return_dict=False)[0]
            loss = F.mse_loss(model_pred.float(), noise.float(), reduction="mean")

            avg_loss = accelerator.gather(loss.repeat(batch_size)).mean()
            train_loss += avg_loss.item() / accelerator.gradient_accumulation_steps
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(unet.parameters(), 1.0)
            optimizer.step()
            lr_scheduler.step()
            optimizer.zero_grad()
        if accelerator.sync_gradients:
            ema_unet.step(unet.parameters())
            progress_bar.update(1)
            global_step += 1
            accelerator.log({"train_loss": train_loss}, step=global_step)
        progress_bar.set_postfix(step_loss=loss.detach().item(), lr=lr_scheduler.get_last_lr()[0])


def epochs(loader: Any) -> Any:
    """The loader's batches, over and over."""
    while True:
        yield from loader


if __name__ == "__main__":
    random.seed(0)
    mine = Task.read(Path(sys.argv[1]))
    measured = Meter(mine, Path(sys.argv[2]))
    try:
        main(mine, measured)
    except Enough:
        measured.write()
