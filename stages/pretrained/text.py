"""What text encoders start from: ours, or a folder in transformers' layout; and tables of labels."""

from collections.abc import Mapping
from pathlib import Path
from re import compile

from sdmodel.config.train import TrainConfig
from sdmodel.variant import weight_names
from stages.artifacts.artifact import Artifact, Snapshot
from stages.artifacts.reference import resolve
from stages.pretrained.files import snapshot_of
from stages.store import Store

FILES = compile(
    r"(config|open_clip_config|tokenizer.*|special_tokens_map|vocab|added_tokens)\.json|(merges|vocab)\.txt|"
    r".*\.model"
)
"""Files beside the weights of a text encoder, and of its tokenizer, that count."""
TABLE = "clusters.parquet"
"""The table of an artifact of cluster."""
OWN = "model/text/0/"
"""Where a text-to-image model keeps its first text encoder."""
INSIDE = ("text_encoder", "tokenizer")
"""Where a pipeline's folder keeps them."""


def text_inputs(store: Store, config: TrainConfig) -> tuple[Snapshot | Artifact | None, ...]:
    """What `start` of `config.text` and of each of `config.texts` names, as an input of train; none at all
    where none names anything.

    ValueError: it is neither a folder of a text encoder nor one of our models."""
    starts = [text.start for text in (config.text, *config.texts)]
    return tuple(encoder_input(store, start) for start in starts) if any(starts) else ()


def text_folders(
    texts: tuple[Snapshot | Artifact | None, ...], config: TrainConfig, folder: Path
) -> list[Path | None]:
    """Where each lies: its own folder, or links to it below `folder`.

    texts: `text_inputs(store, config)`. ValueError: what is in a folder has changed since."""
    folders: list[Path | None] = []
    for number, (encoder, text) in enumerate(zip(texts, (config.text, *config.texts), strict=bool(texts))):
        if isinstance(encoder, Artifact):
            place = OWN if f"{OWN}config.json" in encoder.files else "model/"
            folders.append(encoder.lay(place, folder / str(number)))
        elif encoder is None:
            folders.append(None)
        elif snapshot_of(text_files(Path(text.start))).digest != encoder.digest:
            raise ValueError(
                f"text.start={text.start!r} has changed since it was looked at; start the run again"
            )
        else:
            folders.append(Path(text.start).resolve())
    return folders


def labels_input(store: Store, config: TrainConfig) -> Artifact | None:
    """What `pretrain.clusters` names, as an input of train. ValueError: it is no table of clusters."""
    name = config.pretrain.clusters
    if not name:
        return None
    try:
        clusters = resolve(store, name)
    except ValueError as error:
        raise ValueError(f"pretrain.clusters={name!r}: {error}") from error
    if TABLE not in clusters.files:
        raise ValueError(
            f"pretrain.clusters={name!r} is no table of clusters but one of {clusters.stage}; "
            "`sdflow cluster` makes one"
        )
    return clusters


def text_files(folder: Path) -> Mapping[str, Path]:
    """Files of a text encoder in transformers' layout, of one of ours, or of the two folders in a pipeline's.

    ValueError: it holds none."""
    places = [folder / part for part in INSIDE if (folder / part).is_dir()] or [folder]
    files = {
        path.relative_to(folder).as_posix(): path
        for place in places
        for path in sorted(place.iterdir())
        if FILES.fullmatch(path.name) or path.name in weight_names(place)
    }
    if not any(name.endswith("config.json") for name in files) or not any(
        name.endswith(".safetensors") for name in files
    ):
        raise ValueError(
            f"text.start={str(folder)!r}: a text encoder's folder has config.json and *.safetensors; our own "
            "go by reference, models/NAME@latest"
        )
    return files


def encoder_input(store: Store, text: str) -> Snapshot | Artifact | None:
    """What `start` of one text encoder names, as an input of train; None where it names nothing.

    ValueError: it is neither a folder of a text encoder nor one of our models."""
    if not text:
        return None
    if Path(text).is_dir():
        return snapshot_of(text_files(Path(text)))
    try:
        model = resolve(store, text)
    except ValueError as error:
        raise ValueError(f"text.start={text!r} is no folder here, and {error}") from error
    if f"{OWN}config.json" in model.files:
        return model
    config = model.json("model/config.json") if "model/config.json" in model.files else {}
    if not (
        config.get("kind") == "text" or "model_type" in config or "model/open_clip_config.json" in model.files
    ):
        raise ValueError(
            f"text.start={text!r} is no text encoder; name a model that train made with objective text, with "
            'diffusion and an encoder of its own, or for kind "clip" with contrastive'
        )
    return model
