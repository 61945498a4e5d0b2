"""What `sdflow generate` does with a model that reads no captions."""

import tempfile
from pathlib import Path

from flows.cli.models.prompts import Destination
from flows.cli.store.listing import print_lines
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import resolve
from stages.store import Store

KIND = "gan"
"""Objective of such models."""


def generator_in(store: Store, name: str) -> Artifact | None:
    """The model that a reference names, if it is of that kind. ValueError: there is nothing of the name."""
    artifact = resolve(store, name)
    drawn_alone = artifact.kind == "model" and artifact.statistics.get("objective") == KIND
    return artifact if drawn_alone else None


def check_options(name: str, is_sampled: bool, size: str, autoguidance: str) -> None:
    """ValueError: something is asked that such a model does not read. is_sampled: how to sample is."""
    given = {"how to sample": is_sampled, "--size": size, "--autoguidance": autoguidance}
    if surplus := [option for option, value in given.items() if value]:
        raise ValueError(f"{name} draws of seeds alone, in one pass; leave {' and '.join(surplus)} out")


def draw_unconditional(
    artifact: Artifact, name: str, seeds: list[int], destination: Destination, device: str
) -> None:
    """Draws a picture for each seed and says where they are. name: that it was asked for by."""
    from flows.run.terminal import Terminal
    from stages.report.grid import Prompts
    from stages.report.unconditional import GeneratorArtist

    with tempfile.TemporaryDirectory() as folder, Terminal().late("generate") as progress:
        laid = artifact.lay("model/", Path(folder, "model"))
        drawing = GeneratorArtist(laid, f"{name} {artifact.short_name}", device)
        paths = destination.write(drawing, Prompts(captions=[""], seeds=seeds), progress)
    print_lines(map(str, paths))
