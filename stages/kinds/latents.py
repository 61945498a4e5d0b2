"""latents: what encode makes. An autoencoder gives a picture back from its moments, as it stands and
mirrored, and an image encoder's feature maps tell much of it.

States of captions are none of that: captions stay in tables, too.
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from stages.artifacts.artifact import Artifact
from stages.fingerprint import JSON
from stages.kind import Kind, RowTrace, TakenDown, input_name
from stages.takedown.spans import Span, array_row


def _pixels(latents: Artifact, pictures: TakenDown) -> Iterator[Span]:
    for row in pictures.rows(latents, "latents", ["file", "row"]):
        if row["file"]:  # else only captions were encoded
            yield array_row(latents, row["file"], row["row"])
            features = f"features/{PurePosixPath(str(row['file'])).name}"
            if features != row["file"] and features in latents.files:
                yield array_row(latents, features, row["row"])


def _count(latents: Artifact, pictures: TakenDown) -> int:
    return sum(bool(row["file"]) for row in pictures.rows(latents, "latents", ["file"]))


def _settings(latents: Artifact) -> Mapping[str, JSON]:
    inputs = latents.manifest.inputs
    names = {"autoencoder": "autoencoder", "text": "text", "encoder": "encoders.0"}
    return {key: input_name(latents, name) for key, name in names.items() if inputs.get(name)}


LATENTS = Kind(
    name="latents",
    pixels=_pixels,
    purged="its moments and feature maps become zeros, as it stands and mirrored",
    count=_count,
    trace=(RowTrace("latents", "encoded", ("file", "row")),),
    settings=_settings,
    anonymous=("moments/", "features/"),
)
