"""Preflight checks: what of a run cannot work is refused before Prefect starts, or hours are spent on it."""

from collections.abc import Callable
from pathlib import Path

from flows.report.dashboard import dashboard_url
from flows.steps import ENCODE, STEPS
from sdmodel.config.conflicts import denoiser_conflicts
from sdmodel.config.limits import ConfigError
from stages.artifacts.reference import references
from stages.collect.sources.files import check_folder, check_sources
from stages.config.run import Run
from stages.pretrained import files
from stages.pretrained import text as texts
from stages.pretrained.continuation import check_latents, continuation_input
from stages.pretrained.image_encoder import image_encoder_input
from stages.pretrained.lpips import lpips_input
from stages.pretrained.pseudo import pseudo_inputs
from stages.pretrained.start import pipeline_files, start_input
from stages.store import Store, open_store


def check(run: Run) -> None:
    """Look whether the store can be written, and whether the models are there that the config names.

    Folders are looked into and not read: weights can take minutes to hash.

    Raises:
        ValueError: there is no source, or no folder of one, the store cannot be used, a folder or a reference
            is not what it is named for, pictures of the config's size do not fit the autoencoder, latents the
            denoiser, the training cannot go on with the model that it names, or the dashboard's address,
            to which reports link, is none.
        DamagedError: what the store knows under the run's name cannot be read: it is damaged, or of a version
            whose records nobody reads any more.
    """
    dashboard_url()
    check_sources(run.collect)
    for source in run.collect.folders:
        check_folder(source.name, source.folder)
    store, train, encode = open_store(run.store), run.train, run.encode
    for step in STEPS.values():
        if reference := step.stage.step.reference:
            references(store, f"{reference}/{run.name}")
    _check(store, train.start, pipeline_files, start_input)
    if (state := continuation_input(store, train)) is not None:
        check_latents(state.artifact, ENCODE.is_enabled(encode))
    for text in (train.text, *train.texts):
        _check(store, text.start, texts.text_files, texts.encoder_input)
    _check(store, encode.autoencoder, files.autoencoder_files, files.autoencoder_input)
    if encode.autoencoder:
        model = files.autoencoder_config(lambda: store, encode.autoencoder)
        files.check_fits(encode, model)
        if mistakes := list(denoiser_conflicts(train, files.factor_of(model))):
            raise ConfigError("train", mistakes)
    if encode.text:
        files.text_files(Path(encode.text))
    texts.labels_input(store, train)
    pseudo_inputs(store, train)
    image_encoder_input(store, "train.encoder", train.encoder)
    image_encoder_input(store, "evaluate.encoder", run.evaluate.encoder)
    image_encoder_input(store, "encode.encoder", encode.encoder)
    lpips_input(train.autoencoder.lpips)


def _check(
    store: Store, text: str, files: Callable[[Path], object], resolve: Callable[[Store, str], object]
) -> None:
    """ValueError unless a text is empty, a folder with the right files, or a reference to the right model."""
    if text and Path(text).is_dir():
        files(Path(text))
    elif text:
        resolve(store, text)
