"""The self-supervised objective: two views of a picture together, those of different pictures apart (SimCLR,
Chen et al. 2020, arXiv:2002.05709)."""

import dataclasses
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from sdmodel.config.train import TrainConfig
from sdmodel.contrastive.gather import gather
from sdmodel.data.batch import Batch
from sdmodel.selfsupervised import encoder
from sdmodel.selfsupervised.loss import nt_xent
from sdmodel.selfsupervised.views import DRAWS, view
from sdmodel.weights import submodule_weights

HEAD = "head.safetensors"


class SelfSupervised(nn.Module):
    """The encoder, the head that its views are compared behind, and the loss."""

    adamw_layers = ("encoder.conv1.0", "head.2")

    def __init__(self, config: TrainConfig):
        super().__init__()
        self.config = config.selfsupervised
        features = encoder.width(self.config)
        self.encoder = encoder.build(self.config)
        self.head = nn.Sequential(
            nn.Linear(features, features), nn.ReLU(), nn.Linear(features, self.config.embedding)
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """{"selfsupervised": scalar}, over the global batch. ValueError: the stream reads latents."""
        if batch.images.shape[1] != 3:
            raise ValueError(
                f"the selfsupervised objective learns from pixels, and the batch has "
                f"{batch.images.shape[1]} channels: train it without encode"
            )
        u = batch.uniform("views", 2, DRAWS)
        views = torch.cat(
            [view(batch.images, u[:, number], self.config) for number in range(2)]
        )  # (2 B, ...)
        # In float32: in half precision the length of a vector near 0 is 0.
        z = F.normalize(self.head(self.encoder(views)).float(), dim=-1)  # (2 B, D)
        first, second = z.chunk(2)
        return {"selfsupervised": nt_xent(gather(first), gather(second), self.config.temperature)}


class SelfSupervisedObjective:
    """Trains an image encoder; `save` writes it, and the head for trainings that start from it. Captions are
    not used."""

    whole_batch = True
    readers = ()
    sample = None
    enough = None
    players = ()

    def __init__(self, config: TrainConfig):
        self.config = config
        self.modules = SelfSupervised(config)

    @property
    def heavy(self) -> list[nn.Module]:
        """The encoder."""
        return [self.modules.encoder]

    def errors(self, batch: Batch) -> dict[str, Tensor]:
        """The loss, over the batch at hand: smaller batches are easier."""
        losses = self.modules(batch)
        return {name: loss.double() * len(batch) for name, loss in losses.items()}

    def start(self, folder: Path) -> None:
        """Takes encoder and head from a folder that `save` wrote.

        ValueError: it holds another kind or shape of model."""
        saved, expected = (
            {name: getattr(config, name) for name in ("width", "blocks", "embedding")}
            for config in (encoder.read_config(folder), self.config.selfsupervised)
        )
        if saved != expected:
            raise ValueError(
                f"{folder}: holds an encoder of {saved}; the config's selfsupervised asks for {expected}"
            )
        self.modules.encoder.load_state_dict(load_file(folder / encoder.WEIGHTS))
        self.modules.head.load_state_dict(load_file(folder / HEAD))

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Writes encoder.safetensors, head.safetensors and config.json."""
        for part, file in (("encoder.", encoder.WEIGHTS), ("head.", HEAD)):
            save_file(submodule_weights(weights, part), folder / file)
        shape = {"size": self.config.size, "selfsupervised": dataclasses.asdict(self.config.selfsupervised)}
        config = {"kind": encoder.KIND, "model": shape}
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
