"""`sdflow cluster`: pictures by what an encoder says of their captions."""

from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption, open_to_read


def cluster(
    model: Annotated[
        str, Parameter(help="Whose text encoder reads: reference (models/words) or start of a fingerprint.")
    ],
    dataset: Annotated[str, Parameter(help="Whose captions: reference (datasets/birds) or likewise.")],
    /,
    *,
    clusters: Annotated[int, Parameter(help="How many.")] = 12,
    seeds: Annotated[int, Parameter(help="Runs from different starts; the best is kept.")] = 3,
    column: Annotated[
        str, Parameter(help="Column of the dataset with a class of each picture, to compare them to.")
    ] = "",
    device: Annotated[str, Parameter(help='"cpu", "cuda" or "auto".')] = "auto",
    name: Annotated[str, Parameter(help="File it under clusters/NAME; else the dataset's own name.")] = "",
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Put a dataset's pictures into clusters of captions that a text encoder takes for alike.

    Says how far to believe them: whether runs from other starts and on half of the pictures find the same
    ones, and how pure they are where a column holds classes. They serve as labels to learn from:
    `--set train.pretrain.clusters=clusters/birds --set train.pretrain.labels=1`.

    **Examples**

    ```
    sdflow cluster models/words datasets/birds --clusters 20
    sdflow cluster models/birds datasets/birds --column species --json | jq .statistics.purity
    ```
    """
    from flows.cli.store.listing import print_manifest
    from flows.run.local import run_alone
    from flows.step import Step
    from stages.artifacts.reference import resolve
    from stages.cluster import cluster as stage
    from stages.config.cluster import ClusterConfig

    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f'--device {device!r}: "cpu", "cuda" and "auto" are known')
    config = ClusterConfig(clusters=clusters, seeds=seeds, column=column, device=device)
    opened = open_to_read(store)
    read = [resolve(opened, dataset), resolve(opened, model)]
    if read[0].kind != "dataset":
        raise ValueError(f"{dataset} is no dataset but {read[0].kind}; `sdflow ls` shows datasets")
    step = Step(stage, ("shard", "train"))
    print_manifest(run_alone(step, store, name or _dataset_name(dataset), config, read), as_json=json)


def _dataset_name(dataset: str) -> str:
    """The dataset's own name. ValueError: it is named by its fingerprint."""
    name = dataset.partition("@")[0]
    if not name.startswith("datasets/"):
        raise ValueError(
            f"{dataset} is no reference of a dataset; say with --name what its clusters are called"
        )
    return name.removeprefix("datasets/")
