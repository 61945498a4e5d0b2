"""latents: what encode makes. An autoencoder gives a picture back from its moments, as it stands and
mirrored.

States of captions are none of that: captions stay in tables, too.
"""

from collections.abc import Iterator, Mapping

from stages.artifacts.artifact import Artifact
from stages.fingerprint import JSON
from stages.kind import Kind, RowTrace, TakenDown, input_name
from stages.takedown.spans import Span, array_row


def _pixels(latents: Artifact, pictures: TakenDown) -> Iterator[Span]:
    for row in pictures.rows(latents, "latents", ["file", "row"]):
        if row["file"]:  # else only captions were encoded
            yield array_row(latents, row["file"], row["row"])


def _count(latents: Artifact, pictures: TakenDown) -> int:
    return sum(bool(row["file"]) for row in pictures.rows(latents, "latents", ["file"]))


def _settings(latents: Artifact) -> Mapping[str, JSON]:
    inputs = latents.manifest.inputs
    return {name: input_name(latents, name) for name in ("autoencoder", "text") if inputs.get(name)}


LATENTS = Kind(
    name="latents",
    pixels=_pixels,
    purged="its moments become zeros, as it stands and mirrored",
    count=_count,
    trace=(RowTrace("latents", "encoded", ("file", "row")),),
    settings=_settings,
    anonymous=("moments/",),
)
