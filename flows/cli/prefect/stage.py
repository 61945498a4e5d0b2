"""`sdflow stage`: one stage, without Prefect."""

from typing import Annotated, Literal

from cyclopts import Parameter

from flows.cli.options import ConfigArgument, ConfigStoreOption, JsonOption, SetOption, environment_store

StageName = Literal["collect", "dedup", "score", "filter", "shard", "encode", "train", "evaluate"]


def stage(
    name: Annotated[StageName, Parameter(help="Which stage.")],
    config: ConfigArgument,
    /,
    *,
    set_: SetOption = (),
    store: ConfigStoreOption = None,
    upstream: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="Make what it reads, too, where that is not finished."
        ),
    ] = False,
    dataset: Annotated[
        str, Parameter(help="Dataset to read instead of the config's own (train, evaluate).")
    ] = "",
    model: Annotated[str, Parameter(help="Model to read instead of the config's own (evaluate).")] = "",
    json: JsonOption = False,
) -> None:
    """Run one stage of a config in this process, without Prefect.

    It reads what the stages before it have finished, or the dataset and the model that are named.

    **Examples**

    ```
    sdflow stage collect birds.yaml
    sdflow stage filter birds.yaml --set filter.min_words=3
    sdflow stage shard birds.yaml --upstream    # all that it needs
    sdflow stage evaluate birds.yaml --dataset datasets/other@3     # the same model, other pictures
    ```
    """
    from flows.config.file import read_run

    run = read_run(config, set_, store, environment_store())

    # These take seconds to import: after the config is known to be good.
    from flows.cli.store.listing import print_manifest
    from flows.run.local import result_of
    from flows.run.terminal import Terminal
    from flows.step import Result
    from flows.steps import STEPS

    given = {step: text for step, text in (("shard", dataset), ("train", model)) if text}
    terminal = Terminal()
    with terminal.live():
        artifact = result_of(STEPS, name, run, terminal, upstream=upstream, given=given)
    terminal.finished(name, Result.of(artifact, run.store))
    print_manifest(artifact, as_json=json)
