"""`sdflow plan`: what the training of a config would take, before it is paid for."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.cli.models.plan_card import card_lines, optimizer_line, scaled
from flows.cli.options import ConfigArgument, ConfigStoreOption, JsonOption, SetOption, environment_store
from flows.cli.store.listing import print_json, print_lines
from stages.units import duration

if TYPE_CHECKING:
    from pathlib import Path

    from stages.artifacts.artifact import Artifact
    from stages.config.run import Run
    from stages.forecast.forecast import TrainingForecast
    from stages.forecast.formulas import FormulaForecast

LONGEST = 3600
"""Seconds to measure for, at most."""
CARDS_HELP = (
    "GPU to plan for from formulas, without measuring anything: a10, a100, h100, h200, l4, l40s, rtx3090, "
    "rtx4090 or rtx5090; may be given again."
)


def plan(
    config: ConfigArgument,
    /,
    *,
    set_: SetOption = (),
    store: ConfigStoreOption = None,
    seconds: Annotated[
        float, Parameter(help="To measure for, after the first batches, which compile and warm up.")
    ] = 10.0,
    dataset: Annotated[str, Parameter(help="Dataset to measure with instead of the config's own.")] = "",
    card: Annotated[tuple[str, ...], Parameter(negative="", show_default=False, help=CARDS_HELP)] = (),
    mfu: Annotated[
        float | None,
        Parameter(help="With --card: the share of its peak that the training makes use of, up to 1."),
    ] = None,
    price: Annotated[
        float | None, Parameter(help="With --card: the price of an hour of one; else train.price.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say what a training would take: parameters, FLOPs, memory, speed, time and cost.

    It trains for some seconds on this machine, in as many processes as the training will have, and keeps
    nothing. Where the config's dataset is not made yet it learns from random pictures. With --card nothing is
    trained: memory and time on that GPU come from formulas, with what they assume printed below; a model to
    start from need not be here, and Stable Diffusion 1.5 stands for it.

    **Examples**

    ```
    sdflow plan birds.yaml
    sdflow plan birds.yaml --set train.batch=256 --set train.price=3.50    # of an hour of all processes
    sdflow plan birds.yaml --set train.network=dit --json | jq .images_per_second
    sdflow plan birds.yaml --card rtx4090 --card h200 --price 2.10         # of GPUs that are not here
    ```
    """
    from dataclasses import asdict
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from flows.config.file import read_run
    from flows.run.terminal import Terminal
    from flows.steps import ENCODE
    from sdmodel.pipeline_family import is_pipeline
    from stages.forecast.forecast import encoders_in, forecast

    if not 0 < seconds <= LONGEST:  # nan, too
        raise ValueError(f"--seconds {seconds:g} must be above 0 and at most {LONGEST}")
    if not card and (mfu is not None or price is not None):
        raise ValueError("--mfu and --price are of --card; without it, set train.price")
    run = read_run(config, set_, store, environment_store())
    if card:
        estimated = _by_formulas(run, card, mfu, price)
        if json:
            print_json(asdict(estimated))
        else:
            print_lines(card_lines(run.train, estimated))
        return
    pictures = _finished(run, "shard", dataset)
    encode = run.encode
    latents = _finished(run, "encode") if not dataset and ENCODE.is_enabled(encode) else None
    with TemporaryDirectory(prefix="sdflow-") as folder:
        start, seen = _start(run, Path(folder) / "start")
        encoders = None
        if latents is None:
            encoders = encoders_in(Path(folder) / "encoders", encode, run.store)
        Terminal().log(
            f"measuring for {seconds:g} s, once the processes have started and learned from the first "
            "batches; --card tells from formulas what a GPU would take"
        )
        estimate = forecast(
            run.train,
            pictures,
            Path(folder),
            start=start,
            texts=_texts(run, Path(folder) / "texts"),
            encoder=_image_encoder(run, Path(folder) / "encoder"),
            labels=_labels(run),
            latents=latents,
            encoders=encoders,
            length=encode.length,
            seconds=seconds,
            seen=seen,
        )
    if json:
        print_json(asdict(estimate))
    else:
        print_lines(forecast_lines(run, estimate, pipeline=start is not None and is_pipeline(start)))


