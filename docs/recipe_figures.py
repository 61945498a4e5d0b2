"""Writes what `sdflow plan --card` says of the recipes into README.md and into their own first lines.

    python docs/recipe_figures.py

A test says when they are old.
"""

import re
from pathlib import Path

from flows.config.file import read_run
from stages.forecast.cards import card_of
from stages.forecast.formulas import CardForecast, FormulaForecast, forecast_by_formulas
from stages.units import duration

ROOT = Path(__file__).parents[1]
RECIPES = {
    "ddpm": "a DDPM from nothing, 32 pixels: linear schedule, noise predicted, ancestral sampling",
    "pixel-128": "pixels without an autoencoder, 32, 64 and 128 pixels in stages; fit for two CPU cores",
    "sd15-lora": "low-rank changes to Stable Diffusion 1.5, 512 pixels",
    "sd15-finetune": "Stable Diffusion 1.5 taught on whole, 512 pixels",
    "dit-b": "DiT-B/2 from nothing in latents, 256 pixels",
    "dit-xl": "DiT-XL/2 from nothing in latents, 256 pixels",
}
CARDS = {"rtx4090": "24 GB card (RTX 4090)", "h200": "H200"}
BEGIN, END = "<!-- figures of the recipes -->", "<!-- end -->"
HEAD = "# By formulas, nothing of it measured:"


def forecast(name: str) -> FormulaForecast:
    """A recipe's, on both cards."""
    run = read_run(ROOT / f"examples/{name}.yaml")
    return forecast_by_formulas(run, {card: card_of(card) for card in CARDS})


def table(forecasts: dict[str, FormulaForecast]) -> str:
    """README's table of the recipes."""
    lines = [f"| recipe | | {' | '.join(CARDS.values())} |", "|---|---|---|---|"]
    for name, words in RECIPES.items():
        cells = [cell(card) for card in forecasts[name].cards]
        lines.append(f"| [`{name}`](examples/{name}.yaml) | {words} | {' | '.join(cells)} |")
    return "\n".join([BEGIN, "", *lines, "", END])


def cell(card: CardForecast) -> str:
    """Memory, time and cost."""
    return f"{card.taken:.1f} GB, {duration(3600 * card.hours)}, ${card.cost:,.2f}"


def head(plan: FormulaForecast) -> list[str]:
    """The lines of a recipe that say what it takes."""
    lines = [
        f"#   {CARDS[card.card]}: {card.rows} of the batch's rows at once in {card.taken:.1f} GB, "
        f"{card.images_per_second:,.0f} images/s, {duration(3600 * card.hours)}, ${card.cost:,.2f}"
        for card in plan.cards
    ]
    return [HEAD, *lines]


def with_head(text: str, plan: FormulaForecast) -> str:
    """A recipe's text with those lines as the last ones before its first key."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    old = lines.index(HEAD) if HEAD in lines else first
    return "\n".join([*lines[:old], *head(plan), *lines[first:]]) + "\n"


def with_table(page: str, forecasts: dict[str, FormulaForecast]) -> str:
    """README with the table."""
    return re.sub(f"{BEGIN}.*?{END}", lambda _: table(forecasts), page, flags=re.DOTALL)


def main() -> None:
    """Write all."""
    forecasts = {name: forecast(name) for name in RECIPES}
    for name, plan in forecasts.items():
        path = ROOT / f"examples/{name}.yaml"
        path.write_text(with_head(path.read_text(), plan))
    page = ROOT / "README.md"
    page.write_text(with_table(page.read_text(), forecasts))


if __name__ == "__main__":
    main()
