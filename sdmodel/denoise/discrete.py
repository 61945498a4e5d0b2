"""A denoiser that learned on discrete timesteps, as Stable Diffusion's did, behind ours.

It knows arrays x = alpha x_0 + sigma eps with alpha^2 + sigma^2 = 1 (variance preserving) at T steps, and
predicts the noise, the velocity or the clean array. Ours are x_t = t x_0 + (1 - t) eps: the same up to a
factor where alpha : sigma is t : 1 - t.
"""

from typing import Any

import torch
from torch import Tensor, nn

from sdmodel.condition import Condition
from sdmodel.denoise.augmentation_condition import AugmentationCondition
from sdmodel.denoise.unet2d import levels
from sdmodel.noise.interpolation import expand

PREDICTIONS = ("epsilon", "v_prediction", "sample")
CONDITIONS = (
    "addition_embed_type",
    "class_embed_type",
    "encoder_hid_dim",
    "num_class_embeds",
    "time_cond_proj_dim",
)
"""Keys of a UNet's config that ask for conditions besides time and caption."""


class DiscreteDenoiser(nn.Module):
    """diffusers' UNet2DConditionModel with the timesteps and the prediction that it was taught.

    Its further conditions, the pooled caption and how pictures were moved, change nothing at first.
    """

    def __init__(
        self,
        unet: dict[str, Any],
        schedule: dict[str, Any],
        pooled_width: int,
        *,
        augment: bool = False,
        padded: bool = False,
    ) -> None:
        """Args:
        unet: unet/config.json of its folder.
        schedule: scheduler/scheduler_config.json.
        pooled_width: P of `Condition`.
        augment: whether how pictures were moved is a condition.
        padded: whether captions have tokens that are not to be attended to.

        ValueError: it needs other conditions, or predicts something else."""
        # Only who has such a denoiser waits for it: it takes seconds to import.
        from diffusers import DDPMScheduler, UNet2DConditionModel  # pyright: ignore[reportPrivateImportUsage]

        super().__init__()
        check_unet(unet, schedule)
        self._configs = {"unet": unet, "schedule": schedule}
        self.padded = padded
        self.unet: Any = UNet2DConditionModel.from_config({**unet, "class_embed_type": "identity"})
        width = 4 * unet["block_out_channels"][0]  # of its embedding of the time
        self.caption = nn.Linear(pooled_width, width)
        nn.init.zeros_(self.caption.weight)
        nn.init.zeros_(self.caption.bias)
        self.augmentation = AugmentationCondition(width) if augment else None
        scheduler: Any = DDPMScheduler.from_config(schedule)
        self.prediction: str = scheduler.config.prediction_type
        alphas_cumprod = scheduler.alphas_cumprod.double().clamp(1e-8, 1 - 1e-8)  # (T,)
        # log (alpha / sigma), rising: from the last timestep, the noisiest, to the first.
        self.register_buffer("odds", (torch.logit(alphas_cumprod) / 2).flip(0).float(), persistent=False)
        self.odds: Tensor

    @property
    def heavy(self) -> list[nn.Module]:
        """Its levels."""
        return levels(self.unet)

    def configs(self) -> dict[str, Any]:
        """The configs that it is built from, as JSON."""
        return dict(self._configs)

    def forward(
        self, x_t: Tensor, t: Tensor, condition: Condition, augmented: Tensor | None = None
    ) -> Tensor:
        """(B, C, H, W) at times t (B,) to the estimate of the clean arrays (B, C, H, W), float32.

        augmented: (B, 9), how the pictures were moved; None is not at all."""
        odds = self._odds(t)
        alpha, sigma = (
            expand(part.sqrt(), x_t) for part in (torch.sigmoid(2 * odds), torch.sigmoid(-2 * odds))
        )
        x = x_t * expand(torch.rsqrt(t**2 + (1 - t) ** 2), x_t)
        embedding = self.caption(condition.pooled)
        if self.augmentation is not None:
            embedding = self.augmentation(embedding, augmented)
        prediction: Tensor = self.unet(
            x,
            self.timestep(t),
            condition.states,
            class_labels=embedding,  # added to the embedding of the time
            encoder_attention_mask=condition.mask if self.padded else None,
            return_dict=False,
        )[0].float()
        if self.prediction == "epsilon":
            return (x - sigma * prediction) / alpha
        return alpha * x - sigma * prediction if self.prediction == "v_prediction" else prediction

    def timestep(self, t: Tensor) -> Tensor:
        """The timestep, a fraction in [0, T - 1], whose alpha : sigma is t : 1 - t, for t (B,)."""
        odds, steps = self._odds(t), len(self.odds)
        right = torch.searchsorted(self.odds, odds.contiguous()).clamp(1, steps - 1)
        left = self.odds[right - 1]
        return steps - right - (odds - left) / (self.odds[right] - left)

    def weight(self, t: Tensor) -> Tensor:
        """(B,): factors on the squared error of the clean arrays, for t (B,).

        An error of the noise is sigma / alpha times as large in the clean array, which at noisy times would
        drown all others: there the noise's error counts, elsewhere the array's."""
        if self.prediction != "epsilon":
            return torch.ones_like(t)
        return (2 * self._odds(t)).exp().clamp(max=1)

    def _odds(self, t: Tensor) -> Tensor:
        """log (alpha / sigma) at t (B,), within what the schedule has."""
        return torch.logit(t.float()).clamp(self.odds[0], self.odds[-1])


def check_unet(unet: dict[str, Any], schedule: dict[str, Any]) -> None:
    """ValueError: a UNet asks for other conditions than time and caption, or it predicts something else."""
    if kind := next((key for key in CONDITIONS if unet.get(key) is not None), None):
        raise ValueError(
            f"a UNet with {kind}={unet[kind]!r} needs more conditions than time and caption; take one in the "
            "layout of Stable Diffusion 1 or 2"
        )
    if unet["in_channels"] != unet["out_channels"]:
        raise ValueError(
            f"a UNet from {unet['in_channels']} to {unet['out_channels']} channels sees more than a noisy "
            "array (inpainting?); take one whose in_channels are its out_channels"
        )
    prediction = schedule.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise ValueError(f"prediction_type={prediction!r}; {', '.join(PREDICTIONS)} are known")
