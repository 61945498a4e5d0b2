"""What a training would take on a GPU that is not here: memory, time and money from formulas, not measured.

Memory is counted from shapes (`sdmodel.train.memory`); time is FLOPs over a share of the GPU's peak that is
assumed (model FLOPs utilisation, MFU); money is time by a price of an hour.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sdmodel.config.train import TrainConfig
from stages.config.run import Run
from stages.forecast.cards import Card

if TYPE_CHECKING:
    from sdmodel.train.memory import MemoryEstimate

GB = 1e9
MFU: Mapping[str, float] = {"dit": 0.35, "unet2d": 0.25, "unet": 0.1}
"""Share of a GPU's peak that the training of a network makes use of; assumed, with its data always there."""
RECOMPUTED = 4 / 3
"""Time of a step with activation checkpointing over that without: a second forward pass to a first one and a
gradient of two."""
CAPTIONS = 512
"""Random captions that a text encoder's tokenizer is learned from."""


@dataclass(frozen=True, kw_only=True)
class CardForecast:
    """A training on GPUs of one kind."""

    card: str
    memory: float
    """GB of one."""
    rows: int
    """Of a batch that one takes at once; 0 where not even one fits."""
    accumulate: int
    """Parts that it takes its share of a batch in."""
    activation_checkpointing: bool
    """Whether activations are computed twice: as the config says, or because nothing fits otherwise."""
    taken: float
    """GB that one takes."""
    peak: float
    """TFLOP/s of one."""
    mfu: float
    """Share of the peak that is assumed, (0, 1]."""
    images_per_second: float
    """Of all processes."""
    hours: float
    """To see all images."""
    price: float
    """Of an hour of one."""
    cost: float
    """Of all hours of all processes."""


@dataclass(frozen=True, kw_only=True)
class FormulaForecast:
    """A training from formulas: nothing of it was measured."""

    parameters: Mapping[str, int]
    """By part of the model; frozen encoders whose results are cached are no parts."""
    learned: int
    flops: float
    """Of an image, forward and backward, without the optimizer's; at the largest size."""
    weights: float
    """GB, as are the following ones: of the whole model."""
    gradients: float
    moments: float
    averages: float
    constant: float
    """Copies of the weights in bfloat16."""
    row: float
    """Activations of a row."""
    row_checkpointed: float
    """The same with activation checkpointing."""
    processes: int
    images: int
    cards: tuple[CardForecast, ...]
    assumed: tuple[str, ...]
    """What was assumed, in sentences."""


def forecast_by_formulas(
    run: Run, cards: Mapping[str, Card], mfu: float | None = None, price: float | None = None
) -> FormulaForecast:
    """A run's training on one process a GPU of each of the cards.

    Args:
        run: its config.
        cards: by the names that the result has for them.
        mfu: share of a card's peak that is made use of, (0, 1]; None: `MFU`.
        price: of an hour of one GPU; None: the config's, else the card's.

    Raises:
        ValueError: the objective or a model is of a kind that no formula here tells the cost of, or the
            config cannot work.
    """
    from sdmodel.diffusion.cost import step_cost
    from sdmodel.diffusion.objective import learned_text
    from sdmodel.train.profile.random_pictures import captions
    from stages.forecast.shapes import shapes_of

    train, shapes = run.train, shapes_of(run)
    learned_along = shapes.captions is None
    words = shapes.captions or learned_text(train, captions(CAPTIONS))
    network = "unet2d" if shapes.unet else train.network
    costs = [
        (
            step_cost(replace(train, size=size), shapes.space, words, unet=shapes.unet, bf16=bf16(train)),
            images,
        )
        for size, images in phases(train)
    ]
    largest = max((cost for cost, _ in costs), key=lambda cost: cost.flops)
    memory, processes = largest.memory, max(1, train.processes)
    share = MFU[network] if mfu is None else mfu
    flops = sum(cost.flops * images for cost, images in costs)
    assumed = [
        f"an MFU of {share:.0%}, with data always there",
        "one process for each GPU" if processes > 1 else "one GPU",
        "a tenth of its memory for temporaries, and 1.1 GB for CUDA",
        *(["captions of 12 random words"] if learned_along else []),
        *shapes.assumed,
    ]
    if price is None and not train.price:
        assumed.append("prices of an hour, which --price or train.price set")
    return FormulaForecast(
        parameters=largest.parameters,
        learned=largest.learned,
        flops=largest.flops,
        weights=memory.weights / GB,
        gradients=memory.gradients / GB,
        moments=memory.moments / GB,
        averages=memory.averages / GB,
        constant=memory.activations.constant / GB,
        row=memory.activations.row / GB,
        row_checkpointed=memory.checkpointed.row / GB,
        processes=processes,
        images=train.images,
        cards=tuple(
            _on(name, card, train, memory, flops, share, train.price / processes if price is None else price)
            for name, card in cards.items()
        ),
        assumed=tuple(assumed),
    )


def phases(train: TrainConfig) -> list[tuple[int, int]]:
    """(pixels to a side, images) of a training, one after the other."""
    return [(train.size, train.images)]


def bf16(train: TrainConfig) -> bool:
    """Whether a GPU computes in bfloat16."""
    return train.precision != "fp32"


def _on(
    name: str,
    card: Card,
    train: TrainConfig,
    memory: "MemoryEstimate",
    flops: float,
    mfu: float,
    price: float,
) -> CardForecast:
    """flops: of all images. price: of an hour of one GPU; 0: the card's."""
    from sdmodel.train.speed import PEAKS

    processes = max(1, train.processes)
    batch = max(1, train.batch // processes)
    shared = memory.shared(processes) if train.fsdp else memory
    checkpointing = train.activation_checkpointing
    rows = shared.rows(card.memory * GB, checkpointing=checkpointing)
    if not rows and not checkpointing:
        checkpointing = True
        rows = shared.rows(card.memory * GB, checkpointing=True)
    accumulate = next(
        (parts for parts in range(1, batch + 1) if batch % parts == 0 and batch <= parts * rows), 0
    )
    rows = batch // accumulate if accumulate else 0
    peak = PEAKS[card.title][0 if bf16(train) else 1]
    speed = peak * 1e12 * mfu * processes / (flops / train.images) / (RECOMPUTED if checkpointing else 1)
    hours = train.images / speed / 3600
    return CardForecast(
        card=name,
        memory=card.memory,
        rows=rows,
        accumulate=accumulate,
        activation_checkpointing=checkpointing,
        taken=shared.total(rows, checkpointing=checkpointing) / GB,
        peak=peak,
        mfu=mfu,
        images_per_second=speed,
        hours=hours,
        price=price or card.price,
        cost=hours * processes * (price or card.price),
    )
