"""GPUs by name, for plans from formulas: memory, speed and price of an hour."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """A GPU."""

    title: str
    """As people say it, and a key of `sdmodel.train.speed.PEAKS`."""
    memory: float
    """GB (1e9 bytes)."""
    price: float
    """US dollars of an hour, assumed: what renting one cost about, in autumn 2026, no offer of anybody's."""


CARDS = {
    "a10": Card("A10", 24, 0.60),
    "a100": Card("A100", 80, 1.60),
    "h100": Card("H100", 80, 2.60),
    "h200": Card("H200", 141, 3.50),
    "l4": Card("L4", 24, 0.60),
    "l40s": Card("L40S", 48, 1.00),
    "rtx3090": Card("RTX 3090", 24, 0.25),
    "rtx4090": Card("RTX 4090", 24, 0.40),
    "rtx5090": Card("RTX 5090", 32, 0.60),
}
"""Memory by the makers' data sheets."""


def card_of(name: str) -> Card:
    """ValueError: no such card is known; says which are."""
    plain = name.lower().replace(" ", "").replace("-", "").replace("_", "")
    if plain not in CARDS:
        raise ValueError(f"--card {name!r} is not known; take one of {', '.join(CARDS)}")
    return CARDS[plain]
