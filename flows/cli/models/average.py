"""`sdflow average`: another average of what a model's training went through."""

from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption, open_to_read


def average(
    model: Annotated[str, Parameter(help="Reference (models/demo) or the first digits of a fingerprint.")],
    /,
    *,
    length: Annotated[
        float,
        Parameter(help="Of the average, as a share of the training, (0, 0.289]; 0.1 is long, 0.02 short."),
    ],
    images: Annotated[
        int, Parameter(help="Images seen at its end; 0 is the last checkpoint that was kept.")
    ] = 0,
    name: Annotated[
        str,
        Parameter(help="File it under models/NAME; else the model's own name with the length behind it."),
    ] = "",
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Make a model whose weights are averaged over another length of the training, without training again.

    Which length gives the best pictures is known only afterwards. A training with `train.ema.lengths` of two
    or more and with `train.checkpoint_keep_every` keeps what all others can be made of (Karras et al. 2023,
    arXiv:2312.02696).

    **Examples**

    ```
    sdflow average models/birds --length 0.12
    sdflow average models/birds@2 --length 0.03 --images 500000 --name birds-early
    sdflow generate models/birds-0.12 "a red bird"
    sdflow stage evaluate birds.yaml --model models/birds-0.12
    ```
    """
    from flows.cli.store.listing import print_manifest
    from flows.run.local import run_alone
    from flows.step import Step
    from stages.artifacts.reference import resolve
    from stages.average import AverageConfig
    from stages.average import average as stage

    source = resolve(open_to_read(store), model)
    config = AverageConfig(length=length, images=images)
    step = Step(stage, ("train",))
    artifact = run_alone(step, store, name or _average_name(model, length, images), config, [source])
    print_manifest(artifact, as_json=json)


def _average_name(model: str, length: float, images: int) -> str:
    """A name for an average: "birds-0.1", or "birds-0.1-500000" where it ends earlier than the training."""
    name = model.partition("@")[0]
    if not name.startswith("models/"):
        raise ValueError(f"{model} is no reference of a model; say with --name what its average is called")
    return "-".join([name.removeprefix("models/"), f"{length:g}", *([str(images)] if images else [])])
