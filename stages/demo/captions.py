"""Captions of the demo world: many ways to say the same, and the way back from words to attributes."""

import re
from dataclasses import asdict

from stages.demo.world import ATTRIBUTES, VALUES, Attributes, draw_attributes, held_out

__all__ = [
    "NOVEL_PHRASINGS",
    "TRAINING_PHRASINGS",
    "caption",
    "held_out",
    "parse",
    "phrase",
    "unseen",
]

TRAINING_PHRASINGS: tuple[str, ...] = (
    "a {size} {colour} {shape} in the {position} on a {background} background",
    "{size} {colour} {shape}, {position}, {background} background",
    "a picture of a {colour} {shape}, {size}, in the {position}, over a {background} background",
    "a {background} background with a {size} {colour} {shape} in the {position}",
    "in the {position} of a {background} background, a {size} {colour} {shape}",
    "the {shape} is {colour} and {size}, in the {position}; the background is {background}",
    "there is a {colour} {shape} of {size} size at the {position} of this {background} picture",
    "{background} background, {colour} {shape}, {size}, {position}",
    "a {shape} that is {size} and {colour}, at the {position} of a {background} picture",
    "at the {position} there is a {shape}, {colour} and {size}; {background} background",
    "this picture shows a {size} {shape} in {colour} on a {background} background, {position}",
    "the background is {background}, and on it, {position}, is a {colour} {size} {shape}",
)
"""What training captions look like; every word of NOVEL_PHRASINGS is among their words."""

NOVEL_PHRASINGS: tuple[str, ...] = (
    "in the {position} is a {size} {shape} that is {colour}, on a {background} background",
    "a {background} picture with a {colour} {shape} of {size} size in the {position}",
    "{colour} {shape} at the {position}, {size}, the background is {background}",
    "this is a picture of a {shape}: {size}, {colour}, {position}, and {background} background",
)
"""Never used in training: they ask whether a model has learned the words or the sentences."""


def phrase(attributes: Attributes, template: str) -> str:
    """`template` with the attributes' words in their places, and "an" before vowels."""
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", template.format(**asdict(attributes)))


def caption(attributes: Attributes, phrasing: int) -> str:
    """The caption of these attributes in phrasing number `phrasing`: training's first, then novel ones."""
    phrasings = TRAINING_PHRASINGS + NOVEL_PHRASINGS
    if not 0 <= phrasing < len(phrasings):
        raise ValueError(f"phrasing={phrasing}: the demo world has phrasings 0 to {len(phrasings) - 1}")
    return phrase(attributes, phrasings[phrasing])


_WORDS = {
    name: re.compile(r"\b(" + "|".join(sorted(values, key=len, reverse=True)) + r")\b")
    for name, values in VALUES.items()
}


def parse(caption: str) -> Attributes | None:
    """The attributes that a caption names; None where it names none or two values of some attribute."""
    values_by_name = {name: set(pattern.findall(caption.lower())) for name, pattern in _WORDS.items()}
    if any(len(values_by_name[name]) != 1 for name in ATTRIBUTES):
        return None
    return Attributes(**{name: values.pop() for name, values in values_by_name.items()})


def unseen(n: int, seed: int) -> list[tuple[str, Attributes]]:
    """`n` captions in novel phrasings of combinations kept from training; the same for the same seed."""
    drawn = [draw_attributes(seed, index, unseen=True) for index in range(n)]
    return [(phrase(each, NOVEL_PHRASINGS[i % len(NOVEL_PHRASINGS)]), each) for i, each in enumerate(drawn)]
