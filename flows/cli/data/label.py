"""`sdflow label`: classes of pictures that have none, as an image encoder tells them."""

from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption, open_to_read
from sdmodel.config.limits import Device


def label(
    model: Annotated[
        str, Parameter(help="Image encoder that sees: reference (models/eyes) or start of a fingerprint.")
    ],
    dataset: Annotated[str, Parameter(help="Whose pictures: reference (datasets/birds) or likewise.")],
    /,
    *,
    column: Annotated[str, Parameter(help="Column of the dataset with a class of some pictures.")],
    device: Annotated[Device, Parameter(help="Where to compute.")] = "auto",
    name: Annotated[str, Parameter(help="File it under labels/NAME; else DATASET-COLUMN.")] = "",
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Tell the classes of pictures that have none from those that have one (pseudo-labels).

    A linear probe on the features of an image encoder that learned without labels. Says how many of the
    validation split's labels it tells right, and how many of those that it is sure of. A training takes them
    from a confidence on: `train.conditions.columns: [{column: species, pseudo: {labels:
    labels/birds-species}}]`.

    **Examples**

    ```
    sdflow label models/eyes datasets/birds --column species
    sdflow label models/eyes datasets/birds --column species --json | jq .statistics.sure
    ```
    """
    from flows.cli.store.listing import print_manifest
    from flows.run.local import run_alone
    from flows.step import Step
    from stages.artifacts.reference import resolve
    from stages.config.label import LabelConfig
    from stages.label import label as stage

    config = LabelConfig(column=column, device=device)
    opened = open_to_read(store)
    read = [resolve(opened, dataset), resolve(opened, model)]
    if read[0].kind != "dataset":
        raise ValueError(f"{dataset} is no dataset but {read[0].kind}; `sdflow ls` shows datasets")
    step = Step(stage, ("shard", "train"))
    print_manifest(run_alone(step, store, name or _name(dataset, column), config, read), as_json=json)


def _name(dataset: str, column: str) -> str:
    """The dataset's own name and the column's. ValueError: it is named by its fingerprint."""
    name = dataset.partition("@")[0]
    if not name.startswith("datasets/"):
        raise ValueError(
            f"{dataset} is no reference of a dataset; say with --name what its labels are called"
        )
    return f"{name.removeprefix('datasets/')}-{column}"
