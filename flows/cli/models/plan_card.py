"""The lines of `sdflow plan --card`: a training from formulas, for people."""

from typing import TYPE_CHECKING

from stages.units import duration

if TYPE_CHECKING:
    from sdmodel.config.train import TrainConfig
    from stages.forecast.formulas import CardForecast, FormulaForecast


def card_lines(train: "TrainConfig", forecast: "FormulaForecast") -> list[str]:
    """A forecast from formulas for people."""
    whole = sum(forecast.parameters.values())
    parts = ", ".join(f"{name} {number:,}" for name, number in forecast.parameters.items())
    frozen = f"; {whole - forecast.learned:,} of them stay as they are" if forecast.learned < whole else ""
    lines = [
        "from formulas, nothing was measured",
        f"training    {train.objective}, {train.network}, {train.size} pixels, batches of {train.batch}",
        f"parameters  {whole:,}: {parts}{frozen}",
        f"compute     {scaled(forecast.flops)}FLOPs an image, forward and backward",
        optimizer_line(train, pipeline=forecast.pipeline),
        f"memory      weights {forecast.weights:.1f} GB, gradients {forecast.gradients:.1f}, moments "
        f"{forecast.moments:.1f} at most, averages {forecast.averages:.1f}, bf16 copies "
        f"{forecast.constant:.1f}; a row's activations {forecast.row:.3f}, with activation_checkpointing "
        f"{forecast.row_checkpointed:.3f}",
    ]
    for card in forecast.cards:
        lines += _lines(card, forecast)
    return lines + [f"assumed     {words}" for words in forecast.assumed]


def _lines(card: "CardForecast", forecast: "FormulaForecast") -> list[str]:
    title = f"{card.card:<12}"
    if not card.accumulate:
        return [f"{title}{card.memory:g} GB: it does not fit, not even a row with activation_checkpointing"]
    computed = ", activations computed twice" if card.activation_checkpointing else ""
    many = f"{forecast.processes} of them, " if forecast.processes > 1 else ""
    return [
        f"{title}{many}{card.memory:g} GB: {card.rows} rows fit at once (accumulate: {card.accumulate})"
        f"{computed}, and take {card.taken:.1f} GB",
        f"{'':<12}{card.images_per_second:,.1f} images/s, {card.mfu:.1%} of {card.peak:g} TFLOP/s; "
        f"{forecast.images:,} images take {duration(3600 * card.hours)} and cost {card.cost:,.2f} at "
        f"{card.price:,.2f} an hour",
    ]


def optimizer_line(train: "TrainConfig", *, pipeline: bool) -> str:
    """By what and how fast a training learns, for people; pipeline: it starts from one."""
    learning = train.starting(pipeline=pipeline).learning
    rates = f"rate {learning.adam_rate:g}"
    if learning.kind == "muon":
        rates = f"rate {learning.muon_rate:g} of hidden matrices, {learning.adam_rate:g} of the rest"
    return f"optimizer   {learning.kind}, {rates}; weight decay {learning.weight_decay:g}"


def scaled(number: float) -> str:
    """Three figures and the letter of their factor: "2.47 T", "170 G"."""
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if number >= factor:
            return f"{number / factor:.3g} {letter}"
    return f"{number:.3g} "
