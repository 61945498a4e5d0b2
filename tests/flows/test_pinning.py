"""References are resolved once, and a run does not start from what it makes itself."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from flows.pinning import pinned, pinned_config
from flows.steps import TRAIN
from sdmodel.config.autoencoder import AutoencoderConfig
from sdmodel.config.text import PretrainConfig, TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.train.job import JobSpec
from sdmodel.train.run import run as run_training
from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import number_of, refer, references
from stages.config.encode import EncodeConfig
from stages.config.evaluate import EvaluateConfig
from stages.config.run import Run
from stages.encode import encode
from stages.forecast.forecast import encoders_in
from stages.pretrained.files import autoencoder_input
from stages.store import Store, open_store
from tests import frozen
from tests.stages import worlds
from tests.stages.pretrained.filed import filed

PERCEPTUAL = TrainConfig(
    objective="autoencoder", encoder="models/eye", autoencoder=AutoencoderConfig(perceptual=1.0)
)
"""Pictures are seen by an image encoder."""
TINY = replace(worlds.TINY, images=32, batch=16, checkpoint_every=32)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(str(tmp_path_factory.mktemp("pinning") / "store"))


@pytest.fixture(scope="module")
def dataset(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return worlds.dataset(store, tmp_path_factory.mktemp("pictures"), rows=20)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings run in this process: to start others takes longer than they do."""
    torch.set_num_threads(1)

    def launched(path: Path, *_: Any, **__: Any) -> bool:
        return run_training(JobSpec.read(path))

    monkeypatch.setattr("sdmodel.train.process.launch.train", launched)


@pytest.mark.parametrize("text", ["models/birds", "models/birds@latest"])
def test_a_run_that_would_start_from_its_own_newest_model_is_refused(text: str):
    reader = TextConfig(start=text)
    for key, train, encoding in (
        ("train.start", TrainConfig(start=text), EncodeConfig()),
        ("train.continue_from", TrainConfig(continue_from=text), EncodeConfig()),
        ("train.text.start", TrainConfig(text=reader), EncodeConfig()),
        (r"train\.texts\.1\.start", TrainConfig(texts=(TextConfig(), reader)), EncodeConfig()),
        ("train.encoder", replace(PERCEPTUAL, encoder=text), EncodeConfig()),
        ("encode.autoencoder", TrainConfig(), EncodeConfig(autoencoder=text)),
    ):
        words = rf"{key}='{text}' is what the run itself files as models/birds.*as models/birds@1"
        with pytest.raises(ValueError, match=words):
            Run(name="birds", train=train, encode=encoding)
        with pytest.raises(ValueError, match=words):
            pinned_config("no store is opened", "birds", encoding if encoding.autoencoder else train)
    with pytest.raises(ValueError, match=rf"evaluate\.encoder='{text}' is what the run itself files"):
        Run(name="birds", evaluate=EvaluateConfig(encoder=text))
    assert Run(name="birds", train=TrainConfig(start="models/birds@2")).train.start == "models/birds@2"
    assert Run(name="other", train=TrainConfig(start=text)).train.start == text


def test_image_encoders_are_named_by_their_number(store: Store):
    filed(store, "models/eye", {"model/config.json": b"{}"})
    run = pinned(Run(name="seeing", store=store.url, train=PERCEPTUAL))
    assert run.train.encoder == "models/eye@1"
    run = pinned(Run(name="seeing", store=store.url, evaluate=EvaluateConfig(encoder="models/eye@latest")))
    assert run.evaluate.encoder == "models/eye@1"
    with pytest.raises(ValueError, match=r"evaluate\.encoder='models/none'"):
        pinned_config(store.url, "seeing", EvaluateConfig(encoder="models/none"))


@pytest.mark.usefixtures("here")
def test_a_repetition_finds_its_own_first_result(store: Store, dataset: Artifact):
    first = refer(store, "models/own", worlds.model(store, dataset, TINY))
    run = pinned(Run(name="own", store=store.url, train=replace(TINY, start="models/own@1")))
    made = TRAIN.run(store, run.name, run.train, [dataset])
    again = TRAIN.run(store, run.name, pinned(run).train, [dataset])
    assert (made.cached, again.cached) == (False, True)
    assert [entry.fingerprint for entry in references(store, "models/own")] == [
        first.fingerprint,
        made.fingerprint,
    ]
    assert made.statistics["start"] == "models/own@1"


def test_what_is_newest_is_looked_up_once(store: Store, dataset: Artifact):
    one, two = (worlds.model(store, dataset, replace(TINY, seed=seed)) for seed in (1, 2))
    refer(store, "models/base", one)
    text = TextConfig(start="models/base")
    train = replace(TINY, start="models/base@latest", text=text, texts=(text,))
    run = pinned(Run(name="other", store=store.url, train=train))
    refer(store, "models/base", two)
    assert (run.train.start, run.train.text.start, run.train.texts[0].start) == ("models/base@1",) * 3
    assert pinned(replace(run, train=replace(TINY, continue_from="models/base"))).train.continue_from == (
        "models/base@2"
    )
    assert pinned(run) == run
    assert pinned(replace(run, train=train)).train.start == "models/base@2"
    assert number_of(store, one.fingerprint) == one.fingerprint
    assert asdict(pinned(Run(name="x", store="nowhere"))) == asdict(Run(name="x", store="nowhere"))


def test_what_is_not_there_is_named_at_the_start(store: Store):
    labels = PretrainConfig(labels=1.0, clusters="clusters/none")
    for key, config in (
        (r"train\.start='models/none'", TrainConfig(start="models/none")),
        (r"train\.pretrain\.clusters='clusters/none'", TrainConfig(pretrain=labels)),
    ):
        with pytest.raises(ValueError, match=f"{key} is no folder here, and .* is no reference"):
            pinned_config(store.url, "x", config)


def test_a_size_that_the_autoencoder_does_not_divide_is_refused_everywhere(
    store: Store, dataset: Artifact, tmp_path: Path
):
    folder = frozen.autoencoder(tmp_path / "vae", levels=3)
    config = EncodeConfig(autoencoder=str(folder), size=18)
    words = r"encode\.size=18: pictures of 18 x 18 .* one place of 4 x 4; .* as encode.size=16 and train.size"
    train = TrainConfig(size=18, network="unet2d")
    with pytest.raises(ValueError, match=words):
        pinned(Run(name="x", store=store.url, encode=config, train=train))
    with pytest.raises(ValueError, match=words):
        encoders_in(tmp_path / "encoders", config, store.url)
    with pytest.raises(ValueError, match=words):
        encode(dataset, autoencoder_input(store, str(folder)), None, (), config, store=store)
    assert not (tmp_path / "encoders").exists()
    fitting = Run(name="x", store=store.url, encode=replace(config, size=20), train=replace(train, size=20))
    assert pinned(fitting) == fitting
