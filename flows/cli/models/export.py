"""`sdflow export`: the files of a result in a folder of their own."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, StoreOption, open_to_read


def export(
    what: Annotated[str, Parameter(help="Reference (models/demo) or the first digits of a fingerprint.")],
    folder: Annotated[Path, Parameter(help="Folder to write to; new or empty.")],
    /,
    *,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Copy a result's files into a folder: of a model its model folder, of anything else all.

    A store keeps each file by itself. Other tools (diffusers, open_clip, peft, WebDataset) want a folder.

    **Examples**

    ```
    sdflow export models/birds birds-model         # config.json, model.safetensors, ...
    sdflow export datasets/birds@3 birds-dataset   # index.parquet, shards/*.tar
    ```
    """
    import shutil

    from flows.run.terminal import Terminal
    from stages.artifacts.reference import resolve
    from stages.errors import DamagedError
    from stages.fingerprint import sha256_of

    artifact = resolve(open_to_read(store), what)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} holds something already; name a new or empty folder")
    prefix = "model/" if artifact.names("model/") else ""
    names = artifact.names(prefix)
    for name in names:
        target = folder / name.removeprefix(prefix)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artifact.path(name), target)
        if sha256_of(target) != artifact.entry(name).sha256:
            raise DamagedError(f"{name} is damaged in the store; `sdflow verify` names what is")
    artifact_id = artifact.short_name
    Terminal().log(f"{len(names)} files of {artifact_id} are in {folder}")
