"""`sdflow export`: the files of a result in a folder of their own, or a model as diffusers lays one out."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, StoreOption, open_to_read
from stages.artifacts.artifact import Artifact

MODEL = "model/"
CARD = "README.md"


def export(
    what: Annotated[str, Parameter(help="Reference (models/demo) or the first digits of a fingerprint.")],
    folder: Annotated[Path, Parameter(help="Folder to write to; new or empty.")],
    /,
    *,
    to: Annotated[
        Literal["diffusers"] | None,
        Parameter(help="diffusers: a pipeline that stock diffusers loads, of a LoRA kept apart its files."),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Copy a result's files into a folder: of a model its model folder, and a README.md about it (a model
    card), of anything else all.

    A store keeps each file by itself. Other tools (diffusers, open_clip, peft, WebDataset) want a folder.

    **Examples**

    ```
    sdflow export models/birds birds-model         # config.json, model.safetensors, ...
    sdflow export models/birds birds-pipeline --to diffusers  # unet/, vae/, text_encoder/, ...
    sdflow export datasets/birds@3 birds-dataset   # index.parquet, shards/*.tar
    ```
    """
    from flows.run.terminal import Terminal
    from stages.artifacts.reference import resolve

    artifact = resolve(open_to_read(store), what)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"{folder} holds something already; name a new or empty folder")
    with _appearing_whole(folder) as unfinished:
        files = _copy(artifact, unfinished) if to is None else _to_diffusers(artifact, unfinished)
        if artifact.kind == "model":
            files += _describe(artifact, unfinished, to)
    Terminal().log(f"{files} files of {artifact.short_name} are in {folder}")


@contextmanager
def _appearing_whole(folder: Path) -> Generator[Path]:
    """A folder beside another, whose content becomes the other's when the block ends: what is interrupted
    leaves nothing that looks finished."""
    import shutil
    from uuid import uuid4

    unfinished = folder.resolve().with_name(f".{folder.resolve().name}-{uuid4().hex[:8]}")
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        if folder.exists():  # and empty
            for entry in unfinished.iterdir():
                entry.rename(folder / entry.name)
        else:
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _copy(artifact: Artifact, folder: Path) -> int:
    """Copies files as they are; returns how many. DamagedError: one is not what it was."""
    import shutil

    from stages.errors import DamagedError
    from stages.fingerprint import sha256_of

    prefix = MODEL if artifact.names(MODEL) else ""
    names = artifact.names(prefix)
    for name in names:
        target = folder / name.removeprefix(prefix)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artifact.path(name), target)
        if sha256_of(target) != artifact.entry(name).sha256:
            raise DamagedError(f"{name} is damaged in the store; `sdflow verify` names what is")
    return len(names)


def _to_diffusers(artifact: Artifact, folder: Path) -> int:
    """Writes what stock diffusers loads; returns how many files. ValueError: diffusers has no such model."""
    from tempfile import TemporaryDirectory

    if f"{MODEL}config.json" not in artifact.files:
        raise ValueError(f"{artifact.short_name} is no model; leave --to out to copy its files")
    import diffusers
    import transformers

    from sdmodel.export.lora import export_lora, has_adapter
    from sdmodel.export.pipeline import export_pipeline

    diffusers.utils.logging.disable_progress_bar()  # pyright: ignore[reportAttributeAccessIssue]
    transformers.utils.logging.disable_progress_bar()
    with TemporaryDirectory() as copied:
        model = Path(copied)
        _copy(artifact, model)
        write = export_lora if has_adapter(model) else export_pipeline
        return len(write(model, folder))


def _describe(artifact: Artifact, folder: Path, to: Literal["diffusers"] | None) -> int:
    """Writes the card of a model beside it; returns how many files."""
    from stages.report.model_card import model_card

    layout = "ours" if to is None else "diffusers" if (folder / "model_index.json").exists() else "lora"
    (folder / CARD).write_text(model_card(artifact, layout=layout))
    return 1
