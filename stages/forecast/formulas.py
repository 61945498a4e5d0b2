"""What a training would take on a GPU that is not here: memory, time and money from formulas, not measured.

Memory is counted from shapes (`sdmodel.train.memory`); time is FLOPs over a share of the GPU's peak that is
assumed (model FLOPs utilisation, MFU), but no less than its operations take to start; money is time by a
price of an hour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sdmodel.config.sizes import images_left
from sdmodel.config.train import TrainConfig
from stages.config.run import Run
from stages.forecast.cards import Card

if TYPE_CHECKING:
    from sdmodel.diffusion.cost import StepCost

GB = 1e9
MFU: Mapping[str, float] = {"dit": 0.35, "unet2d": 0.25, "unet": 0.1}
"""Share of a GPU's peak that the training of a network makes use of; assumed, with its data always there."""
LAUNCH = 1e-5
"""Seconds in which a CPU starts an operation on a GPU; assumed. Small models take no less than their
operations times this."""
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
    """Share of the peak that this comes to, (0, 1]: less than is assumed where operations are computed twice,
    or take longer to start."""
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
    """Still to be seen."""
    pipeline: bool
    """Whether the training starts from one in the layout of Stable Diffusion."""
    cards: tuple[CardForecast, ...]
    assumed: tuple[str, ...]
    """What was assumed, in sentences."""


def forecast_by_formulas(
    run: Run,
    cards: Mapping[str, Card],
    mfu: float | None = None,
    price: float | None = None,
    seen: int = 0,
) -> FormulaForecast:
    """A run's training on one process a GPU of each of the cards.

    Args:
        run: its config.
        cards: by the names that the result has for them.
        mfu: share of a card's peak that is made use of, (0, 1]; None: `MFU`.
        price: of an hour of one GPU; None: the config's, else the card's.
        seen: images that the model has seen whose state the training goes on with; the others cost.

    Raises:
        ValueError: the objective or a model is of a kind that no formula here tells the cost of, or the
            config cannot work.
    """
    from sdmodel.diffusion.cost import step_cost
    from sdmodel.diffusion.objective import learned_text
    from sdmodel.train.profile.random_pictures import captions
    from stages.forecast.shapes import shapes_of

    shapes = shapes_of(run)
    train = run.train.starting(pipeline=shapes.pipeline)
    learned_along = shapes.captions is None
    words = shapes.captions or learned_text(train, captions(CAPTIONS))
    network = "unet2d" if shapes.unet else train.network
    mixed = train.precision != "fp32"
    costs: list[tuple[StepCost, int]] = []
    maps = train.stages[0][0] // shapes.space.factor  # learned at the first size, resized at others
    for size, images in images_left(train.stages, seen) or [(train.size, 1)]:
        stage = replace(train, size=size, sizes=(), images=images)
        cost = step_cost(stage, shapes.space, words, unet=shapes.unet, maps=maps, bf16=mixed)
        costs.append((cost, images))
    largest = max((cost for cost, _ in costs), key=lambda cost: cost.flops)
    memory, processes = largest.memory, max(1, train.processes)
    share = MFU[network] if mfu is None else mfu
    hourly = train.price / processes if price is None else price
    assumed = [
        f"an MFU of {share:.0%}, with data always there",
        "10 microseconds to start each operation",
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
        images=train.images - seen,
        pipeline=shapes.pipeline,
        cards=tuple(_on(name, card, train, costs, share, hourly) for name, card in cards.items()),
        assumed=tuple(assumed),
    )


def _on(
    name: str,
    card: Card,
    train: TrainConfig,
    costs: Sequence["tuple[StepCost, int]"],
    mfu: float,
    price: float,
) -> CardForecast:
    """costs: of each size, and the images seen at it. price: of an hour of one GPU; 0: the card's."""
    from sdmodel.train.speed import PEAKS

    memory = max((cost for cost, _ in costs), key=lambda cost: cost.flops).memory
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
    peak = PEAKS[card.title][0 if train.precision != "fp32" else 1]
    seconds = 0.0
    for cost, images in costs:
        computing = cost.flops / (peak * 1e12 * mfu)
        starting = cost.kernels * LAUNCH * max(1, accumulate) / batch
        seconds += images * max(computing, starting) / processes
    seconds *= RECOMPUTED if checkpointing else 1
    hours = seconds / 3600
    return CardForecast(
        card=name,
        memory=card.memory,
        rows=rows,
        accumulate=accumulate,
        activation_checkpointing=checkpointing,
        taken=shared.total(rows, checkpointing=checkpointing) / GB,
        peak=peak,
        mfu=sum(cost.flops * images for cost, images in costs) / seconds / processes / (peak * 1e12),
        images_per_second=sum(images for _, images in costs) / seconds,
        hours=hours,
        price=price or card.price,
        cost=hours * processes * (price or card.price),
    )