def forecast_lines(run: "Run", forecast: "TrainingForecast", *, pipeline: bool) -> list[str]:
    """A forecast for people. pipeline: the training starts from one."""
    train, whole = run.train, sum(forecast.parameters.values())
    parts = ", ".join(f"{name} {number:,}" for name, number in forecast.parameters.items())
    frozen = f"; {whole - forecast.learned:,} of them stay as they are" if forecast.learned < whole else ""
    share = f", {forecast.mfu:.0%} of what the device can compute" if forecast.mfu is not None else ""
    after = f", after the {forecast.seen:,} of {train.continue_from}" if forecast.seen else ""
    network = f", {train.network}" if train.objective == "diffusion" else ""
    lines = [
        f"training    {train.objective}{network}, {train.size} pixels, batches of {train.batch}",
        f"parameters  {whole:,}: {parts}{frozen}",
        f"compute     {scaled(forecast.flops)}FLOPs an image, forward and backward",
        optimizer_line(train, pipeline=pipeline),
        f"memory      {forecast.memory / 2**30:.2f} GiB a process at its worst moment; weights, gradients, "
        f"momenta and averages are at most {forecast.state / 2**30:.2f} GiB of it",
        f"speed       {forecast.images_per_second:,.1f} images/s{share}; {forecast.waiting:.1%} of the time "
        "went into waiting for data",
        f"measured    on {forecast.processes} x {forecast.device}, with {forecast.data}",
        f"to the end  {forecast.images - forecast.seen:,} images take {duration(forecast.seconds)}{after}",
        f"checkpoints of {forecast.state / 2**30:.2f} GiB at most, one every {train.checkpoint_every:,} "
        f"images, {duration(train.checkpoint_every / forecast.images_per_second)}",
    ]
    if forecast.cost is not None:
        lines.append(f"cost        {forecast.cost:,.2f} at {train.price:,.2f} an hour")
    return lines + [f"note        {words}" for words in forecast.warnings]


def _by_formulas(
    run: "Run", names: tuple[str, ...], mfu: float | None, price: float | None
) -> "FormulaForecast":
    """A forecast for the cards of those names. ValueError: a card is unknown, a number makes no sense, or the
    config cannot go on with its model."""
    from stages.forecast.cards import card_of
    from stages.forecast.formulas import forecast_by_formulas
    from stages.pretrained.continuation import continuation_input
    from stages.store import open_store

    if mfu is not None and not 0 < mfu <= 1:
        raise ValueError(f"--mfu {mfu:g} must be above 0 and at most 1")
    if price is not None and not 0 < price < float("inf"):
        raise ValueError(f"--price {price:g} must be above 0")
    seen = 0
    if run.train.continue_from:
        state = continuation_input(open_store(run.store, writable=False), run.train)
        seen = state.images if state else 0
    return forecast_by_formulas(run, {name: card_of(name) for name in names}, mfu, price, seen)


def _finished(run: "Run", step: str, name: str = "") -> "Artifact | None":
    """The artifact that is named, or what a step of the config's own line made if it is finished."""
    from flows.step import existing_store, finished
    from flows.steps import STEPS
    from stages.artifacts.reference import resolve
    from stages.store import open_store

    if name:
        return resolve(open_store(run.store, writable=False), name)
    store = existing_store(run.store)
    if store is None:
        return None
    try:
        return finished(STEPS, step, run, store)
    except ValueError:  # not made yet, or its sources are not here: random pictures do
        return None


def _start(run: "Run", folder: "Path") -> "tuple[Path | None, int]":
    """Folder of the model to start from, or to go on with, or links to it in `folder`; and images that it has
    seen of those that the config counts."""
    from pathlib import Path

    from stages.pretrained.continuation import continuation_input
    from stages.pretrained.start import start_folder, start_input
    from stages.store import open_store

    text = run.train.start
    if run.train.continue_from:
        state = continuation_input(open_store(run.store, writable=False), run.train)
        assert state is not None
        return state.artifact.lay("model/", folder), state.images
    if not text or Path(text).is_dir():
        return (Path(text).resolve() if text else None), 0
    return start_folder(start_input(open_store(run.store, writable=False), text), text, folder), 0


def _texts(run: "Run", folder: "Path") -> "list[Path | None]":
    """Folders of the pretrained text encoders, or links to them below `folder`."""
    from stages.pretrained.text import text_folders, text_inputs
    from stages.store import open_store

    texts = (run.train.text, *run.train.texts)
    if not any(text.start for text in texts):
        return []
    return text_folders(text_inputs(open_store(run.store, writable=False), run.train), run.train, folder)


def _image_encoder(run: "Run", folder: "Path") -> "Path | None":
    """Folder of the frozen image encoder that pictures are seen by, or links to its files in `folder`."""
    from stages.pretrained.image_encoder import image_encoder_folder, image_encoder_input
    from stages.store import open_store

    name = run.train.encoder
    if not name:
        return None
    store = open_store(run.store, writable=False)
    return image_encoder_folder(image_encoder_input(store, "train.encoder", name), folder)


def _labels(run: "Run") -> "Artifact | None":
    """The table of clusters to learn from."""
    from stages.pretrained.text import labels_input
    from stages.store import open_store

    if not run.train.pretrain.clusters:
        return None
    return labels_input(open_store(run.store, writable=False), run.train)
